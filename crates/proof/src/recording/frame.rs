//! Frames: their codec, their sealing, their chain.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use writ_model::{Timestamp, Ulid};

use super::mark::{Checkpoint, Cut, End, Mark, Totals};
use super::{Header, WHAT};
use crate::cbor;
use crate::error::Error;
use crate::hash::{Hash, sha256_of};
use crate::limits;

/// Everything before the contents.
pub(super) const HEAD_BYTES: usize = 4 + 8 + 8 + 4 + 1 + 1;
/// The hash behind the contents.
pub(super) const HASH_BYTES: usize = 32;
/// What sealing adds.
pub(super) const TAG_BYTES: usize = 16;

/// Who said something to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Nobody: marks of the recorder.
    None,
    /// The operator to the host.
    ToHost,
    /// The host to the operator.
    FromHost,
    /// The host's standard error to the operator.
    Errors,
    /// The bastion about the session.
    Bastion,
}

impl Direction {
    const ALL: [Direction; 5] = [
        Direction::None,
        Direction::ToHost,
        Direction::FromHost,
        Direction::Errors,
        Direction::Bastion,
    ];

    fn number(self) -> u8 {
        self as u8
    }
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a channel.
    Data,
    /// A channel or a request on it: [`super::event::Opened`].
    Open,
    /// A channel's end.
    Close,
    /// A terminal's new size: [`super::event::Window`].
    Window,
    /// A variable: [`super::event::Variable`].
    Env,
    /// A signal's name.
    Signal,
    /// How a program ended: [`super::event::Exit`].
    Exit,
    /// A file operation: [`super::event::SftpEvent`].
    Sftp,
    /// A forwarded connection.
    Forward,
    /// Input was held back, or flows again.
    Pause,
    /// A moderator came, saw or left.
    Moderator,
    /// Something outside is not known: the host's agent was silent.
    Gap,
    /// A [`Checkpoint`].
    Checkpoint,
    /// An [`End`].
    End,
    /// A [`Cut`].
    Truncated,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Data,
        Kind::Open,
        Kind::Close,
        Kind::Window,
        Kind::Env,
        Kind::Signal,
        Kind::Exit,
        Kind::Sftp,
        Kind::Forward,
        Kind::Pause,
        Kind::Moderator,
        Kind::Gap,
        Kind::Checkpoint,
        Kind::End,
        Kind::Truncated,
    ];

    fn number(self) -> u8 {
        self as u8 + 1
    }

    /// True for what is sealed; the recorder's own marks are not.
    pub const fn is_sealed(self) -> bool {
        !matches!(self, Kind::Checkpoint | Kind::End | Kind::Truncated)
    }
}

/// Something to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it happened, in nanoseconds since the session's start by the monotonic clock.
    pub monotonic_ns: u64,
    /// The channel; 0 for what concerns the connection.
    pub channel: u32,
    /// Who said it.
    pub direction: Direction,
    /// What it is; never one of the recorder's marks.
    pub kind: Kind,
    /// Its contents, at most [`limits::RECORDING_CONTENT_MAX_BYTES`].
    pub content: Vec<u8>,
}

/// A frame as it is stored, its place in the chain verified.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Its number, from 0.
    pub seq: u64,
    /// When it happened.
    pub monotonic_ns: u64,
    /// The channel.
    pub channel: u32,
    /// Who said it.
    pub direction: Direction,
    /// What it is.
    pub kind: Kind,
    pub(super) head: &'a [u8],
    pub(super) stored: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Reads the frame at the start of `bytes` and answers its length and hash; `None` if more bytes are needed.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Option<(Stored<'a>, usize, Hash)>, Error> {
        let Some((length, _)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let content = length.checked_sub(HEAD_BYTES - 4 + HASH_BYTES);
        let short = Error::malformed(WHAT, "a frame is shorter than its head");
        let content = content.ok_or(short)?;
        let most = limits::RECORDING_CONTENT_MAX_BYTES + TAG_BYTES;
        Error::limit("frame bytes", content, most)?;
        let Some(frame) = bytes.get(..4 + length) else { return Ok(None) };
        let (body, hash) = frame.split_at(frame.len() - HASH_BYTES);
        let (head, stored) = body.split_at(HEAD_BYTES);
        let mut reader = crate::ssh::SshReader::new(head.get(4..).unwrap_or_default());
        let (seq, monotonic_ns, channel) = (reader.long()?, reader.long()?, reader.number()?);
        let (direction, kind) = (reader.byte()?, reader.byte()?);
        let unknown = |why| Error::malformed(WHAT, why);
        let direction = Direction::ALL.get(usize::from(direction)).copied();
        let kind = usize::from(kind).checked_sub(1).and_then(|at| Kind::ALL.get(at)).copied();
        let stored = Stored {
            seq,
            monotonic_ns,
            channel,
            direction: direction.ok_or(unknown("a frame's direction is not known"))?,
            kind: kind.ok_or(unknown("a frame's kind is not known"))?,
            head,
            stored,
        };
        let hash = Hash::from_slice(hash).unwrap_or_default();
        Ok(Some((stored, frame.len(), hash)))
    }

    /// The frame's hash, if it follows one with the hash `before`.
    pub(super) fn hash_after(&self, before: &Hash) -> Hash {
        chain(before, self.head, self.stored)
    }

    /// The recorder's mark in it; `None` for what is sealed.
    pub fn mark(&self) -> Result<Option<Mark>, Error> {
        Ok(match self.kind {
            Kind::Checkpoint => Some(Mark::Checkpoint(cbor::from_slice(self.stored)?)),
            Kind::End => Some(Mark::End(cbor::from_slice(self.stored)?)),
            Kind::Truncated => Some(Mark::Truncated(cbor::from_slice(self.stored)?)),
            _ => None,
        })
    }

    /// Its contents.
    pub fn open(&self, key: &RecordingKey) -> Result<Vec<u8>, Error> {
        if !self.kind.is_sealed() {
            return Ok(self.stored.to_vec());
        }
        let mut content = self.stored.to_vec();
        let sealed = key.0.open_in_place(nonce(self.seq), Aad::from(self.head), &mut content);
        let length = sealed.map_err(|_| Error::malformed(WHAT, "a frame does not open"))?.len();
        content.truncate(length);
        Ok(content)
    }

    /// Bytes that were sealed in it.
    pub fn content_len(&self) -> usize {
        let tag = if self.kind.is_sealed() { TAG_BYTES } else { 0 };
        self.stored.len().saturating_sub(tag)
    }
}

fn chain(before: &Hash, head: &[u8], stored: &[u8]) -> Hash {
    sha256_of(&[&[1], before.as_bytes(), head, stored])
}

/// The number of a frame is a nonce: a recording's key seals nothing else.
fn nonce(seq: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce.iter_mut().skip(4).zip(seq.to_be_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}

/// The data key of one recording. It has no `Debug` and no `Clone`.
pub struct RecordingKey(LessSafeKey);

impl RecordingKey {
    /// From its 32 bytes, which must serve no other recording.
    pub fn new(key: &[u8; 32]) -> Result<RecordingKey, Error> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::Signing)?;
        Ok(RecordingKey(LessSafeKey::new(key)))
    }
}

/// The growing end of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub(super) session: Ulid,
    /// The number of the next frame.
    pub(super) seq: u64,
    /// The hash of the newest frame, or of the header.
    pub(super) head: Hash,
    pub(super) monotonic_ns: u64,
    pub(super) totals: Totals,
}

impl Chain {
    /// Before the first frame.
    pub fn begin(header: &Header) -> Result<Chain, Error> {
        Ok(Chain {
            session: header.session,
            seq: 0,
            head: header.hash()?,
            monotonic_ns: 0,
            totals: Totals::default(),
        })
    }

    /// The number of the next frame.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of the newest frame.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// Seals a frame and appends it to `bytes`. A clock that went back is taken to stand still.
    pub fn push(
        &mut self,
        bytes: &mut Vec<u8>,
        frame: &Frame,
        key: &RecordingKey,
    ) -> Result<(), Error> {
        let most = limits::RECORDING_CONTENT_MAX_BYTES;
        Error::limit("frame content bytes", frame.content.len(), most)?;
        if !frame.kind.is_sealed() {
            return Err(Error::malformed(WHAT, "marks are made by the recorder alone"));
        }
        let head = self.frame_head(frame, frame.content.len() + TAG_BYTES);
        let mut sealed = frame.content.clone();
        let done = key.0.seal_in_place_append_tag(nonce(self.seq), Aad::from(&head), &mut sealed);
        done.map_err(|_| Error::Signing)?;
        self.append(bytes, &head, &sealed, frame);
        Ok(())
    }

    /// Appends a checkpoint to `bytes`.
    pub fn checkpoint(&mut self, bytes: &mut Vec<u8>, ns: u64, wall: Timestamp) -> Mark {
        let at = self.here(wall);
        self.mark(bytes, ns, Kind::Checkpoint, cbor::to_vec(&at));
        Mark::Checkpoint(at)
    }

    /// Appends the end to `bytes`; of a long reason its first bytes.
    pub fn end(&mut self, bytes: &mut Vec<u8>, ns: u64, wall: Timestamp, reason: &str) -> Mark {
        let most = reason.floor_char_boundary(limits::RECORDING_REASON_MAX_BYTES);
        let reason = reason.get(..most).unwrap_or_default().to_owned();
        let end = End { at: self.here(wall), reason };
        self.mark(bytes, ns, Kind::End, cbor::to_vec(&end));
        Mark::End(end)
    }

    /// Appends the mark `truncated` to `bytes`: `torn` is what was put aside.
    pub fn truncated(
        &mut self,
        bytes: &mut Vec<u8>,
        wall: Timestamp,
        torn_bytes: u64,
        torn_digest: Hash,
    ) -> Mark {
        let cut = Cut { at: self.here(wall), torn_bytes, torn_digest };
        self.mark(bytes, self.monotonic_ns, Kind::Truncated, cbor::to_vec(&cut));
        Mark::Truncated(cut)
    }

    pub(super) fn here(&self, wall: Timestamp) -> Checkpoint {
        Checkpoint {
            session: self.session,
            seq: self.seq,
            head: self.head,
            wall,
            totals: self.totals,
        }
    }

    fn mark(&mut self, bytes: &mut Vec<u8>, ns: u64, kind: Kind, content: Vec<u8>) {
        let direction = Direction::None;
        let frame = Frame { monotonic_ns: ns, channel: 0, direction, kind, content };
        let head = self.frame_head(&frame, frame.content.len());
        self.append(bytes, &head, &frame.content, &frame);
    }

    fn frame_head(&self, frame: &Frame, stored: usize) -> Vec<u8> {
        let length = u32::try_from(HEAD_BYTES - 4 + stored + HASH_BYTES).unwrap_or(u32::MAX);
        let ns = frame.monotonic_ns.max(self.monotonic_ns);
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&self.seq.to_be_bytes());
        head.extend_from_slice(&ns.to_be_bytes());
        head.extend_from_slice(&frame.channel.to_be_bytes());
        head.extend_from_slice(&[frame.direction.number(), frame.kind.number()]);
        head
    }

    fn append(&mut self, bytes: &mut Vec<u8>, head: &[u8], stored: &[u8], frame: &Frame) {
        self.head = chain(&self.head, head, stored);
        self.seq += 1;
        self.monotonic_ns = self.monotonic_ns.max(frame.monotonic_ns);
        self.count(frame.kind, frame.direction, frame.content.len());
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(stored);
        bytes.extend_from_slice(self.head.as_bytes());
    }

    pub(super) fn count(&mut self, kind: Kind, direction: Direction, bytes: usize) {
        let total = match (kind, direction) {
            (Kind::Data, Direction::ToHost) => &mut self.totals.to_host,
            (Kind::Data, Direction::FromHost) => &mut self.totals.from_host,
            (Kind::Data, Direction::Errors) => &mut self.totals.errors,
            _ => return,
        };
        *total = total.saturating_add(bytes as u64);
    }
}
