//! A data directory of `writ up` as a source, stopped or running. Nothing is written.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use writ_proof::Hash;
use writ_proof::frame::{FrameFault, Frames, Located};
use writ_proof::merkle::root_at;
use writ_proof::origin::{LogName, Origin};
use writ_proof::tile::{TILE_WIDTH, TileId, TileReader as _};
use writ_trail::TrailError;
use writ_trail::logs::LogFiles;
use writ_trail::reader::Reader;

use super::finding::{Code, Finding};
use super::hosts::HostFiles;
use super::recordings::Recording;
use super::source::{Content, Copy, Node, Nodes, Source, Which, WholeLedger};

/// How often a file is looked for that a running writer may just have replaced.
const ATTEMPTS: usize = 3;
/// The records of one bundle, in bytes: 256 of at most 256 KiB.
const RECORDS_MAX_BYTES: u64 = 256 * 260 * 1024;

/// A data directory.
pub(crate) struct Directory {
    dir: PathBuf,
    reader: Reader,
}

impl Directory {
    /// Opens `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Directory, Finding> {
        let trail = dir.join("trail");
        if !trail.is_dir() {
            let what = "there is no such folder: give the data directory of `writ up` with --data";
            return Err(Finding::new(Code::Files, trail.display(), what));
        }
        let reader = Reader::open(&trail).map_err(|error| match error {
            TrailError::Proof(error) => Finding::new(Code::Roots, "trail/genesis", error),
            other => Finding::new(Code::Files, trail.display(), chain(&other)),
        })?;
        Ok(Directory { dir: dir.to_owned(), reader })
    }

    fn files(&self, log: LogName) -> LogFiles {
        self.reader.log(log)
    }

    fn origin(&self, log: LogName) -> Origin {
        self.reader.origin(log)
    }

    fn leaves(&self, log: LogName, bundle: u64, size: u64) -> Result<Vec<Vec<u8>>, Finding> {
        let files = self.files(log);
        let place = || format!("{} bundle {bundle}", self.origin(log));
        retried(|| files.entries(bundle, size).map_err(|e| fault(Code::Trees, place(), &e)))
    }

    fn records(&self, log: LogName, first: u64, count: usize) -> Result<Vec<Vec<u8>>, Finding> {
        let dir = self.files(log).dir().to_owned();
        let place = format!("{} records from {first}", self.origin(log));
        let unreadable = |error: std::io::Error| Finding::new(Code::Files, &place, error);
        let damaged = || Finding::new(Code::Records, &place, "the record file is damaged");
        let index = File::open(dir.join("records.idx")).map_err(unreadable)?;
        let data = File::open(dir.join("records.dat")).map_err(unreadable)?;
        // The end of the record before the first, then the end of each.
        let before = usize::from(first > 0);
        let mut ends = vec![0; (count + before) * 8];
        let at = first.saturating_sub(before as u64) * 8;
        index.read_exact_at(&mut ends, at).map_err(unreadable)?;
        let ends = ends.as_chunks::<8>().0.iter().map(|end| u64::from_be_bytes(*end));
        let mut ends: Vec<u64> =
            if first > 0 { Vec::new() } else { vec![0] }.into_iter().chain(ends).collect();
        let start = ends.remove(0);
        let end = ends.last().copied().unwrap_or(start);
        let length =
            end.checked_sub(start).filter(|l| *l <= RECORDS_MAX_BYTES).ok_or_else(damaged)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        data.read_exact_at(&mut bytes, start).map_err(unreadable)?;
        let mut from = start;
        let mut records = Vec::with_capacity(count);
        for end in ends {
            let range = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
            let framed = bytes.get(range(from)..range(end)).ok_or_else(damaged)?;
            // Length and checksum; the leaf's hash says more than either.
            let record = framed.get(8..).ok_or_else(damaged)?;
            records.push(record.to_vec());
            from = end;
        }
        Ok(records)
    }

    fn segments(&self, copy: Copy) -> PathBuf {
        match copy {
            Copy::Ledger => self.dir.join("trail").join("wal"),
            Copy::Mirror => self.dir.join("watch").join(writ_watch::MIRROR_FOLDER),
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A file that is absent is kind 20; one that holds something else is of kind `wrong`.
fn fault(wrong: Code, place: impl std::fmt::Display, error: &TrailError) -> Finding {
    let code = match error {
        TrailError::Proof(writ_proof::Error::Tile { .. }) | TrailError::Io { .. } => Code::Files,
        _ => wrong,
    };
    Finding::new(code, place, chain(error))
}

fn retried<T>(mut read: impl FnMut() -> Result<T, Finding>) -> Result<T, Finding> {
    let mut result = read();
    for _ in 1..ATTEMPTS {
        if result.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        result = read();
    }
    result
}

impl Source for Directory {
    fn genesis(&self) -> Result<Vec<u8>, Finding> {
        let own = self.reader.genesis().to_bytes();
        let path = self.dir.join("genesis");
        match std::fs::read(&path) {
            Ok(bytes) if bytes == own => Ok(own),
            Ok(_) => Err(Finding::new(Code::Roots, "genesis", "it differs from trail/genesis")),
            Err(error) => Err(Finding::new(Code::Files, path.display(), error)),
        }
    }

    fn logs(&self) -> Result<Vec<LogName>, Finding> {
        self.reader.logs().map_err(|error| fault(Code::Files, "trail/logs", &error))
    }

    fn held(&self, log: LogName) -> Result<u64, Finding> {
        self.reader.size(log).map_err(|error| fault(Code::Files, self.origin(log), &error))
    }

    fn note(&self, log: LogName, which: Which) -> Result<Option<Vec<u8>>, Finding> {
        let note = match which {
            Which::Cosigned => self.reader.cosigned(log),
            Which::Newest => self.reader.checkpoint(log),
        };
        note.map_err(|error| fault(Code::Files, self.origin(log), &error))
    }

    fn nodes(&self, log: LogName, bundle: u64, size: u64) -> Result<Nodes, Finding> {
        let leaves = self.leaves(log, bundle, size)?;
        let (records, without_records) = match self.records(log, bundle * TILE_WIDTH, leaves.len())
        {
            Ok(records) => (records, None),
            Err(finding) => (Vec::new(), Some(finding)),
        };
        let mut records = records.into_iter();
        let nodes = leaves.into_iter().map(|leaf| Node::Leaf(leaf, records.next())).collect();
        Ok(Nodes { nodes, without_records })
    }

    fn tile(&self, log: LogName, id: &TileId) -> Result<Option<Vec<Hash>>, Finding> {
        let files = self.files(log);
        let place = || format!("{} {id}", self.origin(log));
        retried(|| {
            files.tile(id).map(Some).map_err(|error| {
                let missing = matches!(error, writ_proof::Error::Tile { .. });
                let code = if missing { Code::Files } else { Code::Trees };
                Finding::new(code, place(), error)
            })
        })
    }

    fn root(&self, log: LogName, size: u64) -> Result<Hash, Finding> {
        let unreadable = |error| Finding::new(Code::Consistency, self.origin(log), error);
        retried(|| root_at(&self.files(log), size).map_err(unreadable))
    }

    fn content(&self) -> Content<'_> {
        Content::Ledger(self)
    }

    fn is_running(&self) -> bool {
        File::open(self.dir.join("lock"))
            .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
    }
}

impl WholeLedger for Directory {
    fn host_log(&self) -> HostFiles {
        HostFiles {
            folder: self.dir.join("watch").join(writ_watch::HOST_LOG_FOLDER),
            kept: self.dir.join("trail").join(writ_trail::HOST_COSIGNED_FILE),
        }
    }

    fn recording(&self, session: &str) -> Result<Option<Recording>, Finding> {
        // One that ends in between has the other name by then.
        for (ending, closed) in [("rec", true), ("rec.open", false), ("rec", true)] {
            let path = self.dir.join("bastion").join(format!("{session}.{ending}"));
            match File::open(&path) {
                Ok(file) => return Ok(Some(Recording { bytes: Box::new(file), closed })),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Finding::new(Code::Files, path.display(), error)),
            }
        }
        Ok(None)
    }

    fn frames(&self, copy: Copy, visit: &mut dyn FnMut(&Located) -> bool) -> Result<bool, Finding> {
        let folder = self.segments(copy);
        for number in 0.. {
            let path = writ_trail::wal::segment_path(&folder, number);
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return ended(&folder, number);
                }
                Err(error) => return Err(Finding::new(Code::Files, path.display(), error)),
            };
            let is_last = !writ_trail::wal::segment_path(&folder, number + 1).exists();
            for located in Frames::new(&bytes) {
                match located {
                    Ok(located) if visit(&located) => {}
                    Ok(_) => return Ok(true),
                    Err(error) if is_last && error.fault == FrameFault::Torn => break,
                    Err(error) => return Err(Finding::new(Code::Trees, path.display(), error)),
                }
            }
        }
        Ok(true)
    }
}

/// No segment `number`: the end, unless later ones exist.
fn ended(folder: &Path, number: u64) -> Result<bool, Finding> {
    let later = match writ_trail::wal::segments(folder) {
        Ok(numbers) => numbers.last().is_some_and(|last| *last > number),
        Err(_) => false,
    };
    if later {
        let path = writ_trail::wal::segment_path(folder, number);
        return Err(Finding::new(Code::Files, path.display(), "this segment is missing"));
    }
    Ok(number > 0)
}

/// How many bundles a log of `size` leaves has.
pub(crate) fn bundles(size: u64) -> u64 {
    size.div_ceil(TILE_WIDTH)
}
