//! Types for bytes that nobody may see: no `Debug`, no `Clone`, no serialisation but to a channel.

use subtle::ConstantTimeEq;
use writ_proof::cbor::{CborError, Decode, Encode, Reader, Writer};
use zeroize::Zeroizing;

/// Secret bytes on their way over a channel. Wiped when dropped; compared in constant time.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of `bytes`.
    pub fn new(bytes: Vec<u8>) -> SecretBytes {
        SecretBytes(Zeroizing::new(bytes))
    }

    /// The bytes. Each call is a place where a secret can leak: keep them few.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Equality without a timing side channel; lengths are not secret.
    pub fn constant_time_eq(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }
}

impl Encode for SecretBytes {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for SecretBytes {
    fn decode(reader: &mut Reader<'_>) -> Result<SecretBytes, CborError> {
        reader.bytes().map(|b| SecretBytes::new(b.to_vec()))
    }
}
