//! Why a connection ends, and what the peer is told of it.

use std::time::Duration;

/// The crate's one error. Every value ends the connection, but for [`Error::Closed`] of a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer was refused: no method of authentication is left, or attempts.
    #[error("authentication failed: {0}")]
    Authentication(String),
    /// The channel or connection is closed.
    #[error("closed")]
    Closed,
    /// Encryption, decryption or key agreement failed: damaged or forged bytes.
    #[error("{0}")]
    Crypto(&'static str),
    /// The peer says that it leaves.
    #[error("the peer disconnected: {text} (reason {reason})")]
    Disconnected {
        /// The code (RFC 4253 section 11.1).
        reason: u32,
        /// Its text, printable.
        text: String,
    },
    /// The host key is not the one that is wanted.
    #[error("the host's key is refused: {0}")]
    HostKey(String),
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(std::io::ErrorKind),
    /// Something is above its limit.
    #[error("{what} of {size} is above the limit of {limit}")]
    Limit {
        /// What is too much, with its unit.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Both sides know no common algorithm.
    #[error("no common {what}; the peer offers `{offered}`")]
    NoCommon {
        /// "key exchange", "cipher", …
        what: &'static str,
        /// The peer's list, shortened.
        offered: String,
    },
    /// The peer does not keep to the protocol.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// A key of ours could not sign.
    #[error("the key could not sign")]
    Signing,
    /// Something took too long.
    #[error("{what} took longer than {limit:?}")]
    Timeout {
        /// What took too long.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
}

/// Codes of a disconnect (RFC 4253 section 11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// The peer broke the protocol.
    ProtocolError = 2,
    /// No keys could be agreed on.
    KeyExchangeFailed = 3,
    /// A packet was damaged or forged.
    MacError = 5,
    /// The version is not ours.
    VersionNotSupported = 8,
    /// The host's key is not the one that is wanted.
    HostKeyNotVerifiable = 9,
    /// The connection is lost.
    ConnectionLost = 10,
    /// We end it.
    ByApplication = 11,
    /// More than is allowed at one time.
    TooManyConnections = 12,
    /// No way to authenticate is left.
    NoMoreAuthMethods = 14,
}

impl Error {
    /// What the peer is told, if it can still be told anything.
    pub fn reason(&self) -> Option<Reason> {
        Some(match self {
            Error::Disconnected { .. } | Error::Io(_) => return None,
            Error::Authentication(_) => Reason::NoMoreAuthMethods,
            Error::Closed | Error::Signing => Reason::ByApplication,
            Error::Crypto(_) => Reason::MacError,
            Error::HostKey(_) => Reason::HostKeyNotVerifiable,
            Error::Limit { .. } | Error::Protocol(_) => Reason::ProtocolError,
            Error::NoCommon { .. } => Reason::KeyExchangeFailed,
            Error::Timeout { .. } => Reason::ConnectionLost,
        })
    }

    /// Fails if `size` is above `limit`.
    pub(crate) fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
        if size <= limit {
            return Ok(());
        }
        Err(Error::Limit { what, size: size as u64, limit: limit as u64 })
    }
}

impl From<writ_proof::Error> for Error {
    /// What the reader of SSH data refuses; nothing of it is worth more than "malformed".
    fn from(_: writ_proof::Error) -> Error {
        Error::Protocol("a message is malformed")
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Io(error.kind())
    }
}
