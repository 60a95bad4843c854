//! SHA-256 and HMAC-SHA-256, with labels that keep one use of a hash apart from another.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, hmac};
use writ_model::ParseError;

use crate::cbor::{CborError, Decode, Encode, Reader, Writer};

/// A SHA-256 value, printed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Thirty-two zero bytes: what precedes the first element of a chain.
    pub const ZERO: Hash = Hash([0; 32]);

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its first 40 bits in base32 (RFC 4648 section 6), for people who compare: `L4Y2-FPCR`.
    pub fn code(&self) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let bits = self.0.iter().take(5).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letter = |at: u32| {
            let index = usize::try_from(bits >> (35 - 5 * at) & 31).unwrap_or_default();
            char::from(LETTERS.get(index).copied().unwrap_or_default())
        };
        let (left, right): (String, String) =
            ((0..4).map(letter).collect(), (4..8).map(letter).collect());
        format!("{left}-{right}")
    }

    /// The hash in `bytes`, if there are exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok().map(Hash)
    }
}

impl FromStr for Hash {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Hash, ParseError> {
        let error = || ParseError::new(text, "64 lower-case hexadecimal digits");
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(error());
        }
        let bytes = hex::decode(text).map_err(|_| error())?;
        Hash::from_slice(&bytes).ok_or_else(error)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for Hash {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for Hash {
    fn decode(reader: &mut Reader<'_>) -> Result<Hash, CborError> {
        <[u8; 32]>::decode(reader).map(Hash)
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    sha256_of(&[bytes])
}

/// SHA-256 of the parts as if they were one string.
pub fn sha256_of(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    fixed(context.finish().as_ref())
}

/// SHA-256 of what comes piece by piece.
#[derive(Clone)]
pub struct Hasher(digest::Context);

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Hasher {
        Hasher(digest::Context::new(&digest::SHA256))
    }

    /// Adds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces as if they were one string.
    pub fn finish(self) -> Hash {
        fixed(self.0.finish().as_ref())
    }
}

impl Default for Hasher {
    fn default() -> Hasher {
        Hasher::new()
    }
}

/// SHA-256 of `label`, a zero byte and `bytes`: a hash that no other label's can be taken for.
pub fn labelled(label: &str, bytes: &[u8]) -> Hash {
    sha256_of(&[label.as_bytes(), &[0], bytes])
}

/// HMAC-SHA-256 of the parts as if they were one string.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    fixed(context.sign().as_ref())
}

/// HMAC-SHA-256 of `label`, a zero byte and `bytes`.
pub fn labelled_mac(key: &[u8], label: &str, bytes: &[u8]) -> Hash {
    hmac_sha256(key, &[label.as_bytes(), &[0], bytes])
}

fn fixed(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Hash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc_is_that_of_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc").to_string(), abc);
        assert_eq!(sha256_of(&[b"a", b"", b"bc"]).to_string(), abc);
        let mut pieces = Hasher::new();
        [b"a".as_slice(), b"bc"].iter().for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finish().to_string(), abc);
        assert_eq!(abc.parse::<Hash>().unwrap(), sha256(b"abc"));
        assert!(abc.to_uppercase().parse::<Hash>().is_err());
    }

    #[test]
    fn hmac_is_that_of_rfc_4231_case_2() {
        assert_eq!(
            hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]).to_string(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn labels_keep_hashes_apart() {
        assert_ne!(labelled("a", b"b"), labelled("ab", b""));
    }
}
