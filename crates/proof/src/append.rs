//! What an appender and trail say to each other.
//!
//! The source of an append is its channel, so no message names one. An append is durable when the
//! reply comes, and idempotent on the event id: sent again, it answers the old positions.

use std::collections::BTreeSet;

use writ_model::Uuid;

use crate::error::Error;
use crate::hash::Hash;
use crate::leaf::{self, Commit, Kind};
use crate::limits;
use crate::origin::LogName;
use crate::use_record::UsePosition;
use crate::{cbor_enum, cbor_map};

/// Records to append together: all become durable by one fsync, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendRequest {
    /// The records, at most [`crate::limits::APPEND_MAX_ITEMS`].
    pub items: Vec<AppendItem>,
    /// Signed statements that the records name by digest.
    pub statements: Vec<Vec<u8>>,
}
cbor_map!(AppendRequest { 1: items, 2: statements });

/// One record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendItem {
    /// The record's event id.
    pub event_id: Uuid,
    /// What the record is.
    pub kind: Kind,
    /// The logs that it goes into, at least one, each once.
    pub logs: Vec<LogName>,
    /// The record's bytes, at most [`crate::limits::RECORD_MAX_BYTES`].
    pub record: Vec<u8>,
    /// The commit that it belongs to.
    pub commit: Option<Commit>,
    /// The use of a key that it tells of. The append is acknowledged only after keyd's own record
    /// of that position is durable.
    pub use_position: Option<UsePosition>,
}
cbor_map!(AppendItem {
    1: event_id,
    2: kind,
    3: logs,
    4: record,
    5: opt commit,
    6: opt use_position,
});

impl AppendItem {
    /// Whether the item can be appended at all; answers the `rec` of its leaves.
    pub fn check(&self) -> Result<Hash, Error> {
        const WHAT: &str = "append item";
        Error::limit("record bytes", self.record.len(), limits::RECORD_MAX_BYTES)?;
        let logs: BTreeSet<&LogName> = self.logs.iter().collect();
        if logs.is_empty() || logs.len() != self.logs.len() {
            return Err(Error::malformed(WHAT, "it names no log, or a log twice"));
        }
        if self.commit.is_some_and(|commit| commit.ordinal >= commit.count || commit.rev == 0) {
            return Err(Error::malformed(WHAT, "its ordinal, count or revision cannot be"));
        }
        leaf::rec(self.kind, &self.record)
    }
}

/// trail's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendReply {
    /// Durable, with the position of each item, in the items' order.
    Done(Vec<Position>),
    /// Nothing was appended.
    Refused(AppendRefusal),
}
cbor_enum!(AppendReply { 0: Done(_), 1: Refused(_) });

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Its place in the write-ahead log.
    pub wal: u64,
    /// Its leaves: each log with the index there.
    pub leaves: Vec<(LogName, u64)>,
    /// True if it had been appended before.
    pub repeated: bool,
}
cbor_map!(Position { 1: wal, 2: leaves, 3: repeated });

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendRefusal {
    /// The ledger cannot be written: failed, below its reserve or stopping. Retryable elsewhere only.
    Closed,
    /// The queue is full; retry later.
    Full,
    /// The request breaks a rule; the text says which. Never retried.
    Invalid(String),
}
cbor_enum!(AppendRefusal { 0: Closed, 1: Full, 2: Invalid(_) });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    fn item() -> AppendItem {
        AppendItem {
            event_id: Uuid::from_bytes([1; 16]),
            kind: Kind::Config,
            logs: vec![LogName::Operator],
            record: b"{}".to_vec(),
            commit: None,
            use_position: None,
        }
    }

    #[test]
    fn item_that_cannot_be_appended_is_refused() {
        assert_eq!(item().check().unwrap(), crate::hash::sha256(b"{}"));
        let commit = Commit {
            epoch: Uuid::from_bytes([2; 16]),
            rev: 1,
            ordinal: 1,
            count: 1,
            replaces: None,
        };
        for bad in [
            AppendItem { logs: vec![], ..item() },
            AppendItem { logs: vec![LogName::Operator; 2], ..item() },
            AppendItem { record: vec![b' '; limits::RECORD_MAX_BYTES + 1], ..item() },
            AppendItem { kind: Kind::Event, ..item() },
            AppendItem { commit: Some(commit), ..item() },
            AppendItem { commit: Some(Commit { rev: 0, ordinal: 0, ..commit }), ..item() },
        ] {
            assert!(bad.check().is_err(), "{:?} {:?}", bad.kind, bad.logs);
        }
    }

    #[test]
    fn append_messages_round_trip() {
        let item = item();
        let request = AppendRequest { items: vec![item], statements: vec![b"s".to_vec()] };
        let bytes = cbor::to_vec(&request);
        assert_eq!(cbor::from_slice::<AppendRequest>(&bytes).unwrap(), request);
        let position = Position { wal: 7, leaves: vec![(LogName::Operator, 3)], repeated: false };
        for reply in [
            AppendReply::Done(vec![position]),
            AppendReply::Refused(AppendRefusal::Closed),
            AppendReply::Refused(AppendRefusal::Invalid("`x`".to_owned())),
        ] {
            let bytes = cbor::to_vec(&reply);
            assert_eq!(cbor::from_slice::<AppendReply>(&bytes).unwrap(), reply);
        }
    }
}
