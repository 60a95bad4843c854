//! Mutations as they are asked for, and as they are ordered.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use writ_model::{Revision, Timestamp, Uuid};
use writ_proof::origin::LogName;
use writ_proof::use_record::UsePosition;

use crate::{Body, Object, ObjectId, StoreError, limits};

/// What a transaction demands of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It was last written by this revision.
    At(Revision),
    /// It exists, and no other transaction of the same group commit writes it.
    Unchanged,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Absent => f.write_str("absent"),
            Expect::At(revision) => write!(f, "at revision {revision}"),
            Expect::Unchanged => f.write_str("there and unchanged"),
        }
    }
}

/// A finished audit record on its way to the ledger.
///
/// The bytes are exactly those that the ledger will hold. They are made before the commit, so they
/// cannot name its revision: that stands in the append message beside them ([`OutboxRow`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Fixed before the commit, so that appending is idempotent.
    pub event_id: Uuid,
    /// The logs that it goes into.
    pub logs: Vec<LogName>,
    /// What the record is.
    pub kind: RecordKind,
    /// The record: an event's JSON, or the bytes of a signed statement.
    pub record: Vec<u8>,
    /// The use of a key that it tells of, if any.
    pub use_position: Option<UsePosition>,
}

/// What a record of a commit is. Nothing else is the store's to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A CloudTrail record.
    Event,
    /// A statement that people have signed.
    Statement,
}

impl RecordKind {
    /// The name by which the database knows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordKind::Event => "event",
            RecordKind::Statement => "statement",
        }
    }
}

impl FromStr for RecordKind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<RecordKind, StoreError> {
        match text {
            "event" => Ok(RecordKind::Event),
            "statement" => Ok(RecordKind::Statement),
            _ => Err(StoreError::Corrupt { what: format!("record kind `{text}` is unknown") }),
        }
    }
}

/// A mutation: all or nothing, with its audit records.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// What must hold, or nothing is done.
    pub preconditions: Vec<(ObjectId, Expect)>,
    /// Objects written whole.
    pub puts: Vec<Object>,
    /// Objects removed; one that does not exist is a conflict.
    pub deletes: Vec<ObjectId>,
    /// True if the changes end access (a key switched off, sessions revoked, a principal removed).
    /// They are then in force at once, before the ledger has acknowledged.
    pub endings: bool,
    /// Who asked: the caller's ARN, or a service's principal.
    pub actor: String,
    /// The request, as its audit records name it.
    pub request_id: Uuid,
    /// At least one.
    pub records: Vec<OutboxRecord>,
}

impl Transaction {
    /// A transaction that does nothing yet, with its first audit record.
    pub fn new(actor: impl Into<String>, request_id: Uuid, record: OutboxRecord) -> Transaction {
        Transaction {
            preconditions: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            endings: false,
            actor: actor.into(),
            request_id,
            records: vec![record],
        }
    }

    /// Writes an object that must not exist yet.
    #[must_use]
    pub fn create(self, object: Object) -> Transaction {
        self.require(object.id(), Expect::Absent).put(object)
    }

    /// Writes an object that must still be the one of `revision`.
    #[must_use]
    pub fn update(self, object: Object, revision: Revision) -> Transaction {
        self.require(object.id(), Expect::At(revision)).put(object)
    }

    /// Writes an object, whatever is there.
    #[must_use]
    pub fn put(mut self, object: Object) -> Transaction {
        self.puts.push(object);
        self
    }

    /// Removes an object that must still be the one of `revision`.
    #[must_use]
    pub fn delete(mut self, id: ObjectId, revision: Revision) -> Transaction {
        self.preconditions.push((id.clone(), Expect::At(revision)));
        self.deletes.push(id);
        self
    }

    /// Adds a demand on an object that is not written.
    #[must_use]
    pub fn require(mut self, id: ObjectId, expect: Expect) -> Transaction {
        self.preconditions.push((id, expect));
        self
    }

    /// Marks the changes as endings: in force at once.
    #[must_use]
    pub fn ending(mut self) -> Transaction {
        self.endings = true;
        self
    }

    /// The objects that it writes or removes.
    pub fn written(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.puts.iter().map(Object::id).chain(self.deletes.iter().cloned())
    }

    /// Refuses a transaction that no engine may see.
    pub fn check(&self) -> Result<(), StoreError> {
        let invalid = |what| Err(StoreError::Invalid { what });
        if self.records.is_empty() {
            return invalid("has no audit record");
        }
        if self.puts.is_empty() && self.deletes.is_empty() {
            return invalid("changes nothing");
        }
        if self.records.len() > limits::TRANSACTION_MAX_RECORDS {
            return invalid("has too many audit records");
        }
        if self.records.iter().any(|r| r.logs.is_empty()) {
            return invalid("has an audit record that goes into no log");
        }
        if self.records.iter().any(|r| r.record.len() > limits::RECORD_MAX_BYTES) {
            return Err(StoreError::TooLarge {
                what: "audit record",
                max: limits::RECORD_MAX_BYTES,
            });
        }
        let written: BTreeSet<ObjectId> = self.written().collect();
        if written.len() > limits::TRANSACTION_MAX_OBJECTS {
            return invalid("writes too many objects");
        }
        if written.len() != self.puts.len() + self.deletes.len() {
            return invalid("writes an object twice");
        }
        if written.iter().any(|id| id.id.is_empty() || id.id.len() > limits::ID_MAX_BYTES) {
            return invalid("writes an object whose id is empty or too long");
        }
        Ok(())
    }
}

/// One change in the total order.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The commit.
    pub revision: Revision,
    /// Its place within the commit, from 0.
    pub ordinal: u32,
    /// The object.
    pub object: ObjectId,
    /// Its new content; `None` if it was removed.
    pub body: Option<Body>,
    /// Who asked.
    pub actor: String,
    /// The request.
    pub request_id: Uuid,
    /// When it was committed.
    pub at: Timestamp,
}

/// An audit record that the ledger has not confirmed yet, with its place in the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The commit.
    pub revision: Revision,
    /// Its place among the commit's records, from 0.
    pub ordinal: u32,
    /// How many records the commit has.
    pub count: u32,
    /// The request whose change it records.
    pub request_id: Uuid,
    /// The record's id.
    pub event_id: Uuid,
    /// The logs that it goes into.
    pub logs: Vec<LogName>,
    /// What the record is.
    pub kind: RecordKind,
    /// The record: an event's JSON, or the bytes of a signed statement.
    pub record: Vec<u8>,
    /// The use of a key that it tells of, if any.
    pub use_position: Option<UsePosition>,
}
