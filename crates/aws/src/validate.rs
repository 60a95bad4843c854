//! The constraints of the models, with AWS's texts.
//!
//! Every violation is reported, in the model's order of members:
//! `2 validation errors detected: Value 'x' at 'userName' failed to satisfy constraint: Member
//! must have length greater than or equal to 2; Value null at 'path' ...`.

use crate::error::ApiError;
use crate::operation::{Operation, Protocol, Service};
use crate::shape::{Bounds, Kind, Location, Member, Shape, Structure, Text};
use crate::value::Value;

/// Violations beyond this many are counted but not written out.
const REPORTED_MAX: usize = 32;

/// A shown value is cut to this many characters.
const SHOWN_CHARS_MAX: usize = 1024;

/// Checks `value` against the input shape of `operation`: required members, lengths, ranges,
/// patterns and enumerations.
///
/// Fails with `ValidationError` (query), `ValidationException` (JSON), or for S3 `MalformedXML`
/// when the fault is in the body and `InvalidArgument` otherwise.
pub fn check(operation: &Operation, value: &Value) -> Result<(), ApiError> {
    let mut found = Violations::default();
    match &operation.input.kind {
        Kind::Structure(structure) => found.structure(structure, value, ""),
        _ => found.add("", &"null", "Member must be a structure"),
    }
    if found.count == 0 {
        return Ok(());
    }
    Err(found.into_error(operation.service))
}

#[derive(Default)]
struct Violations {
    texts: Vec<String>,
    count: usize,
    /// Whether one of them is in an XML body.
    in_body: bool,
    /// Whether the walk is inside a member that the body carries.
    body: bool,
}

impl Violations {
    fn into_error(self, service: Service) -> ApiError {
        if service.protocol() == Protocol::RestXml && self.in_body {
            let message = "The XML you provided was not well-formed or did not validate against \
                           our published schema";
            return ApiError::new("MalformedXML", message, 400);
        }
        let plural = if self.count == 1 { "error" } else { "errors" };
        let texts = self.texts.join("; ");
        ApiError::validation(
            service,
            format!("{} validation {plural} detected: {texts}", self.count),
        )
    }

    fn add(&mut self, path: &str, shown: &dyn std::fmt::Display, constraint: &str) {
        self.count += 1;
        self.in_body |= self.body;
        if self.texts.len() < REPORTED_MAX {
            self.texts.push(format!(
                "Value {shown} at '{path}' failed to satisfy constraint: {constraint}"
            ));
        }
    }

    fn structure(&mut self, structure: &Structure, value: &Value, path: &str) {
        for member in structure.members.iter().filter(|member| !member.streaming) {
            let body = self.body;
            self.body |= path.is_empty() && member.location == Location::Body;
            self.member(member, value.member(member.name), path);
            self.body = body;
        }
    }

    fn member(&mut self, member: &Member, value: Option<&Value>, path: &str) {
        let at = joined(path, member.name);
        match value {
            Some(value) => self.value(member.shape, value, &at),
            None if member.required => self.add(&at, &"null", "Member must not be null"),
            None => {}
        }
    }

    fn value(&mut self, shape: &Shape, value: &Value, path: &str) {
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Map(_)) => self.structure(structure, value, path),
            (Kind::List(list), Value::List(items)) => {
                self.one(shape, value, path);
                if is_scalar(list.item) {
                    self.items(list.item, items.iter(), (shape, value), path, "Member");
                } else {
                    for (at, item) in items.iter().enumerate() {
                        let path = format!("{path}.{}.member", at + 1);
                        self.value(list.item, item, &path);
                    }
                }
            }
            (Kind::Map(map), Value::Map(entries)) => {
                self.one(shape, value, path);
                let keys: Vec<Value> = entries.keys().cloned().map(Value::Text).collect();
                self.items(map.key, keys.iter(), (shape, value), path, "Map keys");
                if is_scalar(map.value) {
                    self.items(map.value, entries.values(), (shape, value), path, "Map value");
                } else {
                    for (key, inner) in entries {
                        self.value(map.value, inner, &format!("{path}.{key}.member"));
                    }
                }
            }
            _ => self.one(shape, value, path),
        }
    }

    /// Checks the value itself, not what it holds.
    fn one(&mut self, shape: &Shape, value: &Value, path: &str) {
        for constraint in broken(shape, value) {
            self.add(path, &shown(shape, value), &constraint);
        }
    }

    /// Checks scalars in a list or map, whose violations AWS reports on the whole collection.
    fn items<'v>(
        &mut self,
        shape: &Shape,
        items: impl Iterator<Item = &'v Value>,
        whole: (&Shape, &Value),
        path: &str,
        subject: &str,
    ) {
        let any_broken = items.into_iter().any(|item| !broken(shape, item).is_empty());
        if any_broken {
            let constraints = constraints(shape).join(", ");
            let text = format!("{subject} must satisfy constraint: [{constraints}]");
            self.add(path, &shown(whole.0, whole.1), &text);
        }
    }
}

/// A member's path as AWS writes it: names begin with a small letter.
fn joined(path: &str, name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    let name: String = first.into_iter().chain(chars).collect();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn is_scalar(shape: &Shape) -> bool {
    !matches!(shape.kind, Kind::Structure(_) | Kind::List(_) | Kind::Map(_))
}

/// The constraints of `shape` that `value` breaks.
fn broken(shape: &Shape, value: &Value) -> Vec<String> {
    match (&shape.kind, value) {
        (Kind::Text(text), Value::Text(value)) => broken_text(text, value),
        (Kind::Blob(bounds), Value::Blob(bytes)) => length(*bounds, bytes.len()),
        (Kind::List(list), Value::List(items)) => length(list.bounds, items.len()),
        (Kind::Map(map), Value::Map(entries)) => length(map.bounds, entries.len()),
        (Kind::Integer(bounds) | Kind::Long(bounds), Value::Int(value)) => {
            outside(*bounds, *value, "value")
        }
        (Kind::Boolean, Value::Bool(_))
        | (Kind::Double, Value::Double(_))
        | (Kind::Timestamp(_), Value::Time(_)) => Vec::new(),
        (_, Value::Null) => vec!["Member must not be null".to_owned()],
        _ => vec!["Member must have the right type".to_owned()],
    }
}

fn broken_text(text: &Text, value: &str) -> Vec<String> {
    let mut broken = length(text.bounds, value.encode_utf16().count());
    if let Some(pattern) = text.pattern.filter(|pattern| !pattern.matches(value)) {
        broken.push(pattern_text(pattern.text));
    }
    if !text.values.is_empty() && !text.values.contains(&value) {
        broken.push(values_text(text.values));
    }
    broken
}

/// All constraints of a scalar shape, broken or not.
fn constraints(shape: &Shape) -> Vec<String> {
    let of_length = |bounds: Bounds, what| {
        let max = bounds.max.map(|max| at_most(max, what));
        max.into_iter().chain(bounds.min.map(|min| at_least(min, what))).collect()
    };
    match &shape.kind {
        Kind::Text(text) => {
            let mut all: Vec<String> = of_length(text.bounds, "length");
            all.extend(text.pattern.map(|pattern| pattern_text(pattern.text)));
            if !text.values.is_empty() {
                all.push(values_text(text.values));
            }
            all.push("Member must not be null".to_owned());
            all
        }
        Kind::Blob(bounds) => of_length(*bounds, "length"),
        Kind::Integer(bounds) | Kind::Long(bounds) => of_length(*bounds, "value"),
        _ => Vec::new(),
    }
}

fn length(bounds: Bounds, length: usize) -> Vec<String> {
    outside(bounds, i64::try_from(length).unwrap_or(i64::MAX), "length")
}

fn outside(bounds: Bounds, value: i64, what: &str) -> Vec<String> {
    let max = bounds.max.filter(|max| value > *max).map(|max| at_most(max, what));
    let min = bounds.min.filter(|min| value < *min).map(|min| at_least(min, what));
    max.into_iter().chain(min).collect()
}

fn at_most(max: i64, what: &str) -> String {
    format!("Member must have {what} less than or equal to {max}")
}

fn at_least(min: i64, what: &str) -> String {
    format!("Member must have {what} greater than or equal to {min}")
}

fn pattern_text(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn values_text(values: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}

/// The value as AWS shows it; nothing of a sensitive one, nor of one inside it.
fn shown(shape: &Shape, value: &Value) -> String {
    let mut text = String::from("'");
    show(shape, value, &mut text);
    if text.chars().count() > SHOWN_CHARS_MAX {
        text = text.chars().take(SHOWN_CHARS_MAX).collect();
        text.push_str("...");
    }
    text.push('\'');
    text
}

fn show(shape: &Shape, value: &Value, out: &mut String) {
    if shape.sensitive {
        out.push_str("***");
        return;
    }
    match (&shape.kind, value) {
        (_, Value::Null) => out.push_str("null"),
        (_, Value::Text(text)) => out.push_str(text),
        (_, Value::Time(time)) => out.push_str(&time.iso()),
        // Java shows the buffer, not the bytes; and the bytes may be a plaintext.
        (_, Value::Blob(bytes)) => {
            let length = bytes.len();
            out.push_str(&format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]"));
        }
        (Kind::List(list), Value::List(items)) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                show(list.item, item, out);
            }
            out.push(']');
        }
        (Kind::Map(map), Value::Map(entries)) => {
            out.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                show(map.key, &Value::Text(key.clone()), out);
                out.push('=');
                show(map.value, item, out);
            }
            out.push('}');
        }
        (Kind::Structure(structure), Value::Map(members)) => {
            out.push_str(shape.name);
            out.push('(');
            for member in structure.members {
                let Some(item) = members.get(member.name) else { continue };
                out.push_str(if out.ends_with('(') { "" } else { ", " });
                out.push_str(member.name);
                out.push('=');
                show(member.shape, item, out);
            }
            out.push(')');
        }
        _ => out.push_str(&crate::scalar::write(shape, value, crate::shape::TimeFormat::Iso8601)),
    }
}
