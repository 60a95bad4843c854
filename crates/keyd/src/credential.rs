//! Wrapped credentials and session tokens: secrets that others store and only keyd can open.
//!
//! ```text
//! "WCR1" (long-term) or "WST1" (session) | dk id u32 BE | nonce 12 | ciphertext | tag 16
//! ```
//! The header is the associated data. A session token is the base64 of the second form; it carries
//! the caller's facts, so that nobody has to store sessions and nobody can change one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_keyd_client::caller::Caller;
use writ_keyd_client::secret::SecretBytes;
use writ_model::{AccessKeyId, AccountId, Env, Timestamp};
use writ_proof::{cbor, cbor_enum, cbor_map};
use zeroize::Zeroizing;

use crate::crypto::{NONCE_BYTES, take};
use crate::domain::Domain;
use crate::limits;

const MAGIC_LONG_TERM: &[u8; 4] = b"WCR1";
const MAGIC_SESSION: &[u8; 4] = b"WST1";
const HEADER_BYTES: usize = 8;

/// What a credential says, once opened.
pub(crate) struct Wrapped {
    /// Its id; the claim of a request must name the same.
    pub(crate) id: AccessKeyId,
    /// The secret access key.
    pub(crate) secret: SecretBytes,
    /// Whose it is.
    pub(crate) holder: Holder,
}
cbor_map!(Wrapped { 1: id, 2: secret, 3: holder });

/// Whose a credential is.
pub(crate) enum Holder {
    /// A long-term key: what its owner is called now is in the catalogue.
    LongTerm(Owner),
    /// A session: everything about it was fixed when it was issued.
    Session(Box<Caller>),
}
cbor_enum!(Holder { 0: LongTerm(_), 1: Session(_) });

impl Holder {
    fn magic(&self) -> &'static [u8; 4] {
        match self {
            Holder::LongTerm(_) => MAGIC_LONG_TERM,
            Holder::Session(_) => MAGIC_SESSION,
        }
    }
}

/// The owner of a long-term key.
pub(crate) struct Owner {
    /// The account.
    pub(crate) account: AccountId,
    /// The user's unique id; absent for the account's root.
    pub(crate) user: Option<String>,
    /// When it was issued.
    pub(crate) created: Timestamp,
    /// True if an identity policy, which keyd does not evaluate, let it be issued.
    pub(crate) delegated: bool,
}
cbor_map!(Owner { 1: account, 2: opt user, 3: created, 4: delegated });

/// A new secret access key: 40 characters of base64, 240 random bits, as AWS's.
pub(crate) fn new_secret(env: &dyn Env) -> SecretBytes {
    let mut random = Zeroizing::new([0u8; 30]);
    env.fill(random.as_mut_slice());
    SecretBytes::new(STANDARD.encode(random.as_slice()).into_bytes())
}

/// Wraps a credential under the active domain key.
pub(crate) fn wrap(domain: &Domain, wrapped: &Wrapped, env: &dyn Env) -> Option<Vec<u8>> {
    let (id, key) = domain.active()?;
    let plain = Zeroizing::new(cbor::to_vec(wrapped));
    let mut nonce = [0; NONCE_BYTES];
    env.fill(&mut nonce);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + plain.len() + 16);
    bytes.extend_from_slice(wrapped.holder.magic());
    bytes.extend_from_slice(&id.to_be_bytes());
    let aad = bytes.clone();
    bytes.extend_from_slice(&nonce);
    let sealed = key.credentials.seal(nonce, &aad, &plain, &mut bytes);
    sealed.ok().filter(|()| bytes.len() <= limits::CREDENTIAL_MAX_BYTES).map(|()| bytes)
}

/// Opens a wrapped credential or the bytes of a session token; `None` if it is not keyd's.
pub(crate) fn open(domain: &Domain, bytes: &[u8]) -> Option<Wrapped> {
    let mut input = bytes;
    let header =
        bytes.get(..HEADER_BYTES).filter(|_| bytes.len() <= limits::CREDENTIAL_MAX_BYTES)?;
    let magic = take::<4>(&mut input)?;
    let dk = u32::from_be_bytes(take::<4>(&mut input)?);
    let nonce = take::<NONCE_BYTES>(&mut input)?;
    let plain = domain.key(dk)?.credentials.open(nonce, header, input)?;
    let wrapped: Wrapped = cbor::from_slice(&plain).ok()?;
    (magic == *wrapped.holder.magic()).then_some(wrapped)
}

/// The text of a session token.
pub(crate) fn token_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a session token's text.
pub(crate) fn token_bytes(text: &str) -> Option<Vec<u8>> {
    if text.len() > limits::CREDENTIAL_MAX_BYTES * 2 {
        return None;
    }
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tests::domain;
    use writ_model::SystemEnv;

    fn sample() -> Wrapped {
        let account = AccountId::from_number(7).unwrap();
        Wrapped {
            id: AccessKeyId::long_term(account, &SystemEnv),
            secret: new_secret(&SystemEnv),
            holder: Holder::LongTerm(Owner {
                account,
                user: None,
                created: Timestamp::from_secs(9),
                delegated: false,
            }),
        }
    }

    #[test]
    fn credential_opens_in_its_own_domain_only() {
        let (domain1, wrapped) = (domain(), sample());
        assert_eq!(wrapped.secret.expose().len(), 40);
        let bytes = wrap(&domain1, &wrapped, &SystemEnv).unwrap();
        let opened = open(&domain1, &bytes).unwrap();
        assert_eq!(opened.id, wrapped.id);
        assert!(opened.secret.constant_time_eq(wrapped.secret.expose()));
        assert!(open(&domain(), &bytes).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&domain1, &wrong).is_none(), "bit {bit}");
        }
        (0..bytes.len()).for_each(|cut| assert!(open(&domain1, &bytes[..cut]).is_none()));
    }
}
