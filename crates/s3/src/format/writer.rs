//! Plaintext in, segment bytes out.

use zeroize::Zeroizing;

use super::frame::FrameCipher;
use super::{DataKey, SEGMENT_MAGIC, SegmentHeader};
use crate::S3Error;
use crate::limits::FRAME_BYTES;

/// Encrypts one segment. Holds at most one frame of plaintext.
pub struct SegmentWriter {
    cipher: FrameCipher,
    pending: Zeroizing<Vec<u8>>,
    frame_bytes: usize,
    next: u32,
    length: u64,
}

impl SegmentWriter {
    /// Begins a segment: appends magic, length and header to `out`.
    pub fn begin(
        key: &DataKey,
        header: &SegmentHeader,
        out: &mut Vec<u8>,
    ) -> Result<SegmentWriter, S3Error> {
        let bytes = header.to_bytes()?;
        let cipher = FrameCipher::new(key, header, &bytes)?;
        out.extend_from_slice(SEGMENT_MAGIC);
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&bytes);
        let frame_bytes = usize::try_from(header.frame_bytes()).unwrap_or(FRAME_BYTES);
        let pending = Zeroizing::new(Vec::with_capacity(frame_bytes));
        Ok(SegmentWriter { cipher, pending, frame_bytes, next: 0, length: 0 })
    }

    /// Takes plaintext and appends every frame that is certainly not the last one.
    pub fn push(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), S3Error> {
        while !data.is_empty() {
            if self.pending.len() == self.frame_bytes {
                self.emit(false, out)?;
            }
            let room = self.frame_bytes - self.pending.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.pending.extend_from_slice(now);
            self.length += now.len() as u64;
            data = later;
        }
        Ok(())
    }

    /// Appends the last frame. Answers the plaintext's length and SHA-256 of the header.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(u64, [u8; 32]), S3Error> {
        self.emit(true, out)?;
        Ok((self.length, self.cipher.header_digest()))
    }

    fn emit(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), S3Error> {
        self.cipher.seal(self.next, last, &self.pending, out)?;
        self.next = self.next.checked_add(1).ok_or(S3Error::TooLarge {
            what: "the number of frames",
            limit: u64::from(u32::MAX),
        })?;
        self.pending.clear();
        Ok(())
    }
}
