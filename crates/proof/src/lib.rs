//! What a verifier needs, and nothing else: strict CBOR, leaf and frame codecs, Merkle trees, signed
//! notes, checkpoints, statements and their signatures, the roster, forward access tickets.
//!
//! The crate is pure: no I/O, no clock, not async. keyd, trail, watch and `writ verify` share it, so
//! that what one writes the others can check. It decides nothing about access.
//!
//! | formats | modules |
//! |---|---|
//! | the write-ahead log and its channels | [`frame`], [`append`], [`stream`], [`leaf`], [`use_record`] |
//! | reading a whole log | [`replay`], [`commits`] |
//! | one account's history in a file | [`export`], [`at_most`] |
//! | what a record commits to | [`committed`], [`json`] |
//! | trees and their files (RFC 6962, C2SP tlog-tiles) | [`merkle`], [`tile`] |
//! | signed notes (C2SP signed-note, tlog-checkpoint, -cosignature, -witness, -proof, -policy) | [`note`], [`checkpoint`], [`witness`], [`receipt`], [`policy`] |
//! | requests for access and their approvals | [`access`] |
//! | SSH's data types, and what a client signs to log in (RFC 4251, RFC 4252) | [`ssh`], [`ssh_auth`] |
//! | SSH certificates and revocation lists (OpenSSH PROTOCOL.certkeys, .krl) | [`ssh`], [`ssh_cert`], [`krl`] |
//! | recordings of sessions | [`recording`] |
//! | sealing to somebody's key (RFC 9180) | [`hpke`] |
//! | statements, their signatures (OpenSSH SSHSIG, WebAuthn), genesis and roster | [`statement`], [`sshsig`], [`client_data`], [`roster`] |
//! | what managed hosts report, and watch's host log | [`hostlog`] |
//! | runbooks: catalogue, orders, output | [`runbook`] |
//! | forward access tickets | [`fas`] |

pub mod access;
pub mod append;
pub mod at_most;
pub mod cbor;
pub mod checkpoint;
pub mod client_data;
pub mod commits;
pub mod committed;
pub mod customer;
pub mod ed25519;
mod error;
pub mod export;
pub mod fas;
pub mod frame;
pub mod hash;
pub mod hostlog;
pub mod hpke;
pub mod json;
pub mod krl;
pub mod leaf;
pub mod limits;
pub mod merkle;
pub mod note;
pub mod origin;
pub mod policy;
pub mod receipt;
pub mod recording;
pub mod replay;
pub mod roster;
pub mod runbook;
pub mod ssh;
pub mod ssh_auth;
pub mod ssh_cert;
pub mod sshsig;
pub mod statement;
pub mod stream;
pub mod tile;
pub mod use_record;
pub mod witness;

pub use error::Error;
pub use hash::Hash;
