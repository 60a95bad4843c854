//! What can go wrong in the store.

use std::sync::Arc;
use std::time::Duration;

use writ_model::Revision;

use crate::{Expect, ObjectId};

/// Why the store refused or failed. Every failure is a refusal to go on: nothing is half done.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store's task or thread has ended; the process is stopping.
    #[error("the store is closed")]
    Closed,
    /// A precondition does not hold: somebody was faster. Decide anew on the newest snapshot.
    #[error("`{object}` is not {expected}: found {found:?}")]
    Conflict {
        /// The object.
        object: Box<ObjectId>,
        /// What the transaction asked for.
        expected: Expect,
        /// The object's revision; `None` when there is no such object, or another transaction of
        /// the same group commit has just written it.
        found: Option<Revision>,
    },
    /// What is stored breaks a rule that this program relies on.
    #[error("the store is damaged or not ours: {what}")]
    Corrupt {
        /// What was found, and what to do where there is something.
        what: String,
    },
    /// The database is not one of ours, or of a newer program.
    #[error("`{path}` cannot be opened: {what}")]
    Foreign {
        /// The file.
        path: String,
        /// What was found and what to do.
        what: String,
    },
    /// A queue, the outbox or the disk is full. Retryable; nothing was written.
    #[error("{what} is full; retry later")]
    Full {
        /// What is full.
        what: &'static str,
    },
    /// The caller built a transaction that cannot be.
    #[error("a transaction {what}")]
    Invalid {
        /// Its fault, as a phrase that follows "a transaction".
        what: &'static str,
    },
    /// The database failed.
    #[error("the database failed")]
    Sqlite(#[from] Arc<rusqlite::Error>),
    /// No mutation is taken now. Retryable; nothing happened.
    #[error("{what}; retry later")]
    NotTaken {
        /// Why not.
        what: &'static str,
    },
    /// This node has no proof that its snapshot is current.
    #[error("{0}")]
    Stale(#[from] Stale),
    /// Something is larger than its limit.
    #[error("a {what} is larger than {max} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The ledger did not acknowledge, or the node did not reach a revision in time. Retryable; the
    /// outcome of a mutation is unknown, as after a lost reply.
    #[error("{what}; retry later")]
    Unavailable {
        /// What is missing.
        what: String,
    },
}

impl StoreError {
    /// True if the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            StoreError::Closed
                | StoreError::Full { .. }
                | StoreError::Stale(_)
                | StoreError::NotTaken { .. }
                | StoreError::Unavailable { .. }
        )
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { what: what.into() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full { what: "the disk" },
            Some(rusqlite::ErrorCode::DatabaseBusy) => StoreError::Unavailable {
                what: "another process holds the database locked".to_owned(),
            },
            _ => StoreError::Sqlite(Arc::new(error)),
        }
    }
}

/// The node holds no lease: the last proof of currency was asked for too long ago, or never came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this node's view is not proven current (age {age:?}); retry later")]
pub struct Stale {
    /// How old the proof is; `None` if there is none.
    pub age: Option<Duration>,
}
