//! What was ordered before, durably: a file for each run, until its order is long over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use writ_model::{Timestamp, Ulid};
use writ_proof::cbor::{self, Version};
use writ_proof::cbor_map;
use writ_proof::hash::Hash;
use writ_proof::runbook::{Ended, RunOrder};

use crate::disk;
use crate::error::AgentError;

/// A run is forgotten so long after its order is over: longer than any grant lasts, and any clock is wrong.
const KEPT: Duration = Duration::from_secs(48 * 3600);

/// One run, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    v: Version<1>,
    run: Ulid,
    grant: Hash,
    not_after: Timestamp,
    ended: Option<Ended>,
    told: bool,
}
cbor_map!(Kept { 1: v, 2: run, 3: grant, 4: not_after, 5: opt ended, 6: told });

/// See the module.
pub(super) struct Used {
    folder: PathBuf,
    runs: BTreeMap<Ulid, Kept>,
    grants: BTreeSet<Hash>,
}

impl Used {
    pub(super) fn open(folder: &Path) -> Result<Used, AgentError> {
        let mut used =
            Used { folder: folder.to_owned(), runs: BTreeMap::new(), grants: BTreeSet::new() };
        for file in std::fs::read_dir(folder).map_err(AgentError::io("read", folder))? {
            let path = file.map_err(AgentError::io("read", folder))?.path();
            if path.extension().is_none_or(|extension| extension != "run") {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(AgentError::io("read", &path))?;
            let kept: Kept = cbor::from_slice(&bytes).map_err(|_| AgentError::Foreign {
                path: path.clone(),
                why: "it is no record of a run".to_owned(),
            })?;
            used.grants.insert(kept.grant);
            used.runs.insert(kept.run, kept);
        }
        Ok(used)
    }

    /// True if the run, or another one of its grant, was taken before.
    pub(super) fn has(&self, order: &RunOrder) -> bool {
        self.has_run(order.run) || self.grants.contains(&order.grant)
    }

    /// True if the run was taken before.
    pub(super) fn has_run(&self, run: Ulid) -> bool {
        self.runs.contains_key(&run)
    }

    /// Takes note of an order, on the disk.
    pub(super) fn take(&mut self, order: &RunOrder) -> Result<(), AgentError> {
        let (run, grant, not_after) = (order.run, order.grant, order.not_after);
        let kept = Kept { v: Version, run, grant, not_after, ended: None, told: false };
        self.write(&kept)?;
        self.grants.insert(grant);
        self.runs.insert(run, kept);
        Ok(())
    }

    /// Takes note of how a run ended.
    pub(super) fn ended(&mut self, run: Ulid, ended: &Ended) -> Result<(), AgentError> {
        self.change(run, |kept| kept.ended = Some(ended.clone()))
    }

    /// Front has taken the end.
    pub(super) fn told(&mut self, run: Ulid) -> Result<(), AgentError> {
        self.change(run, |kept| kept.told = true)
    }

    /// Runs whose end front has not taken.
    pub(super) fn untold(&self) -> Vec<Ulid> {
        self.runs.values().filter(|kept| !kept.told).map(|kept| kept.run).collect()
    }

    /// How a run ended; `None` of one that was under way when the process went down.
    pub(super) fn end_of(&self, run: Ulid) -> Option<Ended> {
        self.runs.get(&run)?.ended.clone()
    }

    /// Forgets what is long over.
    pub(super) fn forget(&mut self, now: Timestamp) -> Result<(), AgentError> {
        let over = |kept: &&Kept| now.since(kept.not_after) > KEPT;
        let all: Vec<(Ulid, Hash)> =
            self.runs.values().filter(over).map(|kept| (kept.run, kept.grant)).collect();
        for (run, grant) in all {
            let path = self.path(run);
            std::fs::remove_file(&path).map_err(AgentError::io("remove", &path))?;
            self.runs.remove(&run);
            self.grants.remove(&grant);
        }
        Ok(())
    }

    fn change(&mut self, run: Ulid, change: impl FnOnce(&mut Kept)) -> Result<(), AgentError> {
        let Some(mut kept) = self.runs.get(&run).cloned() else { return Ok(()) };
        change(&mut kept);
        self.write(&kept)?;
        self.runs.insert(run, kept);
        Ok(())
    }

    fn write(&self, kept: &Kept) -> Result<(), AgentError> {
        Ok(disk::replace(&self.path(kept.run), &cbor::to_vec(kept), 0o600)?)
    }

    fn path(&self, run: Ulid) -> PathBuf {
        self.folder.join(format!("{run}.run"))
    }
}
