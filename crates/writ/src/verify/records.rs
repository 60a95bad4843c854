//! A record against the leaf that names it.

use serde_json::Value;
use writ_proof::committed;
use writ_proof::leaf::{self, Kind, Leaf};
use writ_proof::origin::LogName;

/// What is wrong with the record of `leaf`, in words.
pub(crate) fn check(leaf: &Leaf, record: &[u8]) -> Result<(), String> {
    if leaf.kind != Kind::Event {
        let found = leaf::rec(leaf.kind, record).map_err(|error| error.to_string())?;
        return if found == leaf.rec { Ok(()) } else { Err("the record was changed".to_owned()) };
    }
    let value = committed::parse(record).map_err(|error| error.to_string())?;
    let gone = committed::verify(&value, &leaf.rec).map_err(|error| error.to_string())?;
    if !gone.is_empty() {
        // This version writes no leaves that say who destroyed a value, so none can be explained.
        return Err(format!("values are gone without a leaf that says why: {}", gone.join(", ")));
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("eventID") != leaf.event_id.to_string() {
        return Err("it is the record of another event".to_owned());
    }
    match leaf.log {
        LogName::Account(account) if text("recipientAccountId") != account.to_string() => {
            Err("it is the record of another account".to_owned())
        }
        _ => Ok(()),
    }
}
