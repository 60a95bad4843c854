//! Registration of a passkey: what a browser's authenticator says when it makes one.
//!
//! Strict, and no more than the roster needs (WebAuthn level 2, section 7.1): ES256 on P-256, made for
//! this site, by a user whom the authenticator has verified, in hardware that it does not leave. An
//! attestation is not evaluated; its format is told, so that nobody takes it for evaluated. Assertions
//! are checked in `proof`, with the statements that they sign.
//!
//! Input is bounded before it is read, and whatever CBOR is read must be the one encoding of its value.

mod assertion;
mod authenticator;
mod cbor;
mod client_data;

use writ_proof::hash::sha256;
use writ_proof::roster::Passkey;
use writ_proof::sshsig::SshPublicKey;

pub use assertion::{Assertion, AssertionError, Posted};

use crate::limits::ATTESTATION_MAX_BYTES;
use authenticator::Attested;

/// What a registration must be of.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The bytes that the page gave to the browser.
    pub challenge: &'a [u8],
    /// The origins of our pages, such as `https://writ.example:8441`.
    pub origins: &'a [&'a str],
    /// The site that the passkey is for.
    pub rp_id: &'a str,
    /// Take an attestation of any format without evaluating it; mode `dev`.
    pub any_attestation: bool,
}

/// A passkey that an authenticator has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its key, in the form in which OpenSSH verifies it.
    pub key: SshPublicKey,
    /// What asking for a signature with it needs.
    pub passkey: Passkey,
    /// The format of the attestation that came with it; nothing of it was evaluated.
    pub attestation: String,
}

/// Why a registration is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Larger than is read.
    #[error("the {what} has more than {max} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The browser's part does not fit.
    #[error("the browser's data does not fit: {0}")]
    ClientData(&'static str),
    /// The authenticator's part does not fit.
    #[error("the authenticator's data does not fit: {0}")]
    Authenticator(&'static str),
    /// An attestation that nobody evaluates.
    #[error("an attestation of format `{0}` is not evaluated here, so it is not taken")]
    Attestation(String),
}

/// Reads a registration and checks everything that the module names.
///
/// # Errors
/// The first thing that does not hold.
pub fn register(
    client_data: &[u8],
    attestation: &[u8],
    expected: &Expected<'_>,
) -> Result<Registered, RegistrationError> {
    client_data::check(client_data, expected)?;
    if attestation.len() > ATTESTATION_MAX_BYTES {
        let max = ATTESTATION_MAX_BYTES;
        return Err(RegistrationError::TooLarge { what: "attestation", max });
    }
    let (format, data) = cbor::attestation(attestation)?;
    if format.name != "none" && !expected.any_attestation {
        return Err(RegistrationError::Attestation(format.name));
    }
    if format.name == "none" && !format.empty {
        return Err(RegistrationError::Authenticator("an attestation `none` has a statement"));
    }
    let Attested { credential_id, point } =
        authenticator::read(&data, &sha256(expected.rp_id.as_bytes()))?;
    Ok(Registered {
        key: SshPublicKey::SkEcdsa { point, application: expected.rp_id.to_owned() },
        passkey: Passkey { credential_id, rp_id: expected.rp_id.to_owned() },
        attestation: format.name,
    })
}
