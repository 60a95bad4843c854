//! Why the ledger did not do something.

use std::path::{Path, PathBuf};

use writ_keyd_client::client::CallError;

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrailError {
    /// The queue is full; nothing has happened. Outward: 503 `SlowDown` or `ThrottlingException`.
    #[error("the ledger's queue is full; ask again")]
    Busy,
    /// The ledger cannot be written. Outward: a retryable 503.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(String),
    /// The request is one that trail does not accept from this channel, or malformed.
    #[error("trail refuses the request: {0}")]
    Refused(String),
    /// trail did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A record is no JSON, or could not be written as JSON.
    #[error("the record is not JSON")]
    RecordJson(#[source] serde_json::Error),
    /// A record is JSON, but not a record of ours.
    #[error("the record is malformed: {0}")]
    RecordForm(&'static str),
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// "open", "write", "fsync", …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes this ledger.
    #[error("`{0}` is locked: another writer has this ledger open; stop it first")]
    Locked(PathBuf),
    /// The directory holds something else, or another ledger.
    #[error("`{path}` is not this installation's ledger: {why}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The directory was written by a newer version.
    #[error(
        "`{path}` has format version {found}; this build reads up to {known}: use a newer build"
    )]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The write-ahead log is damaged at a place where no crash can have damaged it.
    #[error(
        "`{path}` is damaged at byte {offset}: {why}; nothing was changed; \
         take the log from watch's copy with `writ recover --data DIR`, then start again"
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in the segment the bad frame begins.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// What was rebuilt from the log differs from what keyd signed: a rollback or a fork.
    #[error(
        "log `{origin}` of size {size} has root {found}, but the signed checkpoint says {expected}: \
         the disk was rolled back or the log forked; do not start it, compare with watch's copy"
    )]
    Fork {
        /// The log.
        origin: String,
        /// At this size.
        size: u64,
        /// The root that was signed.
        expected: String,
        /// The root of what lies on disk.
        found: String,
    },
    /// A proof, note, leaf or frame is not what it should be.
    #[error(transparent)]
    Proof(#[from] writ_proof::Error),
    /// The index of LookupEvents failed. It can be deleted; it is rebuilt from the log.
    #[error("the lookup index failed")]
    Index(#[from] rusqlite::Error),
    /// keyd refused to sign a checkpoint.
    #[error("keyd refused: {0}")]
    Keyd(String),
    /// A witness refused a checkpoint, or answered badly.
    #[error("witness `{url}`: {why}")]
    Witness {
        /// Its address.
        url: String,
        /// What it said.
        why: String,
    },
}

impl TrailError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> TrailError + use<> {
        let path = path.to_owned();
        move |source| TrailError::Io { action, path, source }
    }
}

impl From<writ_durable::Error> for TrailError {
    fn from(error: writ_durable::Error) -> TrailError {
        match error {
            writ_durable::Error::Io { action, path, source } => {
                TrailError::Io { action, path, source }
            }
            writ_durable::Error::Locked(path) => TrailError::Locked(path),
        }
    }
}
