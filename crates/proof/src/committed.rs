//! The committed form of a CloudTrail record: what a leaf's `rec` hashes.
//!
//! A plain hash of the record would let anybody who knows the rest of it guess a destroyed value and
//! check the guess. So each value that may have to be destroyed is replaced by `{"$c": base64(SHA-256(
//! salt ‖ canonical JSON of the value))}`, with salt = HMAC-SHA-256(seed, JSON pointer of the value) and
//! seed = the 32 random bytes in `additionalEventData.writ.seed`, which is itself left out. Whoever
//! holds the record checks it; whoever holds only the committed form learns nothing.
//!
//! A record in which some values are destroyed carries, instead of the seed, `writ.salts`: the salts
//! of the values that are still there, by their pointers. With the seed the destroyed ones could be guessed.
//!
//! Committed are: each member of `requestParameters` and `responseElements`, the addresses and user
//! agent of the caller, and every place where a customer's user is named (names, ARNs, session names,
//! and the error message, which quotes them).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::hash::{Hash, hmac_sha256, sha256, sha256_of};
use crate::json::canonical;
use crate::limits;

const WHAT: &str = "record";
const MARK: &str = "$c";

/// What is committed; `*` stands for every member or element.
const COMMITTED: &[&[&str]] = &[
    &["additionalEventData", "fas", "sourceIp"],
    &["errorMessage"],
    &["requestParameters", "*"],
    &["resources", "*", "ARN"],
    &["responseElements", "*"],
    &["sourceIPAddress"],
    &["userAgent"],
    &["userIdentity", "arn"],
    &["userIdentity", "principalId"],
    &["userIdentity", "sessionContext", "sessionIssuer", "arn"],
    &["userIdentity", "sessionContext", "sessionIssuer", "userName"],
    &["userIdentity", "sessionContext", "sourceIdentity"],
    &["userIdentity", "userName"],
];

/// `rec` of a full record, which must carry its seed.
pub fn commit(record: &Value) -> Result<Hash, Error> {
    let form = committed_form(record)?;
    Ok(sha256(&canonical(&form)?))
}

/// The committed form of a full record.
pub fn committed_form(record: &Value) -> Result<Value, Error> {
    let source = Salts::of(record)?;
    if !matches!(source, Salts::Seed(_)) {
        return Err(Error::malformed(WHAT, "it carries salts, so it is not a full record"));
    }
    replace(record, &|pointer, value| seal(&source, pointer, value))
}

/// A copy of a full record in which the values at `pointers` (RFC 6901, from [`committed_pointers`])
/// are gone: what is left when they are destroyed, and what may be shown to somebody who must not see them.
pub fn redact(record: &Value, pointers: &[&str]) -> Result<Value, Error> {
    let known = committed_pointers(record);
    if pointers.iter().any(|pointer| !known.iter().any(|k| k == pointer)) {
        return Err(Error::malformed("redaction", "a pointer names no committed value"));
    }
    let source = Salts::of(record)?;
    // A customer's own value that looks like a commitment goes too: left standing it would be
    // taken for one. In a record that has salts, what looks like one is one.
    let gone_before =
        |value: &Value| matches!(source, Salts::Each(_)) && commitment(value).is_some();
    let goes =
        |pointer: &str, value: &Value| pointers.contains(&pointer) || commitment(value).is_some();
    let mut redacted = replace(record, &|pointer, value| {
        if goes(pointer, value) && !gone_before(value) {
            seal(&source, pointer, value)
        } else {
            Ok(value.clone())
        }
    })?;
    let mut kept = Map::new();
    for pointer in known {
        let value = record.pointer(&pointer);
        if value.is_some_and(|value| !goes(&pointer, value)) {
            let salt = STANDARD.encode(source.salt(&pointer)?.0);
            kept.insert(pointer, Value::String(salt));
        }
    }
    if let Some(Value::Object(writ)) = redacted.pointer_mut("/additionalEventData/writ") {
        writ.remove("seed");
        writ.insert("salts".to_owned(), Value::Object(kept));
    }
    Ok(redacted)
}

/// Checks a record, full or with values gone, against a leaf's `rec`. Answers the pointers of the
/// values that are gone; each of them needs its `redacted` leaf.
pub fn verify(record: &Value, rec: &Hash) -> Result<Vec<String>, Error> {
    if salts(record).is_none() {
        let found = commit(record)?;
        if found == *rec {
            return Ok(Vec::new());
        }
        return Err(Error::Mismatch { what: "committed form", expected: *rec, found });
    }
    let source = Salts::of(record)?;
    let form = replace(record, &|pointer, value| match commitment(value) {
        Some(_) => Ok(value.clone()),
        None => seal(&source, pointer, value),
    })?;
    let found = sha256(&canonical(&form)?);
    if found != *rec {
        return Err(Error::Mismatch { what: "committed form", expected: *rec, found });
    }
    let gone = |pointer: &String| record.pointer(pointer).and_then(commitment).is_some();
    Ok(committed_pointers(record).into_iter().filter(gone).collect())
}

/// The JSON pointers of the values of `record` that are committed, in ascending order.
pub fn committed_pointers(record: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    for path in COMMITTED {
        collect(record, path, String::new(), &mut pointers);
    }
    pointers.sort();
    pointers
}

/// Reads a record from JSON, refusing what two readers could understand differently: repeated
/// members, and anything after the value.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    Error::limit("record bytes", bytes.len(), limits::RECORD_MAX_BYTES)?;
    let malformed =
        |_| Error::malformed(WHAT, "it is not one JSON object without repeated members");
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Unique.deserialize(&mut reader).map_err(malformed)?;
    reader.end().map_err(malformed)?;
    if value.is_object() { Ok(value) } else { Err(Error::malformed(WHAT, "it is no object")) }
}

/// Where salts come from.
enum Salts<'a> {
    Seed(Vec<u8>),
    Each(&'a Map<String, Value>),
}

impl Salts<'_> {
    fn of(record: &Value) -> Result<Salts<'_>, Error> {
        let seed = record.pointer("/additionalEventData/writ/seed");
        match (seed, salts(record)) {
            (Some(Value::String(seed)), None) => match STANDARD.decode(seed) {
                Ok(seed) if seed.len() == 32 => Ok(Salts::Seed(seed)),
                _ => Err(Error::malformed(WHAT, "the seed is not 32 bytes in base64")),
            },
            (None, Some(Value::Object(each))) => Ok(Salts::Each(each)),
            _ => Err(Error::malformed(WHAT, "it carries neither a seed nor salts, or both")),
        }
    }

    fn salt(&self, pointer: &str) -> Result<Hash, Error> {
        match self {
            Salts::Seed(seed) => Ok(hmac_sha256(seed, &[pointer.as_bytes()])),
            Salts::Each(each) => each
                .get(pointer)
                .and_then(Value::as_str)
                .and_then(|salt| STANDARD.decode(salt).ok())
                .and_then(|salt| Hash::from_slice(&salt))
                .ok_or(Error::malformed(WHAT, "a value that is still there has no salt")),
        }
    }
}

fn salts(record: &Value) -> Option<&Value> {
    record.pointer("/additionalEventData/writ/salts")
}

fn seal(salts: &Salts<'_>, pointer: &str, value: &Value) -> Result<Value, Error> {
    let hash = sha256_of(&[&salts.salt(pointer)?.0, &canonical(value)?]);
    let mut object = Map::new();
    object.insert(MARK.to_owned(), Value::String(STANDARD.encode(hash.0)));
    Ok(Value::Object(object))
}

/// The hash in `{"$c": …}`, if `value` has exactly that form.
fn commitment(value: &Value) -> Option<Hash> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let text = object.get(MARK)?.as_str()?;
    STANDARD.decode(text).ok().and_then(|bytes| Hash::from_slice(&bytes))
}

/// `record` with every committed value replaced by what `by` makes of it, without seed and salts.
fn replace(
    record: &Value,
    by: &dyn Fn(&str, &Value) -> Result<Value, Error>,
) -> Result<Value, Error> {
    for name in ["requestParameters", "responseElements"] {
        // Else a committed whole could not be told from a list with one committed member.
        if record.get(name).is_some_and(|list| !list.is_null() && !list.is_object()) {
            return Err(Error::malformed(
                WHAT,
                "parameters or elements are neither object nor null",
            ));
        }
    }
    let mut form = record.clone();
    for pointer in committed_pointers(record) {
        if let (Some(old), Some(new)) = (record.pointer(&pointer), form.pointer_mut(&pointer)) {
            *new = by(&pointer, old)?;
        }
    }
    if let Some(Value::Object(writ)) = form.pointer_mut("/additionalEventData/writ") {
        writ.remove("seed");
        writ.remove("salts");
    }
    Ok(form)
}

fn collect(value: &Value, path: &[&str], at: String, pointers: &mut Vec<String>) {
    let Some((step, rest)) = path.split_first() else {
        pointers.push(at);
        return;
    };
    match (value, *step) {
        (Value::Object(members), "*") => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(member, rest, format!("{at}/{name}"), pointers);
            }
        }
        (Value::Array(elements), "*") => {
            for (index, element) in elements.iter().enumerate() {
                collect(element, rest, format!("{at}/{index}"), pointers);
            }
        }
        (Value::Object(members), name) => {
            if let Some(member) = members.get(name).filter(|member| !member.is_null()) {
                collect(member, rest, format!("{at}/{name}"), pointers);
            }
        }
        _ => {}
    }
}

/// Builds a `Value`, refusing an object with the same member twice.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(Unique)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let member = members.next_value_seed(Unique)?;
            if object.insert(name, member).is_some() {
                return Err(serde::de::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[path = "tests/committed.rs"]
mod tests;
