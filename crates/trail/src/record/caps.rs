//! Values above their cap: replaced by SHA-256 and length, never cut.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use writ_proof::hash::sha256;

use crate::limits::TEXT_MAX_BYTES;

/// A text of at most 1 KiB, or the JSON `{"sha256", "length"}` of a longer one, as text.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_MAX_BYTES {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(digest(text.as_bytes()).to_string())
    }
}

/// A map of at most `max_bytes` of JSON: the largest members of a larger one are replaced until it fits.
pub(super) fn members(map: &Map<String, Value>, max_bytes: usize) -> Cow<'_, Map<String, Value>> {
    // Most maps are far below every cap; an upper bound is cheaper than writing them out.
    if bound(map) <= max_bytes {
        return Cow::Borrowed(map);
    }
    let mut sizes: Vec<(usize, &String)> =
        map.iter().map(|(name, value)| (value.to_string().len(), name)).collect();
    let mut total: usize = sizes.iter().map(|(size, name)| size + name.len() * 6 + 4).sum();
    if total <= max_bytes {
        return Cow::Borrowed(map);
    }
    sizes.sort_by(|a, b| b.cmp(a));
    let mut fitted = map.clone();
    for (size, name) in sizes {
        if total <= max_bytes {
            break;
        }
        if let Some(value) = fitted.get_mut(name) {
            *value = digest(value.to_string().as_bytes());
            total = (total + value.to_string().len()).saturating_sub(size);
        }
    }
    if total <= max_bytes { Cow::Owned(fitted) } else { whole(map) }
}

/// A map that says only how long its JSON was, and its hash.
pub(super) fn whole<'a>(map: &Map<String, Value>) -> Cow<'a, Map<String, Value>> {
    match digest(Value::Object(map.clone()).to_string().as_bytes()) {
        Value::Object(map) => Cow::Owned(map),
        _ => Cow::Owned(Map::new()),
    }
}

fn digest(bytes: &[u8]) -> Value {
    json!({ "sha256": sha256(bytes).to_string(), "length": bytes.len() })
}

/// No JSON of the map is longer than this: an escaped character takes at most 6 bytes.
fn bound(map: &Map<String, Value>) -> usize {
    map.iter().map(|(name, value)| name.len() * 6 + 4 + bound_value(value)).sum()
}

fn bound_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 32,
        Value::String(text) => text.len() * 6 + 2,
        Value::Array(values) => 2 + values.iter().map(|v| 1 + bound_value(v)).sum::<usize>(),
        Value::Object(map) => 2 + bound(map),
    }
}
