//! Reading a write-ahead log as a verifier: every frame, leaf, record and use record checked.
//!
//! trail does this when it starts, watch with each frame that comes, `writ verify` from the first
//! frame on. What a [`Replay`] has accepted is one history: frames chained, each leaf at the next
//! index of its log, each record named by its leaves, the frontiers as the writer stated them, keyd's
//! chain unbroken.

use std::collections::{BTreeMap, BTreeSet};

use crate::cbor_map;
use crate::ed25519::PublicKey;
use crate::error::Error;
use crate::frame::{Batch, Entry, FrameError, Located, WalEnd};
use crate::hash::Hash;
use crate::leaf::{self, Leaf};
use crate::merkle::Frontier;
use crate::origin::LogName;
use crate::use_record::{ChainEnd, UsePosition, UseRecord};

/// Where a reader stands; it can be kept and taken up again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    end: WalEnd,
    logs: BTreeMap<LogName, Frontier>,
    uses: Option<UsePosition>,
}

/// What a frame added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The decoded leaves of each entry, in the batch's order.
    pub leaves: Vec<Vec<Leaf>>,
    /// keyd's use records.
    pub uses: Vec<UseRecord>,
}

/// Why a frame was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The frame does not follow.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Its content does not hold.
    #[error("WAL frame at position {seq}: {error}")]
    Content {
        /// The WAL position of the entry, or of the frame's first.
        seq: u64,
        /// What does not hold.
        error: Error,
    },
}

impl Replay {
    /// A reader before the first frame.
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Checks the next frame. `keyd` is the key of keyd's use-record chain, from the genesis
    /// statement. On an error the reader stays where it was.
    pub fn accept(&mut self, located: &Located, keyd: &PublicKey) -> Result<Accepted, ReplayError> {
        let mut end = self.end;
        end.step(located)?;
        let first = located.frame.first_seq;
        let batch = &located.frame.batch;
        let mut leaves = Vec::new();
        // Only the touched logs are copied: there may be many thousands of others.
        let mut touched = BTreeMap::new();
        for (entry, seq) in batch.entries.iter().zip(first..) {
            let of = |error| ReplayError::Content { seq, error };
            leaves.push(self.entry(entry, &mut touched).map_err(of)?);
        }
        let of = |error| ReplayError::Content { seq: first, error };
        check_frontiers(batch, &touched).map_err(of)?;
        let (uses, last) = self.uses(batch, keyd).map_err(of)?;
        self.end = end;
        self.logs.extend(touched);
        self.uses = last;
        Ok(Accepted { leaves, uses })
    }

    /// The end of the log so far.
    pub fn end(&self) -> WalEnd {
        self.end
    }

    /// The frontier of each log so far.
    pub fn logs(&self) -> &BTreeMap<LogName, Frontier> {
        &self.logs
    }

    /// The last use record so far.
    pub fn last_use(&self) -> Option<UsePosition> {
        self.uses
    }

    fn entry(
        &self,
        entry: &Entry,
        touched: &mut BTreeMap<LogName, Frontier>,
    ) -> Result<Vec<Leaf>, Error> {
        const WHAT: &str = "entry";
        let leaves = entry.decoded_leaves()?;
        let Some(first) = leaves.first() else {
            return Err(Error::malformed(WHAT, "it has no leaf"));
        };
        let expected = leaf::rec(first.kind, &entry.record)?;
        let mut logs = BTreeSet::new();
        for (leaf, bytes) in leaves.iter().zip(&entry.leaves) {
            if leaf.rec != expected {
                let what = "record named by a leaf";
                return Err(Error::Mismatch { what, expected, found: leaf.rec });
            }
            // Leaves of one record differ in nothing but their place.
            let same = Leaf { seq: first.seq, log: first.log, ..leaf.clone() };
            if same != *first || !logs.insert(leaf.log) {
                return Err(Error::malformed(WHAT, "its leaves do not belong together"));
            }
            let known = || self.logs.get(&leaf.log).cloned().unwrap_or_default();
            let frontier = touched.entry(leaf.log).or_insert_with(known);
            if frontier.append(leaf::leaf_hash(bytes)) != leaf.seq {
                return Err(Error::malformed(WHAT, "a leaf's index is not the next of its log"));
            }
        }
        Ok(leaves)
    }

    /// A batch continues the boot that is known, or begins a new one at its record 0.
    fn uses(
        &self,
        batch: &Batch,
        keyd: &PublicKey,
    ) -> Result<(Vec<UseRecord>, Option<UsePosition>), Error> {
        let mut records = Vec::new();
        let mut last = self.uses;
        for uses in &batch.uses {
            let known = last.filter(|last| last.boot == uses.boot);
            let mut end = known.map_or_else(|| ChainEnd::begin(uses.boot), ChainEnd::after);
            records.extend(end.accept(uses, keyd)?);
            last = Some(uses.position());
        }
        Ok((records, last))
    }
}

fn check_frontiers(batch: &Batch, touched: &BTreeMap<LogName, Frontier>) -> Result<(), Error> {
    let stated = batch.frontiers.iter().map(|stated| &stated.log);
    if !stated.eq(touched.keys()) {
        return Err(Error::malformed("frontiers", "they are not those of the touched logs"));
    }
    for (stated, found) in batch.frontiers.iter().zip(touched.values()) {
        if stated.frontier != *found {
            let what = "root of a log after the batch";
            let (expected, found) = (found.root(), stated.frontier.root());
            return Err(Error::Mismatch { what, expected, found });
        }
    }
    Ok(())
}

/// What a reader keeps of a [`Replay`] over its own restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayState {
    epoch: u64,
    next_seq: u64,
    hash: Hash,
    logs: Vec<(LogName, Frontier)>,
    uses: Option<UsePosition>,
}
cbor_map!(ReplayState { 1: epoch, 2: next_seq, 3: hash, 4: logs, 5: opt uses });

impl From<&Replay> for ReplayState {
    fn from(replay: &Replay) -> ReplayState {
        let WalEnd { epoch, next_seq, hash } = replay.end;
        let logs = replay.logs.iter().map(|(log, frontier)| (*log, frontier.clone())).collect();
        ReplayState { epoch, next_seq, hash, logs, uses: replay.uses }
    }
}

impl From<ReplayState> for Replay {
    fn from(state: ReplayState) -> Replay {
        let ReplayState { epoch, next_seq, hash, logs, uses } = state;
        let end = WalEnd { epoch, next_seq, hash };
        Replay { end, logs: logs.into_iter().collect(), uses }
    }
}

#[cfg(test)]
#[path = "tests/replay.rs"]
mod tests;
