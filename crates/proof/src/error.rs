//! Why something that should prove a thing does not.

use crate::cbor::CborError;
use crate::hash::Hash;

/// The crate's one error. Every value of it means "not proven"; none is a verdict on access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes are not the canonical CBOR of their format.
    #[error("not canonical CBOR of its format: {0}")]
    Cbor(#[from] CborError),
    /// A text or binary form is malformed.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// The form: "checkpoint", "tile path", …
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something is larger than its limit.
    #[error("{what} of {size} is above the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit: "ticket bytes", …
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// An index or size lies outside its tree.
    #[error("{what} {value} lies outside a tree of size {size}")]
    OutOfRange {
        /// What was asked for: "leaf", "tree size", …
        what: &'static str,
        /// Its value.
        value: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A Merkle proof does not lead to the root.
    #[error("the {what} proof does not lead to the root {root}")]
    BadProof {
        /// "inclusion" or "consistency".
        what: &'static str,
        /// The root that it should have led to.
        root: Hash,
    },
    /// Two hashes that must be equal are not.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What was compared.
        what: &'static str,
        /// The hash that was expected.
        expected: Hash,
        /// The hash that was found.
        found: Hash,
    },
    /// A tile that is needed cannot be read.
    #[error("tile `{path}` cannot be read: {why}")]
    Tile {
        /// Its path below the log's prefix.
        path: String,
        /// The reader's reason.
        why: String,
    },
    /// A signature by a known key does not hold.
    #[error("the signature by `{by}` does not hold")]
    BadSignature {
        /// Name or fingerprint of the key.
        by: String,
    },
    /// A signature that is needed is absent.
    #[error("no signature by {wanted}")]
    Unsigned {
        /// Whose signature is needed.
        wanted: String,
    },
    /// A well-formed algorithm, version or kind that this build does not verify.
    #[error("{what} `{value}` is not supported")]
    Unsupported {
        /// "signature algorithm", …
        what: &'static str,
        /// Its name.
        value: String,
    },
    /// A rule of the format or of the roster forbids it.
    #[error("{what}: {why}")]
    Rule {
        /// What was judged.
        what: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The same, where the reason names what is wrong.
    #[error("{what}: {why}")]
    Refused {
        /// What was judged.
        what: &'static str,
        /// The rule that it breaks, and by what.
        why: String,
    },
    /// The signing key refused or could not sign.
    #[error("the key could not sign")]
    Signing,
}

impl Error {
    pub(crate) const fn malformed(what: &'static str, why: &'static str) -> Error {
        Error::Malformed { what, why }
    }

    /// Fails if `size` is above `limit`.
    pub(crate) fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
        if size <= limit {
            return Ok(());
        }
        Err(Error::TooLarge { what, size: size as u64, limit: limit as u64 })
    }
}
