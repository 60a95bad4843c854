//! Texts with wildcards and policy variables, compiled once and matched without allocation.
//!
//! The work of one match is at most the product of the lengths of pattern and text; both are bounded
//! (documents by their quota, ARNs and keys by the services), so no time limit is needed.

use crate::context::{Context, Key};
use crate::error::Problem;

/// What is special in a pattern's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?` are wildcards.
    pub(crate) wildcards: bool,
    /// `${...}` is a policy variable or an escape (version 2012-10-17).
    pub(crate) variables: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(Box<str>),
    /// `*`
    Many,
    /// `?`
    One,
    Variable {
        key: Key,
        default: Option<Box<str>>,
    },
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Box<[Token]>,
}

impl Pattern {
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Pattern, Problem> {
        Ok(Pattern { tokens: tokenize(text, syntax)?.into() })
    }

    /// True for a lone `*`.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(*self.tokens, [Token::Many])
    }

    /// The text, if the pattern has neither wildcard nor variable.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &*self.tokens {
            [] => Some(""),
            [Token::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Case-sensitive match of the whole text.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        match &*self.tokens {
            [Token::Literal(literal)] => **literal == *text,
            [Token::Many] => true,
            [] => text.is_empty(),
            tokens => run(tokens, text, Some(context), |text, prefix| text.strip_prefix(prefix)),
        }
    }

    /// Case-sensitive match of a pattern that was compiled without variables.
    pub(crate) fn matches_plain(&self, text: &str) -> bool {
        match &*self.tokens {
            [Token::Literal(literal)] => **literal == *text,
            [Token::Literal(literal), Token::Many] => text.starts_with(&**literal),
            [Token::Many] => true,
            tokens => run(tokens, text, None, |text, prefix| text.strip_prefix(prefix)),
        }
    }

    /// True if each of its variables has a value.
    fn resolves(&self, context: &Context) -> bool {
        self.tokens.iter().all(|token| match token {
            Token::Variable { key, default } => {
                resolve(key, default.as_deref(), Some(context)).is_some()
            }
            Token::Literal(_) | Token::Many | Token::One => true,
        })
    }

    /// As [`Pattern::matches`], without case.
    pub(crate) fn matches_folded(&self, text: &str, context: &Context) -> bool {
        run(&self.tokens, text, Some(context), strip_prefix_folded)
    }
}

/// Matches tokens from left to right; on a mismatch goes back to the last `*` and lets it take one
/// character more. A variable without a usable value matches nothing.
fn run<'t>(
    tokens: &'t [Token],
    text: &'t str,
    context: Option<&'t Context>,
    strip: impl Fn(&'t str, &'t str) -> Option<&'t str>,
) -> bool {
    let mut left = tokens;
    let mut rest = text;
    let mut back: Option<(&[Token], &str)> = None;
    loop {
        let step = match left {
            [] if rest.is_empty() => return true,
            [] => None,
            [Token::Many] => return true,
            [Token::Many, tail @ ..] => {
                back = Some((tail, rest));
                left = tail;
                continue;
            }
            [Token::One, tail @ ..] => {
                let mut chars = rest.chars();
                chars.next().map(|_| (tail, chars.as_str()))
            }
            [Token::Literal(literal), tail @ ..] => strip(rest, literal).map(|r| (tail, r)),
            [Token::Variable { key, default }, tail @ ..] => {
                let Some(value) = resolve(key, default.as_deref(), context) else { return false };
                strip(rest, value).map(|r| (tail, r))
            }
        };
        if let Some((tail, remaining)) = step {
            left = tail;
            rest = remaining;
            continue;
        }
        let Some((tail, from)) = back else { return false };
        let mut chars = from.chars();
        if chars.next().is_none() {
            return false;
        }
        rest = chars.as_str();
        left = tail;
        back = Some((tail, rest));
    }
}

/// The value of a variable: the key's single value, else the default if the key is absent.
fn resolve<'c>(
    key: &Key,
    default: Option<&'c str>,
    context: Option<&'c Context>,
) -> Option<&'c str> {
    match context.and_then(|c| c.lookup(key)) {
        None | Some([]) => default,
        Some([value]) => Some(value),
        Some(_) => None,
    }
}

fn strip_prefix_folded<'t>(text: &'t str, prefix: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    for expected in prefix.chars() {
        let found = rest.next()?;
        let same = expected == found
            || expected.eq_ignore_ascii_case(&found)
            || expected.to_lowercase().eq(found.to_lowercase());
        if !same {
            return None;
        }
    }
    Some(rest.as_str())
}

fn tokenize(text: &str, syntax: Syntax) -> Result<Vec<Token>, Problem> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let special = match c {
            '$' if syntax.variables && rest.starts_with("${") => {
                let wrong =
                    || Problem::value(text, "a text whose policy variables have the form `${key}`");
                let (inside, after) = split_variable(rest).ok_or_else(wrong)?;
                rest = after;
                if let "*" | "?" | "$" = inside {
                    literal.push_str(inside);
                    continue;
                }
                Some(variable(inside).ok_or_else(wrong)?)
            }
            '*' if syntax.wildcards => Some(Token::Many),
            '?' if syntax.wildcards => Some(Token::One),
            _ => None,
        };
        match special {
            None => literal.push(c),
            Some(token) => {
                if !literal.is_empty() {
                    tokens.push(Token::Literal(std::mem::take(&mut literal).into()));
                }
                // Two stars in a row say no more than one.
                if !(token == Token::Many && tokens.last() == Some(&Token::Many)) {
                    tokens.push(token.clone());
                }
                if matches!(token, Token::Variable { .. }) {
                    continue;
                }
            }
        }
        rest = rest.strip_prefix(c).unwrap_or_default();
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal.into()));
    }
    Ok(tokens)
}

/// Splits `${inside}after`; a closing brace within the quotes of a default does not end it.
fn split_variable(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix("${")?;
    let mut quoted = false;
    let end = body.find(|c| {
        quoted ^= c == '\'';
        c == '}' && !quoted
    })?;
    Some((body.get(..end)?, body.get(end + 1..)?))
}

/// Reads `key` or `key, 'default'`.
fn variable(inside: &str) -> Option<Token> {
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key, Some(default.into()))
        }
    };
    let key = key.trim();
    let shaped = !key.is_empty() && !key.contains(['$', '{', '*', '?', '\'']);
    shaped.then(|| Token::Variable { key: Key::new(key), default })
}

/// What a `Resource` element or an Arn operator's value stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ArnPattern {
    /// `*`
    Everything,
    /// The first five parts are plain text: they, with their colons and the plain beginning of the
    /// resource part, are the prefix; the rest of the resource part follows.
    Prefixed(Box<str>, Pattern),
    /// The six parts. In the first five neither wildcard nor variable reaches over a colon.
    Parts(Box<[Pattern; 6]>),
}

impl ArnPattern {
    /// Compiles an ARN with wildcards. Missing parts are taken as `*`, as AWS completes ARNs with
    /// fewer than six parts. In a `Resource` element (`is_resource`) variables may stand only after
    /// the fifth colon.
    pub(crate) fn parse(
        text: &str,
        variables: bool,
        is_resource: bool,
    ) -> Result<ArnPattern, Problem> {
        let tokens = tokenize(text, Syntax { wildcards: true, variables })?;
        if matches!(*tokens, [Token::Many]) {
            return Ok(ArnPattern::Everything);
        }
        let mut parts = split_parts(tokens).into_iter();
        let mut next = || parts.next().unwrap_or_else(|| vec![Token::Many]);
        let parts = [next(), next(), next(), next(), next(), next()];
        let [prefix, partition, ..] = &parts;
        let is_arn = matches!(&**prefix, [Token::Literal(p)] if **p == *"arn");
        let whole = matches!(&**partition, [Token::Literal(_)] | [Token::Many])
            || (!is_resource && matches!(&**partition, [Token::Variable { .. }]));
        if !is_arn || !whole {
            return Err(Problem::value(text, "an ARN or `*`"));
        }
        let is_variable = |token: &Token| matches!(token, Token::Variable { .. });
        if is_resource && parts.iter().take(5).flatten().any(is_variable) {
            let expected = "an ARN with policy variables only after the fifth colon";
            return Err(Problem::value(text, expected));
        }
        let parts = parts.map(|tokens| Pattern { tokens: tokens.into() });
        let [first @ .., resource] = &parts;
        let literals: Option<String> =
            first.iter().map(|part| part.literal().map(|text| format!("{text}:"))).collect();
        Ok(match literals {
            Some(mut prefix) => {
                let rest = match &*resource.tokens {
                    [Token::Literal(text), rest @ ..] => {
                        prefix.push_str(text);
                        rest
                    }
                    rest => rest,
                };
                ArnPattern::Prefixed(prefix.into(), Pattern { tokens: rest.into() })
            }
            None => ArnPattern::Parts(Box::new(parts)),
        })
    }

    /// The service part, if it is a literal.
    pub(crate) fn service(&self) -> Option<&str> {
        match self {
            ArnPattern::Everything => None,
            ArnPattern::Prefixed(prefix, _) => prefix.split(':').nth(2),
            ArnPattern::Parts(parts) => {
                let [_, _, service, ..] = &**parts;
                service.literal()
            }
        }
    }

    /// True if each of its variables has a value, so that what it does not match is really outside.
    pub(crate) fn resolves(&self, context: &Context) -> bool {
        match self {
            ArnPattern::Everything => true,
            ArnPattern::Prefixed(_, resource) => resource.resolves(context),
            ArnPattern::Parts(parts) => parts.iter().all(|part| part.resolves(context)),
        }
    }

    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        let parts = match self {
            ArnPattern::Everything => return true,
            ArnPattern::Prefixed(prefix, resource) => {
                let rest = text.strip_prefix(&**prefix);
                return rest.is_some_and(|rest| resource.matches(rest, context));
            }
            ArnPattern::Parts(parts) => parts,
        };
        let mut rest = text;
        let [first @ .., resource] = &**parts;
        for part in first {
            let Some((head, tail)) = rest.split_once(':') else { return false };
            if !part.matches(head, context) {
                return false;
            }
            rest = tail;
        }
        resource.matches(rest, context)
    }
}

/// Splits the tokens at the first five colons of their literals; at most six parts come back.
fn split_parts(tokens: Vec<Token>) -> Vec<Vec<Token>> {
    let mut parts = vec![Vec::new()];
    let push = |parts: &mut Vec<Vec<Token>>, token: Token| {
        if let Some(part) = parts.last_mut() {
            part.push(token);
        }
    };
    for token in tokens {
        let Token::Literal(text) = token else {
            push(&mut parts, token);
            continue;
        };
        let room = 7 - parts.len();
        for (at, piece) in text.splitn(room, ':').enumerate() {
            if at > 0 {
                parts.push(Vec::new());
            }
            if !piece.is_empty() {
                push(&mut parts, Token::Literal(piece.into()));
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true };

    fn check(pattern: &str, text: &str, expected: bool) {
        let context =
            Context::new().with("aws:username", "al*ce").with("aws:PrincipalTag/team", "red");
        let matched = Pattern::parse(pattern, ALL).unwrap().matches(text, &context);
        assert_eq!(matched, expected, "{pattern} on {text}");
    }

    #[test]
    fn pattern_with_wildcards_matches_as_aws_says() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "a", true),
            ("*a", "aba", true),
            ("a*a", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "\u{e9}", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("**x", "x", true),
            ("Ab", "ab", false),
            ("${*}${?}${$}", "*?$", true),
            ("${*}", "x", false),
            ("home/${aws:username}/*", "home/al*ce/x", true),
            ("home/${aws:username}/*", "home/alice/x", false),
            ("${AWS:principaltag/TEAM}", "red", true),
            ("${aws:none}", "", false),
            ("${aws:none, 'x}y'}", "x}y", true),
            ("${aws:none,'d'}-*", "d-1", true),
            ("a$b", "a$b", true),
        ] {
            check(pattern, text, expected);
        }
    }

    #[test]
    fn pattern_with_broken_variable_is_refused() {
        for text in ["${", "${}", "${a", "${a,b}", "${a, 'b}", "${a*}", "${${a}}"] {
            assert!(Pattern::parse(text, ALL).is_err(), "{text}");
        }
    }

    #[test]
    fn arn_pattern_aligns_the_parts() {
        let context = Context::new().with("aws:username", "alice");
        for (pattern, text, expected) in [
            ("*", "anything", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y:z", true),
            ("arn:aws:s3:::*", "arn:aws:s3:eu-west-1::b", false),
            ("arn:aws:*", "arn:aws:s3:eu-west-1::b", true),
            ("arn:aws:s3:*", "arn:aws:s3:::b", true),
            ("arn:aws:sqs:*:1234:q", "arn:aws:sqs:eu:west:1234:q", false),
            ("arn:*:s3:::b", "arn:aws-cn:s3:::b", true),
            ("arn:aws:s3:::B", "arn:aws:s3:::b", false),
            ("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/alice", true),
            ("arn:aws:s3:::b", "*", false),
            ("arn:aws:s3:::b", "arn:aws:s3", false),
        ] {
            let compiled = ArnPattern::parse(pattern, true, true).unwrap();
            assert_eq!(compiled.matches(text, &context), expected, "{pattern} on {text}");
        }
        for text in ["b/*", "arn:a*:s3:::b", "", "arn:aws:s3::${aws:username}:b", "**x"] {
            assert!(ArnPattern::parse(text, true, true).is_err(), "{text}");
        }
    }
}
