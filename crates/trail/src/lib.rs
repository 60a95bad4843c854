//! The ledger: a write-ahead log, the Merkle logs over it, and what is derived from them.
//!
//! Three parts: [`record`] builds the CloudTrail record of a call, [`client`] hands records to the
//! writer, and the writer process makes them durable before it answers.
//!
//! Invariants: nothing is acknowledged before its fsync returned. An error of fsync ends the writer;
//! it is never tried again. The source of a record is the channel by which it came. trail holds no key
//! and opens no state database.

mod build;
pub mod client;
mod disk;
pub mod error;
mod hosts;
pub mod limits;
pub mod logs;
pub mod lookup;
pub mod protocol;
pub mod push;
pub mod reader;
pub mod record;
mod spool;
pub mod wal;
pub mod witness;
pub mod writer;

/// The newest checkpoint of watch's host log that keyd has cosigned, in the ledger's folder.
pub const HOST_COSIGNED_FILE: &str = "host.cosigned";

pub use client::TrailClient;
pub use error::TrailError;
pub use writer::{Trail, TrailConfig, run};
