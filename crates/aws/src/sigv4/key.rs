//! Signing keys: derived from a secret for one day, region and service.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{StringToSign, TERMINATOR};

/// A signing key: enough to sign anything for one day, region and service.
///
/// It has no `Debug`, `Clone` or `Serialize`. Its bytes live at one place on the heap, so that
/// moving the value leaves no copies, and are zeroized when it is dropped.
pub struct SigningKey(Box<Zeroizing<[u8; 32]>>);

impl SigningKey {
    /// Derives the key from the secret access key: four HMACs.
    ///
    /// `date` is `YYYYMMDD`, as in the scope.
    pub fn derive(secret: &[u8], date: &str, region: &str, service: &str) -> SigningKey {
        let mut seed = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        seed.extend_from_slice(b"AWS4");
        seed.extend_from_slice(secret);
        let day = mac(&seed, date.as_bytes());
        let place = mac(day.as_slice(), region.as_bytes());
        let part = mac(place.as_slice(), service.as_bytes());
        SigningKey(Box::new(mac(part.as_slice(), TERMINATOR.as_bytes())))
    }

    /// The signature over `text`, for clients and tests.
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        *mac(self.0.as_slice(), text)
    }

    /// Whether `signature` is the one over `string_to_sign`; constant time.
    #[must_use]
    pub fn verify(&self, string_to_sign: &StringToSign, signature: &[u8; 32]) -> bool {
        self.verify_bytes(string_to_sign.text.as_bytes(), signature)
    }

    /// Whether `signature` is the one over `text`; constant time.
    #[must_use]
    pub fn verify_bytes(&self, text: &[u8], signature: &[u8; 32]) -> bool {
        let expected = mac(self.0.as_slice(), text);
        expected.as_slice().ct_eq(signature.as_slice()).into()
    }
}

fn mac(key: &[u8], text: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, text);
    let mut out = Zeroizing::new([0; 32]);
    // INVARIANT: HMAC-SHA256 has 32 bytes, so both slices have the same length.
    out.copy_from_slice(tag.as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Examples of how to derive a signing key", AWS General Reference.
    #[test]
    fn derive_gives_the_documented_key() {
        let secret = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let key = SigningKey::derive(secret, "20120215", "us-east-1", "iam");
        let expected = "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d";
        assert_eq!(hex::encode(key.0.as_slice()), expected);
    }

    #[test]
    fn verify_refuses_every_flipped_bit() {
        let key = SigningKey::derive(b"secret", "20120215", "us-east-1", "iam");
        let right = key.sign(b"text");
        assert!(key.verify_bytes(b"text", &right));
        for bit in 0..256 {
            let mut wrong = right;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify_bytes(b"text", &wrong), "bit {bit}");
        }
    }
}
