//! The intact frames of a copy of the write-ahead log, also those behind damage, and how they join.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use writ_proof::Hash;
use writ_proof::frame::{Frame, FrameFault, Frames, Located, frame_hash};
use writ_trail::wal::{segment_path, segments};

/// Bytes before what a frame's length counts.
const PREFIX_BYTES: usize = 8;
/// What a frame begins with behind its prefix.
const MAGIC: &[u8] = b"WRTW";

/// An intact frame: where it lies, and its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    path: PathBuf,
    offset: u64,
    length: usize,
    /// Its hash.
    pub(super) hash: Hash,
    /// The hash of the frame before it.
    prev: Hash,
    /// The position of its first entry.
    pub(super) first_seq: u64,
    /// The position after its last entry.
    pub(super) next_seq: u64,
}

impl Piece {
    fn new(path: &Path, located: &Located, offset: usize) -> Piece {
        let frame = &located.frame;
        Piece {
            path: path.to_owned(),
            offset: offset as u64,
            length: usize::try_from(located.end.saturating_sub(located.at)).unwrap_or(usize::MAX),
            hash: located.hash,
            prev: frame.prev,
            first_seq: frame.first_seq,
            next_seq: frame.next_seq(),
        }
    }

    /// The frame's bytes.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.length];
        File::open(&self.path)
            .and_then(|file| file.read_exact_at(&mut bytes, self.offset))
            .with_context(|| format!("cannot read `{}`", self.path.display()))?;
        Ok(bytes)
    }

    /// The frame.
    pub(super) fn located(&self, bytes: &[u8]) -> Result<Located> {
        let frame = Frame::from_bytes(bytes)?;
        Ok(Located { at: 0, end: bytes.len() as u64, hash: frame_hash(bytes), frame })
    }
}

/// What is there of one copy.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Its intact frames, in the order in which they lie.
    pub(super) frames: Vec<Piece>,
    /// Where it is damaged. An incomplete last frame is no damage: nobody was answered for it.
    pub(super) damages: Vec<String>,
}

impl Pieces {
    /// Reads the segments in `folder`; a folder that is not there has none.
    ///
    /// # Errors
    /// Where a file cannot be read, or holds frames of a newer version.
    pub(super) fn scan(folder: &Path) -> Result<Pieces> {
        let mut pieces = Pieces::default();
        if !folder.try_exists().with_context(|| format!("cannot look at `{}`", folder.display()))? {
            pieces.damages.push(format!("`{}` is missing", folder.display()));
            return Ok(pieces);
        }
        let numbers = segments(folder)?;
        let last = numbers.last().copied();
        for (number, expected) in numbers.iter().zip(0..) {
            if *number != expected {
                let missing = segment_path(folder, expected);
                pieces.damages.push(format!("`{}` is missing", missing.display()));
                break;
            }
        }
        for number in numbers {
            let path = segment_path(folder, number);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            pieces.segment(&path, &bytes, Some(number) == last)?;
        }
        Ok(pieces)
    }

    fn segment(&mut self, path: &Path, bytes: &[u8], is_last: bool) -> Result<()> {
        let mut at = 0;
        while let Some(found) = Frames::new(bytes.get(at..).unwrap_or_default()).next() {
            let error = match found {
                Ok(located) => {
                    self.frames.push(Piece::new(path, &located, at));
                    at += usize::try_from(located.end).unwrap_or(usize::MAX);
                    continue;
                }
                Err(error) => error,
            };
            match &error.fault {
                FrameFault::Torn if is_last => return Ok(()),
                FrameFault::Format(writ_proof::Error::Unsupported { value, .. }) => bail!(
                    "`{}` has frames of version {value}: use the version of writ that wrote it",
                    path.display()
                ),
                fault => self.damages.push(format!("`{}`, byte {at}: {fault}", path.display())),
            }
            match next_whole(bytes, at + 1) {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Where the next intact frame begins, from `from` on.
fn next_whole(bytes: &[u8], from: usize) -> Option<usize> {
    let starts = bytes.windows(MAGIC.len()).enumerate().skip(from + PREFIX_BYTES);
    let mut starts = starts.filter(|(_, window)| *window == MAGIC).map(|(at, _)| at - PREFIX_BYTES);
    starts.find(|start| {
        let rest = bytes.get(*start..).unwrap_or_default();
        let length = rest.first_chunk::<4>().map(|length| u32::from_be_bytes(*length));
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let frame = rest.get(..PREFIX_BYTES.saturating_add(length));
        frame.is_some_and(|frame| Frame::from_bytes(frame).is_ok())
    })
}

/// The chain of frames from the first one on, out of both copies. Its second part is what of `log` does
/// not join it.
///
/// # Errors
/// Two different frames follow the same one: the copies tell two histories.
pub(super) fn join(log: &Pieces, mirror: &Pieces) -> Result<(Vec<Piece>, Vec<Piece>)> {
    let mut by_prev: HashMap<Hash, &Piece> = HashMap::new();
    for piece in mirror.frames.iter().chain(&log.frames) {
        if let Some(other) = by_prev.insert(piece.prev, piece)
            && other.hash != piece.hash
        {
            bail!(
                "the log and watch's copy hold different frames at position {}: this is no damage, \
                 one of them was changed or put back to an earlier state. Nothing was changed; \
                 compare both with what customers and witnesses have seen",
                piece.first_seq
            );
        }
    }
    let (mut chain, mut end) = (Vec::new(), Hash::ZERO);
    while let Some(piece) = by_prev.remove(&end) {
        end = piece.hash;
        chain.push(piece.clone());
    }
    let left = log.frames.iter().filter(|piece| by_prev.contains_key(&piece.prev));
    Ok((chain, left.cloned().collect()))
}

#[cfg(test)]
mod tests {
    use writ_proof::frame::Batch;

    use super::*;

    /// A log of `count` empty frames, and where each begins.
    fn log(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts, mut prev) = (Vec::new(), Vec::new(), Hash::ZERO);
        for epoch in 1..=count {
            starts.push(bytes.len());
            let frame = Frame { epoch, first_seq: 0, prev, batch: Batch::default() };
            let frame = frame.to_bytes().unwrap();
            prev = frame_hash(&frame);
            bytes.extend(frame);
        }
        (bytes, starts)
    }

    fn pieces(bytes: &[u8]) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.segment(Path::new("0000000000.wal"), bytes, true).unwrap();
        pieces
    }

    #[test]
    fn frames_behind_damage_are_found_and_joined_through_the_other_copy() {
        let (whole, starts) = log(6);
        let mut damaged = whole.clone();
        damaged[starts[2] + 20] ^= 1;
        let log = pieces(&damaged);
        assert_eq!((log.frames.len(), log.damages.len()), (5, 1), "{:?}", log.damages);
        // watch has the damaged frame, and not the last two.
        let mirror = pieces(&whole[..starts[4]]);
        let (chain, lost) = join(&log, &mirror).unwrap();
        assert_eq!((chain.len(), lost.len()), (6, 0));
        // watch does not have the damaged frame: nothing joins what lies behind it.
        let mirror = pieces(&whole[..starts[2]]);
        let (chain, lost) = join(&log, &mirror).unwrap();
        assert_eq!((chain.len(), lost.len()), (2, 3));
        // Each copy is damaged, at another place.
        let mut other = whole.clone();
        other[starts[4] + 20] ^= 1;
        let (chain, lost) = join(&log, &pieces(&other)).unwrap();
        assert_eq!((chain.len(), lost.len()), (6, 0));
    }

    #[test]
    fn copies_that_tell_two_histories_are_refused() {
        let (one, starts) = log(3);
        let mut other = one[..starts[2]].to_vec();
        let prev = frame_hash(&one[starts[1]..starts[2]]);
        let frame = Frame { epoch: 9, first_seq: 0, prev, batch: Batch::default() };
        other.extend(frame.to_bytes().unwrap());
        let refusal = join(&pieces(&one), &pieces(&other)).unwrap_err().to_string();
        assert!(refusal.contains("different frames"), "{refusal}");
    }

    #[test]
    fn incomplete_last_frame_is_no_damage() {
        let (whole, _) = log(2);
        let pieces = pieces(&whole[..whole.len() - 3]);
        assert_eq!((pieces.frames.len(), pieces.damages.len()), (1, 0));
    }
}
