//! The write path that every AWS operation runs through, from signed bytes to the held reply.
//!
//! One request goes through here in one order: keyd verifies the signature ([`pipeline`]), the
//! operation decides with [`call::Call::authorize`], which alone makes a `Permit`; a mutation becomes
//! one commit that carries its audit record, a key use one keyd call; and the reply leaves only when
//! the ledger has acknowledged the record. Services (`iam`, `kms`) implement [`api::Api`] and know
//! neither HTTP nor each other. [`listener`] takes connections for whoever answers them; the crate
//! stores nothing itself.

pub mod api;
pub mod audit;
pub mod authorize;
pub mod call;
pub mod error;
pub mod feed;
pub mod forward;
pub mod http;
pub mod limits;
pub mod listener;
pub mod live;
pub mod managed;
pub mod pipeline;
pub mod principals;
pub mod protocol;
pub mod record;
pub mod recorder;
pub mod task;
