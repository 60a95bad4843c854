//! Nouns that every part of Writ shares: identifiers, time, limits and the environment.
//!
//! Each identifier is a type that can only hold a well-formed value: text is parsed once, where
//! it enters. The crate does no I/O by itself; the clock and randomness come through [`Env`].
//! It knows nothing of policies, of wire formats or of storage.

pub mod account;
pub mod arn;
pub mod customer;
pub mod env;
pub mod failpoint;
pub mod id;
pub mod limits;
pub mod person;
pub mod region;
pub mod revision;
pub mod time;
pub mod ulid;

pub use account::AccountId;
pub use arn::Arn;
pub use customer::{LockboxMode, SUPPORT_PATH, SUPPORT_ROLE, Said};
pub use env::{Env, SystemEnv};
pub use id::{AccessKeyId, KeyId, Nonce, UniqueId, UniqueIdKind, Uuid};
pub use person::PersonId;
pub use region::Region;
pub use revision::{Revision, StoreEpoch};
pub use time::Timestamp;
pub use ulid::Ulid;

/// Why a text is not the identifier that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct ParseError {
    /// The offending text, cut to 128 characters.
    pub value: String,
    /// What was expected, as a phrase: "an account id of 12 digits".
    pub expected: &'static str,
}

impl ParseError {
    /// An error about `value`, of which at most 128 characters are kept.
    pub fn new(value: &str, expected: &'static str) -> ParseError {
        ParseError { value: value.chars().take(128).collect(), expected }
    }
}
