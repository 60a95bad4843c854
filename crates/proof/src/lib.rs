//! What a verifier needs, and nothing else: strict CBOR, leaf and frame codecs, Merkle trees, signed
//! notes, checkpoints, statements and their signatures, the roster, forward access tickets.
//!
//! The crate is pure: no I/O, no clock, not async. keyd, trail, watch and `writ verify` share it, so
//! that what one writes the others can check. It decides nothing about access.
//!
//! | formats | modules |
//! |---|---|
//! | the write-ahead log and its channels | [`frame`], [`append`], [`stream`], [`leaf`], [`use_record`] |
//! | what a record commits to | [`committed`], [`json`] |
//! | trees and their files (RFC 6962, C2SP tlog-tiles) | [`merkle`], [`tile`] |

pub mod append;
pub mod cbor;
pub mod committed;
pub mod ed25519;
mod error;
pub mod frame;
pub mod hash;
pub mod json;
pub mod leaf;
pub mod limits;
pub mod merkle;
pub mod origin;
pub mod stream;
pub mod tile;
pub mod use_record;

pub use error::Error;
pub use hash::Hash;
