//! Where state is durable: four methods that every engine has, and small functions for the outbox.
//!
//! An engine is driven by one thread. Engines give identical histories for identical calls; the model
//! test holds them to it.

pub mod memory;
pub mod sqlite;
mod sqlite_schema;

use writ_model::{Revision, StoreEpoch, Timestamp};

use crate::{Change, Object, OutboxRow, StoreError, Transaction, limits};

pub use memory::{MemoryDisk, MemoryEngine};
pub use sqlite::SqliteEngine;

/// Durable state with one total order of revisions.
pub trait Engine: Send {
    /// Everything, at one revision.
    fn load(&mut self) -> Result<Load, StoreError>;

    /// The changes after a revision, whole revisions only: at least one if there is one, and not
    /// many more than `limit` changes.
    fn changes(&mut self, after: Revision, limit: usize) -> Result<Changes, StoreError>;

    /// Commits what can be committed of a group, durably, under one revision. An error means that
    /// nothing of the group is in force, or, for [`StoreError::Sqlite`], that this is not known:
    /// the engine must then be opened anew.
    fn commit(&mut self, group: &Group<'_>) -> Result<Outcome, StoreError>;

    /// Commits that `node` has seen `seen`, and answers how far the store is.
    fn beat(&mut self, node: &str, seen: Revision, at: Timestamp) -> Result<Beat, StoreError>;

    /// The audit records that are not known to be in the ledger, in order.
    fn outbox(&mut self) -> Result<Vec<OutboxRow>, StoreError>;

    /// Forgets changes committed before a moment, whole revisions only and never the newest;
    /// answers how many.
    fn compact(&mut self, before: Timestamp) -> Result<usize, StoreError>;

    /// A compare-and-swap cell.
    fn cell(&mut self, name: &str) -> Result<Option<Cell>, StoreError>;

    /// Replaces a cell that is at version `expected` (0: absent); answers the new version, or
    /// `None` if the cell is at another version.
    fn swap_cell(
        &mut self,
        name: &str,
        expected: u64,
        body: &[u8],
    ) -> Result<Option<u64>, StoreError>;
}

/// Everything at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The life of the store.
    pub epoch: StoreEpoch,
    /// The newest commit.
    pub revision: Revision,
    /// Every object with the commit that wrote it, in order of their names.
    pub objects: Vec<(Object, Revision)>,
}

/// An answer to [`Engine::changes`].
#[derive(Debug, Clone, PartialEq)]
pub enum Changes {
    /// The changes, in order; empty when there are none.
    Batch(Vec<Change>),
    /// Some of them are compacted: load anew.
    Compacted,
}

/// Transactions to commit together.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// At most [`limits::GROUP_MAX_TRANSACTIONS`], each checked ([`Transaction::check`]).
    pub transactions: &'a [Transaction],
    /// The ledger has the records of all commits up to this one; their outbox rows go.
    pub acknowledged: Revision,
    /// The time of the commit.
    pub at: Timestamp,
}

/// What became of a group.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The commit; `None` if every transaction was dropped, and then nothing was written.
    pub revision: Option<Revision>,
    /// For each transaction whether it is in the commit.
    pub results: Vec<Result<(), StoreError>>,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Those of them that end access.
    pub endings: Vec<Change>,
    /// The audit records with their places.
    pub rows: Vec<OutboxRow>,
}

/// A proof of currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// The life of the store.
    pub epoch: StoreEpoch,
    /// The newest commit.
    pub revision: Revision,
}

/// A compare-and-swap cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Counts from 1.
    pub version: u64,
    /// The content.
    pub body: Vec<u8>,
}

/// Numbers what was accepted of a group: ordinals run from 0 without a gap.
fn sequence(accepted: &[&Transaction], revision: Revision, at: Timestamp) -> Outcome {
    let mut outcome = Outcome { revision: Some(revision), ..Outcome::default() };
    let count = accepted.iter().map(|t| t.records.len()).sum::<usize>();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    for transaction in accepted {
        let removed = transaction.deletes.iter().map(|id| (id.clone(), None));
        let written = transaction.puts.iter().map(|o| (o.id(), Some(o.body.clone())));
        for ((object, body), ordinal) in removed.chain(written).zip(outcome.changes.len()..) {
            let change = Change {
                revision,
                ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
                object,
                body,
                actor: transaction.actor.clone(),
                request_id: transaction.request_id,
                at,
            };
            if transaction.endings {
                outcome.endings.push(change.clone());
            }
            outcome.changes.push(change);
        }
        for (record, ordinal) in transaction.records.iter().zip(outcome.rows.len()..) {
            outcome.rows.push(OutboxRow {
                revision,
                ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
                count,
                request_id: transaction.request_id,
                event_id: record.event_id,
                kind: record.kind,
                logs: record.logs.clone(),
                record: record.record.clone(),
                use_position: record.use_position,
            });
        }
    }
    outcome
}

/// Refuses a commit that would make the outbox too large.
fn check_outbox(pending: usize, accepted: &[&Transaction]) -> Result<(), StoreError> {
    let new = accepted.iter().map(|t| t.records.len()).sum::<usize>();
    if pending + new > limits::OUTBOX_MAX_ROWS {
        return Err(StoreError::Full { what: "the outbox" });
    }
    Ok(())
}

fn check_cell(body: &[u8]) -> Result<(), StoreError> {
    if body.len() > limits::CELL_MAX_BYTES {
        return Err(StoreError::TooLarge { what: "cell", max: limits::CELL_MAX_BYTES });
    }
    Ok(())
}
