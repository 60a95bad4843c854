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
pub mod engine;
pub mod error;
pub mod feed;
pub mod limits;
pub mod recorder;
pub mod snapshot;
pub mod state;
pub mod store;
pub mod transaction;

pub use blob::Blob;
pub use error::{Stale, StoreError};
pub use feed::{Node, Subscription};
pub use recorder::{Ledger, PortFuture, Recorder, RecorderError};
pub use snapshot::{AccountState, Entry, Snapshot};
pub use state::{Body, Kind, Object, ObjectId, Stored};
pub use store::{Committed, Store};
pub use transaction::{Change, Expect, OutboxRecord, OutboxRow, RecordKind, Transaction};
pub use writ_proof::origin::LogName;

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` adds crash points and must not be in a release build");
