//! Why watch or a witness did not do something.

use std::path::{Path, PathBuf};

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
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
    /// A file of ours holds what we did not write.
    #[error(
        "`{path}` is damaged at byte {at}: {why}; compare with trail's copy before anything else"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// A file does not belong to this installation or key.
    #[error("`{path}` is not this one's: {why}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Another process has this folder open.
    #[error("`{0}` is in use by another process: stop it first")]
    Locked(PathBuf),
    /// A frame, note or statement is not what it should be.
    #[error(transparent)]
    Proof(#[from] writ_proof::Error),
    /// A frame does not continue the log that watch holds.
    #[error(transparent)]
    Replay(#[from] writ_proof::replay::ReplayError),
    /// The TLS key or certificate cannot be used.
    #[error("the TLS identity cannot be used: {0}")]
    Tls(String),
    /// A message of the stream is malformed.
    #[error("malformed message: {0}")]
    Message(String),
    /// The network failed.
    #[error("the listener failed")]
    Network(#[source] std::io::Error),
}

impl WatchError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> WatchError + use<> {
        let path = path.to_owned();
        move |source| WatchError::Io { action, path, source }
    }
}

impl From<writ_durable::Error> for WatchError {
    fn from(error: writ_durable::Error) -> WatchError {
        match error {
            writ_durable::Error::Io { action, path, source } => {
                WatchError::Io { action, path, source }
            }
            writ_durable::Error::Locked(path) => WatchError::Locked(path),
        }
    }
}

impl From<writ_link::Error> for WatchError {
    fn from(error: writ_link::Error) -> WatchError {
        match error {
            writ_link::Error::Tls(why) => WatchError::Tls(why),
            writ_link::Error::Message(why) => WatchError::Message(why),
        }
    }
}
