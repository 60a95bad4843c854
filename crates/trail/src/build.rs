//! The builder: follows the write-ahead log and makes the logs' files and the lookup index from it.
//!
//! Its state says how far it is. After a crash of the process it goes on there; after a crash of the
//! machine, whose caches are lost, it makes everything again.

pub(crate) mod checkpoint;
pub(crate) mod notes;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use writ_model::{AccountId, failpoint};
use writ_proof::Hash;
use writ_proof::frame::Frame;
use writ_proof::leaf::{Kind, Leaf, leaf_hash};
use writ_proof::merkle::Frontier;
use writ_proof::origin::{LogName, Origin, SiteId};

use crate::disk;
use crate::error::TrailError;
use crate::limits::READ_CHUNK_BYTES;
use crate::logs::{LogFiles, NewLeaf};
use crate::lookup::Lookup;
use crate::wal::Cursor;
use crate::writer::shared::Shared;
pub(crate) use state::BuildState;

/// What the builder's thread owns.
pub(crate) struct Builder {
    ledger: PathBuf,
    site: SiteId,
    cursor: Cursor,
    next_seq: u64,
    /// The hash of the last frame that is built.
    hash: Hash,
    logs: BTreeMap<LogName, Frontier>,
    /// The size of each log at its last leaf in the checkpoint log.
    pub(crate) heads: BTreeMap<LogName, u64>,
    lookup: Lookup,
    shared: Arc<Shared>,
}

impl Builder {
    /// Goes on where `known` says, or from the start.
    pub(crate) fn open(
        ledger: &Path,
        site: &SiteId,
        shared: Arc<Shared>,
        known: Option<BuildState>,
    ) -> Result<Builder, TrailError> {
        let known = known.filter(|state| state.fits(ledger, site));
        let state = match known {
            Some(state) => state,
            None => BuildState::start_over(ledger)?,
        };
        Ok(Builder {
            ledger: ledger.to_owned(),
            site: site.clone(),
            cursor: Cursor::new(&ledger.join("wal"), state.place),
            next_seq: state.next_seq,
            hash: state.hash,
            logs: state.logs.iter().map(|l| (l.log, l.frontier.clone())).collect(),
            heads: state.heads.iter().copied().collect(),
            lookup: Lookup::open(&ledger.join("lookup.sqlite"))?,
            shared,
        })
    }

    /// Builds everything that is durable.
    pub(crate) fn catch_up(&mut self) -> Result<(), TrailError> {
        let durable = self.shared.durable().place;
        if self.cursor.place() >= durable {
            return Ok(());
        }
        failpoint::hit("trail.before_tiles");
        while self.cursor.place() < durable {
            let mut round = Round::default();
            while round.bytes < READ_CHUNK_BYTES {
                let Some(placed) = self.cursor.next(Some(durable))? else { break };
                round.bytes += placed.bytes.len();
                self.next_seq = placed.located.frame.next_seq();
                self.hash = placed.located.hash;
                round.add(placed.located.frame)?;
            }
            if round.bytes == 0 {
                break;
            }
            self.finish(round)?;
        }
        self.save(false)?;
        let sizes = self.logs.iter().map(|(log, f)| (*log, f.size())).collect();
        self.shared.built(self.next_seq, sizes);
        Ok(())
    }

    fn finish(&mut self, round: Round) -> Result<(), TrailError> {
        for (log, leaves) in round.logs {
            let files = self.files(log);
            let frontier = self.logs.entry(log).or_default();
            files.grow(frontier.size(), &leaves)?;
            leaves.iter().for_each(|new| {
                frontier.append(leaf_hash(&new.leaf));
            });
        }
        // INVARIANT: the sequencer wrote the frontier of every log that it touched; the files must
        // have come to the same.
        for (log, expected) in round.frontiers {
            let found = self.logs.get(&log).cloned().unwrap_or_default();
            if found != expected {
                return Err(TrailError::Fork {
                    origin: Origin::new(self.site.clone(), log).to_string(),
                    size: expected.size(),
                    expected: expected.root().to_string(),
                    found: found.root().to_string(),
                });
            }
        }
        self.lookup.add(&round.events)
    }

    /// The files of a log.
    pub(crate) fn files(&self, log: LogName) -> LogFiles {
        LogFiles::new(&self.ledger, &Origin::new(self.site.clone(), log))
    }

    /// The frontier of a log, as far as it is built.
    pub(crate) fn frontier(&self, log: LogName) -> Frontier {
        self.logs.get(&log).cloned().unwrap_or_default()
    }

    /// Logs that are built, with their frontiers.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (LogName, &Frontier)> {
        self.logs.iter().map(|(log, frontier)| (*log, frontier))
    }

    /// Keeps the state. `settled`: everything built has reached the disk, so that a crash of the
    /// machine loses nothing.
    pub(crate) fn save(&self, settled: bool) -> Result<(), TrailError> {
        let end = (self.cursor.place(), self.next_seq, self.hash);
        BuildState::of(&self.site, end, &self.logs, &self.heads, settled).save(&self.ledger)
    }

    /// At an orderly end: flushes the disk once, so that the next start need not build anew.
    pub(crate) fn settle(&self) -> Result<(), TrailError> {
        let dir =
            std::fs::File::open(&self.ledger).map_err(TrailError::io("open", &self.ledger))?;
        rustix::fs::syncfs(&dir).map_err(|e| TrailError::io("sync", &self.ledger)(e.into()))?;
        self.save(true)?;
        disk::sync_dir(&self.ledger)
    }
}

/// What some frames add.
#[derive(Default)]
struct Round {
    bytes: usize,
    logs: BTreeMap<LogName, Vec<NewLeaf>>,
    frontiers: BTreeMap<LogName, Frontier>,
    events: Vec<(AccountId, u64, Vec<u8>)>,
}

impl Round {
    fn add(&mut self, frame: Frame) -> Result<(), TrailError> {
        for entry in frame.batch.entries {
            for bytes in entry.leaves {
                let leaf = Leaf::from_bytes(&bytes)?;
                if let (Kind::Event, LogName::Account(account)) = (leaf.kind, leaf.log) {
                    self.events.push((account, leaf.seq, entry.record.clone()));
                }
                let new = NewLeaf { leaf: bytes, record: entry.record.clone() };
                self.logs.entry(leaf.log).or_default().push(new);
            }
        }
        for touched in frame.batch.frontiers {
            self.frontiers.insert(touched.log, touched.frontier);
        }
        Ok(())
    }
}
