//! JSON: an array of objects whose members are the columns, all of them texts.
//!
//! The elements are cut apart first, by brackets and quotes alone, and read one by one: so one that is
//! wrong is named with its line, and the others count.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::{Column, Problem, Record, Records, Refused, problem};
use crate::limits;

pub(super) fn records(bytes: &[u8]) -> Result<Records, Refused> {
    let mut cut = Cut { bytes, at: 0, line: 1 };
    cut.skip_blanks();
    if cut.next() != Some(b'[') {
        return Err(Refused::Header(problem(cut.line, "the file must be a JSON array of objects")));
    }
    let mut records = Records::new();
    loop {
        cut.skip_blanks();
        let (line, start) = (cut.line, cut.at);
        if cut.peek() == Some(b']') && records.is_empty() {
            cut.next();
            break;
        }
        let ended = cut.element();
        if records.len() == limits::FEED_MAX_ROWS {
            return Err(Refused::TooManyRows { max: limits::FEED_MAX_ROWS });
        }
        records.push(record(bytes.get(start..cut.at).unwrap_or_default(), line));
        match (ended, cut.next()) {
            (true, Some(b',')) => {}
            (true, Some(_)) => break,
            // What is cut off inside an element is not believed in it either.
            _ => {
                records.pop();
                records
                    .push(Err(problem(line, "the file ends inside this element, or before `]`")));
                return Ok(records);
            }
        }
    }
    cut.skip_blanks();
    if cut.peek().is_some() {
        records.push(Err(problem(cut.line, "something follows the array")));
    }
    Ok(records)
}

/// Finds where elements end.
struct Cut<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Cut<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.next();
        }
    }

    /// Stops before the comma or bracket that ends the element; false if there is none. An element
    /// that lacks its closing quote or brace ends where the next one can begin.
    fn element(&mut self) -> bool {
        let (mut depth, mut text) = (0usize, false);
        // The last comma, while only blanks have followed it.
        let mut comma = None;
        while let Some(byte) = self.peek() {
            let after = if text { None } else { comma };
            if !byte.is_ascii_whitespace() {
                comma = None;
            }
            match byte {
                // No value is an object, so this one begins the next person.
                b'{' if let Some((at, line)) = after => {
                    (self.at, self.line) = (at, line);
                    return true;
                }
                b'"' => text = !text,
                b'\\' if text => {
                    self.next();
                }
                b'{' | b'[' if !text => depth += 1,
                b'}' | b']' if !text && depth > 0 => depth -= 1,
                b',' | b']' if !text && depth == 0 => return true,
                b',' if !text => comma = Some((self.at, self.line)),
                // A text holds no line break, so a quote that is not closed ends here.
                b'\n' if text => (text, depth) = (false, 0),
                _ => {}
            }
            self.next();
        }
        false
    }
}

fn record(element: &[u8], line: usize) -> Result<Record, Problem> {
    if element.len() > limits::LINE_MAX_BYTES {
        return Err(problem(line, format!("it is over {} bytes", limits::LINE_MAX_BYTES)));
    }
    let Ok(element) = std::str::from_utf8(element) else {
        return Err(problem(line, "it is not UTF-8"));
    };
    let members: Members = serde_json::from_str(element).map_err(|error| {
        let text = error.to_string();
        // serde_json counts from the element's own beginning.
        let text = text.split(" at line ").next().unwrap_or_default();
        problem(line, format!("it is no object of texts: {text}"))
    })?;
    let mut fields: Vec<(Column, String)> = Vec::new();
    for (name, value) in members.0 {
        let Some(column) = Column::of(&name) else {
            let shown: String = name.chars().take(64).collect();
            return Err(problem(line, format!("there is no column `{shown}`")));
        };
        if fields.iter().any(|(known, _)| *known == column) {
            return Err(column.problem(line, "the member is there twice"));
        }
        let value = value.ok_or_else(|| column.problem(line, "it must be a text"))?;
        fields.push((column, value));
    }
    Ok(Record { line, fields })
}

/// The members of an object in their order; `None` for a value that is neither text nor null.
struct Members(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, Text(value))) = map.next_entry::<String, Text>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A text; null is the empty one.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(Some(String::new())))
            }

            fn visit_bool<E>(self, _value: bool) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_i64<E>(self, _value: i64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_u64<E>(self, _value: u64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_f64<E>(self, _value: f64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
