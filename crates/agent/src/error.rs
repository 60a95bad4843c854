//! Why the agent did not do something.

use std::path::{Path, PathBuf};

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
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
    /// The configuration is not sound.
    #[error("`{path}` is not sound: {why}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The folder is not of an enrolled agent, or of another version.
    #[error("`{path}`: {why}; `writ agent enroll` makes the folder of an agent")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Another agent has this folder open.
    #[error("`{0}` is in use by another agent: stop it first")]
    Locked(PathBuf),
    /// The spool has no room.
    #[error("the spool is full")]
    Full,
    /// A frame or message is not what it should be.
    #[error(transparent)]
    Proof(#[from] writ_proof::Error),
    /// TLS cannot be used.
    #[error("the TLS identity cannot be used: {0}")]
    Tls(String),
    /// watch said no.
    #[error("watch refuses: {0}")]
    Refused(String),
    /// The process that reads the sources is gone or fails.
    #[error("the reader of the host's sources: {0}")]
    Reader(String),
    /// A token is none.
    #[error("the token is malformed: take the line that `writ watch token HOST` printed, whole")]
    Token,
    /// Nobody listens there.
    #[error(
        "nothing takes connections at {watch}: is watch running there? `agents` in its ready.json says where it listens"
    )]
    Unreached {
        /// `HOST:PORT`, as it was configured.
        watch: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another watch than the one that a token names, or none.
    #[error(
        "what answers at {watch} is not the watch that the token names: check --watch and the token"
    )]
    Stranger {
        /// `HOST:PORT`, as it was given.
        watch: String,
        /// What the TLS handshake ended with.
        #[source]
        source: std::io::Error,
    },
    /// watch cannot be reached, or does not keep to the protocol.
    #[error("the connection to watch failed")]
    Network(#[source] std::io::Error),
}

impl AgentError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> AgentError + use<> {
        let path = path.to_owned();
        move |source| AgentError::Io { action, path, source }
    }

    /// True if the disk, or the quota, has no room: it passes.
    pub(crate) fn is_no_room(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            AgentError::Full => true,
            AgentError::Io { action, source, .. } => {
                matches!(*action, "write" | "create")
                    && matches!(source.kind(), StorageFull | QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl From<writ_durable::Error> for AgentError {
    fn from(error: writ_durable::Error) -> AgentError {
        match error {
            writ_durable::Error::Io { action, path, source } => {
                AgentError::Io { action, path, source }
            }
            writ_durable::Error::Locked(path) => AgentError::Locked(path),
        }
    }
}

impl From<writ_link::Error> for AgentError {
    fn from(error: writ_link::Error) -> AgentError {
        match error {
            writ_link::Error::Tls(why) => AgentError::Tls(why),
            writ_link::Error::Message(why) => AgentError::Network(std::io::Error::other(why)),
        }
    }
}
