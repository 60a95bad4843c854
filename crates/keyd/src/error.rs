//! Why the key module cannot start or go on.

use std::io;

/// The crate's error. What a peer gets to see is a `Refusal` of the protocol instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root file begins with other bytes than ours.
    #[error("this is not a key module root file; give the file that `writ up` made in DIR/keyd")]
    RootForeign,
    /// The root file has a version that this build does not read.
    #[error("the root file has version {found}, this build reads {known}; use a newer writ")]
    RootNewer {
        /// The version in the file.
        found: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// The root file's digest does not match its content.
    #[error(
        "the root file is damaged; restore it from your backup, nothing can be decrypted without it"
    )]
    RootDamaged,
    /// The root file is for a mode that this build does not have.
    #[error("the root file is for mode `{mode}`, which this build does not have")]
    RootMode {
        /// The mode in the file.
        mode: String,
    },
    /// A complete record of the head file does not match its checksum.
    #[error("the head file is damaged at byte {at}; restore it from your backup")]
    HeadDamaged {
        /// Offset of the record.
        at: usize,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A cryptographic primitive refused its own key.
    #[error("the cryptographic library refused {what}")]
    Crypto {
        /// What was tried.
        what: &'static str,
    },
}

impl Error {
    /// An error of the operating system while doing `what`.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, source }
    }
}
