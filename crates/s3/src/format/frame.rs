//! One frame: the unit of authentication.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{DataKey, SegmentHeader, TAG_BYTES, sha256};
use crate::S3Error;

/// Seals and opens the frames of one segment.
pub(super) struct FrameCipher {
    key: LessSafeKey,
    prefix: [u8; 7],
    aad: [u8; 32],
}

impl FrameCipher {
    /// The cipher of the segment whose header has these canonical bytes.
    pub(super) fn new(
        key: &DataKey,
        header: &SegmentHeader,
        header_bytes: &[u8],
    ) -> Result<FrameCipher, S3Error> {
        let aad = sha256(header_bytes);
        let derived = key.derive::<39>(&header.salt, &[b"writ-s3-seg-v1\0", &aad])?;
        let stopped = S3Error::Stopped { what: "AES-256-GCM" };
        let (Some(key), Some(prefix)) = (derived.get(..32), derived.get(32..)) else {
            return Err(stopped);
        };
        let key = UnboundKey::new(&AES_256_GCM, key);
        let (Ok(key), Ok(prefix)) = (key, <[u8; 7]>::try_from(prefix)) else {
            return Err(stopped);
        };
        Ok(FrameCipher { key: LessSafeKey::new(key), prefix, aad })
    }

    /// SHA-256 of the header.
    pub(super) fn header_digest(&self) -> [u8; 32] {
        self.aad
    }

    /// Appends the sealed frame to `out`.
    pub(super) fn seal(
        &self,
        index: u32,
        last: bool,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), S3Error> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                self.nonce(index, last),
                Aad::from(self.aad),
                out.get_mut(start..).unwrap_or_default(),
            )
            .map_err(|_| S3Error::Stopped { what: "AES-256-GCM" })?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens a frame in place; answers how many bytes of plaintext its front now holds.
    pub(super) fn open(&self, index: u32, last: bool, frame: &mut [u8]) -> Option<usize> {
        let plain = frame.len().checked_sub(TAG_BYTES)?;
        self.key.open_in_place(self.nonce(index, last), Aad::from(self.aad), frame).ok()?;
        Some(plain)
    }

    fn nonce(&self, index: u32, last: bool) -> Nonce {
        let mut nonce = [0u8; 12];
        let (prefix, rest) = nonce.split_at_mut(7);
        prefix.copy_from_slice(&self.prefix);
        let (counter, end) = rest.split_at_mut(4);
        counter.copy_from_slice(&index.to_be_bytes());
        end.fill(u8::from(last));
        Nonce::assume_unique_for_key(nonce)
    }
}
