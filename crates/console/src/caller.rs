//! The proof of enrolled persons, for requests that no statement carries: `authorization: SSHSIG BASE64`;
//! several signatures stand with commas between them.
//!
//! It covers method, path, query, date and body, so it is good for one request and for minutes, and it counts in
//! one namespace alone, which says for what kind of request it was made. It opens what changes no right:
//! reading, links to enrol, a human's word on what the HR feed says. Everything else is a statement.
//!
//! A browser signs the same message with a passkey; it comes in by a page ([`crate::port::SignedCall`]), not here.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::{PersonId, Timestamp};
use writ_proof::hash::{Hash, sha256, sha256_of};
use writ_proof::roster::Roster;
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_service::http::Request;

use crate::limits::{PROOF_WINDOW, PROOFS_MAX};

/// The namespace of what reads, and of opening a link to enrol.
pub const READ: &str = "read@writ";
/// The namespace of what changes something and is no statement: opening and closing a ticket, taking a request
/// back, revoking a grant, asking for a nonce.
pub const CALL: &str = "call@writ";
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

/// What is asked for: the path, and after a `?` the query where there is one.
fn target(request: &Request) -> String {
    match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    }
}

/// What is signed; `target` is the path, and after a `?` the query where there is one.
pub fn message(method: &str, target: &str, date: &str, body: &[u8]) -> String {
    format!("{method} {target}\n{date}\n{}", hex::encode(sha256(body).0))
}

/// Fails unless the date that was signed is near this clock.
///
/// # Errors
/// What is wrong with it.
pub fn in_time(date: &str, now: Timestamp) -> Result<(), &'static str> {
    let at = Timestamp::parse_basic(date).map_err(|_| "the date cannot be read")?;
    if at.since(now).max(now.since(at)) > PROOF_WINDOW {
        return Err("the date is more than five minutes from this clock");
    }
    Ok(())
}

/// Everybody who signed a request in `namespace`, in the order of the signatures.
///
/// # Errors
/// What is missing, or wrong with any one of them.
pub fn callers(
    request: &Request,
    namespace: &str,
    now: Timestamp,
) -> Result<Vec<Caller>, &'static str> {
    let date = request.header(DATE).ok_or("there is no date in x-writ-date")?;
    in_time(date, now)?;
    let proofs = request.header("authorization").and_then(|text| text.strip_prefix(SCHEME));
    let proofs = proofs.ok_or("there is no signature in authorization")?;
    if proofs.split(',').count() > PROOFS_MAX {
        return Err("it carries too many signatures");
    }
    let message = message(&request.method, &target(request), date, &request.body);
    proofs.split(',').map(|proof| signer(proof.trim(), &message, namespace)).collect()
}

/// The one who signed a request in `namespace`, where there must not be others.
///
/// # Errors
/// What is missing or wrong.
pub fn caller(request: &Request, namespace: &str, now: Timestamp) -> Result<Caller, &'static str> {
    let [caller] = <[Caller; 1]>::try_from(callers(request, namespace, now)?)
        .map_err(|_| "it carries more than one signature")?;
    Ok(caller)
}

/// The people of the roster whose keys signed.
///
/// # Errors
/// One of the keys is nobody's.
pub fn persons(callers: &[Caller], roster: &Roster) -> Result<BTreeSet<PersonId>, &'static str> {
    let person = |caller: &Caller| {
        roster.person(&caller.key).cloned().ok_or("the key that signed is not in the roster")
    };
    callers.iter().map(person).collect()
}

fn signer(proof: &str, message: &str, namespace: &str) -> Result<Caller, &'static str> {
    let unreadable = "the signature cannot be read";
    let proof = STANDARD.decode(proof).map_err(|_| unreadable)?;
    let signature = SshSig::from_bytes(&proof).map_err(|_| unreadable)?;
    let signer = signature
        .verify(message.as_bytes(), namespace)
        .map_err(|_| "the signature does not hold")?;
    if signer.webauthn.is_some() {
        return Err("a browser's signature is not taken here");
    }
    let digest = sha256_of(&[&signer.key.to_blob(), message.as_bytes()]);
    Ok(Caller { key: signer.key, digest })
}
