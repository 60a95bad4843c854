//! What a runbook may answer: typed values of a known number of bits.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::Timestamp;
use writ_model::person::is_name;

use crate::at_most::AtMost;
use crate::error::Error;
use crate::limits;
use crate::{cbor_enum, cbor_map};

const OUTPUT: &str = "runbook output";

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

    /// Reads what a program has written: one JSON object of exactly these fields. The error names the
    /// field by the schema, and never what was in it.
    pub fn read(&self, bytes: &[u8]) -> Result<Answer, Error> {
        let refused = |why: String| Error::Refused { what: OUTPUT, why };
        if bytes.len() > limits::RUNBOOK_OUTPUT_MAX_BYTES {
            return Err(refused("it is too long".to_owned()));
        }
        let parsed: Result<BTreeMap<String, serde_json::Value>, _> = serde_json::from_slice(bytes);
        let mut given = parsed.map_err(|_| refused("it is no JSON object".to_owned()))?;
        let mut answer = BTreeMap::new();
        for field in &self.fields.0 {
            match given.remove(&field.name) {
                None if field.optional => {}
                None => return Err(refused(format!("the field `{}` is absent", field.name))),
                Some(value) => {
                    let read = field.kind.read(&value);
                    let wrong =
                        || refused(format!("the field `{}` is of another type", field.name));
                    answer.insert(field.name.clone(), read.ok_or_else(wrong)?);
                }
            }
        }
        if given.is_empty() {
            Ok(Answer(answer))
        } else {
            Err(refused("it has a field that its schema does not name".to_owned()))
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
