//! Segment bytes in, verified plaintext out: a range costs its whole frames and nothing else.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::frame::FrameCipher;
use super::{DataKey, SEGMENT_MAGIC, SegmentHeader, TAG_BYTES, sha256};
use crate::S3Error;
use crate::limits::{BATCH_FRAMES, SEGMENT_HEADER_MAX_BYTES};

/// Bytes at a place. A file, or what a test puts in its stead.
pub trait ReadAt: Send + Sync {
    /// Fills `buffer` from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// How many bytes there are.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|m| m.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = from.checked_add(buffer.len()).and_then(|end| self.get(from..end));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// Opens frames of one segment.
pub struct SegmentReader {
    cipher: FrameCipher,
    name: String,
    /// Where frame 0 begins.
    start: u64,
    frame_bytes: u64,
    /// Plaintext bytes, as the manifest says.
    length: u64,
}

impl SegmentReader {
    /// Reads the header of a segment without a key. `name` is what errors call it.
    pub fn header(file: &dyn ReadAt, name: &str) -> Result<(SegmentHeader, Vec<u8>), S3Error> {
        let damaged = || S3Error::Damaged { what: "the head", name: name.to_owned() };
        let mut prefix = [0u8; 12];
        file.read_exact_at(&mut prefix, 0).map_err(|_| damaged())?;
        let (magic, length) = prefix.split_at(8);
        let length = length.iter().fold(0usize, |high, b| (high << 8) | usize::from(*b));
        if magic != SEGMENT_MAGIC || length > SEGMENT_HEADER_MAX_BYTES {
            return Err(damaged());
        }
        let mut bytes = vec![0u8; length];
        file.read_exact_at(&mut bytes, prefix.len() as u64).map_err(|_| damaged())?;
        Ok((SegmentHeader::from_bytes(&bytes)?, bytes))
    }

    /// A reader of the segment that a verified manifest describes: its header has this digest, its
    /// plaintext this length. The file ends with its last frame and `footer` further bytes.
    pub fn open(
        file: &dyn ReadAt,
        name: &str,
        key: &DataKey,
        digest: &[u8; 32],
        length: u64,
        footer: u64,
    ) -> Result<SegmentReader, S3Error> {
        let damaged = |what| S3Error::Damaged { what, name: name.to_owned() };
        let (header, bytes) = SegmentReader::header(file, name)?;
        if sha256(&bytes) != *digest {
            return Err(damaged("the header"));
        }
        let cipher = FrameCipher::new(key, &header, &bytes)?;
        let start = 12 + bytes.len() as u64;
        let frame_bytes = header.frame_bytes();
        let reader = SegmentReader { cipher, name: name.to_owned(), start, frame_bytes, length };
        let expected = start + length + reader.frames() * TAG_BYTES as u64 + footer;
        match file.size() {
            Ok(size) if size == expected => Ok(reader),
            Ok(_) => Err(damaged("the length")),
            Err(source) => Err(S3Error::Io { what: "asking for a segment's length", source }),
        }
    }

    /// How many bytes of ciphertext a segment has before its footer.
    pub fn sealed_bytes(header_bytes: u64, frame_bytes: u64, length: u64) -> u64 {
        12 + header_bytes + length + length.div_ceil(frame_bytes).max(1) * TAG_BYTES as u64
    }

    /// Frames in the segment; an empty one has one.
    pub fn frames(&self) -> u64 {
        self.length.div_ceil(self.frame_bytes).max(1)
    }

    /// Opens `count` frames from `first` on and appends their plaintext to `out`. On an error `out` is
    /// as before: nothing leaves before its tag has been checked.
    fn read(
        &self,
        file: &dyn ReadAt,
        first: u64,
        count: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), S3Error> {
        let damaged = || S3Error::Damaged { what: "a frame", name: self.name.clone() };
        let sealed = self.frame_bytes + TAG_BYTES as u64;
        let end = (first + count).min(self.frames());
        let plain = (end * self.frame_bytes).min(self.length) - first * self.frame_bytes;
        let bytes =
            usize::try_from(plain + (end - first) * TAG_BYTES as u64).map_err(|_| damaged())?;
        let before = out.len();
        out.resize(before + bytes, 0);
        let outcome = self.fill(file, first, first * sealed, out, before);
        if outcome.is_none() {
            out.truncate(before);
        }
        outcome.ok_or_else(damaged)
    }

    /// Reads the ciphertext of whole frames to the end of `out` and opens them in place, closing the
    /// gaps that their tags leave.
    fn fill(
        &self,
        file: &dyn ReadAt,
        first: u64,
        offset: u64,
        out: &mut Vec<u8>,
        before: usize,
    ) -> Option<()> {
        file.read_exact_at(out.get_mut(before..)?, self.start + offset).ok()?;
        let sealed = usize::try_from(self.frame_bytes).ok()? + TAG_BYTES;
        let (mut from, mut to, mut index) = (before, before, first);
        while from < out.len() {
            let end = out.len().min(from + sealed);
            let last = index + 1 == self.frames();
            let plain =
                self.cipher.open(u32::try_from(index).ok()?, last, out.get_mut(from..end)?)?;
            out.copy_within(from..from + plain, to);
            (from, to, index) = (end, to + plain, index + 1);
        }
        out.truncate(to);
        Some(())
    }

    /// A cursor over `range` of the plaintext. The range is cut to the segment's length.
    pub fn range(self, range: Range<u64>) -> RangeCursor {
        let end = range.end.min(self.length);
        RangeCursor { reader: self, at: range.start.min(end), end, empty_checked: false }
    }
}

/// Walks a range of one segment in steps of at most 1 MiB.
pub struct RangeCursor {
    reader: SegmentReader,
    at: u64,
    end: u64,
    empty_checked: bool,
}

impl RangeCursor {
    /// The next verified bytes of at most `frames` frames, or none at the end. An empty segment is
    /// verified too.
    pub fn next(&mut self, file: &dyn ReadAt, frames: u64) -> Result<Option<Vec<u8>>, S3Error> {
        if self.at >= self.end {
            if self.reader.length == 0 && !self.empty_checked {
                self.empty_checked = true;
                self.reader.read(file, 0, 1, &mut Vec::new())?;
            }
            return Ok(None);
        }
        let frame = self.reader.frame_bytes;
        let first = self.at / frame;
        let wanted = (self.end.div_ceil(frame) - first).min(frames.clamp(1, BATCH_FRAMES));
        let mut out = Vec::new();
        self.reader.read(file, first, wanted, &mut out)?;
        let base = first * frame;
        let upto = self.end.min(base + out.len() as u64);
        out.truncate(usize::try_from(upto - base).unwrap_or(out.len()));
        out.drain(..usize::try_from(self.at - base).unwrap_or(0));
        self.at = upto;
        Ok(Some(out))
    }
}
