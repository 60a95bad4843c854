//! The encrypting object gateway: the S3 API over bytes that only their owner can have opened.
//!
//! A process of its own with a listener of its own. Every object is kept encrypted under a data key
//! that keyd releases only for a request that the customer signed, and that lives no longer than that
//! request. So a request without a signature can read no object, whatever a policy says.
//!
//! - [`format`](mod@format): segments, frames and manifests, the only form in which bytes touch a disk;
//! - [`blob`]: the files; [`index`]: buckets, keys and uploads; both of one region;
//! - [`wire`]: what clients say in headers, paths and queries, parsed once;
//! - [`kms_link`]: the calls to front's KMS on the customer's behalf;
//! - [`gateway`]: the request path and one file for each operation.
//!
//! The crate knows nothing of key material but data keys, opens neither the state database nor the
//! ledger, and has no value that means "allowed without asking".

pub mod blob;
pub mod error;
pub mod format;
pub mod gateway;
pub mod index;
pub mod keyd;
pub mod kms_link;
pub mod limits;
pub mod process;
#[cfg(test)]
mod tmpfs;
pub mod wire;

pub use error::S3Error;
pub use process::{Process, S3Channels, S3Config};
