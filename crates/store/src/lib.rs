//! The state of Writ: typed objects in one total order of revisions, whole in memory.
//!
//! One process opens the database through an engine; it decides from an immutable snapshot, and
//! other processes follow over a feed. A mutation carries its audit records in the same commit, and
//! becomes visible only after the ledger has acknowledged them; endings (revocations) are in force at
//! once.
//!
//! The store knows nothing of HTTP, of authorization or of keys: secrets are opaque blobs in it.

pub mod blob;
pub mod derived;
pub mod error;
pub mod limits;
mod log_name;
pub mod recorder;
pub mod snapshot;
pub mod state;
pub mod transaction;

pub use blob::Blob;
pub use error::{Stale, StoreError};
pub use log_name::LogName;
pub use recorder::{Ledger, PortFuture, Recorder, RecorderError};
pub use snapshot::{AccountState, Entry, Snapshot};
pub use state::{Body, Kind, Object, ObjectId, Stored};
pub use transaction::{Change, Expect, OutboxRecord, OutboxRow, Transaction};
