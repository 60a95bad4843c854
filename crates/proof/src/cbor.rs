//! Deterministic CBOR (RFC 8949 section 4.2), strict in both directions.
//!
//! Every format of Writ that is hashed, signed, sealed or sent between its processes uses this one
//! codec. A decoder accepts exactly the bytes that the encoder would write: shortest integers,
//! definite lengths, ascending integer map keys without duplicates, no unknown key, no byte left.
//! Structs are maps with small integer keys ([`cbor_map!`](crate::cbor_map)); enums are arrays
//! `[tag, payload]` ([`cbor_enum!`](crate::cbor_enum)).

use writ_model::{
    AccessKeyId, AccountId, Arn, KeyId, Nonce, PersonId, Region, Revision, Timestamp, Ulid,
    UniqueId, Uuid,
};

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// The input ends within a value.
    #[error("the input ends at byte {at}, within a value")]
    Truncated {
        /// Offset of the missing byte.
        at: usize,
    },
    /// Bytes follow the value.
    #[error("{count} bytes follow the value")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// The value is of another kind, or not in its one canonical form.
    #[error("byte {at} does not begin {expected} in canonical form")]
    Unexpected {
        /// Offset of the offending byte.
        at: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// A map has a key that the format does not know, or in the wrong place, or lacks one.
    #[error("map key {key} is unknown, repeated, out of order or missing")]
    Key {
        /// The key.
        key: u64,
    },
    /// A well-formed value that the type cannot hold.
    #[error("the value before byte {at} is not {expected}")]
    Invalid {
        /// Offset after the value.
        at: usize,
        /// What was expected.
        expected: &'static str,
    },
}

/// Encodes `value` alone.
pub fn to_vec<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut writer = Writer::default();
    value.encode(&mut writer);
    writer.into_bytes()
}

/// Decodes exactly one value from all of `bytes`.
pub fn from_slice<T: Decode>(bytes: &[u8]) -> Result<T, CborError> {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// A value with one canonical encoding.
pub trait Encode {
    /// Appends the encoding of `self`.
    fn encode(&self, writer: &mut Writer);
}

/// A value that can be read back from its canonical encoding.
pub trait Decode: Sized {
    /// Reads one value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, CborError>;
}

/// Builds an encoding.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An unsigned integer (major type 0).
    pub fn uint(&mut self, value: u64) {
        self.head(0, value);
    }

    /// A signed integer (major types 0 and 1).
    pub fn int(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(0, value),
            Err(_) => self.head(1, value.unsigned_abs() - 1),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.head(2, value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A text string.
    pub fn text(&mut self, value: &str) {
        self.head(3, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// The head of an array of `count` values, which follow.
    pub fn array(&mut self, count: usize) {
        self.head(4, count as u64);
    }

    /// The head of a map of `count` pairs, which follow in ascending order of their keys.
    pub fn map(&mut self, count: usize) {
        self.head(5, count as u64);
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(if value { 0xf5 } else { 0xf4 });
    }

    /// `null`.
    pub fn null(&mut self) {
        self.bytes.push(0xf6);
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        match value {
            0..=23 => self.bytes.push(major | bytes[7]),
            24..=0xff => self.bytes.extend_from_slice(&[major | 24, bytes[7]]),
            0x100..=0xffff => self.bytes.extend_from_slice(&[major | 25, bytes[6], bytes[7]]),
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(major | 26);
                self.bytes.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.bytes.push(major | 27);
                self.bytes.extend_from_slice(&bytes);
            }
        }
    }
}

/// Reads an encoding.
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`.
    pub fn new(input: &'a [u8]) -> Reader<'a> {
        Reader { input, at: 0 }
    }

    /// Fails if anything is left.
    pub fn finish(&self) -> Result<(), CborError> {
        match self.input.len() - self.at {
            0 => Ok(()),
            count => Err(CborError::Trailing { count }),
        }
    }

    /// The error for a well-formed value that is not `expected`.
    pub fn invalid(&self, expected: &'static str) -> CborError {
        CborError::Invalid { at: self.at, expected }
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        self.head(0, "an unsigned integer")
    }

    /// A signed integer.
    pub fn int(&mut self) -> Result<i64, CborError> {
        if self.peek()? >> 5 == 1 {
            let value = self.head(1, "an integer")?;
            i64::try_from(value).map(|v| -1 - v).map_err(|_| self.invalid("a 64-bit integer"))
        } else {
            let value = self.head(0, "an integer")?;
            i64::try_from(value).map_err(|_| self.invalid("a 64-bit integer"))
        }
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.head(2, "a byte string")?;
        self.take(length)
    }

    /// A text string.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let length = self.head(3, "a text string")?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.invalid("UTF-8 text"))
    }

    /// The head of an array; answers how many values follow.
    pub fn array(&mut self) -> Result<usize, CborError> {
        self.count(4, "an array")
    }

    /// The head of a map; answers how many pairs follow.
    pub fn map(&mut self) -> Result<usize, CborError> {
        self.count(5, "a map")
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, CborError> {
        let value = match self.peek()? {
            0xf4 => false,
            0xf5 => true,
            _ => return Err(CborError::Unexpected { at: self.at, expected: "true or false" }),
        };
        self.at += 1;
        Ok(value)
    }

    /// True, and consumed, if the next value is `null`.
    pub fn null(&mut self) -> Result<bool, CborError> {
        let null = self.peek()? == 0xf6;
        self.at += usize::from(null);
        Ok(null)
    }

    fn count(&mut self, major: u8, expected: &'static str) -> Result<usize, CborError> {
        let count = self.head(major, expected)?;
        // Every value takes at least one byte, so a larger claim cannot be honest.
        match usize::try_from(count) {
            Ok(count) if count <= self.input.len() - self.at => Ok(count),
            _ => Err(CborError::Truncated { at: self.input.len() }),
        }
    }

    fn peek(&self) -> Result<u8, CborError> {
        self.input.get(self.at).copied().ok_or(CborError::Truncated { at: self.at })
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let truncated = CborError::Truncated { at: self.input.len() };
        let length = usize::try_from(length).map_err(|_| truncated.clone())?;
        let end = self.at.checked_add(length).ok_or_else(|| truncated.clone())?;
        let taken = self.input.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, CborError> {
        let start = self.at;
        let unexpected = CborError::Unexpected { at: start, expected };
        let first = self.peek()?;
        if first >> 5 != major {
            return Err(unexpected);
        }
        self.at += 1;
        let (length, least) = match first & 31 {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(unexpected),
        };
        let value = self.take(length)?.iter().fold(0u64, |high, b| (high << 8) | u64::from(*b));
        if value < least { Err(unexpected) } else { Ok(value) }
    }
}

/// Reads the keys of a map in ascending order; [`cbor_map!`](crate::cbor_map) uses it.
pub struct MapReader {
    left: usize,
    pending: Option<u64>,
    last: Option<u64>,
}

impl MapReader {
    /// Begins a map.
    pub fn begin(reader: &mut Reader<'_>) -> Result<MapReader, CborError> {
        Ok(MapReader { left: reader.map()?, pending: None, last: None })
    }

    /// True if the next pair has `key`; the value must then be read.
    pub fn has(&mut self, reader: &mut Reader<'_>, key: u64) -> Result<bool, CborError> {
        if self.pending.is_none() && self.left > 0 {
            let next = reader.uint()?;
            if self.last.is_some_and(|last| next <= last) {
                return Err(CborError::Key { key: next });
            }
            self.left -= 1;
            self.last = Some(next);
            self.pending = Some(next);
        }
        let here = self.pending == Some(key);
        if here {
            self.pending = None;
        }
        Ok(here)
    }

    /// Ends the map; a pair that nobody asked for is an error.
    pub fn end(self) -> Result<(), CborError> {
        match self.pending {
            Some(key) => Err(CborError::Key { key }),
            None if self.left > 0 => Err(CborError::Key { key: u64::MAX }),
            None => Ok(()),
        }
    }
}

/// Implements [`Encode`](crate::cbor::Encode) and [`Decode`](crate::cbor::Decode) for a struct as a map with integer keys, in ascending order.
/// A key marked `opt` belongs to an `Option` that is left out when it is `None`.
///
/// ```
/// struct Point { x: u64, label: Option<String> }
/// writ_proof::cbor_map!(Point { 1: x, 2: opt label });
/// ```
#[macro_export]
macro_rules! cbor_map {
    ($name:ident { $($rest:tt)* }) => {
        impl $crate::cbor::Encode for $name {
            fn encode(&self, writer: &mut $crate::cbor::Writer) {
                let mut count = 0usize;
                $crate::cbor_map!(@count self, count, $($rest)*);
                writer.map(count);
                $crate::cbor_map!(@encode self, writer, $($rest)*);
            }
        }
        impl $crate::cbor::Decode for $name {
            fn decode(
                reader: &mut $crate::cbor::Reader<'_>,
            ) -> Result<Self, $crate::cbor::CborError> {
                let mut map = $crate::cbor::MapReader::begin(reader)?;
                $crate::cbor_map!(@decode $name, map, reader, [] $($rest)*)
            }
        }
    };
    (@count $s:ident, $n:ident, $key:literal : opt $field:ident $(, $($rest:tt)*)?) => {
        $n += usize::from($s.$field.is_some());
        $($crate::cbor_map!(@count $s, $n, $($rest)*);)?
    };
    (@count $s:ident, $n:ident, $key:literal : $field:ident $(, $($rest:tt)*)?) => {
        $n += 1;
        $($crate::cbor_map!(@count $s, $n, $($rest)*);)?
    };
    (@count $s:ident, $n:ident,) => {};
    (@encode $s:ident, $w:ident, $key:literal : opt $field:ident $(, $($rest:tt)*)?) => {
        if let Some(value) = &$s.$field {
            $w.uint($key);
            $crate::cbor::Encode::encode(value, $w);
        }
        $($crate::cbor_map!(@encode $s, $w, $($rest)*);)?
    };
    (@encode $s:ident, $w:ident, $key:literal : $field:ident $(, $($rest:tt)*)?) => {
        $w.uint($key);
        $crate::cbor::Encode::encode(&$s.$field, $w);
        $($crate::cbor_map!(@encode $s, $w, $($rest)*);)?
    };
    (@encode $s:ident, $w:ident,) => {};
    (@decode $name:ident, $map:ident, $r:ident, [$($done:ident)*] $key:literal : opt $field:ident $(, $($rest:tt)*)?) => {{
        let $field = if $map.has($r, $key)? {
            Some($crate::cbor::Decode::decode($r)?)
        } else {
            None
        };
        $crate::cbor_map!(@decode $name, $map, $r, [$($done)* $field] $($($rest)*)?)
    }};
    (@decode $name:ident, $map:ident, $r:ident, [$($done:ident)*] $key:literal : $field:ident $(, $($rest:tt)*)?) => {{
        if !$map.has($r, $key)? {
            return Err($crate::cbor::CborError::Key { key: $key });
        }
        let $field = $crate::cbor::Decode::decode($r)?;
        $crate::cbor_map!(@decode $name, $map, $r, [$($done)* $field] $($($rest)*)?)
    }};
    (@decode $name:ident, $map:ident, $r:ident, [$($done:ident)*]) => {{
        $map.end()?;
        Ok($name { $($done),* })
    }};
}

/// Implements [`Encode`](crate::cbor::Encode) and [`Decode`](crate::cbor::Decode) for an enum as `[tag]` (a variant without payload) or
/// `[tag, payload]` (a variant with exactly one).
///
/// ```
/// enum Shape { Dot, Named(String) }
/// writ_proof::cbor_enum!(Shape { 0: Dot, 1: Named(_) });
/// ```
#[macro_export]
macro_rules! cbor_enum {
    ($name:ident { $($tag:literal : $variant:ident $(($hole:tt))?),* $(,)? }) => {
        impl $crate::cbor::Encode for $name {
            fn encode(&self, writer: &mut $crate::cbor::Writer) {
                match self {
                    $($crate::cbor_enum!(@pattern $name $variant payload $($hole)?) => {
                        $crate::cbor_enum!(@write writer $tag payload $($hole)?);
                    })*
                }
            }
        }
        impl $crate::cbor::Decode for $name {
            fn decode(
                reader: &mut $crate::cbor::Reader<'_>,
            ) -> Result<Self, $crate::cbor::CborError> {
                let count = reader.array()?;
                let tag = reader.uint()?;
                match (tag, count) {
                    $(($tag, $crate::cbor_enum!(@len $($hole)?)) => {
                        Ok($crate::cbor_enum!(@read reader $name $variant $($hole)?))
                    })*
                    _ => Err(reader.invalid(concat!("a known variant of ", stringify!($name)))),
                }
            }
        }
    };
    (@pattern $name:ident $variant:ident $p:ident $hole:tt) => { $name::$variant($p) };
    (@pattern $name:ident $variant:ident $p:ident) => { $name::$variant };
    (@write $w:ident $tag:literal $p:ident $hole:tt) => {
        $w.array(2);
        $w.uint($tag);
        $crate::cbor::Encode::encode($p, $w);
    };
    (@write $w:ident $tag:literal $p:ident) => {
        $w.array(1);
        $w.uint($tag);
    };
    (@len $hole:tt) => { 2usize };
    (@len) => { 1usize };
    (@read $r:ident $name:ident $variant:ident $hole:tt) => {
        $name::$variant($crate::cbor::Decode::decode($r)?)
    };
    (@read $r:ident $name:ident $variant:ident) => { $name::$variant };
}

/// The version field of a format: it encodes as `N`, and nothing else decodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version<const N: u64>;

impl<const N: u64> Encode for Version<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(N);
    }
}

impl<const N: u64> Decode for Version<N> {
    fn decode(reader: &mut Reader<'_>) -> Result<Version<N>, CborError> {
        if reader.uint()? == N {
            Ok(Version)
        } else {
            Err(reader.invalid("a format version that this build reads"))
        }
    }
}

impl Encode for u64 {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(*self);
    }
}

impl Decode for u64 {
    fn decode(reader: &mut Reader<'_>) -> Result<u64, CborError> {
        reader.uint()
    }
}

impl Encode for u32 {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(u64::from(*self));
    }
}

impl Decode for u32 {
    fn decode(reader: &mut Reader<'_>) -> Result<u32, CborError> {
        let value = reader.uint()?;
        u32::try_from(value).map_err(|_| reader.invalid("a 32-bit integer"))
    }
}

impl Encode for u16 {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(u64::from(*self));
    }
}

impl Decode for u16 {
    fn decode(reader: &mut Reader<'_>) -> Result<u16, CborError> {
        let value = reader.uint()?;
        u16::try_from(value).map_err(|_| reader.invalid("a 16-bit integer"))
    }
}

impl Encode for i64 {
    fn encode(&self, writer: &mut Writer) {
        writer.int(*self);
    }
}

impl Decode for i64 {
    fn decode(reader: &mut Reader<'_>) -> Result<i64, CborError> {
        reader.int()
    }
}

impl Encode for bool {
    fn encode(&self, writer: &mut Writer) {
        writer.bool(*self);
    }
}

impl Decode for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<bool, CborError> {
        reader.bool()
    }
}

impl Encode for str {
    fn encode(&self, writer: &mut Writer) {
        writer.text(self);
    }
}

impl Encode for String {
    fn encode(&self, writer: &mut Writer) {
        writer.text(self);
    }
}

impl Decode for String {
    fn decode(reader: &mut Reader<'_>) -> Result<String, CborError> {
        reader.text().map(str::to_owned)
    }
}

impl Encode for Vec<u8> {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self);
    }
}

impl Decode for Vec<u8> {
    fn decode(reader: &mut Reader<'_>) -> Result<Vec<u8>, CborError> {
        reader.bytes().map(<[u8]>::to_vec)
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(reader: &mut Reader<'_>) -> Result<[u8; N], CborError> {
        let bytes = reader.bytes()?;
        <[u8; N]>::try_from(bytes).map_err(|_| reader.invalid("a byte string of the right length"))
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, writer: &mut Writer) {
        writer.array(self.len());
        self.iter().for_each(|item| item.encode(writer));
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Vec<T>, CborError> {
        (0..reader.array()?).map(|_| T::decode(reader)).collect()
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.encode(writer),
            None => writer.null(),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Option<T>, CborError> {
        if reader.null()? { Ok(None) } else { T::decode(reader).map(Some) }
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, writer: &mut Writer) {
        (**self).encode(writer);
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Box<T>, CborError> {
        T::decode(reader).map(Box::new)
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, writer: &mut Writer) {
        writer.array(2);
        self.0.encode(writer);
        self.1.encode(writer);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    fn decode(reader: &mut Reader<'_>) -> Result<(A, B), CborError> {
        match reader.array()? {
            2 => Ok((A::decode(reader)?, B::decode(reader)?)),
            _ => Err(reader.invalid("an array of two")),
        }
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn encode(&self, writer: &mut Writer) {
                writer.text(self.as_str());
            }
        }
        impl Decode for $type {
            fn decode(reader: &mut Reader<'_>) -> Result<$type, CborError> {
                let text = reader.text()?;
                text.parse().map_err(|_| reader.invalid(stringify!($type)))
            }
        }
    )*};
}
as_text!(AccessKeyId, Arn, KeyId, PersonId, Region, UniqueId);

impl Encode for AccountId {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(self.number());
    }
}

impl Decode for AccountId {
    fn decode(reader: &mut Reader<'_>) -> Result<AccountId, CborError> {
        let number = reader.uint()?;
        AccountId::from_number(number).ok_or_else(|| reader.invalid("an account id"))
    }
}

impl Encode for Timestamp {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(self.millis());
    }
}

impl Decode for Timestamp {
    fn decode(reader: &mut Reader<'_>) -> Result<Timestamp, CborError> {
        reader.uint().map(Timestamp::from_millis)
    }
}

impl Encode for Revision {
    fn encode(&self, writer: &mut Writer) {
        writer.uint(self.0);
    }
}

impl Decode for Revision {
    fn decode(reader: &mut Reader<'_>) -> Result<Revision, CborError> {
        reader.uint().map(Revision)
    }
}

impl Encode for Uuid {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.bytes());
    }
}

impl Decode for Uuid {
    fn decode(reader: &mut Reader<'_>) -> Result<Uuid, CborError> {
        <[u8; 16]>::decode(reader).map(Uuid::from_bytes)
    }
}

impl Encode for Ulid {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.bytes());
    }
}

impl Decode for Ulid {
    fn decode(reader: &mut Reader<'_>) -> Result<Ulid, CborError> {
        <[u8; 16]>::decode(reader).map(Ulid::from_bytes)
    }
}

impl Encode for Nonce {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for Nonce {
    fn decode(reader: &mut Reader<'_>) -> Result<Nonce, CborError> {
        <[u8; 16]>::decode(reader).map(Nonce)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Sample {
        number: u64,
        label: Option<String>,
        blob: Vec<u8>,
        list: Vec<i64>,
        flag: bool,
        choice: Choice,
    }
    cbor_map!(Sample { 1: number, 2: opt label, 3: blob, 5: list, 24: flag, 300: choice });

    #[derive(Debug, Clone, PartialEq)]
    enum Choice {
        Nothing,
        Number(u64),
        Pair((u64, String)),
    }
    cbor_enum!(Choice { 0: Nothing, 1: Number(_), 7: Pair(_) });

    fn sample() -> impl Strategy<Value = Sample> {
        let choice = prop_oneof![
            Just(Choice::Nothing),
            any::<u64>().prop_map(Choice::Number),
            any::<(u64, String)>().prop_map(Choice::Pair),
        ];
        (
            any::<u64>(),
            any::<Option<String>>(),
            any::<Vec<u8>>(),
            any::<Vec<i64>>(),
            any::<bool>(),
            choice,
        )
            .prop_map(|(number, label, blob, list, flag, choice)| Sample {
                number,
                label,
                blob,
                list,
                flag,
                choice,
            })
    }

    proptest! {
        #[test]
        fn sample_round_trips(value in sample()) {
            prop_assert_eq!(from_slice::<Sample>(&to_vec(&value)).unwrap(), value);
        }

        #[test]
        fn bytes_that_decode_encode_to_themselves(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = from_slice::<Sample>(&bytes) {
                prop_assert_eq!(to_vec(&value), bytes.clone());
            }
            if let Ok(value) = from_slice::<Choice>(&bytes) {
                prop_assert_eq!(to_vec(&value), bytes);
            }
        }
    }

    #[test]
    fn bytes_not_canonical_are_refused() {
        // A long integer, an indefinite array, keys out of order, a key twice, an unknown key, a byte left.
        for hex in ["1817", "1b00000000000000ff", "9f01ff", "a2020101 01", "f6f6"] {
            let bytes = hex::decode(hex.replace(' ', "")).unwrap();
            assert!(from_slice::<u64>(&bytes).is_err(), "{hex}");
            assert!(from_slice::<Sample>(&bytes).is_err(), "{hex}");
        }
        assert!(
            from_slice::<Vec<u64>>(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
                .is_err()
        );
    }
}
