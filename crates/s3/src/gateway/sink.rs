//! Plaintext in, one encrypted file out, with its checksums. Holds at most one frame and one batch.

use std::sync::Arc;

use md5::{Digest as _, Md5};
use writ_aws::ApiError;
use writ_aws::checksum::{Algorithm, Checksum, Hasher};

use super::fault::storage;
use crate::S3Error;
use crate::blob::{Blobs, FileWriter};
use crate::format::{DataKey, SegmentHeader, SegmentWriter};

/// A segment that is being written.
pub(crate) struct Sink {
    writer: SegmentWriter,
    file: FileWriter,
    out: Vec<u8>,
    algorithm: Algorithm,
    hasher: Hasher,
    md5: Option<Md5>,
    length: u64,
}

/// A segment that is written and not yet sealed under its name.
pub(crate) struct Written {
    pub(crate) file: FileWriter,
    pub(crate) length: u64,
    pub(crate) header_digest: [u8; 32],
    pub(crate) checksum: Checksum,
    /// MD5 of the plaintext, where it was asked for.
    pub(crate) md5: Option<[u8; 16]>,
}

impl Sink {
    /// Begins a segment of `expected` bytes of plaintext, as far as that is known. MD5 is slow, so it is
    /// computed only where a client compares it.
    pub(crate) fn begin(
        blobs: &Arc<Blobs>,
        key: &DataKey,
        header: &SegmentHeader,
        algorithm: Algorithm,
        md5: bool,
        expected: Option<u64>,
    ) -> Result<Sink, S3Error> {
        blobs.admits(expected.unwrap_or(0))?;
        let file = blobs.create(expected)?;
        let mut out = Vec::new();
        let writer = SegmentWriter::begin(key, header, &mut out)?;
        let (hasher, md5) = (Hasher::new(algorithm), md5.then(Md5::new));
        Ok(Sink { writer, file, out, algorithm, hasher, md5, length: 0 })
    }

    /// Takes plaintext.
    pub(crate) fn feed(&mut self, data: &[u8]) -> Result<(), ApiError> {
        self.length += data.len() as u64;
        self.hasher.update(data);
        if let Some(md5) = &mut self.md5 {
            md5.update(data);
        }
        self.writer.push(data, &mut self.out).map_err(|e| storage(&e))?;
        self.flush().map_err(|e| storage(&e))
    }

    /// The checksum that [`Sink::finish`] answers.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Bytes of plaintext so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Writes the last frame.
    pub(crate) fn finish(mut self) -> Result<Written, S3Error> {
        let (length, header_digest) = self.writer.finish(&mut self.out)?;
        self.file.write(&self.out)?;
        let checksum = self.hasher.finish();
        let md5 = self.md5.map(|md5| md5.finalize().into());
        Ok(Written { file: self.file, length, header_digest, checksum, md5 })
    }

    fn flush(&mut self) -> Result<(), S3Error> {
        self.file.write(&self.out)?;
        self.out.clear();
        Ok(())
    }
}
