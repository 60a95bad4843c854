//! What a runbook is told: typed values, and no text.

use std::collections::BTreeSet;
use std::fmt;

use writ_model::person::is_name;

use super::ENTRY;
use crate::at_most::AtMost;
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::roster::HostName;
use crate::{cbor_enum, cbor_map};

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub kind: ParameterKind,
}
cbor_map!(Parameter { 1: name, 2: kind });

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterKind {
    /// True or false.
    Bool,
    /// A digest.
    Digest,
    /// One of these words.
    Enum(AtMost<String, { limits::RUNBOOK_MAX_WORDS }>),
    /// A host of the roster.
    Host,
    /// A whole number between these two, both included.
    Int((i64, i64)),
}
cbor_enum!(ParameterKind { 0: Bool, 1: Enum(_), 2: Int(_), 3: Host, 4: Digest });

/// An argument of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// This text.
    Literal(String),
    /// The value of this parameter.
    Parameter(String),
}
cbor_enum!(Argument { 0: Literal(_), 1: Parameter(_) });

/// A parameter with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: Value,
}
cbor_map!(Setting { 1: name, 2: value });

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A digest.
    Digest(Hash),
    /// A host.
    Host(HostName),
    /// A whole number.
    Int(i64),
    /// A word.
    Word(String),
}
cbor_enum!(Value { 0: Bool(_), 1: Word(_), 2: Int(_), 3: Host(_), 4: Digest(_) });

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Digest(value) => write!(f, "{value}"),
            Value::Host(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Word(value) => f.write_str(value),
        }
    }
}

impl Parameter {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !is_name(&self.name) {
            return Err("a parameter has no proper name");
        }
        match &self.kind {
            ParameterKind::Enum(words) => super::output::check_words(&words.0),
            ParameterKind::Int((from, to)) if from > to => Err("a parameter allows no number"),
            _ => Ok(()),
        }
    }

    /// The value that a text means, for those who write it.
    pub fn parse(&self, text: &str) -> Result<Value, Error> {
        let wrong = || Error::Refused {
            what: ENTRY,
            why: format!("`{text}` is no value of `{}`: {}", self.name, self.kind),
        };
        let value = match &self.kind {
            ParameterKind::Bool => text.parse().ok().map(Value::Bool),
            ParameterKind::Digest => text.parse().ok().map(Value::Digest),
            ParameterKind::Enum(_) => Some(Value::Word(text.to_owned())),
            ParameterKind::Host => text.parse().ok().map(Value::Host),
            ParameterKind::Int(_) => text.parse().ok().map(Value::Int),
        };
        value.filter(|value| self.kind.allows(value)).ok_or_else(wrong)
    }
}

impl ParameterKind {
    fn allows(&self, value: &Value) -> bool {
        match (self, value) {
            (ParameterKind::Bool, Value::Bool(_))
            | (ParameterKind::Digest, Value::Digest(_))
            | (ParameterKind::Host, Value::Host(_)) => true,
            (ParameterKind::Enum(words), Value::Word(word)) => words.0.contains(word),
            (ParameterKind::Int((from, to)), Value::Int(value)) => (from..=to).contains(&value),
            _ => false,
        }
    }
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParameterKind::Bool => f.write_str("true or false"),
            ParameterKind::Digest => f.write_str("a SHA-256 in hexadecimal"),
            ParameterKind::Enum(words) => write!(f, "one of {}", words.0.join(", ")),
            ParameterKind::Host => f.write_str("a host of the roster"),
            ParameterKind::Int((from, to)) => write!(f, "a number from {from} to {to}"),
        }
    }
}

impl Argument {
    pub(super) fn check(&self, names: &BTreeSet<&str>) -> Result<(), &'static str> {
        match self {
            Argument::Literal(text) if text.len() > limits::RUNBOOK_ARGUMENT_MAX_BYTES => {
                Err("an argument is too long")
            }
            Argument::Literal(text) if text.chars().any(char::is_control) => {
                Err("an argument has control characters")
            }
            Argument::Parameter(name) if !names.contains(name.as_str()) => {
                Err("an argument names no parameter")
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn arguments(
    parameters: &[Parameter],
    arguments: &[Argument],
    settings: &[Setting],
) -> Result<Vec<String>, Error> {
    let refused = |why: String| Error::Refused { what: "run order", why };
    if settings.len() != parameters.len() {
        return Err(refused("it sets more or fewer parameters than there are".to_owned()));
    }
    for parameter in parameters {
        let setting = settings.iter().find(|setting| setting.name == parameter.name);
        let value = setting.map(|setting| &setting.value);
        if !value.is_some_and(|value| parameter.kind.allows(value)) {
            let (name, kind) = (&parameter.name, &parameter.kind);
            return Err(refused(format!("`{name}` is absent, or is not {kind}")));
        }
    }
    let value = |argument: &Argument| match argument {
        Argument::Literal(text) => Some(text.clone()),
        Argument::Parameter(name) => {
            let setting = settings.iter().find(|setting| setting.name == *name);
            setting.map(|setting| setting.value.to_string())
        }
    };
    let all: Option<Vec<String>> = arguments.iter().map(value).collect();
    all.ok_or_else(|| refused("an argument names no parameter".to_owned()))
}
