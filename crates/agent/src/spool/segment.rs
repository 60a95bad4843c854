//! One segment of the spool.
//!
//! ```text
//! segment  "WRITSPL\0" | u16 version 1 | first seq u64 | head before it 32 | crc32c u32 | entry …
//! entry    len u32 | crc32c u32 | kind u8 | head before it 32 | bytes
//! ```
//! `len` and the checksum of an entry cover what follows them. Kind 0 is a frame, kind 1 what stands for lost
//! frames ([`Lost`] in CBOR). The head is in each entry so that reading can go on behind a damaged one.

use writ_proof::Hash;
use writ_proof::cbor;
use writ_proof::hostlog::{Class, Frame, GapReason, Item, Lost, Position};
use writ_proof::limits::HOST_FRAME_MAX_BYTES;

const MAGIC: &[u8; 10] = b"WRITSPL\0\0\x01";

/// Bytes before the first entry.
pub(super) const HEADER_BYTES: usize = 10 + 8 + 32 + 4;

const PREFIX_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + 32;
const ENTRY_MAX_BYTES: usize = HEAD_BYTES + HOST_FRAME_MAX_BYTES;

const FRAME: u8 = 0;
const LOST: u8 = 1;

/// The header of a segment that begins at `first`.
pub(super) fn header(first: Position) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&first.next_seq.to_be_bytes());
    bytes.extend_from_slice(first.head.as_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}

/// Where a segment begins; `None` if this is no header of this version.
pub(super) fn first(bytes: &[u8]) -> Option<Position> {
    let rest = bytes.get(..HEADER_BYTES)?.strip_prefix(MAGIC)?;
    let (seq, rest) = rest.split_first_chunk()?;
    let (head, crc) = rest.split_first_chunk::<32>()?;
    let covered = bytes.get(..HEADER_BYTES - 4)?;
    let position = Position { next_seq: u64::from_be_bytes(*seq), head: Hash(*head) };
    (crc == crc32c::crc32c(covered).to_be_bytes()).then_some(position)
}

/// The bytes of an entry at `place`.
pub(super) fn entry(place: Position, item: &Item) -> Vec<u8> {
    let (kind, payload) = match item {
        Item::Frame(bytes) => (FRAME, bytes.clone()),
        Item::Lost(lost) => (LOST, cbor::to_vec(lost)),
    };
    let mut body = vec![kind];
    body.extend_from_slice(place.head.as_bytes());
    body.extend_from_slice(&payload);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    bytes.append(&mut body);
    bytes
}

/// One entry as it was read.
pub(super) struct Entry {
    /// The head before it, as it says itself.
    pub(super) before: Hash,
    /// The number of its first frame, as it says itself.
    pub(super) seq: u64,
    pub(super) item: Item,
    /// How many bytes it takes.
    pub(super) length: usize,
}

/// Why there is no entry at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// The bytes end before it does.
    Short,
    /// It is damaged.
    Damaged,
}

/// Reads the entry at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Entry, NoEntry> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or(NoEntry::Short)?;
    let [a, b, c, d, e, f, g, h] = *prefix;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(HEAD_BYTES..=ENTRY_MAX_BYTES).contains(&length) {
        return Err(NoEntry::Damaged);
    }
    let body = rest.get(..length).ok_or(NoEntry::Short)?;
    if crc32c::crc32c(body) != u32::from_be_bytes([e, f, g, h]) {
        return Err(NoEntry::Damaged);
    }
    let (kind, body) = body.split_first().ok_or(NoEntry::Damaged)?;
    let (before, payload) = body.split_first_chunk::<32>().ok_or(NoEntry::Damaged)?;
    let (seq, item) = match *kind {
        FRAME => {
            let frame = Frame::from_bytes(payload).map_err(|_| NoEntry::Damaged)?;
            (frame.seq, Item::Frame(payload.to_vec()))
        }
        LOST => {
            let lost: Lost = cbor::from_slice(payload).map_err(|_| NoEntry::Damaged)?;
            (lost.first, Item::Lost(lost))
        }
        _ => return Err(NoEntry::Damaged),
    };
    Ok(Entry { before: Hash(*before), seq, item, length: PREFIX_BYTES + length })
}

/// One step through a segment.
pub(super) struct Step {
    /// Where it lies, before it.
    pub(super) place: Position,
    pub(super) item: Item,
    /// The offset behind it.
    pub(super) end: usize,
}

/// Walks over the entries of a whole segment; damaged ones become [`Lost`] where a whole one follows.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    place: Position,
    next: Option<Entry>,
}

impl<'a> Walk<'a> {
    /// From `at` on, where the position is `place`.
    pub(super) fn new(bytes: &'a [u8], at: usize, place: Position) -> Walk<'a> {
        Walk { bytes, at, place, next: None }
    }

    /// Where the walk stands: the offset behind the last whole entry.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn place(&self) -> Position {
        self.place
    }

    /// The next whole entry at or behind `from` that lies ahead of the place.
    fn resume(&self, from: usize) -> Option<(usize, Entry)> {
        (from..self.bytes.len()).find_map(|at| {
            let entry = read(self.bytes.get(at..)?).ok()?;
            (entry.seq > self.place.next_seq).then_some((at, entry))
        })
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let place = self.place;
        let entry = match self.next.take() {
            Some(entry) => entry,
            None => match read(self.bytes.get(self.at..)?) {
                Ok(entry) if entry.seq == place.next_seq => entry,
                _ => {
                    let (at, entry) = self.resume(self.at)?;
                    let lost = Lost {
                        first: place.next_seq,
                        count: entry.seq - place.next_seq,
                        class: Class::Security,
                        reason: GapReason::Damaged,
                        head: entry.before,
                        signature: None,
                    };
                    self.place = place.behind(&lost).ok()?;
                    self.at = at;
                    self.next = Some(entry);
                    return Some(Step { place, item: Item::Lost(lost), end: at });
                }
            },
        };
        self.place = match &entry.item {
            Item::Frame(bytes) => place.after(bytes),
            Item::Lost(lost) => place.behind(lost).ok()?,
        };
        self.at += entry.length;
        Some(Step { place, item: entry.item, end: self.at })
    }
}
