//! The write-ahead log: segments of frames, opened by one writer, read by cursors.
//!
//! `wal/0000000000.wal`, `wal/0000000001.wal`, …: each a sequence of frames ([`writ_proof::frame`]) and
//! nothing else. Frames are chained by hash across segments. Nothing is ever changed in place; only
//! the last frame of the last segment may be cut off, when a crash left it incomplete.

mod cursor;
mod open;

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use writ_model::failpoint;
use writ_proof::cbor_map;
use writ_proof::frame::{Batch, Frame, WalEnd, frame_hash};

use crate::disk;
use crate::error::TrailError;
pub use cursor::{Cursor, Placed};
pub use open::{Cut, Replay, replay};

/// A place between two frames. Ordered as the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from the segment's start.
    pub offset: u64,
}
cbor_map!(Place { 1: segment, 2: offset });

/// The path of a segment in the folder `wal`.
pub fn segment_path(wal: &Path, segment: u64) -> PathBuf {
    wal.join(format!("{segment:010}.wal"))
}

/// The numbers of the segments in the folder `wal`, ascending.
pub fn segments(wal: &Path) -> Result<Vec<u64>, TrailError> {
    let mut numbers = Vec::new();
    let entries = std::fs::read_dir(wal).map_err(TrailError::io("list", wal))?;
    for entry in entries {
        let name = entry.map_err(TrailError::io("list", wal))?.file_name();
        let number = name.to_str().and_then(|n| n.strip_suffix(".wal")).map(str::parse);
        if let Some(Ok(number)) = number {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The one writer's hold on the log.
pub(crate) struct Wal {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    place: Place,
    end: WalEnd,
    epoch: u64,
    segment_bytes: u64,
}

/// Why a batch was not appended.
pub(crate) enum AppendFault {
    /// The write failed and was undone. A later one may succeed.
    Undone(TrailError),
    /// Nobody knows what is on the disk. The log must be opened anew.
    Fatal(TrailError),
}

impl Wal {
    /// Goes on behind what [`replay`] found, under a new epoch.
    pub(crate) fn go_on(
        dir: &Path,
        place: Place,
        end: WalEnd,
        segment_bytes: u64,
    ) -> Result<Wal, TrailError> {
        let path = segment_path(dir, place.segment);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(TrailError::io("open", &path))?;
        disk::sync_dir(dir)?;
        file.seek(SeekFrom::Start(place.offset)).map_err(TrailError::io("seek", &path))?;
        let epoch = end.epoch.saturating_add(1);
        Ok(Wal { dir: dir.to_owned(), file, path, place, end, epoch, segment_bytes })
    }

    /// WAL position of the next entry.
    pub(crate) fn next_seq(&self) -> u64 {
        self.end.next_seq
    }

    /// The end of what is durable.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Writes one frame and makes it durable.
    pub(crate) fn append(&mut self, batch: Batch) -> Result<(), AppendFault> {
        if self.place.offset >= self.segment_bytes {
            self.roll().map_err(AppendFault::Undone)?;
        }
        let frame =
            Frame { epoch: self.epoch, first_seq: self.end.next_seq, prev: self.end.hash, batch };
        let bytes = frame.to_bytes().map_err(|e| AppendFault::Undone(e.into()))?;
        failpoint::hit("trail.before_write");
        if let Err(source) = self.file.write_all(&bytes) {
            let error = TrailError::io("write", &self.path)(source);
            return Err(self.undo(error));
        }
        failpoint::hit("trail.after_write");
        self.sync(bytes.len() as u64)?;
        failpoint::hit("trail.after_fsync");
        self.place.offset += bytes.len() as u64;
        self.end =
            WalEnd { epoch: self.epoch, next_seq: frame.next_seq(), hash: frame_hash(&bytes) };
        Ok(())
    }

    /// Makes what was written durable, and with failpoints notes how far that reaches.
    fn sync(&self, added: u64) -> Result<(), AppendFault> {
        if failpoint::is_set("trail.fsync_off") {
            return Ok(());
        }
        // An error here is final: the kernel may have dropped the pages and would report success next
        // time (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
        // The trace hangs on the call's own success, so that it cannot be told without it.
        self.file
            .sync_data()
            .map_err(TrailError::io("fsync", &self.path))
            .and_then(|()| self.trace(self.place.offset + added))
            .map_err(AppendFault::Fatal)
    }

    /// Tests cut the log back to the last trace to play a power failure.
    #[cfg(feature = "failpoints")]
    fn trace(&self, length: u64) -> Result<(), TrailError> {
        let text = format!("{} {length}", self.place.segment);
        disk::replace_unsynced(&self.dir.join("synced"), text.as_bytes(), false)
    }

    #[cfg(not(feature = "failpoints"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    fn trace(&self, _length: u64) -> Result<(), TrailError> {
        Ok(())
    }

    /// Takes back a write that failed midway; none of it was acknowledged.
    fn undo(&mut self, error: TrailError) -> AppendFault {
        let back = self
            .file
            .set_len(self.place.offset)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.place.offset)));
        match back {
            Ok(_) => AppendFault::Undone(error),
            Err(_) => AppendFault::Fatal(error),
        }
    }

    fn roll(&mut self) -> Result<(), TrailError> {
        let place = Place { segment: self.place.segment + 1, offset: 0 };
        let path = segment_path(&self.dir, place.segment);
        let file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)
            .map_err(TrailError::io("create", &path))?;
        disk::sync_dir(&self.dir)?;
        (self.file, self.path, self.place) = (file, path, place);
        Ok(())
    }
}
