//! Sealing to somebody's X25519 key: HPKE in base mode, one message a key (RFC 9180), with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.
//!
//! What a message is for goes into `info`, so that none opens as another. Who sealed it, it does not say.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::hash::hmac_sha256;

const WHAT: &str = "sealed message";
/// Bytes of a public key, and of what goes before the ciphertext.
pub const KEY_BYTES: usize = 32;
/// Bytes that sealing adds: the ephemeral key, and the tag of GCM.
pub const SEALED_EXTRA_BYTES: usize = KEY_BYTES + 16;

/// `"KEM" | DHKEM(X25519, HKDF-SHA256)` (RFC 9180, section 4.1).
const KEM: &[u8] = b"KEM\x00\x20";
/// `"HPKE" | DHKEM(X25519, HKDF-SHA256) | HKDF-SHA256 | AES-256-GCM` (section 5.1).
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x02";

/// Who can open what is sealed to their key. It has no `Debug` and no `Clone`.
pub struct Recipient {
    key: PrivateKey,
    public: [u8; KEY_BYTES],
}

impl Recipient {
    /// From 32 random bytes.
    pub fn new(secret: &[u8; KEY_BYTES]) -> Result<Recipient, Error> {
        let (key, public) = pair(secret)?;
        Ok(Recipient { key, public })
    }

    /// The key that others seal to.
    pub fn public(&self) -> [u8; KEY_BYTES] {
        self.public
    }

    /// What was sealed for this `info`.
    pub fn open(&self, info: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let wrong = || Error::malformed(WHAT, "it does not open with this key");
        let (theirs, body) = sealed.split_first_chunk::<KEY_BYTES>().ok_or_else(wrong)?;
        let (key, nonce) = schedule(&self.key, (theirs, theirs, &self.public), info)?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let opened = key.open_in_place(nonce, Aad::empty(), &mut buffer);
        let length = opened.map_err(|_| wrong())?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Seals `plain` to the key `recipient`. `ephemeral` is 32 fresh random bytes.
///
/// # Errors
/// The key is none: a point of small order.
pub fn seal(
    recipient: &[u8; KEY_BYTES],
    ephemeral: &[u8; KEY_BYTES],
    info: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, Error> {
    let (own, enc) = pair(ephemeral)?;
    let (key, nonce) = schedule(&own, (recipient, &enc, recipient), info)?;
    let mut body = plain.to_vec();
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut body).map_err(|_| Error::Signing)?;
    Ok([enc.as_slice(), &body].concat())
}

fn pair(secret: &[u8; KEY_BYTES]) -> Result<(PrivateKey, [u8; KEY_BYTES]), Error> {
    let key = PrivateKey::from_private_key(&X25519, secret).map_err(|_| Error::Signing)?;
    let public = key.compute_public_key().map_err(|_| Error::Signing)?;
    let public = public.as_ref().try_into().map_err(|_| Error::Signing)?;
    Ok((key, public))
}

/// The key and the nonce of the one message (RFC 9180, sections 4.1 and 5.1). `theirs` is the peer's key,
/// then the ephemeral key and the recipient's.
fn schedule(
    own: &PrivateKey,
    (theirs, enc, recipient): (&[u8; KEY_BYTES], &[u8; KEY_BYTES], &[u8; KEY_BYTES]),
    info: &[u8],
) -> Result<(LessSafeKey, Nonce), Error> {
    let wrong = || Error::malformed(WHAT, "a key of it is none");
    let peer = UnparsedPublicKey::new(&X25519, theirs);
    let shared = agreement::agree(own, peer, wrong(), |secret| {
        // A point of small order leads to nothing secret (RFC 9180, section 7.1.4).
        if secret.iter().all(|byte| *byte == 0) {
            return Err(wrong());
        }
        let prk = extract(KEM, &[], "eae_prk", secret);
        Ok(expand(KEM, &prk, "shared_secret", &[enc.as_slice(), recipient].concat(), 32))
    })?;
    let mut context = vec![0];
    context.extend_from_slice(extract(SUITE, &[], "psk_id_hash", &[]).as_slice());
    context.extend_from_slice(extract(SUITE, &[], "info_hash", info).as_slice());
    let secret = extract(SUITE, &shared, "secret", &[]);
    let key = expand(SUITE, &secret, "key", &context, 32);
    let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| Error::Signing)?;
    let nonce = expand(SUITE, &secret, "base_nonce", &context, 12);
    let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Error::Signing)?;
    Ok((LessSafeKey::new(key), nonce))
}

/// `LabeledExtract` (RFC 9180, section 4).
fn extract(suite: &[u8], salt: &[u8], label: &str, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let parts = [b"HPKE-v1", suite, label.as_bytes(), secret];
    Zeroizing::new(hmac_sha256(salt, &parts).0.to_vec())
}

/// `LabeledExpand` (RFC 9180, section 4) to at most one block.
fn expand(suite: &[u8], prk: &[u8], label: &str, info: &[u8], length: u8) -> Zeroizing<Vec<u8>> {
    let parts: [&[u8]; 6] = [&[0, length], b"HPKE-v1", suite, label.as_bytes(), info, &[1]];
    let mut out = hmac_sha256(prk, &parts).0.to_vec();
    out.truncate(usize::from(length));
    Zeroizing::new(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed by Python's `cryptography` 50.0.2, `hazmat.primitives.hpke`.
    #[test]
    fn message_that_another_implementation_sealed_opens() {
        let recipient = Recipient::new(&[7; 32]).unwrap();
        assert_eq!(
            hex::encode(recipient.public()),
            "13be4feaeaf204c7fd3358fc9c00721881d174278128227ec674f37f7fe97b6d"
        );
        let sealed = hex::decode("5e2ca22f83a360f0f926bf0c4e1b848e030be80f3846b79e3a77dcae904c66646b93aac319b8968915def5c76d6a7e75850ce044ed3186d67f381e0a51b512607b7fe48c2c2f13c91ac2249a1f52ed41").unwrap();
        assert_eq!(
            recipient.open(b"info", &sealed).unwrap().as_slice(),
            b"the key of a recording, 32 bytes"
        );
    }

    #[test]
    fn message_opens_for_its_recipient_and_its_purpose_alone() {
        let recipient = Recipient::new(&[1; 32]).unwrap();
        let sealed = seal(&recipient.public(), &[2; 32], b"a", b"secret").unwrap();
        assert_eq!(sealed.len(), 6 + SEALED_EXTRA_BYTES);
        assert_eq!(recipient.open(b"a", &sealed).unwrap().as_slice(), b"secret");
        assert!(recipient.open(b"b", &sealed).is_err());
        assert!(Recipient::new(&[3; 32]).unwrap().open(b"a", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut wrong = sealed.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            // X25519 ignores the highest bit of a key (RFC 7748, section 5), which the schedule does not.
            assert!(recipient.open(b"a", &wrong).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(recipient.open(b"a", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn key_of_small_order_is_refused() {
        let recipient = Recipient::new(&[1; 32]).unwrap();
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert!(seal(&point, &[2; 32], b"", b"secret").is_err());
            let sealed = [point.as_slice(), &[0; 32]].concat();
            assert!(recipient.open(b"", &sealed).is_err());
        }
    }
}
