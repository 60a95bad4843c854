//! What a runbook may answer: typed values of a known number of bits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use writ_model::Timestamp;
use writ_model::person::is_name;

use crate::at_most::AtMost;
use crate::limits;
use crate::{cbor_enum, cbor_map};

/// What an answer may hold: these fields and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The fields.
    pub fields: AtMost<Field, { limits::RUNBOOK_MAX_FIELDS }>,
}
cbor_map!(Output { 1: fields });

/// A field of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// True if it may be absent.
    pub optional: bool,
    /// What it may be.
    pub kind: FieldKind,
}
cbor_map!(Field { 1: name, 2: optional, 3: kind });

/// What a field may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// True or false.
    Bool,
    /// One of these words.
    Enum(AtMost<String, { limits::RUNBOOK_MAX_WORDS }>),
    /// A whole number.
    Int(Steps),
    /// A time; it is cut to whole steps of so many seconds.
    Time(u32),
}
cbor_enum!(FieldKind { 0: Bool, 1: Enum(_), 2: Int(_), 3: Time(_) });

/// Whole numbers in steps; what lies between two is cut to the lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// The least.
    pub min: i64,
    /// The most.
    pub max: i64,
    /// How far apart they are.
    pub step: u32,
}
cbor_map!(Steps { 1: min, 2: max, 3: step });

/// An answer that keeps the schema, and nothing else of what the host said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(pub BTreeMap<String, AnswerValue>);

impl Answer {
    /// One JSON object, its fields in the order of their names: the same bytes for the same answer.
    pub fn to_json(&self) -> String {
        let value = |value: &AnswerValue| match value {
            AnswerValue::Bool(value) => serde_json::Value::from(*value),
            AnswerValue::Int(value) => serde_json::Value::from(*value),
            AnswerValue::Time(value) => serde_json::Value::from(value.secs()),
            AnswerValue::Word(value) => serde_json::Value::from(value.as_str()),
        };
        let all: BTreeMap<&str, serde_json::Value> =
            self.0.iter().map(|(name, held)| (name.as_str(), value(held))).collect();
        // INVARIANT: names and values are plain; nothing of them fails to serialize.
        serde_json::to_string(&all).unwrap_or_default()
    }
}

impl fmt::Display for AnswerValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerValue::Bool(value) => write!(f, "{value}"),
            AnswerValue::Int(value) => write!(f, "{value}"),
            AnswerValue::Time(value) => f.write_str(&value.iso()),
            AnswerValue::Word(value) => f.write_str(value),
        }
    }
}

/// A value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A time.
    Time(Timestamp),
    /// A word of the schema.
    Word(String),
}

/// Why what a program wrote is dropped, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}{}", .field.as_ref().map(|name| format!(": `{name}`")).unwrap_or_default())]
pub struct OutputRefused {
    /// In our own words.
    pub why: &'static str,
    /// The field of the schema that is wrong.
    pub field: Option<String>,
}

/// A JSON object that names each of its members once.
struct Given(BTreeMap<String, serde_json::Value>);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Given, M::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(M::Error::custom("a member twice"));
                    }
                }
                Ok(Given(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Output {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let names: BTreeSet<&str> = self.fields.0.iter().map(|f| f.name.as_str()).collect();
        if names.len() != self.fields.0.len() || !names.iter().all(|name| is_name(name)) {
            return Err("a field of its output has no proper name, or two have one");
        }
        for field in &self.fields.0 {
            match &field.kind {
                FieldKind::Bool => {}
                FieldKind::Enum(words) => check_words(&words.0)?,
                FieldKind::Int(Steps { min, max, step }) if min > max || *step == 0 => {
                    return Err("a number of its output allows none");
                }
                FieldKind::Int(_) => {}
                FieldKind::Time(step) => {
                    if *step == 0 {
                        return Err("a time of its output has no steps");
                    }
                }
            }
        }
        if self.bits() > limits::RUNBOOK_MAX_OUTPUT_BITS {
            return Err("its output could tell more than 256 bits");
        }
        Ok(())
    }

    /// How many bits an answer can tell at most.
    pub fn bits(&self) -> u32 {
        self.fields.0.iter().map(Field::bits).sum()
    }

    /// Reads what a program has written: one JSON object of exactly these fields. A program that has none writes
    /// nothing.
    ///
    /// # Errors
    /// It is anything else. Of what was in it nothing is told but the name of a field of the schema.
    pub fn read(&self, bytes: &[u8]) -> Result<Answer, OutputRefused> {
        let refused = |why, field: Option<&Field>| {
            Err(OutputRefused { why, field: field.map(|field| field.name.clone()) })
        };
        if bytes.len() > limits::RUNBOOK_OUTPUT_MAX_BYTES {
            return refused("it is too long", None);
        }
        if bytes.is_empty() && self.fields.0.is_empty() {
            return Ok(Answer(BTreeMap::new()));
        }
        let Ok(Given(mut given)) = serde_json::from_slice(bytes) else {
            return refused("it is no JSON object, or names a field twice", None);
        };
        let mut answer = BTreeMap::new();
        for field in &self.fields.0 {
            match given.remove(&field.name) {
                None if field.optional => {}
                None => return refused("a field is absent", Some(field)),
                Some(value) => {
                    let Some(read) = field.kind.read(&value) else {
                        return refused("a field is of another type", Some(field));
                    };
                    answer.insert(field.name.clone(), read);
                }
            }
        }
        if given.is_empty() {
            Ok(Answer(answer))
        } else {
            refused("it has a field that its schema does not name", None)
        }
    }
}

impl Field {
    fn bits(&self) -> u32 {
        let choices: u128 = match &self.kind {
            FieldKind::Bool => 2,
            FieldKind::Enum(words) => words.0.len() as u128,
            FieldKind::Int(Steps { min, max, step }) => {
                max.abs_diff(*min) as u128 / u128::from((*step).max(1)) + 1
            }
            // Seconds of a hundred years.
            FieldKind::Time(step) => 3_155_760_000 / u128::from((*step).max(1)) + 1,
        };
        (choices + u128::from(self.optional)).next_power_of_two().trailing_zeros()
    }
}

impl FieldKind {
    fn read(&self, value: &serde_json::Value) -> Option<AnswerValue> {
        match self {
            FieldKind::Bool => value.as_bool().map(AnswerValue::Bool),
            FieldKind::Enum(words) => {
                let word = value.as_str()?;
                words.0.iter().find(|known| *known == word).cloned().map(AnswerValue::Word)
            }
            FieldKind::Int(Steps { min, max, step }) => {
                let number = value.as_i64().filter(|number| (min..=max).contains(&number))?;
                let above = number.abs_diff(*min);
                let cut = i64::try_from(above % u64::from((*step).max(1))).ok()?;
                Some(AnswerValue::Int(number - cut))
            }
            FieldKind::Time(step) => {
                let seconds = value.as_u64().filter(|seconds| *seconds < 1 << 40)?;
                let cut = seconds % u64::from((*step).max(1));
                Some(AnswerValue::Time(Timestamp::from_secs(seconds - cut)))
            }
        }
    }
}

pub(super) fn check_words(words: &[String]) -> Result<(), &'static str> {
    let unique: BTreeSet<_> = words.iter().collect();
    if unique.is_empty() || unique.len() != words.len() {
        return Err("a list of words is empty, or names one twice");
    }
    if !words.iter().all(|word| is_name(word)) {
        return Err("a word is none: a-z, 0-9, `.`, `_` and `-`");
    }
    Ok(())
}
