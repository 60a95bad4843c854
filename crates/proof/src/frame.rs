//! The frame of the write-ahead log: one batch, durable by one fsync, chained to the one before.
//!
//! ```text
//! len u32 | crc32c u32 | magic "WRTW" | version u16 | epoch u64 | first seq u64 | prev hash 32 | batch
//! ```
//! Integers are big-endian. `len` counts the bytes after the checksum; the checksum covers `len` and
//! those bytes. The batch is deterministic CBOR. The hash of a frame covers everything after its
//! checksum; the next frame names it, so that a frame cannot be changed, cut out or moved unnoticed.

use crate::cbor;
use crate::cbor_map;
use crate::error::Error;
use crate::hash::{Hash, labelled};
use crate::leaf::Leaf;
use crate::limits;
use crate::merkle::Frontier;
use crate::origin::LogName;
use crate::use_record::UseBatch;

/// The version of the frame format that this build writes and reads.
pub const FRAME_VERSION: u16 = 1;

const MAGIC: &[u8; 4] = b"WRTW";
const PREFIX_BYTES: usize = 8;
const HEADER_BYTES: usize = 4 + 2 + 8 + 8 + 32;
const HASH_LABEL: &str = "writ-wal-frame-v1";

/// One batch with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The fencing epoch of the sequencer that wrote it; it never falls.
    pub epoch: u64,
    /// The WAL position of the batch's first entry. Only entries count; a batch without any takes
    /// the position of the next.
    pub first_seq: u64,
    /// The hash of the frame before; zero for the first.
    pub prev: Hash,
    /// What it holds.
    pub batch: Batch,
}

/// What became durable together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records with their leaves, in WAL order.
    pub entries: Vec<Entry>,
    /// keyd's use records, as keyd signed them.
    pub uses: Vec<UseBatch>,
    /// Signed statements that records of this batch name by digest.
    pub statements: Vec<Vec<u8>>,
    /// The frontier of each log that the batch touched, after it, in ascending order of the logs.
    pub frontiers: Vec<LogFrontier>,
}
cbor_map!(Batch { 1: entries, 2: uses, 3: statements, 4: frontiers });

/// A record and its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The full record, as the appender sent it; a leaf's `kind` says what it is.
    pub record: Vec<u8>,
    /// Its leaves, one in each log that it goes into, as they lie in the trees.
    pub leaves: Vec<Vec<u8>>,
}
cbor_map!(Entry { 1: record, 2: leaves });

impl Entry {
    /// The decoded leaves.
    pub fn decoded_leaves(&self) -> Result<Vec<Leaf>, Error> {
        self.leaves.iter().map(|leaf| Leaf::from_bytes(leaf)).collect()
    }
}

/// The state of one log after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrontier {
    /// The log.
    pub log: LogName,
    /// Its frontier.
    pub frontier: Frontier,
}
cbor_map!(LogFrontier { 1: log, 2: frontier });

/// What is wrong with a frame, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("WAL frame at byte {at}: {fault}")]
pub struct FrameError {
    /// Offset of the frame in what was read.
    pub at: u64,
    /// What is wrong.
    pub fault: FrameFault,
}

/// What can be wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The last frame was not written whole: a crash before its fsync returned. Nothing in it was
    /// acknowledged, so the log is cut here and goes on.
    #[error("the last frame is incomplete; nothing in it was acknowledged")]
    Torn,
    /// A frame before the end does not have the bytes that were written. Never repaired.
    #[error("{why}, and it is not the last frame: the log is corrupt")]
    Corrupt {
        /// What shows it.
        why: &'static str,
    },
    /// Checksum well, content not a frame of this version.
    #[error("not a frame of version 1: {0}")]
    Format(Error),
    /// The frame does not follow the one before it.
    #[error("it does not continue the log: {why}")]
    Chain {
        /// Which link is broken.
        why: &'static str,
    },
}

impl FrameFault {
    fn at(self, at: usize) -> FrameError {
        FrameError { at: at as u64, fault: self }
    }
}

impl Frame {
    /// The frame's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let batch = cbor::to_vec(&self.batch);
        let length = HEADER_BYTES + batch.len();
        Error::limit("frame bytes", length, limits::FRAME_MAX_BYTES)?;
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(MAGIC);
        body.extend_from_slice(&FRAME_VERSION.to_be_bytes());
        body.extend_from_slice(&self.epoch.to_be_bytes());
        body.extend_from_slice(&self.first_seq.to_be_bytes());
        body.extend_from_slice(&self.prev.0);
        body.extend_from_slice(&batch);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), &body);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Reads exactly one frame that fills `bytes`, as it travels in a stream.
    pub fn from_bytes(bytes: &[u8]) -> Result<Frame, FrameError> {
        match read(bytes, 0)? {
            Some((frame, end)) if end == bytes.len() => Ok(frame),
            _ => Err(FrameFault::Corrupt { why: "the length does not fit" }.at(0)),
        }
    }

    /// The WAL position after the batch.
    pub fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.batch.entries.len() as u64)
    }
}

/// The hash by which the next frame names the frame that has `bytes` (all of it, as
/// [`Frame::to_bytes`] gives it).
pub fn frame_hash(bytes: &[u8]) -> Hash {
    labelled(HASH_LABEL, bytes.get(PREFIX_BYTES..).unwrap_or_default())
}

/// The frames of a segment, in order; ends after the first error. A tail of zero bytes, as a crash
/// can leave behind, is torn, not corrupt. Only the newest segment may end torn: the ones before it
/// were durable before the next was begun, so there the caller takes it for corruption.
pub struct Frames<'a> {
    segment: &'a [u8],
    at: usize,
    done: bool,
}

/// A frame as it lies in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Offset of the frame.
    pub at: u64,
    /// Offset after the frame.
    pub end: u64,
    /// [`frame_hash`] of it.
    pub hash: Hash,
    /// The frame.
    pub frame: Frame,
}

impl<'a> Frames<'a> {
    /// Reads `segment` from its start.
    pub fn new(segment: &'a [u8]) -> Frames<'a> {
        Frames { segment, at: 0, done: false }
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Located, FrameError>;

    fn next(&mut self) -> Option<Result<Located, FrameError>> {
        if self.done {
            return None;
        }
        let at = self.at;
        match read(self.segment, at) {
            Ok(None) => None,
            Ok(Some((frame, end))) => {
                self.at = end;
                let bytes = self.segment.get(at..end).unwrap_or_default();
                let hash = frame_hash(bytes);
                Some(Ok(Located { at: at as u64, end: end as u64, hash, frame }))
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}

/// The end of a log that has been checked so far: frames must continue it one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalEnd {
    /// The epoch of the last frame.
    pub epoch: u64,
    /// The WAL position of the next entry.
    pub next_seq: u64,
    /// The hash of the last frame; zero before the first.
    pub hash: Hash,
}

impl WalEnd {
    /// Steps over `located` if it continues the log here.
    pub fn step(&mut self, located: &Located) -> Result<(), FrameError> {
        let Located { at, hash, frame, .. } = located;
        let why = if frame.prev != self.hash {
            "it names another frame before it"
        } else if frame.first_seq != self.next_seq {
            "its first position is not the next one"
        } else if frame.epoch < self.epoch {
            "its epoch is older"
        } else {
            *self = WalEnd { epoch: frame.epoch, next_seq: frame.next_seq(), hash: *hash };
            return Ok(());
        };
        Err(FrameError { at: *at, fault: FrameFault::Chain { why } })
    }
}

/// The frame at `at` and the offset after it; nothing at the very end.
fn read(segment: &[u8], at: usize) -> Result<Option<(Frame, usize)>, FrameError> {
    let rest = segment.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    match whole(rest) {
        Ok(body) => {
            let frame = parse(body).map_err(|error| FrameFault::Format(error).at(at))?;
            Ok(Some((frame, at + PREFIX_BYTES + body.len())))
        }
        Err(why) if is_tail(rest) => {
            let _ = why;
            Err(FrameFault::Torn.at(at))
        }
        Err(why) => Err(FrameFault::Corrupt { why }.at(at)),
    }
}

/// What follows the checksum of the frame at the start of `bytes`, if it is whole.
fn whole(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or("the prefix is cut")?;
    let [a, b, c, d, checksum @ ..] = *prefix;
    let length = u32::from_be_bytes([a, b, c, d]);
    let length = usize::try_from(length).map_err(|_| "the length is impossible")?;
    if !(HEADER_BYTES..=limits::FRAME_MAX_BYTES).contains(&length) {
        return Err("the length is impossible");
    }
    let body = rest.get(..length).ok_or("the length runs past the end")?;
    if !body.starts_with(MAGIC) {
        return Err("the magic is absent");
    }
    let found = crc32c::crc32c_append(crc32c::crc32c(&[a, b, c, d]), body);
    if found == u32::from_be_bytes(checksum) { Ok(body) } else { Err("the checksum differs") }
}

/// True if no whole frame begins anywhere after the start of `bytes`: then what lies here was the
/// last write. A frame that begins later was written after this one had been made durable.
fn is_tail(bytes: &[u8]) -> bool {
    let later = bytes.get(1..).unwrap_or_default();
    let starts = later.windows(MAGIC.len()).enumerate().filter(|(_, window)| window == MAGIC);
    !starts
        .filter_map(|(at, _)| later.get(at.checked_sub(PREFIX_BYTES)?..))
        .any(|candidate| whole(candidate).is_ok())
}

fn parse(body: &[u8]) -> Result<Frame, Error> {
    let cut = || Error::malformed("frame", "the header is cut");
    let (magic, rest) = body.split_first_chunk::<4>().ok_or_else(cut)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (epoch, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let (first_seq, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let (prev, batch) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
    if magic != MAGIC {
        return Err(Error::malformed("frame", "the magic is absent"));
    }
    let version = u16::from_be_bytes(*version);
    if version != FRAME_VERSION {
        return Err(Error::Unsupported { what: "frame version", value: version.to_string() });
    }
    Ok(Frame {
        epoch: u64::from_be_bytes(*epoch),
        first_seq: u64::from_be_bytes(*first_seq),
        prev: Hash(*prev),
        batch: cbor::from_slice(batch)?,
    })
}

#[cfg(test)]
#[path = "tests/frame.rs"]
mod tests;
