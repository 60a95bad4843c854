//! What can be wrong with a policy document, and where.

use std::fmt;

/// What is wrong with one element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not JSON; the parser's own words.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// The same name twice in one object.
    #[error("the name occurs twice in one object")]
    DuplicateKey,
    /// Two statements of a document have the same `Sid`.
    #[error("statement id `{0}` is used twice; statement ids must be unique")]
    DuplicateSid(String),
    /// An element that the policy language does not have.
    #[error("unknown element `{0}`")]
    UnknownElement(String),
    /// A condition operator that the policy language does not have.
    #[error("unknown condition operator `{0}`")]
    UnknownOperator(String),
    /// An element that this kind of policy needs.
    #[error("missing element `{0}`")]
    Missing(&'static str),
    /// Two elements of which only one may be given.
    #[error("`{0}` and `{1}` exclude each other")]
    Conflict(&'static str, &'static str),
    /// An element that this kind of policy does not have.
    #[error("`{element}` is not supported in {kind}")]
    NotSupported {
        /// The element.
        element: &'static str,
        /// The kind of policy, with its article.
        kind: &'static str,
    },
    /// A JSON value of another type.
    #[error("expected {0}")]
    WrongType(&'static str),
    /// A value that is not of the form that its place demands.
    #[error("`{value}` is not {expected}")]
    BadValue {
        /// The value, cut to 128 characters.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A principal that no user or role has.
    #[error("invalid principal in policy: `{0}`")]
    UnknownPrincipal(String),
    /// The document is too long for its kind.
    #[error("the document has {size} {unit}, at most {limit} are allowed")]
    TooLong {
        /// Its size.
        size: usize,
        /// The most that its kind allows.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A character outside U+0009, U+000A, U+000D and U+0020 to U+00FF.
    #[error("character U+{0:04X} is not allowed in a policy document")]
    BadCharacter(u32),
}

impl Problem {
    pub(crate) fn value(value: &str, expected: &'static str) -> Problem {
        Problem::BadValue { value: value.chars().take(128).collect(), expected }
    }
}

/// One problem and the JSON path of the element that has it, for example `$.Statement[0].Action`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ParseError {
    /// Where, as a JSON path that begins with `$`.
    pub path: String,
    /// What.
    #[source]
    pub problem: Problem,
}

/// Everything that is wrong with a document; never empty. IAM's code for it is
/// `MalformedPolicyDocument`, except for a document that is only too long (`LimitExceeded`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseErrors {
    errors: Vec<ParseError>,
}

impl ParseErrors {
    pub(crate) fn new(errors: Vec<ParseError>) -> ParseErrors {
        ParseErrors { errors }
    }

    pub(crate) fn one(path: &str, problem: Problem) -> ParseErrors {
        ParseErrors { errors: vec![ParseError { path: path.to_owned(), problem }] }
    }

    /// The problems in document order, at most [`crate::limits::PARSE_ERRORS_MAX`].
    pub fn errors(&self) -> &[ParseError] {
        &self.errors
    }

    /// True if the only fault of the document is its length.
    pub fn is_only_size(&self) -> bool {
        self.errors.iter().all(|e| matches!(e.problem, Problem::TooLong { .. }))
    }

    /// True if a principal could not be found: IAM's message is then "Invalid principal in policy".
    pub fn is_principal(&self) -> bool {
        self.errors.iter().any(|e| matches!(e.problem, Problem::UnknownPrincipal(_)))
    }
}

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
