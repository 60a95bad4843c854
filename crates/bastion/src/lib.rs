//! The recording bastion: the gate through which operators come to hosts, and the only one.
//!
//! It logs people in with keys of the roster, lets in who holds a live grant, opens the host with a certificate
//! that keyd signs for this session alone, and carries bytes between both. Whom it asks are ports
//! ([`ports`]); SSH itself is the crate `ssh`.
//!
//! Invariant: nothing goes on that is not on the disk and that no live grant covers, and nothing is answered that
//! is not in the ledger.
//!
//! | what | where | specification |
//! |---|---|---|
//! | the gate and its sessions | [`Bastion`] | RFC 4252, RFC 4254 |
//! | the union of live grants | [`access`] | `writ_proof::access` |
//! | recordings, durable before anything is forwarded | [`recorder`] | `writ_proof::recording` |
//! | SFTP between operator and host | [`sftp`] | draft-ietf-secsh-filexfer-02, OpenSSH PROTOCOL |
//! | asciicast of a recording | [`cast`] | asciicast v2 and v3 |
//! | what it tells in words | [`told`] | |
//! | recordings, as front relays them to readers | [`shelf`] | |

pub mod access;
pub mod cast;
mod clock;
mod error;
pub mod limits;
mod lobby;
mod notary;
pub mod ports;
pub mod recorder;
mod server;
mod session;
pub mod sftp;
pub mod shelf;
mod strangers;
mod teller;
pub mod told;

pub use error::Error;
pub use server::{Bastion, Ports, Settings};
pub use teller::SOURCE;
