//! JSON 1.1: JSON both ways, the operation in `X-Amz-Target` (KMS, CloudTrail).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map as JsonMap, Value as Json};

use crate::error::ApiError;
use crate::limits;
use crate::operation::Operation;
use crate::scalar;
use crate::shape::{Kind, Shape, TimeFormat};
use crate::value::Value;

/// The `Content-Type` of requests and replies.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The parameters in a JSON body. An empty body stands for no parameters.
///
/// Members that the operation does not have are ignored. Fails with `SerializationException` on
/// text that is not strict JSON, a repeated member, too many or too deep values, or a value that
/// does not fit its shape.
pub fn decode(operation: &Operation, body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::empty());
    }
    match parse(body)? {
        raw @ Raw::Map(_) => typed(operation.input, raw),
        _ => Err(fault("Start of structure or map found where not expected.")),
    }
}

/// The body of a successful reply; empty when the operation has no output.
pub fn encode_reply(operation: &Operation, value: &Value) -> Vec<u8> {
    if operation.output.members().is_empty() {
        return Vec::new();
    }
    to_json(operation.output, value).to_string().into_bytes()
}

/// The body of an error.
pub fn encode_error(error: &ApiError) -> Vec<u8> {
    let mut body = JsonMap::new();
    body.insert("__type".to_owned(), Json::String(error.code.clone().into_owned()));
    body.insert("message".to_owned(), Json::String(error.message.clone()));
    for (name, value) in &error.fields {
        body.insert((*name).to_owned(), Json::String(value.clone()));
    }
    Json::Object(body).to_string().into_bytes()
}

/// `value` of `shape` as JSON.
pub fn to_json(shape: &Shape, value: &Value) -> Json {
    match (&shape.kind, value) {
        (Kind::Structure(structure), _) => {
            let mut members = JsonMap::new();
            for member in structure.members {
                if let Some(value) = value.member(member.name) {
                    members.insert(member.wire().to_owned(), to_json(member.shape, value));
                }
            }
            Json::Object(members)
        }
        (Kind::List(list), Value::List(items)) => {
            Json::Array(items.iter().map(|item| to_json(list.item, item)).collect())
        }
        (Kind::Map(map), Value::Map(entries)) => {
            let entry = |(key, value): (&String, _)| (key.clone(), to_json(map.value, value));
            Json::Object(entries.iter().map(entry).collect())
        }
        (Kind::Timestamp(format), Value::Time(time)) => match format.unwrap_or(TimeFormat::Unix) {
            TimeFormat::Unix => seconds(time.millis()),
            other => Json::String(scalar::write_time(*time, other)),
        },
        (_, Value::Bool(value)) => Json::Bool(*value),
        (_, Value::Int(value)) => Json::from(*value),
        (_, Value::Double(value)) if value.is_finite() => Json::from(*value),
        (_, Value::Double(value)) => Json::String(scalar::double_text(*value)),
        (_, Value::Text(text)) => Json::String(text.clone()),
        (_, Value::Blob(bytes)) => Json::String(STANDARD.encode(bytes)),
        (_, Value::Null | Value::List(_) | Value::Map(_) | Value::Time(_)) => Json::Null,
    }
}

fn seconds(ms: u64) -> Json {
    if ms.is_multiple_of(1000) {
        return Json::from(ms / 1000);
    }
    #[expect(clippy::cast_precision_loss, reason = "moments before the year 9999 are exact")]
    let ms = ms as f64;
    Json::from(ms / 1000.0)
}

fn fault(message: impl Into<String>) -> ApiError {
    ApiError::new("SerializationException", message, 400)
}

/// JSON without a shape, in which a repeated member has already been refused.
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Raw>),
    Map(BTreeMap<String, Raw>),
}

fn parse(body: &[u8]) -> Result<Raw, ApiError> {
    if body.len() > limits::PARAMETERS_MAX_BYTES {
        return Err(fault("The request is too large."));
    }
    let budget = Cell::new(limits::JSON_VALUES_MAX);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let raw = Seed { depth: 0, budget: &budget }.deserialize(&mut deserializer);
    // The parser's own message would repeat what the caller sent.
    let raw = raw.map_err(|_| fault("The request is not well-formed JSON."))?;
    deserializer.end().map_err(|_| fault("The request does not end after its JSON."))?;
    Ok(raw)
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    depth: usize,
    budget: &'b Cell<usize>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= limits::JSON_DEPTH_MAX {
            return Err(E::custom("too deep"));
        }
        Ok(Seed { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Raw;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        let left = self.budget.get().checked_sub(1);
        self.budget.set(left.ok_or_else(|| D::Error::custom("too many values"))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Raw, E> {
        i64::try_from(value).map(Raw::Int).map_err(|_| E::custom("number out of range"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let seed = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let seed = self.deeper()?;
        let mut map = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(seed)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("repeated member"));
            }
        }
        Ok(Raw::Map(map))
    }
}

fn typed(shape: &Shape, raw: Raw) -> Result<Value, ApiError> {
    match (&shape.kind, raw) {
        (_, Raw::Null) => Ok(Value::Null),
        (Kind::Structure(structure), Raw::Map(mut raw)) => {
            let mut members = BTreeMap::new();
            for member in structure.members {
                match raw.remove(member.wire()).map(|raw| typed(member.shape, raw)).transpose()? {
                    None | Some(Value::Null) => {}
                    Some(value) => {
                        members.insert(member.name.to_owned(), value);
                    }
                }
            }
            Ok(Value::Map(members))
        }
        (Kind::List(list), Raw::List(items)) => {
            let items = items.into_iter().map(|item| typed(list.item, item));
            items.collect::<Result<_, _>>().map(Value::List)
        }
        (Kind::Map(map), Raw::Map(entries)) => {
            let entries = entries.into_iter().map(|(key, raw)| Ok((key, typed(map.value, raw)?)));
            entries.collect::<Result<_, ApiError>>().map(Value::Map)
        }
        (Kind::Text(_), Raw::Text(text)) => Ok(Value::Text(text)),
        (Kind::Boolean, Raw::Bool(value)) => Ok(Value::Bool(value)),
        (Kind::Long(_), Raw::Int(value)) => Ok(Value::Int(value)),
        (Kind::Integer(_), Raw::Int(value)) if i32::try_from(value).is_ok() => {
            Ok(Value::Int(value))
        }
        (Kind::Double, raw) => number(&raw).map(Value::Double).ok_or_else(|| mismatch(shape)),
        (Kind::Blob(_), Raw::Text(text)) => {
            STANDARD.decode(text).map(Value::Blob).map_err(|_| mismatch(shape))
        }
        (Kind::Timestamp(format), raw) => {
            let time = match (format.unwrap_or(TimeFormat::Unix), &raw) {
                (TimeFormat::Unix, Raw::Text(_)) => None,
                (TimeFormat::Unix, raw) => number(raw).and_then(scalar::from_seconds),
                (format, Raw::Text(text)) => scalar::parse_time(text, format),
                _ => None,
            };
            time.map(Value::Time).ok_or_else(|| mismatch(shape))
        }
        _ => Err(mismatch(shape)),
    }
}

fn number(raw: &Raw) -> Option<f64> {
    match raw {
        #[expect(clippy::cast_precision_loss, reason = "a double is what the shape asks for")]
        Raw::Int(value) => Some(*value as f64),
        Raw::Double(value) => Some(*value),
        Raw::Text(text) => scalar::double(text).filter(|value| !value.is_finite()),
        _ => None,
    }
}

fn mismatch(shape: &Shape) -> ApiError {
    let kind = match &shape.kind {
        Kind::Structure(_) => "a structure",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a map",
        Kind::Text(_) => "a string",
        Kind::Blob(_) => "Base64 text",
        Kind::Boolean => "a boolean",
        Kind::Integer(_) => "an integer",
        Kind::Long(_) => "a long integer",
        Kind::Double => "a number",
        Kind::Timestamp(_) => "a timestamp",
    };
    fault(format!("A value of {} cannot be converted to {kind}.", shape.name))
}
