//! The symmetric ciphertext blob, and the encryption context that it is bound to.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | `"WCB1"`, magic and version |
//! | 4 | 8 | domain id: foreign blobs are refused at once |
//! | 12 | 16 | id of the backing key |
//! | 28 | 16 | N, a random nonce |
//! | 44 | 12 | IV |
//! | 56 | 32 | commitment C, compared in constant time before anything is opened |
//! | 88 | n + 16 | ciphertext and tag |
//!
//! `K ‖ C = KBKDF-CTR-HMAC-SHA256(backing key, label, N ‖ id)`, 512 bits; ciphertext is
//! AES-256-GCM under K. The commitment is there because GCM alone opens under more than one key.
//! The associated data is bytes 0..88 and the encryption context.

use std::collections::BTreeMap;

use writ_model::Env;
use zeroize::Zeroizing;

use crate::crypto::{Aead, NONCE_BYTES, TAG_BYTES, equal, kbkdf, take};
use crate::{Error, limits};

/// The first bytes of a blob; the digit is the format's version.
pub const BLOB_MAGIC: &[u8; 4] = b"WCB1";
/// Bytes before the ciphertext.
pub const BLOB_HEADER_BYTES: usize = 88;

const LABEL: &str = "writ-blob-key-v1";

/// An encryption context, in the order of its keys' bytes.
pub(crate) type EncryptionContext = BTreeMap<String, String>;

/// The canonical bytes of a context: count, then the pairs sorted by key, each string with its
/// length before it. No context and an empty one are the same. Injective.
pub(crate) fn canonical_context(context: &EncryptionContext) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = word(context.len()).to_vec();
    for (key, value) in context {
        for text in [key, value] {
            bytes.extend_from_slice(&word(text.len()));
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// Who made a blob, read from its header without opening it.
pub(crate) struct Header {
    /// The domain.
    pub(crate) domain: [u8; 8],
    /// The backing key.
    pub(crate) backing_key: [u8; 16],
    nonce: [u8; 16],
    iv: [u8; NONCE_BYTES],
    commitment: [u8; 32],
}

/// Reads the header; `None` for anything that no Writ made.
pub(crate) fn header(blob: &[u8]) -> Option<Header> {
    let fits = blob.len() > BLOB_HEADER_BYTES + TAG_BYTES && blob.len() <= limits::BLOB_MAX_BYTES;
    let mut input = blob;
    if !fits || take::<4>(&mut input)? != *BLOB_MAGIC {
        return None;
    }
    Some(Header {
        domain: take(&mut input)?,
        backing_key: take(&mut input)?,
        nonce: take(&mut input)?,
        iv: take(&mut input)?,
        commitment: take(&mut input)?,
    })
}

/// Encrypts `plain` (1 to 4,096 bytes) under a backing key.
pub(crate) fn encrypt(
    domain: &[u8; 8],
    id: &[u8; 16],
    secret: &[u8; 32],
    context: &EncryptionContext,
    plain: &[u8],
    env: &dyn Env,
) -> Result<Vec<u8>, Error> {
    let mut random = [0u8; 16 + NONCE_BYTES];
    env.fill(&mut random);
    let (nonce, iv) = random.split_at(16);
    let keys = derive(secret, nonce, id)?;
    let (key, commitment) = halves(&keys);
    let mut blob = Vec::with_capacity(BLOB_HEADER_BYTES + plain.len() + TAG_BYTES);
    blob.extend_from_slice(BLOB_MAGIC);
    blob.extend_from_slice(domain);
    blob.extend_from_slice(id);
    blob.extend_from_slice(nonce);
    blob.extend_from_slice(iv);
    blob.extend_from_slice(commitment);
    let aad = [&blob, canonical_context(context).as_slice()].concat();
    let iv = iv.try_into().map_err(|_| Error::Crypto { what: "an IV" })?;
    Aead::new(key)?.seal(iv, &aad, plain, &mut blob)?;
    Ok(blob)
}

/// Opens a blob whose header names this backing key; `None` if anything differs.
pub(crate) fn decrypt(
    header: &Header,
    secret: &[u8; 32],
    context: &EncryptionContext,
    blob: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let keys = derive(secret, &header.nonce, &header.backing_key).ok()?;
    let (key, commitment) = halves(&keys);
    if !equal(commitment, &header.commitment) {
        return None;
    }
    let (head, body) = blob.split_at_checked(BLOB_HEADER_BYTES)?;
    let aad = [head, &canonical_context(context)].concat();
    Aead::new(key).ok()?.open(header.iv, &aad, body)
}

fn derive(secret: &[u8; 32], nonce: &[u8], id: &[u8; 16]) -> Result<Zeroizing<[u8; 64]>, Error> {
    let mut keys = Zeroizing::new([0u8; 64]);
    kbkdf(secret, LABEL, &[nonce, id].concat(), keys.as_mut_slice())?;
    Ok(keys)
}

fn halves(keys: &Zeroizing<[u8; 64]>) -> (&[u8; 32], &[u8]) {
    static ZERO: [u8; 32] = [0; 32];
    // INVARIANT: 64 bytes have a first half, so the default never shows.
    keys.split_first_chunk().unwrap_or((&ZERO, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use writ_model::SystemEnv;

    const DOMAIN: [u8; 8] = *b"domain-1";
    const ID: [u8; 16] = [5; 16];

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn open(secret: &[u8; 32], context: &EncryptionContext, blob: &[u8]) -> Option<Vec<u8>> {
        let header = header(blob).filter(|h| h.domain == DOMAIN && h.backing_key == ID)?;
        decrypt(&header, secret, context, blob).map(|plain| plain.to_vec())
    }

    #[test]
    fn canonical_context_has_its_documented_bytes() {
        assert_eq!(canonical_context(&context(&[])), [0, 0, 0, 0]);
        let bytes = canonical_context(&context(&[("b", "x"), ("a", "")]));
        let expected = b"\0\0\0\x02\0\0\0\x01a\0\0\0\0\0\0\0\x01b\0\0\0\x01x";
        assert_eq!(bytes, expected);
    }

    proptest! {
        #[test]
        fn canonical_context_is_injective(
            a in proptest::collection::btree_map("[ab\0]{0,3}", "[ab\0]{0,3}", 0..3),
            b in proptest::collection::btree_map("[ab\0]{0,3}", "[ab\0]{0,3}", 0..3),
        ) {
            prop_assert_eq!(a == b, canonical_context(&a) == canonical_context(&b));
        }

        #[test]
        fn decrypt_gives_back_what_encrypt_took(
            plain in proptest::collection::vec(0u8.., 1..200),
            secret in proptest::array::uniform32(0u8..),
            ec in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..4),
        ) {
            let blob = encrypt(&DOMAIN, &ID, &secret, &ec, &plain, &SystemEnv).unwrap();
            prop_assert_eq!(blob.len(), plain.len() + 104);
            prop_assert_eq!(open(&secret, &ec, &blob), Some(plain));
        }

        #[test]
        fn decrypt_refuses_another_key(a in proptest::array::uniform32(0u8..), bit in 0usize..256) {
            let blob = encrypt(&DOMAIN, &ID, &a, &context(&[]), b"x", &SystemEnv).unwrap();
            let mut b = a;
            b[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&b, &context(&[]), &blob), None);
        }
    }

    #[test]
    fn decrypt_refuses_every_flipped_bit_and_every_other_context() {
        let (secret, ec) = ([7; 32], context(&[("k", "v")]));
        let blob = encrypt(&DOMAIN, &ID, &secret, &ec, b"plaintext", &SystemEnv).unwrap();
        assert!(open(&secret, &ec, &blob).is_some());
        for bit in 0..blob.len() * 8 {
            let mut wrong = blob.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&secret, &ec, &wrong), None, "bit {bit}");
        }
        for other in [&[][..], &[("k", "V")], &[("K", "v")], &[("k", "v"), ("l", "")]] {
            assert_eq!(open(&secret, &context(other), &blob), None, "{other:?}");
        }
        for cut in 0..blob.len() {
            assert_eq!(open(&secret, &ec, &blob[..cut]), None);
        }
    }
}
