//! The parts of a bastion that need no SSH: the recorder, the watch over file transfers, and the
//! export of terminals.
//!
//! Invariant: nothing is acknowledged that is not on the disk, and nothing goes on without a recorder.
//! The crate knows channels as numbers and bytes; it decides nothing about grants.
//!
//! | what | where | specification |
//! |---|---|---|
//! | recordings, durable before anything is forwarded | [`recorder`] | `writ_proof::recording` |
//! | SFTP between operator and host | [`sftp`] | draft-ietf-secsh-filexfer-02, OpenSSH PROTOCOL |
//! | asciicast of a recording | [`cast`] | asciicast v2 and v3 |

pub mod cast;
mod error;
pub mod limits;
pub mod recorder;
pub mod sftp;

pub use error::Error;
