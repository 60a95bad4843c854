//! watch's own copy of the write-ahead log: the frames' very bytes, each checked before it is written.
//!
//! `mirror/0000000000.wal`, `mirror/0000000001.wal`, …, in trail's format, so that the same reader reads both.
//! Where a segment ends is watch's own matter.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use writ_proof::Hash;
use writ_proof::commits::{Commits, Missing};
use writ_proof::ed25519::PublicKey;
use writ_proof::frame::Frame;
use writ_proof::frame::{FrameFault, Frames, Located, frame_hash};
use writ_proof::leaf::{Leaf, leaf_hash};
use writ_proof::merkle::Frontier;
use writ_proof::origin::LogName;
use writ_proof::replay::{Accepted, Replay};
use writ_proof::roster::{Genesis, Roster};
use writ_proof::statement::Signed;
use writ_proof::stream::StreamPosition;

use crate::disk;
use crate::error::WatchError;
use crate::limits::ROOTS_MAX;

/// Who looks at each frame that is good: with what it holds, and the roster after it.
pub type Each<'a> = dyn FnMut(&Frame, &Accepted, &Roster) + 'a;

/// The mirror, open for one writer.
pub struct Mirror {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    segment: u64,
    offset: u64,
    segment_bytes: u64,
    checked: Checked,
}

/// What has been read so far.
struct Checked {
    replay: Replay,
    roster: Roster,
    genesis: Hash,
    keyd: PublicKey,
    commits: Commits,
    /// The checkpoint log, and its root after each of its last leaves.
    frontier: Frontier,
    roots: VecDeque<(u64, Hash)>,
}

/// What watch's copy says of the checkpoint log at a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootAt {
    /// Its root.
    Known(Hash),
    /// So many leaves have not come yet.
    NotYet,
    /// Too long ago to be remembered.
    Forgotten,
}

/// The path of a segment in the mirror's folder.
pub fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:010}.wal"))
}

impl Mirror {
    /// Reads and checks everything in `dir`, and goes on behind it. A last frame that a crash cut is
    /// cut off: it was never acknowledged.
    ///
    /// # Errors
    /// [`WatchError::Damaged`] when a frame does not verify: then this copy was changed.
    pub fn open(dir: &Path, genesis: &Signed, segment_bytes: u64) -> Result<Mirror, WatchError> {
        Mirror::open_with(dir, genesis, segment_bytes, &mut |_, _, _| {})
    }

    /// The same, and hands each frame to `each`, with the roster after it.
    pub fn open_with(
        dir: &Path,
        genesis: &Signed,
        segment_bytes: u64,
        each: &mut Each<'_>,
    ) -> Result<Mirror, WatchError> {
        disk::create_dir(dir)?;
        let (statement, roster) = Roster::begin(genesis, None)?;
        let mut checked = Checked::new(&statement, roster, genesis.digest());
        let (mut segment, mut offset) = (0, 0);
        loop {
            let path = segment_path(dir, segment);
            let Some(bytes) = disk::read_if_there(&path)? else { break };
            let is_last = !segment_path(dir, segment + 1).exists();
            offset = read_segment(&path, &bytes, is_last, &mut checked, each)?;
            if is_last {
                break;
            }
            segment += 1;
        }
        let path = segment_path(dir, segment);
        let file = open_segment(&path)?;
        if file.metadata().map_err(WatchError::io("examine", &path))?.len() > offset {
            tracing::warn!(path = %path.display(), offset, "the last frame is incomplete; it is cut off");
            file.set_len(offset)
                .and_then(|()| file.sync_all())
                .map_err(WatchError::io("cut", &path))?;
        }
        disk::sync_dir(dir)?;
        Ok(Mirror { dir: dir.to_owned(), file, path, segment, offset, segment_bytes, checked })
    }

    /// Checks a frame and writes it. It is durable after [`Mirror::sync`]. Answers what is odd about
    /// commits: that is worth an alarm, but no reason to keep no copy.
    ///
    /// # Errors
    /// [`WatchError::Replay`] or [`WatchError::Proof`] when the frame does not follow or does not verify:
    /// nothing has changed then. [`WatchError::Io`] leaves an unknown state: the mirror must be opened anew.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<Vec<String>, WatchError> {
        self.accept_with(bytes, &mut |_, _, _| {})
    }

    /// The same, and hands the frame to `each` if it is good.
    pub fn accept_with(
        &mut self,
        bytes: &[u8],
        each: &mut Each<'_>,
    ) -> Result<Vec<String>, WatchError> {
        let frame = Frame::from_bytes(bytes).map_err(writ_proof::replay::ReplayError::from)?;
        let end = bytes.len() as u64;
        let located = Located { at: 0, end, hash: frame_hash(bytes), frame };
        let odd = self.checked.accept(&located, each)?;
        if self.offset >= self.segment_bytes {
            self.roll()?;
        }
        self.file.write_all(bytes).map_err(WatchError::io("write", &self.path))?;
        self.offset += end;
        Ok(odd)
    }

    /// Makes everything that was accepted durable. After an error nobody knows what is on the disk.
    pub fn sync(&mut self) -> Result<(), WatchError> {
        self.file.sync_data().map_err(WatchError::io("fsync", &self.path))
    }

    /// What has been accepted.
    pub fn position(&self) -> StreamPosition {
        let end = self.checked.replay.end();
        StreamPosition { next_seq: end.next_seq, hash: end.hash }
    }

    /// The root of the checkpoint log at `size`, by this copy.
    pub fn root_at(&self, size: u64) -> RootAt {
        if size > self.checked.frontier.size() {
            return RootAt::NotYet;
        }
        if size == 0 {
            return RootAt::Known(writ_proof::merkle::empty_root());
        }
        let found = self.checked.roots.iter().rev().find(|(at, _)| *at == size);
        found.map_or(RootAt::Forgotten, |(_, root)| RootAt::Known(*root))
    }

    /// Commits of which records are missing.
    pub fn missing(&self) -> Vec<Missing> {
        self.checked.commits.missing()
    }

    fn roll(&mut self) -> Result<(), WatchError> {
        self.sync()?;
        let path = segment_path(&self.dir, self.segment + 1);
        self.file = open_segment(&path)?;
        disk::sync_dir(&self.dir)?;
        (self.path, self.segment, self.offset) = (path, self.segment + 1, 0);
        Ok(())
    }
}

fn open_segment(path: &Path) -> Result<File, WatchError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(WatchError::io("open", path))
}

/// Reads one segment; answers where its last whole frame ends.
fn read_segment(
    path: &Path,
    bytes: &[u8],
    is_last: bool,
    checked: &mut Checked,
    each: &mut Each<'_>,
) -> Result<u64, WatchError> {
    let damaged = |at, why: String| WatchError::Damaged { path: path.to_owned(), at, why };
    let mut offset = 0;
    for located in Frames::new(bytes) {
        match located {
            Ok(located) => {
                checked.accept(&located, each).map_err(|e| damaged(located.at, e.to_string()))?;
                offset = located.end;
            }
            Err(error) if error.fault == FrameFault::Torn && is_last => break,
            Err(error) => return Err(damaged(error.at, error.fault.to_string())),
        }
    }
    Ok(offset)
}

impl Checked {
    fn new(genesis: &Genesis, roster: Roster, digest: Hash) -> Checked {
        Checked {
            replay: Replay::new(),
            roster,
            genesis: digest,
            keyd: genesis.keyd.use_records,
            commits: Commits::new(),
            frontier: Frontier::new(),
            roots: VecDeque::new(),
        }
    }

    fn accept(
        &mut self,
        located: &Located,
        each: &mut Each<'_>,
    ) -> Result<Vec<String>, WatchError> {
        let roster = self.roster.after(&located.frame.batch, self.genesis)?;
        let accepted = self.replay.accept(located, &self.keyd)?;
        if let Some(roster) = roster {
            self.roster = roster;
        }
        self.checkpoints(located);
        each(&located.frame, &accepted, &self.roster);
        Ok(self.commits(&accepted))
    }

    fn checkpoints(&mut self, located: &Located) {
        for entry in &located.frame.batch.entries {
            for bytes in &entry.leaves {
                let is_checkpoint = |leaf: &Leaf| leaf.log == LogName::Checkpoint;
                if Leaf::from_bytes(bytes).is_ok_and(|leaf| is_checkpoint(&leaf)) {
                    self.frontier.append(leaf_hash(bytes));
                    self.roots.push_back((self.frontier.size(), self.frontier.root()));
                }
            }
        }
        while self.roots.len() > ROOTS_MAX {
            self.roots.pop_front();
        }
    }

    fn commits(&mut self, accepted: &Accepted) -> Vec<String> {
        let mut odd = BTreeSet::new();
        for leaf in accepted.leaves.iter().filter_map(|leaves| leaves.first()) {
            let Some(commit) = &leaf.commit else { continue };
            if let Err(error) = self.commits.see(leaf.source, commit) {
                let (source, event) = (leaf.source.as_str(), leaf.event_id);
                odd.insert(format!(
                    "event `{event}` of {source}, revision {}: {error}",
                    commit.rev
                ));
            }
        }
        odd.into_iter().collect()
    }
}

#[cfg(test)]
#[path = "tests/mirror.rs"]
mod tests;
