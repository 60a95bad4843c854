//! Why a session cannot be recorded, and so cannot go on.

use writ_model::Ulid;

/// The crate's one error. Every value of it ends a session, or refuses one; none is a reason to go on
/// without recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused.
    #[error("cannot {what} `{name}`: {why}")]
    Io {
        /// What was tried: "append to", …
        what: &'static str,
        /// The file.
        name: String,
        /// What the system says.
        why: String,
    },
    /// The recorder stood still for too long: a storage call hangs, or the process was stopped.
    #[error("the recorder has stood still for {ms} ms: look at the disk of the recordings")]
    Stalled {
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Too little room for new recordings.
    #[error(
        "only {free} bytes are free for recordings, and new ones need {floor}: make room, or add a disk"
    )]
    DiskLow {
        /// Free bytes.
        free: u64,
        /// The floor.
        floor: u64,
    },
    /// Too little room even for those that run: this one was the oldest.
    #[error("only {free} bytes are free for recordings: the oldest session was closed")]
    DiskFull {
        /// Free bytes.
        free: u64,
    },
    /// More waits to be written than the queue holds.
    #[error("the recorder's queue is full")]
    QueueFull,
    /// A recording with this session id is there already.
    #[error("a recording of session `{0}` exists: a session id serves once")]
    Exists(Ulid),
    /// The recording has ended.
    #[error("the recording has ended")]
    Ended,
    /// The recorder was stopped.
    #[error("the recorder has stopped")]
    Stopped,
    /// Another process records into this folder.
    #[error("another process holds `{0}`: stop it first")]
    Locked(String),
    /// A mark could not be handed to the ledger.
    #[error("the ledger does not take the recording's mark: {0}")]
    Marks(String),
    /// The format refused.
    #[error(transparent)]
    Format(#[from] writ_proof::Error),
}

impl Error {
    /// For a failed call on the file `name`.
    pub(crate) fn io(what: &'static str, name: &str) -> impl FnOnce(std::io::Error) -> Error {
        let name = name.to_owned();
        move |error| Error::Io { what, name, why: error.to_string() }
    }
}
