//! What can go wrong below the wire. The outward codes are in `gateway::fault`.

use std::io;

use writ_proof::cbor::CborError;

/// A failure of storage, index or format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3Error {
    /// Bytes on disk do not open under the key that they name. Never retried; always an alarm.
    #[error("{what} of `{name}` does not authenticate: damaged, replaced or of another object")]
    Damaged {
        /// Which part of the format.
        what: &'static str,
        /// The file or object.
        name: String,
    },
    /// A structure is not what the format says.
    #[error("{what} is malformed: {source}")]
    Decode {
        /// Which structure.
        what: &'static str,
        /// Why.
        source: CborError,
    },
    /// The folder belongs to another region, or a newer program wrote it.
    #[error(
        "the object folder says {found}, but this process serves {expected}; start it with the matching region and version"
    )]
    Foreign {
        /// What the marker says.
        found: String,
        /// What was wanted.
        expected: String,
    },
    /// Free space is below the floor, or an earlier write failed.
    #[error("the object volume takes no writes: {reason}")]
    Full {
        /// Why.
        reason: &'static str,
    },
    /// SQLite.
    #[error("the object index failed: {0}")]
    Index(#[from] rusqlite::Error),
    /// The operating system.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A row names a file that does not exist.
    #[error("the object's file `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// The index's writer thread has ended, or a primitive refused.
    #[error("{what} is not available")]
    Stopped {
        /// Which part.
        what: &'static str,
    },
    /// A limit of the format.
    #[error("{what} exceeds its limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A later format.
    #[error(
        "{what} has format `{found}`, this program reads up to `{known}`; run the newer version that wrote it"
    )]
    Version {
        /// Which file.
        what: &'static str,
        /// What it says.
        found: u64,
        /// What is known here.
        known: u64,
    },
}

impl S3Error {
    /// Adds what was being done to an error of the operating system.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> S3Error {
        move |source| S3Error::Io { what, source }
    }
}
