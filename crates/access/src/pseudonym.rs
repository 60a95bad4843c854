//! What a customer sees of a human of the operating side.

use writ_model::PersonId;
use writ_proof::hash::hmac_sha256;
use writ_proof::origin::SiteId;

/// `op-` and 50 bits of HMAC-SHA-256 of the person's id under the site's name, in base32: the same for the same human
/// at one site, and another one elsewhere. It spares people their names; whoever knows all ids can compute it.
pub fn pseudonym(site: &SiteId, person: &PersonId) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let label = b"writ operator pseudonym v1\0";
    let hash = hmac_sha256(site.as_str().as_bytes(), &[label, person.as_str().as_bytes()]);
    let bits = hash.0.iter().take(7).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let letter = |at: u32| {
        let index = usize::try_from(bits >> (51 - 5 * at) & 31).unwrap_or_default();
        char::from(LETTERS.get(index).copied().unwrap_or_default())
    };
    let letters: String = (0..10).map(letter).collect();
    format!("op-{letters}")
}
