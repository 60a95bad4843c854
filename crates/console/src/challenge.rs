//! What the two kinds of keys sign to show that their holder opened the link.
//!
//! Both follow from the token of the link, which is random, is good once, and of which the store holds
//! the hash alone.

use writ_model::PersonId;
use writ_proof::hash::{Hash, sha256_of};
use writ_proof::origin::SiteId;

/// The namespace in which an SSH key proves that its holder has it.
pub const NAMESPACE: &str = "enrol@writ";

/// The message that an SSH key signs; one line without its end.
pub fn possession(site: &SiteId, person: &PersonId, token: &[u8]) -> String {
    let hash = derived("possession", site, person, token);
    format!("enrol {person} at {site} {}", hex::encode(hash.0))
}

/// The challenge of a new passkey.
pub(crate) fn passkey(site: &SiteId, person: &PersonId, token: &[u8]) -> Hash {
    derived("passkey", site, person, token)
}

/// By what an authenticator knows the person. It is no secret.
pub(crate) fn user(site: &SiteId, person: &PersonId) -> Hash {
    derived("user", site, person, b"")
}

fn derived(what: &str, site: &SiteId, person: &PersonId, token: &[u8]) -> Hash {
    // None of the texts has a line's end in it.
    let head = format!("writ enrolment v1\n{what}\n{site}\n{person}\n");
    sha256_of(&[head.as_bytes(), token])
}
