//! The few primitives that the formats are built from, all by aws-lc; hashes and MACs are in
//! `writ_proof::hash`.
//!
//! Randomness never comes from the library: nonces and keys are drawn through `Env`.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
use subtle::ConstantTimeEq;
use writ_proof::hash::hmac_sha256;
use zeroize::Zeroizing;

use crate::Error;

/// Bytes of a GCM nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of a GCM tag.
pub(crate) const TAG_BYTES: usize = 16;

/// Equality without a timing side channel.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// SP 800-108 counter mode with HMAC-SHA256: fills `out` from `key`, a label and a context.
///
/// The fixed input is `label ‖ 00 ‖ context ‖ bits of out as u32 BE`.
pub(crate) fn kbkdf(key: &[u8], label: &str, context: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let refused = Error::Crypto { what: "a key derivation" };
    let Some(algorithm) = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256) else {
        return Err(refused);
    };
    let bits = u32::try_from(out.len() * 8).unwrap_or(u32::MAX);
    let info = [label.as_bytes(), &[0], context, &bits.to_be_bytes()].concat();
    kbkdf_ctr_hmac(algorithm, key, &info, out).map_err(|_| refused)
}

/// A 32-byte key derived from `key`.
pub(crate) fn subkey(key: &[u8], label: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut out = Zeroizing::new([0; 32]);
    kbkdf(key, label, &[], out.as_mut_slice())?;
    Ok(out)
}

/// HKDF-SHA256 with one block of output (RFC 5869).
pub(crate) fn hkdf(secret: &[u8], salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
    let prk = Zeroizing::new(hmac_sha256(salt, &[secret]).0);
    Zeroizing::new(hmac_sha256(prk.as_slice(), &[info.as_bytes(), &[1]]).0)
}

/// An AES-256-GCM key whose nonces the caller draws.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    /// The key of these 32 bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Result<Aead, Error> {
        UnboundKey::new(&AES_256_GCM, key)
            .map(|key| Aead(LessSafeKey::new(key)))
            .map_err(|_| Error::Crypto { what: "an AES-256 key" })
    }

    /// Appends ciphertext and tag of `plain` to `out`; `nonce` must never repeat for this key.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let body = out.get_mut(start..).unwrap_or_default();
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
            .map_err(|_| Error::Crypto { what: "a seal" })?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// The plaintext of ciphertext and tag, or `None` if anything about them is wrong.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.0.open_in_place(nonce, Aad::from(aad), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }

    /// The same for what holds a key.
    pub(crate) fn open_key(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<[u8; 32]>> {
        let plain = self.open(nonce, aad, sealed)?;
        plain.as_slice().try_into().ok().map(Zeroizing::new)
    }
}

/// Cuts `N` bytes off the front of `input`.
pub(crate) fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP 800-108r1 section 4.1, written a second time from the text alone.
    fn by_hand(key: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut counter = 1u32;
        while out.len() < length {
            let mut input = counter.to_be_bytes().to_vec();
            input.extend_from_slice(label.as_bytes());
            input.push(0);
            input.extend_from_slice(context);
            input.extend_from_slice(&u32::try_from(length * 8).unwrap().to_be_bytes());
            out.extend_from_slice(&hmac_sha256(key, &[&input]).0);
            counter += 1;
        }
        out.truncate(length);
        out
    }

    proptest::proptest! {
        #[test]
        fn kbkdf_equals_a_second_implementation(
            key in proptest::array::uniform32(0u8..),
            context in proptest::collection::vec(0u8.., 0..64),
            length in 1usize..200,
        ) {
            let mut out = vec![0; length];
            kbkdf(&key, "label", &context, &mut out).unwrap();
            proptest::prop_assert_eq!(out, by_hand(&key, "label", &context, length));
        }
    }

    #[test]
    fn hkdf_is_that_of_rfc_5869_case_1() {
        let salt = hex::decode("000102030405060708090a0b0c").unwrap();
        let info = String::from_utf8(vec![0x41, 0x42]).unwrap();
        let okm = hkdf(&[0x0b; 22], &salt, &info);
        // The PRK of the case is fixed by the RFC; its info is not text, so only the PRK is compared.
        let prk = hmac_sha256(&salt, &[&[0x0b; 22]]).0;
        assert_eq!(
            hex::encode(prk),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
        );
        assert_eq!(*okm, hmac_sha256(&prk, &[b"AB", &[1]]).0);
    }

    #[test]
    fn open_refuses_every_flipped_bit() {
        let key = Aead::new(&[3; 32]).unwrap();
        let mut sealed = Vec::new();
        key.seal([1; 12], b"aad", b"plain", &mut sealed).unwrap();
        assert_eq!(key.open([1; 12], b"aad", &sealed).unwrap().as_slice(), b"plain");
        for bit in 0..sealed.len() * 8 {
            let mut wrong = sealed.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open([1; 12], b"aad", &wrong).is_none(), "bit {bit}");
        }
    }
}
