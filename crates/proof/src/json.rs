//! Canonical JSON (RFC 8785) of what records hold: integers only.
//!
//! RFC 8785 writes every number as ECMAScript would, where integers above 2^53 - 1 lose digits. Those
//! and fractions are refused: a record carries them as text.

use serde_json::{Number, Value};

use crate::error::Error;
use crate::limits;

const SAFE_MAX: u64 = (1 << 53) - 1;

/// The one canonical text of `value`, in UTF-8.
pub fn canonical(value: &Value) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    write(value, 0, &mut text)?;
    Ok(text)
}

fn write(value: &Value, depth: usize, text: &mut Vec<u8>) -> Result<(), Error> {
    Error::limit("JSON depth", depth, limits::JSON_MAX_DEPTH)?;
    match value {
        Value::Null => text.extend_from_slice(b"null"),
        Value::Bool(true) => text.extend_from_slice(b"true"),
        Value::Bool(false) => text.extend_from_slice(b"false"),
        Value::Number(number) => text.extend_from_slice(integer(number)?.as_bytes()),
        Value::String(string) => quote(string, text),
        Value::Array(elements) => {
            text.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                write(element, depth + 1, text)?;
            }
            text.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            // By UTF-16 code units, not by code points (section 3.2.3).
            sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            text.push(b'{');
            for (at, (name, member)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                quote(name, text);
                text.push(b':');
                write(member, depth + 1, text)?;
            }
            text.push(b'}');
        }
    }
    Ok(())
}

fn integer(number: &Number) -> Result<String, Error> {
    let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match size {
        Some(0..=SAFE_MAX) => Ok(number.to_string()),
        _ => Err(Error::malformed("JSON number", "it is no integer of at most 53 bits")),
    }
}

fn quote(string: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    for byte in string.bytes() {
        match byte {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            0x08 => text.extend_from_slice(b"\\b"),
            0x09 => text.extend_from_slice(b"\\t"),
            0x0a => text.extend_from_slice(b"\\n"),
            0x0c => text.extend_from_slice(b"\\f"),
            0x0d => text.extend_from_slice(b"\\r"),
            0x00..=0x1f => text.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => text.push(byte),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn canonical_json_is_that_of_rfc_8785() {
        // Section 3.2.3's example of sorting, and section 3.2.2's of strings.
        check(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        );
        check(
            r#"{"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
            "{\"literals\":[null,true,false],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
        );
        check(" [ -1 , 0 , 9007199254740991 ] ", "[-1,0,9007199254740991]");
    }

    #[test]
    fn numbers_that_two_readers_print_differently_are_refused() {
        for json in ["1.5", "1e3", "-0.0", "9007199254740992", "18446744073709551615"] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert!(canonical(&value).is_err(), "{json}");
        }
    }

    #[test]
    fn json_above_the_depth_limit_is_refused() {
        let list = |inner| Value::Array(vec![inner]);
        let object = |inner| Value::Object([("k".to_owned(), inner)].into_iter().collect());
        for around in [list, object] {
            let deep = |n| (0..n).fold(Value::Null, |inner, _| around(inner));
            assert!(canonical(&deep(limits::JSON_MAX_DEPTH)).is_ok());
            assert!(canonical(&deep(limits::JSON_MAX_DEPTH + 1)).is_err());
        }
    }
}
