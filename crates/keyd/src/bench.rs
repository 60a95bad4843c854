//! What the benches measure: the symmetric core alone. It uses a key of its own making, not a domain's.

use writ_model::{Env as _, SystemEnv};

use crate::blob::{self, EncryptionContext};

/// A random backing key with the usual encryption context of an object.
#[doc(hidden)]
pub struct Core {
    secret: [u8; 32],
    context: EncryptionContext,
}

impl Default for Core {
    /// Draws a key.
    fn default() -> Core {
        let mut secret = [0; 32];
        SystemEnv.fill(&mut secret);
        let pair = ("aws:s3:arn".to_owned(), "arn:aws:s3:::bucket/some/object".to_owned());
        Core { secret, context: [pair].into_iter().collect() }
    }
}

impl Core {
    /// One blob; empty if the library refuses.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let (domain, id) = ([1; 8], [2; 16]);
        blob::encrypt(&domain, &id, &self.secret, &self.context, plain, &SystemEnv)
            .unwrap_or_default()
    }

    /// The length of the plaintext, if the blob opens.
    pub fn decrypt(&self, blob: &[u8]) -> Option<usize> {
        let header = blob::header(blob)?;
        blob::decrypt(&header, &self.secret, &self.context, blob).map(|plain| plain.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_benches_measure_is_a_blob_that_opens() {
        let core = Core::default();
        let blob = core.encrypt(b"twelve bytes");
        assert_eq!(core.decrypt(&blob), Some(12));
        assert_eq!(Core::default().decrypt(&blob), None, "of another key");
    }
}
