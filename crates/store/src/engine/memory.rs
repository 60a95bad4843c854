//! State in memory: for tests, and the model that the other engines are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_model::{Env, Revision, StoreEpoch, Timestamp, Uuid};

use super::{
    Beat, Cell, Changes, Engine, Group, Load, Outcome, check_cell, check_outbox, sequence,
};
use crate::{Body, Change, Expect, Object, ObjectId, OutboxRow, StoreError, Transaction};

/// What survives when a [`MemoryEngine`] is dropped.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

struct Disk {
    epoch: StoreEpoch,
    revision: Revision,
    objects: BTreeMap<ObjectId, (Body, Revision)>,
    changes: Vec<Change>,
    outbox: Vec<OutboxRow>,
    nodes: BTreeMap<String, (Revision, Timestamp)>,
    cells: BTreeMap<String, Cell>,
}

impl MemoryDisk {
    /// An empty store.
    pub fn new(env: &dyn Env) -> MemoryDisk {
        MemoryDisk(Arc::new(Mutex::new(Disk {
            epoch: Uuid::random(env),
            revision: Revision(0),
            objects: BTreeMap::new(),
            changes: Vec::new(),
            outbox: Vec::new(),
            nodes: BTreeMap::new(),
            cells: BTreeMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine over a [`MemoryDisk`].
pub struct MemoryEngine {
    disk: MemoryDisk,
}

impl MemoryEngine {
    /// Opens what is on `disk`.
    pub fn open(disk: &MemoryDisk) -> MemoryEngine {
        MemoryEngine { disk: disk.clone() }
    }
}

impl Engine for MemoryEngine {
    fn load(&mut self) -> Result<Load, StoreError> {
        let disk = self.disk.lock();
        let objects = disk
            .objects
            .iter()
            .map(|(id, (body, at))| (Object { account: id.account, body: body.clone() }, *at));
        Ok(Load { epoch: disk.epoch, revision: disk.revision, objects: objects.collect() })
    }

    fn changes(&mut self, after: Revision, limit: usize) -> Result<Changes, StoreError> {
        let disk = self.disk.lock();
        if after >= disk.revision {
            return Ok(Changes::Batch(Vec::new()));
        }
        if disk.changes.first().is_none_or(|first| first.revision > after.next()) {
            return Ok(Changes::Compacted);
        }
        let later = disk.changes.iter().filter(|change| change.revision > after);
        let last = later.clone().take(limit.max(1)).last().map(|change| change.revision);
        Ok(Changes::Batch(later.filter(|change| Some(change.revision) <= last).cloned().collect()))
    }

    fn commit(&mut self, group: &Group<'_>) -> Result<Outcome, StoreError> {
        let mut disk = self.disk.lock();
        let mut touched = BTreeSet::new();
        let mut results = Vec::new();
        let mut accepted = Vec::new();
        for transaction in group.transactions {
            let result = disk.admits(transaction, &touched);
            if result.is_ok() {
                touched.extend(transaction.written());
                accepted.push(transaction);
            }
            results.push(result);
        }
        if accepted.is_empty() {
            return Ok(Outcome { results, ..Outcome::default() });
        }
        let unacknowledged = |row: &&OutboxRow| row.revision > group.acknowledged;
        check_outbox(disk.outbox.iter().filter(unacknowledged).count(), &accepted)?;
        let revision = disk.revision.next();
        let outcome = sequence(&accepted, revision, group.at);
        disk.outbox.retain(|row| row.revision > group.acknowledged);
        disk.outbox.extend(outcome.rows.iter().cloned());
        for change in &outcome.changes {
            match &change.body {
                Some(body) => {
                    disk.objects.insert(change.object.clone(), (body.clone(), revision));
                }
                None => {
                    disk.objects.remove(&change.object);
                }
            }
        }
        disk.changes.extend(outcome.changes.iter().cloned());
        disk.revision = revision;
        Ok(Outcome { results, ..outcome })
    }

    fn beat(&mut self, node: &str, seen: Revision, at: Timestamp) -> Result<Beat, StoreError> {
        let mut disk = self.disk.lock();
        disk.nodes.insert(node.to_owned(), (seen, at));
        Ok(Beat { epoch: disk.epoch, revision: disk.revision })
    }

    fn outbox(&mut self) -> Result<Vec<OutboxRow>, StoreError> {
        Ok(self.disk.lock().outbox.clone())
    }

    fn compact(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        let mut disk = self.disk.lock();
        let (length, newest) = (disk.changes.len(), disk.revision);
        disk.changes.retain(|change| change.at >= before || change.revision == newest);
        Ok(length - disk.changes.len())
    }

    fn cell(&mut self, name: &str) -> Result<Option<Cell>, StoreError> {
        Ok(self.disk.lock().cells.get(name).cloned())
    }

    fn swap_cell(
        &mut self,
        name: &str,
        expected: u64,
        body: &[u8],
    ) -> Result<Option<u64>, StoreError> {
        check_cell(body)?;
        let mut disk = self.disk.lock();
        if disk.cells.get(name).map_or(0, |cell| cell.version) != expected {
            return Ok(None);
        }
        let version = expected + 1;
        disk.cells.insert(name.to_owned(), Cell { version, body: body.to_vec() });
        Ok(Some(version))
    }
}

impl Disk {
    fn admits(
        &self,
        transaction: &Transaction,
        touched: &BTreeSet<ObjectId>,
    ) -> Result<(), StoreError> {
        let found = |id: &ObjectId| self.objects.get(id).map(|(_, revision)| *revision);
        let conflict = |id: &ObjectId, expected| {
            let found = if touched.contains(id) { None } else { found(id) };
            Err(StoreError::Conflict { object: Box::new(id.clone()), expected, found })
        };
        for (id, expected) in &transaction.preconditions {
            let holds = match expected {
                Expect::Absent => found(id).is_none(),
                Expect::At(revision) => found(id) == Some(*revision),
                Expect::Unchanged => found(id).is_some(),
            };
            if !holds || touched.contains(id) {
                return conflict(id, *expected);
            }
        }
        for id in transaction.written() {
            let missing = transaction.deletes.contains(&id) && found(&id).is_none();
            if missing || touched.contains(&id) {
                return conflict(&id, Expect::Unchanged);
            }
        }
        for object in &transaction.puts {
            object.body.encode()?;
        }
        Ok(())
    }
}
