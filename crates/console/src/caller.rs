//! The proof of an enrolled person, for requests that no statement carries:
//! `authorization: SSHSIG BASE64`, a signature in the namespace `read@writ`.
//!
//! It covers method, path, date and body, so it is good for one request and for minutes. It opens what
//! changes no right: reading, and links to enrol. Everything else is a statement.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::Timestamp;
use writ_proof::hash::{Hash, sha256, sha256_of};
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_service::http::Request;

use crate::limits::PROOF_WINDOW;

/// The namespace of the signature.
pub const NAMESPACE: &str = "read@writ";
/// The field with the date that is signed, in the basic form of ISO 8601: `20261122T101500Z`.
pub const DATE: &str = "x-writ-date";
/// What stands before the signature in `authorization`.
pub const SCHEME: &str = "SSHSIG ";

/// Who asks, by a signature that holds. Whether the key is somebody's is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key: SshPublicKey,
    /// What was signed, and by which key: the same for a request that is sent again.
    pub digest: Hash,
}

/// What is signed.
pub fn message(method: &str, path: &str, date: &str, body: &[u8]) -> String {
    format!("{method} {path}\n{date}\n{}", hex::encode(sha256(body).0))
}

/// Checks the proof of a request.
///
/// # Errors
/// What is missing or wrong.
pub fn caller(request: &Request, now: Timestamp) -> Result<Caller, &'static str> {
    if !request.query.is_empty() {
        return Err("a query is not signed");
    }
    let date = request.header(DATE).ok_or("there is no date in x-writ-date")?;
    let at = Timestamp::parse_basic(date).map_err(|_| "the date cannot be read")?;
    if at.since(now).max(now.since(at)) > PROOF_WINDOW {
        return Err("the date is more than five minutes from this clock");
    }
    let proof = request.header("authorization").and_then(|text| text.strip_prefix(SCHEME));
    let proof = proof.ok_or("there is no signature in authorization")?;
    let unreadable = "the signature cannot be read";
    let proof = STANDARD.decode(proof.trim()).map_err(|_| unreadable)?;
    let signature = SshSig::from_bytes(&proof).map_err(|_| unreadable)?;
    let message = message(&request.method, &request.path, date, &request.body);
    let signer = signature
        .verify(message.as_bytes(), NAMESPACE)
        .map_err(|_| "the signature does not hold")?;
    if signer.webauthn.is_some() {
        return Err("a browser's signature is not taken here");
    }
    let digest = sha256_of(&[&signer.key.to_blob(), message.as_bytes()]);
    Ok(Caller { key: signer.key, digest })
}
