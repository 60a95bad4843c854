//! The one tree of values between the wire formats and the generated structs.
//!
//! A codec turns bytes into a [`Value`] under the guidance of a shape, and back. Generated code
//! only moves members between a [`Value`] and a struct, so that the cost of a protocol does not
//! multiply with the number of types.

use std::collections::BTreeMap;
use std::fmt;

use writ_model::Timestamp;

use crate::error::ApiError;

/// A value of any shape. Structures and maps alike are [`Value::Map`].
///
/// `Debug` shows kinds and member names, never contents: a value may hold a plaintext.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Nothing; as a member it is the same as an absent one.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer or a long.
    Int(i64),
    /// A float or a double.
    Double(f64),
    /// A string.
    Text(String),
    /// Bytes, already decoded from Base64.
    Blob(Vec<u8>),
    /// A moment.
    Time(Timestamp),
    /// A list.
    List(Vec<Value>),
    /// A structure (keyed by member name) or a map.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// A structure without members.
    pub fn empty() -> Value {
        Value::Map(BTreeMap::new())
    }

    /// The member `name` of a structure or map, when it is there and not null.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(members) => members.get(name).filter(|value| **value != Value::Null),
            _ => None,
        }
    }

    /// The text, of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) => "integer",
            Value::Double(_) => "double",
            Value::Text(_) => "string",
            Value::Blob(_) => "blob",
            Value::Time(_) => "timestamp",
            Value::List(_) => "list",
            Value::Map(_) => "structure",
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::List(items) => f.debug_list().entries(items).finish(),
            Value::Map(members) => f.debug_map().entries(members).finish(),
            other => f.write_str(other.kind()),
        }
    }
}

/// What can be made from a [`Value`] whose shape has been checked.
pub trait Decode: Sized {
    /// Takes the value apart. Fails only when the value does not have the type's shape, which
    /// [`crate::validate::check`] has ruled out for every request.
    fn decode(value: Value) -> Result<Self, ApiError>;
}

/// What can be turned into a [`Value`].
pub trait Encode {
    /// The value; [`Value::Null`] stands for "absent".
    fn encode(self) -> Value;
}

/// The members of a structure while generated code takes it apart or builds it.
#[derive(Default)]
pub struct Members(BTreeMap<String, Value>);

impl Members {
    /// No members yet.
    pub fn new() -> Members {
        Members::default()
    }

    /// The members of `value`, which must be a structure.
    pub fn of(value: Value) -> Result<Members, ApiError> {
        match value {
            Value::Map(members) => Ok(Members(members)),
            other => Err(ApiError::mismatch("structure", &other)),
        }
    }

    /// Takes out the member `name`; `None` when it is absent.
    pub fn optional<T: Decode>(&mut self, name: &'static str) -> Result<Option<T>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::decode(value).map(Some),
        }
    }

    /// Takes out the member `name`, which must be there.
    pub fn required<T: Decode>(&mut self, name: &'static str) -> Result<T, ApiError> {
        T::decode(self.0.remove(name).unwrap_or(Value::Null))
    }

    /// Puts in the member `name`, unless it is null.
    pub fn put<T: Encode>(&mut self, name: &'static str, member: T) {
        match member.encode() {
            Value::Null => {}
            value => {
                self.0.insert(name.to_owned(), value);
            }
        }
    }

    /// The structure.
    pub fn finish(self) -> Value {
        Value::Map(self.0)
    }
}

macro_rules! scalar {
    ($type:ty, $variant:ident, $kind:literal) => {
        impl Decode for $type {
            fn decode(value: Value) -> Result<Self, ApiError> {
                match value {
                    Value::$variant(inner) => Ok(inner),
                    other => Err(ApiError::mismatch($kind, &other)),
                }
            }
        }

        impl Encode for $type {
            fn encode(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

scalar!(bool, Bool, "boolean");
scalar!(i64, Int, "integer");
scalar!(f64, Double, "double");
scalar!(String, Text, "string");
scalar!(Vec<u8>, Blob, "blob");
scalar!(Timestamp, Time, "timestamp");

impl<T: Decode> Decode for Vec<T>
where
    T: Listed,
{
    fn decode(value: Value) -> Result<Self, ApiError> {
        match value {
            Value::List(items) => items.into_iter().map(T::decode).collect(),
            other => Err(ApiError::mismatch("list", &other)),
        }
    }
}

impl<T: Encode + Listed> Encode for Vec<T> {
    fn encode(self) -> Value {
        Value::List(self.into_iter().map(T::encode).collect())
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Map(members) => {
                members.into_iter().map(|(key, value)| Ok((key, T::decode(value)?))).collect()
            }
            other => Err(ApiError::mismatch("map", &other)),
        }
    }
}

impl<T: Encode> Encode for BTreeMap<String, T> {
    fn encode(self) -> Value {
        Value::Map(self.into_iter().map(|(key, value)| (key, value.encode())).collect())
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(self) -> Value {
        self.map_or(Value::Null, T::encode)
    }
}

impl Encode for () {
    fn encode(self) -> Value {
        Value::empty()
    }
}

/// What a list can hold. Bytes cannot be: `Vec<u8>` is a blob.
pub trait Listed {}

impl Listed for bool {}
impl Listed for i64 {}
impl Listed for f64 {}
impl Listed for String {}
impl Listed for Vec<u8> {}
impl Listed for Timestamp {}
impl<T: Listed> Listed for Vec<T> {}
impl<T> Listed for BTreeMap<String, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_but_no_contents() {
        let mut members = Members::new();
        members.put("Plaintext", b"secret".to_vec());
        members.put("Name", "secret".to_owned());
        members.put("Absent", None::<String>);
        let shown = format!("{:?}", members.finish());
        assert_eq!(shown, r#"{"Name": string, "Plaintext": blob}"#);
    }

    #[test]
    fn members_of_another_kind_are_refused() {
        let mut members = Members::of(Value::Map(BTreeMap::from([
            ("A".to_owned(), Value::Int(1)),
            ("B".to_owned(), Value::Null),
        ])))
        .unwrap();
        assert!(members.optional::<String>("A").is_err());
        assert!(members.optional::<String>("B").unwrap().is_none());
        assert!(members.required::<String>("C").is_err());
        assert!(Members::of(Value::Bool(true)).is_err());
    }
}
