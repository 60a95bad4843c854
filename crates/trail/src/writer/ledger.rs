//! What the sequencer remembers: the frontier of every log, recent event ids, and keyd's chain.
//!
//! A batch is staged beside it and taken over only when its frame is durable.

use std::collections::{BTreeMap, HashMap, VecDeque};

use writ_model::{Timestamp, Uuid};
use writ_proof::append::Position;
use writ_proof::cbor::Version;
use writ_proof::ed25519::PublicKey;
use writ_proof::frame::{Batch, Entry, Frame, LogFrontier};
use writ_proof::leaf::{Leaf, Source, UseHead, leaf_hash};
use writ_proof::merkle::Frontier;
use writ_proof::origin::LogName;
use writ_proof::use_record::{ChainEnd, UseBatch, UsePosition};
use writ_proof::{Error, Hash};

use super::prepare::Prepared;
use crate::limits::{IDS_MAX, USE_POSITIONS_MAX};

/// A record that is in the log.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    wal: u64,
    source: Source,
    leaves: Box<[(LogName, u64)]>,
}

impl Known {
    fn position(&self, repeated: bool) -> Position {
        Position { wal: self.wal, leaves: self.leaves.to_vec(), repeated }
    }
}

/// The sequencer's memory.
#[derive(Default)]
pub(crate) struct Ledger {
    logs: BTreeMap<LogName, Frontier>,
    ids: HashMap<Uuid, Known>,
    id_order: VecDeque<Uuid>,
    chain: Option<ChainEnd>,
    head: Option<UseHead>,
    positions: HashMap<(Uuid, u64), Hash>,
    position_order: VecDeque<(Uuid, u64)>,
}

/// Where a use-record position stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// keyd's record of it is durable.
    Durable,
    /// keyd's record there has another hash: whoever named it is wrong.
    Other,
    /// Not yet seen.
    Unknown,
}

impl Ledger {
    /// The frontier of a log; empty if it has no leaf yet.
    pub(crate) fn frontier(&self, log: LogName) -> Frontier {
        self.logs.get(&log).cloned().unwrap_or_default()
    }

    /// The last head of keyd's chain that is durable.
    pub(crate) fn use_head(&self) -> Option<UseHead> {
        self.head
    }

    /// Whether keyd's record of `position` is durable.
    pub(crate) fn standing(&self, position: &UsePosition) -> Standing {
        match self.positions.get(&(position.boot, position.seq)) {
            Some(hash) if *hash == position.hash => Standing::Durable,
            Some(_) => Standing::Other,
            None => Standing::Unknown,
        }
    }

    /// Takes over a frame that was read back; checks that its leaves and frontiers fit together.
    /// `on_leaf` is shown each leaf's log with the frontier after it.
    pub(crate) fn replay(
        &mut self,
        frame: &Frame,
        on_leaf: &mut dyn FnMut(LogName, &Frontier),
    ) -> Result<(), String> {
        let mut touched = BTreeMap::new();
        for (entry, wal) in frame.batch.entries.iter().zip(frame.first_seq..) {
            let mut leaves = Vec::with_capacity(entry.leaves.len());
            let mut id = None;
            for bytes in &entry.leaves {
                let leaf = Leaf::from_bytes(bytes).map_err(|e| format!("a leaf: {e}"))?;
                let frontier = self.logs.entry(leaf.log).or_default();
                if leaf.seq != frontier.size() {
                    let (log, size) = (leaf.log, frontier.size());
                    return Err(format!("leaf {} of `{log}` comes after leaf {size}", leaf.seq));
                }
                frontier.append(leaf_hash(bytes));
                on_leaf(leaf.log, frontier);
                touched.insert(leaf.log, ());
                leaves.push((leaf.log, leaf.seq));
                id = Some((leaf.event_id, leaf.source));
            }
            let Some((event_id, source)) = id else {
                return Err("an entry has no leaf".to_owned());
            };
            let known = Known { wal, source, leaves: leaves.into_boxed_slice() };
            self.remember(event_id, known);
        }
        let expected: Vec<LogFrontier> = touched
            .into_keys()
            .map(|log| LogFrontier { log, frontier: self.frontier(log) })
            .collect();
        if expected != frame.batch.frontiers {
            return Err("its leaves do not give the frontiers that it states".to_owned());
        }
        frame.batch.uses.iter().for_each(|batch| self.take_uses(batch));
        Ok(())
    }

    fn remember(&mut self, id: Uuid, known: Known) {
        if self.ids.insert(id, known).is_none() {
            self.id_order.push_back(id);
        }
        if self.id_order.len() > IDS_MAX
            && let Some(oldest) = self.id_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Takes over a batch of use records that has been checked, or was checked before it was written.
    fn take_uses(&mut self, batch: &UseBatch) {
        let before = match self.chain {
            Some(end) if end.boot() == batch.boot => end.hash(),
            _ => Hash::ZERO,
        };
        for position in batch.positions(before) {
            self.positions.insert((position.boot, position.seq), position.hash);
            self.position_order.push_back((position.boot, position.seq));
        }
        while self.position_order.len() > USE_POSITIONS_MAX {
            if let Some(oldest) = self.position_order.pop_front() {
                self.positions.remove(&oldest);
            }
        }
        let position = batch.position();
        self.chain = Some(ChainEnd::after(position));
        self.head = Some(UseHead { position, signature: batch.signature });
    }
}

/// A batch in the making.
pub(crate) struct Stage<'a> {
    ledger: &'a Ledger,
    time: Timestamp,
    next_wal: u64,
    batch: Batch,
    touched: BTreeMap<LogName, Frontier>,
    ids: HashMap<Uuid, Known>,
    id_order: Vec<Uuid>,
    chain: Option<ChainEnd>,
}

/// A batch that is ready to be written, and what to remember once it is.
pub(crate) struct Staged {
    /// For the frame.
    pub(crate) batch: Batch,
    ids: HashMap<Uuid, Known>,
    id_order: Vec<Uuid>,
}

impl Staged {
    /// True if nothing needs to be written.
    pub(crate) fn is_empty(&self) -> bool {
        let Batch { entries, uses, statements, .. } = &self.batch;
        entries.is_empty() && uses.is_empty() && statements.is_empty()
    }
}

impl<'a> Stage<'a> {
    pub(crate) fn new(ledger: &'a Ledger, time: Timestamp, next_wal: u64) -> Stage<'a> {
        Stage {
            ledger,
            time,
            next_wal,
            batch: Batch::default(),
            touched: BTreeMap::new(),
            ids: HashMap::new(),
            id_order: Vec::new(),
            chain: ledger.chain,
        }
    }

    /// Gives each record its places; a record whose id is known keeps its old ones.
    pub(crate) fn append(
        &mut self,
        prepared: Vec<Prepared>,
        statements: Vec<Vec<u8>>,
    ) -> Result<Vec<Position>, String> {
        // All or nothing: what can be refused is refused before anything is staged.
        for Prepared { item, source, .. } in &prepared {
            if self.known(&item.event_id).is_some_and(|known| known.source != *source) {
                return Err(format!("event `{}` came from another process", item.event_id));
            }
            let standing = item.use_position.map(|position| self.ledger.standing(&position));
            if standing == Some(Standing::Other) {
                return Err(format!(
                    "event `{}` names a use that keyd did not record",
                    item.event_id
                ));
            }
        }
        self.batch.statements.extend(statements);
        Ok(prepared.into_iter().map(|prepared| self.place(prepared)).collect())
    }

    fn known(&self, id: &Uuid) -> Option<&Known> {
        self.ids.get(id).or_else(|| self.ledger.ids.get(id))
    }

    fn place(&mut self, prepared: Prepared) -> Position {
        let Prepared { item, rec, source } = prepared;
        if let Some(known) = self.known(&item.event_id) {
            return known.position(true);
        }
        let mut places = Vec::with_capacity(item.logs.len());
        let mut leaves = Vec::with_capacity(item.logs.len());
        for log in item.logs {
            let frontier = self.touched.entry(log).or_insert_with(|| self.ledger.frontier(log));
            let leaf = Leaf {
                v: Version,
                seq: frontier.size(),
                time: self.time,
                kind: item.kind,
                log,
                event_id: item.event_id,
                source,
                commit: item.commit,
                use_position: item.use_position,
                rec,
            };
            let bytes = leaf.to_bytes();
            frontier.append(leaf_hash(&bytes));
            places.push((log, leaf.seq));
            leaves.push(bytes);
        }
        let known = Known { wal: self.next_wal, source, leaves: places.into_boxed_slice() };
        self.next_wal += 1;
        let position = known.position(false);
        self.ids.insert(item.event_id, known);
        self.id_order.push(item.event_id);
        self.batch.entries.push(Entry { record: item.record, leaves });
        position
    }

    /// Checks a batch of keyd's records and stages what is new of it.
    pub(crate) fn uses(&mut self, batch: UseBatch, key: &PublicKey) -> Result<(), Error> {
        let Some(batch) = self.unseen(batch)? else { return Ok(()) };
        let mut chain = match self.chain {
            Some(end) if end.boot() == batch.boot => end,
            // A new boot of keyd begins a new chain; its first record says where the old one ended.
            _ => ChainEnd::begin(batch.boot),
        };
        chain.accept(&batch, key)?;
        self.chain = Some(chain);
        self.batch.uses.push(batch);
        Ok(())
    }

    /// The part of a batch that is not in the log yet: keyd sends again what it had no
    /// acknowledgement for. Its signature covers the head, so it holds for every tail.
    fn unseen(&self, mut batch: UseBatch) -> Result<Option<UseBatch>, Error> {
        let Some(end) = self.chain.filter(|end| end.boot() == batch.boot) else {
            return Ok(Some(batch));
        };
        let seen = end.next_seq().saturating_sub(batch.first_seq);
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        if seen == 0 {
            return Ok(Some(batch));
        }
        if seen < batch.records.len() {
            batch.records.drain(..seen);
            batch.first_seq = end.next_seq();
            return Ok(Some(batch));
        }
        let position = batch.position();
        let (expected, found) = match self.ledger.positions.get(&(position.boot, position.seq)) {
            Some(known) => (*known, position.hash),
            None => return Ok(None),
        };
        let what = "head of the use-record chain";
        if expected == found { Ok(None) } else { Err(Error::Mismatch { what, expected, found }) }
    }

    /// Ends the making.
    pub(crate) fn finish(self) -> Staged {
        let frontiers =
            self.touched.into_iter().map(|(log, frontier)| LogFrontier { log, frontier }).collect();
        let batch = Batch { frontiers, ..self.batch };
        Staged { batch, ids: self.ids, id_order: self.id_order }
    }
}

impl Ledger {
    /// Takes over a staged batch whose frame is durable.
    pub(crate) fn take(
        &mut self,
        mut ids: HashMap<Uuid, Known>,
        order: Vec<Uuid>,
        frontiers: Vec<LogFrontier>,
        uses: &[UseBatch],
    ) {
        for LogFrontier { log, frontier } in frontiers {
            self.logs.insert(log, frontier);
        }
        for id in order {
            if let Some(known) = ids.remove(&id) {
                self.remember(id, known);
            }
        }
        uses.iter().for_each(|batch| self.take_uses(batch));
    }
}

impl Staged {
    /// Splits into the frame's batch and what [`Ledger::take`] wants afterwards.
    pub(crate) fn split(self) -> (Batch, Remember) {
        let frontiers = self.batch.frontiers.clone();
        let uses = self.batch.uses.clone();
        (self.batch, Remember { ids: self.ids, order: self.id_order, frontiers, uses })
    }
}

/// What to remember of a batch once it is durable.
pub(crate) struct Remember {
    ids: HashMap<Uuid, Known>,
    order: Vec<Uuid>,
    frontiers: Vec<LogFrontier>,
    uses: Vec<UseBatch>,
}

impl Remember {
    pub(crate) fn into(self, ledger: &mut Ledger) {
        ledger.take(self.ids, self.order, self.frontiers, &self.uses);
    }
}
