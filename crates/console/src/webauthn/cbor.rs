//! The CBOR of an authenticator, strictly: one item, in the one encoding of its value.

use ciborium::Value;

use super::RegistrationError;

/// Levels of arrays and maps that are read.
const DEPTH_MAX: usize = 8;

/// What came as attestation.
pub(super) struct Format {
    /// Its name, such as `none` or `packed`.
    pub(super) name: String,
    /// True if its statement says nothing.
    pub(super) empty: bool,
}

/// Reads an attestation object: its format, and the authenticator's data.
pub(super) fn attestation(bytes: &[u8]) -> Result<(Format, Vec<u8>), RegistrationError> {
    let wrong =
        RegistrationError::Authenticator("the attestation is not fmt, attStmt and authData");
    let mut rest = bytes;
    let Value::Map(members) = item(&mut rest)? else { return Err(wrong) };
    if !rest.is_empty() {
        return Err(RegistrationError::Authenticator("bytes follow the attestation"));
    }
    let (mut name, mut empty, mut data) = (None, None, None);
    for (key, value) in members {
        match (key.as_text(), value) {
            (Some("fmt"), Value::Text(text)) if name.is_none() && text.len() <= 32 => {
                name = Some(text);
            }
            (Some("attStmt"), Value::Map(statement)) if empty.is_none() => {
                empty = Some(statement.is_empty());
            }
            (Some("authData"), Value::Bytes(bytes)) if data.is_none() => data = Some(bytes),
            _ => return Err(wrong),
        }
    }
    match (name, empty, data) {
        (Some(name), Some(empty), Some(data)) => Ok((Format { name, empty }, data)),
        _ => Err(wrong),
    }
}

/// Reads one item from the start of `bytes`, which then hold what follows it.
pub(super) fn item(bytes: &mut &[u8]) -> Result<Value, RegistrationError> {
    let bad = |why| move || RegistrationError::Authenticator(why);
    let before = *bytes;
    let mut reader = before;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut reader, DEPTH_MAX)
        .map_err(|_| bad("it holds no CBOR where some should be")())?;
    let mut again = Vec::new();
    ciborium::into_writer(&value, &mut again).map_err(|_| bad("its CBOR cannot be written")())?;
    let rest = before.strip_prefix(again.as_slice());
    let rest = rest.ok_or_else(bad("its CBOR is not in the shortest form"))?;
    // What was read and what is written again must end at the same byte.
    if rest.len() != reader.len() {
        return Err(bad("its CBOR is not in the shortest form")());
    }
    *bytes = rest;
    Ok(value)
}
