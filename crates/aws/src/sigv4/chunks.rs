//! Signatures of the chunks and trailers of `aws-chunked` bodies.
//!
//! Each chunk's signature covers the one before it; the first covers the seed, which is the
//! signature of the request's head ("Signature Calculations for the Authorization Header:
//! Transferring Payload in Multiple Chunks", Amazon S3 API Reference).

use writ_model::Timestamp;

use super::{Claim, Scope, SigError, SigningKey};

/// SHA-256 of nothing, which stands in every chunk's string to sign.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The string to sign of one chunk whose data has this SHA-256.
pub fn chunk_string_to_sign(
    signed_at: Timestamp,
    scope: &Scope,
    previous: &[u8; 32],
    data_sha256: &[u8; 32],
) -> String {
    format!(
        "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{scope}\n{}\n{EMPTY_SHA256}\n{}",
        signed_at.basic(),
        hex::encode(previous),
        hex::encode(data_sha256)
    )
}

/// The string to sign of a trailer; `trailer_sha256` is of its lines `name:value\n`, in
/// order of names.
pub fn trailer_string_to_sign(
    signed_at: Timestamp,
    scope: &Scope,
    previous: &[u8; 32],
    trailer_sha256: &[u8; 32],
) -> String {
    format!(
        "AWS4-HMAC-SHA256-TRAILER\n{}\n{scope}\n{}\n{}",
        signed_at.basic(),
        hex::encode(previous),
        hex::encode(trailer_sha256)
    )
}

/// How far the signatures of one body have been checked.
///
/// It holds no key: the verifier passes the one of the request's credential to each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkChain {
    signed_at: Timestamp,
    scope: Scope,
    previous: [u8; 32],
    broken: bool,
}

impl ChunkChain {
    /// The chain that starts at the (verified) signature of the request's head.
    pub fn new(claim: &Claim) -> ChunkChain {
        ChunkChain::resume(claim.signed_at, claim.scope.clone(), claim.signature)
    }

    /// The chain whose last signature is `previous`.
    pub fn resume(signed_at: Timestamp, scope: Scope, previous: [u8; 32]) -> ChunkChain {
        ChunkChain { signed_at, scope, previous, broken: false }
    }

    /// The signature that the next one covers.
    pub fn previous(&self) -> [u8; 32] {
        self.previous
    }

    /// Verifies the next chunk. After a failure the chain refuses everything.
    pub fn verify_chunk(
        &mut self,
        key: &SigningKey,
        signature: &[u8; 32],
        data_sha256: &[u8; 32],
    ) -> Result<(), SigError> {
        let text = chunk_string_to_sign(self.signed_at, &self.scope, &self.previous, data_sha256);
        self.step(key, &text, signature)
    }

    /// Verifies the trailer, after the last chunk.
    pub fn verify_trailer(
        &mut self,
        key: &SigningKey,
        signature: &[u8; 32],
        trailer_sha256: &[u8; 32],
    ) -> Result<(), SigError> {
        let (at, scope) = (self.signed_at, &self.scope);
        let text = trailer_string_to_sign(at, scope, &self.previous, trailer_sha256);
        self.step(key, &text, signature)
    }

    /// Signs the next chunk, as a client does, and moves on.
    pub fn sign_chunk(&mut self, key: &SigningKey, data_sha256: &[u8; 32]) -> [u8; 32] {
        let text = chunk_string_to_sign(self.signed_at, &self.scope, &self.previous, data_sha256);
        self.previous = key.sign(text.as_bytes());
        self.previous
    }

    /// Signs the trailer, as a client does.
    pub fn sign_trailer(&mut self, key: &SigningKey, trailer_sha256: &[u8; 32]) -> [u8; 32] {
        let (at, scope) = (self.signed_at, &self.scope);
        let text = trailer_string_to_sign(at, scope, &self.previous, trailer_sha256);
        self.previous = key.sign(text.as_bytes());
        self.previous
    }

    fn step(&mut self, key: &SigningKey, text: &str, sig: &[u8; 32]) -> Result<(), SigError> {
        if self.broken || !key.verify_bytes(text.as_bytes(), sig) {
            self.broken = true;
            return Err(SigError::ChunkSignatureMismatch);
        }
        self.previous = *sig;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::sha256;

    /// The worked example of the Amazon S3 API Reference: 66,560 bytes of `a` in three chunks.
    #[test]
    fn chunk_chain_of_the_s3_reference_verifies() {
        let secret = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = SigningKey::derive(secret, "20130524", "us-east-1", "s3");
        let scope = Scope {
            date: "20130524".to_owned(),
            region: "us-east-1".parse().unwrap(),
            service: "s3".to_owned(),
        };
        let at = Timestamp::parse_basic("20130524T000000Z").unwrap();
        let read = |text| crate::sigv4::hex32(text).unwrap();
        let seed = read("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
        let chunks = [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ];
        let mut chain = ChunkChain::resume(at, scope.clone(), seed);
        for (size, signature) in chunks {
            chain.verify_chunk(&key, &read(signature), &sha256(&vec![b'a'; size])).unwrap();
        }

        let mut reordered = ChunkChain::resume(at, scope, seed);
        let second = read(chunks[1].1);
        let refused = reordered.verify_chunk(&key, &second, &sha256(&[b'a'; 1024]));
        assert_eq!(refused, Err(SigError::ChunkSignatureMismatch));
        let first = reordered.verify_chunk(&key, &read(chunks[0].1), &sha256(&[b'a'; 65536]));
        assert_eq!(first, Err(SigError::ChunkSignatureMismatch), "a broken chain stays broken");
    }

    /// The worked example with a trailer, from the same reference.
    #[test]
    fn trailer_of_the_s3_reference_verifies() {
        let secret = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = SigningKey::derive(secret, "20130524", "us-east-1", "s3");
        let scope = Scope {
            date: "20130524".to_owned(),
            region: "us-east-1".parse().unwrap(),
            service: "s3".to_owned(),
        };
        let at = Timestamp::parse_basic("20130524T000000Z").unwrap();
        let read = |text| crate::sigv4::hex32(text).unwrap();
        let seed = read("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
        let chunks = [
            (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ];
        let mut chain = ChunkChain::resume(at, scope, seed);
        for (size, signature) in chunks {
            chain.verify_chunk(&key, &read(signature), &sha256(&vec![b'a'; size])).unwrap();
        }
        let lines = sha256(b"x-amz-checksum-crc32c:sOO8/Q==\n");
        let trailer = read("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
        assert_eq!(chain.clone().verify_trailer(&key, &trailer, &lines), Ok(()));
        let other = sha256(b"x-amz-checksum-crc32c:sOO8/A==\n");
        assert!(chain.verify_trailer(&key, &trailer, &other).is_err());
    }
}
