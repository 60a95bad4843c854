//! Continuation tokens: opaque, bound to their bucket, worthless elsewhere.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AeadNonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_model::{Env, Nonce};

use crate::S3Error;

/// Longest token that is looked at, in characters.
const TOKEN_MAX_CHARS: usize = 4_096;
const NONCE_BYTES: usize = 12;

/// Seals tokens under a key of the index.
pub struct TokenKey(LessSafeKey);

impl TokenKey {
    /// A sealer with this key.
    pub fn new(key: &[u8; 32]) -> Result<TokenKey, S3Error> {
        let key = UnboundKey::new(&AES_256_GCM, key)
            .map_err(|_| S3Error::Stopped { what: "AES-256-GCM" })?;
        Ok(TokenKey(LessSafeKey::new(key)))
    }

    /// A token that says where the next page of `bucket` begins.
    pub fn seal(&self, bucket: Nonce, start: &[u8], env: &dyn Env) -> Result<String, S3Error> {
        let mut nonce = [0u8; NONCE_BYTES];
        env.fill(&mut nonce);
        let mut body = start.to_vec();
        self.0
            .seal_in_place_append_tag(
                AeadNonce::assume_unique_for_key(nonce),
                Aad::from(bucket.0),
                &mut body,
            )
            .map_err(|_| S3Error::Stopped { what: "AES-256-GCM" })?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &body].concat()))
    }

    /// Where the page begins, if the token is ours and of this bucket.
    pub fn open(&self, bucket: Nonce, token: &str) -> Option<Vec<u8>> {
        if token.len() > TOKEN_MAX_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, body) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = AeadNonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(bucket.0), &mut body).ok()?.len();
        body.truncate(plain);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use writ_model::Timestamp;
    use writ_model::env::TestEnv;

    use super::*;

    #[test]
    fn token_opens_for_its_bucket_only() {
        let env = TestEnv::new(Timestamp::from_secs(1), 9);
        let key = TokenKey::new(&[1; 32]).unwrap();
        let token = key.seal(Nonce([2; 16]), b"start", &env).unwrap();
        assert_eq!(key.open(Nonce([2; 16]), &token).as_deref(), Some(&b"start"[..]));
        assert_eq!(key.open(Nonce([3; 16]), &token), None);
        for bad in ["", "AAAA", "not base64!", &token[1..]] {
            assert_eq!(key.open(Nonce([2; 16]), bad), None, "{bad}");
        }
    }
}
