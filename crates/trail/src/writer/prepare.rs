//! Checks an append before it is queued: what its channel may append, and the hash that names each record.
//!
//! Runs on the thread of the channel, so that hashing does not hold up the sequencer.

use std::collections::BTreeSet;

use serde_json::Value;
use writ_keyd_client::protocol::Role;
use writ_proof::append::{AppendItem, AppendRequest};
use writ_proof::committed;
use writ_proof::hash::Hash;
use writ_proof::leaf::{Kind, Source, rec};
use writ_proof::limits::{APPEND_MAX_ITEMS, RECORD_MAX_BYTES, STATEMENT_MAX_BYTES};
use writ_proof::origin::LogName;

use crate::limits::BATCH_MAX_BYTES;

/// A record that keeps the rules, with the hash that its leaves will carry.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) item: AppendItem,
    pub(crate) rec: Hash,
    pub(crate) source: Source,
}

/// The source that a channel stands for; `None` if its peer may not append.
pub(crate) fn source_of(role: Role) -> Option<Source> {
    match role {
        Role::Bastion => Some(Source::Bastion),
        Role::Front => Some(Source::Front),
        Role::S3 => Some(Source::S3),
        Role::Supervisor => Some(Source::Supervisor),
        // keyd streams its own records, and watch only receives.
        Role::Keyd | Role::Trail | Role::Watch => None,
    }
}

/// Checks a whole request; one bad item refuses all of it.
pub(crate) fn request(request: AppendRequest, source: Source) -> Result<Vec<Prepared>, String> {
    if request.items.is_empty() && request.statements.is_empty() {
        return Err("it holds nothing".to_owned());
    }
    if request.items.len() > APPEND_MAX_ITEMS {
        return Err(format!("it holds more than {APPEND_MAX_ITEMS} records"));
    }
    let mut bytes: usize = request.statements.iter().map(Vec::len).sum();
    if request.statements.iter().any(|s| s.len() > 4 * STATEMENT_MAX_BYTES) {
        return Err("a statement is too large".to_owned());
    }
    let mut ids = BTreeSet::new();
    let mut prepared = Vec::with_capacity(request.items.len());
    for item in request.items {
        bytes += item.record.len();
        if bytes > BATCH_MAX_BYTES {
            return Err(format!("it holds more than {BATCH_MAX_BYTES} bytes"));
        }
        if !ids.insert(item.event_id) {
            return Err(format!("event `{}` is in it twice", item.event_id));
        }
        prepared.push(self::item(item, source)?);
    }
    Ok(prepared)
}

fn item(item: AppendItem, source: Source) -> Result<Prepared, String> {
    if item.record.len() > RECORD_MAX_BYTES {
        return Err(format!("event `{}` is above {RECORD_MAX_BYTES} bytes", item.event_id));
    }
    if !may_append(source, item.kind) {
        return Err(format!("{} may not append {:?} records", source.as_str(), item.kind));
    }
    let unique: BTreeSet<LogName> = item.logs.iter().copied().collect();
    if item.logs.is_empty() || unique.len() != item.logs.len() {
        return Err(format!("event `{}` names no log, or one twice", item.event_id));
    }
    let reserved = |log: &LogName| matches!(log, LogName::Checkpoint | LogName::Host);
    if source != Source::Trail && item.logs.iter().any(reserved) {
        return Err("the checkpoint log and the host log take no appends".to_owned());
    }
    if item.commit.is_some_and(|c| c.count == 0 || c.ordinal >= c.count) {
        return Err(format!("event `{}` has an impossible place in its commit", item.event_id));
    }
    let hash = match item.kind {
        Kind::Event => {
            let value = committed::parse(&item.record).map_err(|e| e.to_string())?;
            matches(&item, &value)?;
            committed::commit(&value)
        }
        other => rec(other, &item.record),
    };
    let rec = hash.map_err(|e| e.to_string())?;
    Ok(Prepared { item, rec, source })
}

/// A record must be the one that its envelope says, and lie in the log of the account that it names.
fn matches(item: &AppendItem, record: &Value) -> Result<(), String> {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("eventID") != item.event_id.to_string() {
        return Err(format!("event `{}` holds another eventID", item.event_id));
    }
    let mut accounts = item.logs.iter().filter_map(|log| match log {
        LogName::Account(account) => Some(account),
        LogName::Checkpoint | LogName::Host | LogName::Operator => None,
    });
    match (accounts.next(), accounts.next()) {
        (None, _) => Ok(()),
        (Some(account), None) if text("recipientAccountId") == account.to_string() => Ok(()),
        (Some(account), None) => {
            Err(format!("event `{}` is not for account {account}", item.event_id))
        }
        (Some(_), Some(_)) => {
            Err(format!("event `{}` names two accounts; each needs its own", item.event_id))
        }
    }
}

fn may_append(source: Source, kind: Kind) -> bool {
    match source {
        Source::Trail => true,
        // That a process began is the word of who starts processes: it excuses what is missing before.
        Source::Front => !matches!(kind, Kind::Boot | Kind::Checkpoint),
        Source::S3 | Source::Bastion => matches!(kind, Kind::Event | Kind::Gap),
        Source::Supervisor => {
            matches!(kind, Kind::Boot | Kind::Config | Kind::Event | Kind::Gap)
        }
        Source::Keyd | Source::Watch => false,
    }
}
