//! What both ends of a connection between machines share: TLS 1.3 to a key that is known beforehand, and how
//! messages lie in it. The connections are trail's to watch and an agent's to watch.

pub mod tls;
pub mod wire;

/// Why a connection is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key or certificate cannot be used.
    #[error("the TLS identity cannot be used: {0}")]
    Tls(String),
    /// A message is malformed.
    #[error("malformed message: {0}")]
    Message(String),
}
