//! Verifying a recording as it streams by, without the right to read it.

use std::collections::BTreeMap;

use super::frame::{Chain, Stored};
use super::mark::Mark;
use super::{Header, Kind, WHAT};
use crate::error::Error;

/// How a recording stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has no end: it is still being written, or somebody cut it.
    Open,
    /// It ended in order, for this reason.
    Ended(String),
    /// Its recorder failed; a later start closed it. So many bytes at its end were not whole.
    Truncated(u64),
}

/// A whole recording that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub header: Header,
    /// Never [`State::Open`].
    pub state: State,
    /// Its last mark: what the ledger must hold too.
    pub last: Mark,
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Reads a recording piece by piece. Every changed byte, cut, reordering and deletion within it is an
/// error; that a whole tail was rewritten shows only against the ledger's marks ([`Verifier::expect`]).
#[derive(Default)]
pub struct Verifier {
    begun: Option<(Header, Chain)>,
    state: Option<(State, Mark)>,
    /// What came and is no whole frame yet.
    pending: Vec<u8>,
    good_bytes: u64,
    expected: BTreeMap<u64, Mark>,
}

impl Verifier {
    /// Before the first byte.
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// A mark that the ledger holds of this session: the recording must hold the same at that place.
    pub fn expect(&mut self, mark: Mark) {
        self.expected.insert(mark.at().seq, mark);
    }

    /// Takes the next bytes and calls `each` with every frame that they complete. After an error the
    /// verifier stays where it was: [`Verifier::good_bytes`].
    pub fn push(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&Header, &Stored<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut at = 0;
        let done = self.walk(&pending, &mut at, each);
        self.pending = pending.get(at..).unwrap_or_default().to_vec();
        done
    }

    fn walk(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        each: &mut dyn FnMut(&Header, &Stored<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.begun.is_none() {
            let Some((header, length)) = Header::read(bytes)? else { return Ok(()) };
            let chain = Chain::begin(&header)?;
            self.begun = Some((header, chain));
            self.passed(at, length);
        }
        while let Some((frame, length, hash)) = Stored::read(bytes.get(*at..).unwrap_or_default())?
        {
            self.step(&frame, hash.as_bytes())?;
            if let Some((header, _)) = &self.begun {
                each(header, &frame)?;
            }
            self.passed(at, length);
        }
        Ok(())
    }

    fn passed(&mut self, at: &mut usize, length: usize) {
        *at += length;
        self.good_bytes += length as u64;
    }

    fn step(&mut self, frame: &Stored<'_>, hash: &[u8; 32]) -> Result<(), Error> {
        let at = self.good_bytes;
        let wrong =
            |why: &str| Error::Refused { what: WHAT, why: format!("the frame at byte {at} {why}") };
        let Some((_, chain)) = &mut self.begun else { return Ok(()) };
        if self.state.is_some() {
            return Err(wrong("follows the end"));
        }
        let head = frame.hash_after(&chain.head);
        if frame.seq != chain.seq || head.as_bytes() != hash {
            return Err(wrong("is changed, or is not the next one"));
        }
        if frame.monotonic_ns < chain.monotonic_ns {
            return Err(wrong("is older than the one before it"));
        }
        if frame.kind.is_sealed() && frame.stored.len() < super::frame::TAG_BYTES {
            return Err(wrong("is too short to be sealed"));
        }
        let mark = frame.mark()?;
        if mark.as_ref().is_some_and(|mark| *mark.at() != chain.here(mark.at().wall)) {
            return Err(wrong("says something else of what precedes it"));
        }
        if self.expected.remove(&frame.seq).is_some_and(|held| mark.as_ref() != Some(&held)) {
            return Err(wrong("is not what the ledger holds of this place"));
        }
        match mark {
            Some(Mark::End(end)) => {
                let state = State::Ended(end.reason.clone());
                self.state = Some((state, Mark::End(end)));
            }
            Some(Mark::Truncated(cut)) => {
                self.state = Some((State::Truncated(cut.torn_bytes), Mark::Truncated(cut)));
            }
            Some(Mark::Checkpoint(_)) | None => {}
        }
        chain.seq += 1;
        chain.head = head;
        chain.monotonic_ns = frame.monotonic_ns;
        chain.count(frame.kind, frame.direction, frame.content_len());
        Ok(())
    }

    /// How many bytes from the start verify.
    pub fn good_bytes(&self) -> u64 {
        self.good_bytes
    }

    /// The header, once it was read.
    pub fn header(&self) -> Option<&Header> {
        self.begun.as_ref().map(|(header, _)| header)
    }

    /// How the recording stands so far.
    pub fn state(&self) -> State {
        self.state.as_ref().map_or(State::Open, |(state, _)| state.clone())
    }

    /// Where the chain goes on; `None` before the header was read, and after an end.
    pub fn chain(&self) -> Option<&Chain> {
        self.begun.as_ref().filter(|_| self.state.is_none()).map(|(_, chain)| chain)
    }

    /// The verdict once every byte was seen. A recording without an end is an error.
    pub fn finish(self) -> Result<Verified, Error> {
        let at = self.good_bytes;
        let refused = |why: String| Err(Error::Refused { what: WHAT, why });
        if !self.pending.is_empty() {
            return refused(format!("it is cut: after byte {at} a frame begins and does not end"));
        }
        if let Some(seq) = self.expected.keys().next() {
            return refused(format!("it is cut: the ledger holds a mark of its frame {seq}"));
        }
        match (self.begun, self.state) {
            (Some((header, chain)), Some((state, last))) => {
                Ok(Verified { header, state, last, frames: chain.seq, bytes: at })
            }
            _ => refused(format!("it has no end after byte {at}: it is still open, or cut")),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("good_bytes", &self.good_bytes).finish_non_exhaustive()
    }
}

/// The kinds after which nothing comes.
impl Kind {
    /// True for the two ends.
    pub const fn is_end(self) -> bool {
        matches!(self, Kind::End | Kind::Truncated)
    }
}
