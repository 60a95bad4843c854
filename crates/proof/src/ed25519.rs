//! Ed25519 keys (RFC 8032): the port through which something signs, a software key, and verification.

use std::fmt;

use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::cbor::{CborError, Decode, Encode, Reader, Writer};
use crate::error::Error;

/// A signature, 64 bytes.
pub type Signature = [u8; 64];

/// Something that signs: a software key here, keyd's own keys in keyd.
pub trait Signer {
    /// The key that verifies.
    fn public_key(&self) -> PublicKey;

    /// Signs `message`.
    fn sign(&self, message: &[u8]) -> Result<Signature, Error>;
}

/// An Ed25519 public key, printed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// True if `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&signature::ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for PublicKey {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for PublicKey {
    fn decode(reader: &mut Reader<'_>) -> Result<PublicKey, CborError> {
        <[u8; 32]>::decode(reader).map(PublicKey)
    }
}

/// A key pair in this process's memory. It has no `Debug` and no `Clone`.
pub struct SoftKey(Ed25519KeyPair);

impl SoftKey {
    /// The key pair of a 32-byte seed (the private key of RFC 8032).
    pub fn from_seed(seed: &[u8; 32]) -> Result<SoftKey, Error> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(SoftKey).map_err(|_| Error::Signing)
    }
}

impl Signer for SoftKey {
    fn public_key(&self) -> PublicKey {
        let mut key = [0; 32];
        key.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        PublicKey(key)
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        self.0.sign(message).as_ref().try_into().map_err(|_| Error::Signing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_rfc_8032_test_1() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = SoftKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap()).unwrap();
        assert_eq!(
            key.public_key().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let signature = key.sign(b"").unwrap();
        assert!(hex::encode(signature).starts_with("e5564300c360ac729086e2cc806e828a"));
        assert!(key.public_key().verifies(b"", &signature));
        assert!(!key.public_key().verifies(b"x", &signature));
        assert!(!key.public_key().verifies(b"", &signature[1..]));
    }
}
