//! The one thread that drives the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use writ_model::{Env, Revision, Timestamp, failpoint};

use super::{Committed, Shared};
use crate::engine::{Changes, Engine, Group, Outcome};
use crate::feed::Event;
use crate::{OutboxRow, Recorder, RecorderError, Snapshot, StoreError, Transaction, limits};

type Reply = oneshot::Sender<Result<Committed, StoreError>>;

/// A small read, or a cell.
type Call = Box<dyn FnOnce(&mut dyn Engine) + Send>;

/// What waits for the writer.
pub(super) enum Job {
    /// A mutation, already checked.
    Commit { transaction: Box<Transaction>, reply: Reply },
    /// A small read or a cell.
    Run(Call),
}

pub(super) struct Writer {
    engine: Box<dyn Engine>,
    recorder: Arc<dyn Recorder>,
    runtime: Handle,
    shared: Arc<Shared>,
    /// The ledger has the records of all commits up to this one.
    acknowledged: Revision,
    compacted: Timestamp,
    /// Set when a commit's outcome is unknown: only opening anew tells what is on disk.
    broken: bool,
}

impl Writer {
    pub(super) fn open(
        mut engine: Box<dyn Engine>,
        recorder: Arc<dyn Recorder>,
        env: Arc<dyn Env>,
        runtime: Handle,
    ) -> Result<Writer, StoreError> {
        let load = engine.load()?;
        let snapshot = Snapshot::build(load.epoch, load.revision, load.objects);
        let shared = Arc::new(Shared {
            epoch: load.epoch,
            snapshot: ArcSwap::from_pointee(snapshot),
            swaps: watch::Sender::new(0),
            events: broadcast::Sender::new(limits::FEED_MAX_EVENTS),
            order: Mutex::new(()),
            subscribers: Mutex::new(BTreeMap::new()),
            seen: watch::Sender::new(0),
            closed: AtomicBool::new(false),
            env,
        });
        let mut writer = Writer {
            engine,
            recorder,
            runtime,
            shared,
            acknowledged: Revision(0),
            compacted: Timestamp::default(),
            broken: false,
        };
        writer.send_left_over(load.revision)?;
        writer.compact();
        Ok(writer)
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut held = None;
        while let Some(job) = held.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Run(call) => call(self.engine.as_mut()),
                Job::Commit { transaction, reply } => {
                    let mut group = Waiting::default();
                    group.push(*transaction, reply);
                    held = group.fill(&mut jobs);
                    self.commit(group, &mut jobs);
                    self.compact();
                }
            }
        }
    }

    /// After a crash: what was committed and not confirmed goes to the ledger before anything else.
    fn send_left_over(&mut self, revision: Revision) -> Result<(), StoreError> {
        let rows = self.engine.outbox()?;
        check_left_over(self.engine.as_mut(), &rows)?;
        for commit in rows.chunk_by(|a, b| a.revision == b.revision) {
            let mut pause = limits::RETRY_PAUSE;
            let mut attempt = 1;
            while let Err(error) = self.append(commit.to_vec()) {
                if attempt == limits::OPEN_APPEND_ATTEMPTS {
                    return Err(StoreError::Unavailable { what: error.to_string() });
                }
                tracing::warn!(%error, attempt, "the ledger does not take the outbox");
                std::thread::sleep(pause);
                pause = (pause * 2).min(limits::RETRY_PAUSE_MAX);
                attempt += 1;
            }
        }
        self.acknowledged = revision;
        Ok(())
    }

    fn commit(&mut self, group: Waiting, jobs: &mut mpsc::Receiver<Job>) {
        if self.broken {
            let what = "a commit failed with unknown outcome; the store must be opened anew";
            return group.refuse(&StoreError::NotTaken { what });
        }
        failpoint::hit("store.before_commit");
        let at = self.shared.env.now();
        let (transactions, acknowledged) = (group.transactions.as_slice(), self.acknowledged);
        let outcome = match self.engine.commit(&Group { transactions, acknowledged, at }) {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "a group commit failed");
                self.broken = matches!(error, StoreError::Corrupt { .. } | StoreError::Sqlite(_));
                return group.refuse(&error);
            }
        };
        failpoint::hit("store.after_commit");
        let waiting = group.drop_failed(&outcome.results);
        let Some(revision) = outcome.revision else { return };
        self.enforce_endings(&outcome);
        match self.append(outcome.rows.clone()) {
            Ok(()) => {
                self.publish(revision, &outcome);
                for reply in waiting {
                    // An error means that the caller stopped waiting.
                    drop(reply.send(Ok(Committed { revision })));
                }
            }
            Err(error) => {
                tracing::error!(%error, %revision, "no mutations until the ledger acknowledges");
                for reply in waiting {
                    drop(reply.send(Err(StoreError::Unavailable { what: error.to_string() })));
                }
                self.recover(revision, &outcome, jobs);
            }
        }
    }

    /// Tries the append again until the ledger acknowledges; refuses mutations meanwhile.
    fn recover(&mut self, revision: Revision, outcome: &Outcome, jobs: &mut mpsc::Receiver<Job>) {
        let mut pause = limits::RETRY_PAUSE;
        loop {
            if !self.refuse_for(pause, jobs) {
                return;
            }
            pause = (pause * 2).min(limits::RETRY_PAUSE_MAX);
            match self.append(outcome.rows.clone()) {
                Ok(()) => {
                    tracing::info!(%revision, "the ledger acknowledges again");
                    return self.publish(revision, outcome);
                }
                Err(error) => tracing::warn!(%error, %revision, "the ledger does not acknowledge"),
            }
        }
    }

    /// Refuses what comes for the time of `pause`; false if the store is closed.
    fn refuse_for(&mut self, pause: Duration, jobs: &mut mpsc::Receiver<Job>) -> bool {
        let runtime = self.runtime.clone();
        let deadline = self.shared.env.monotonic() + pause;
        let sleep = |for_: Duration, jobs: &mut mpsc::Receiver<Job>| {
            runtime.block_on(async { tokio::time::timeout(for_, jobs.recv()).await })
        };
        let mut left = pause;
        loop {
            match sleep(left, jobs) {
                Err(_) => return true,
                Ok(None) => return false,
                Ok(Some(Job::Run(call))) => call(self.engine.as_mut()),
                Ok(Some(Job::Commit { reply, .. })) => {
                    let what = "the ledger does not acknowledge";
                    drop(reply.send(Err(StoreError::NotTaken { what })));
                }
            }
            left = left.min(deadline.saturating_sub(self.shared.env.monotonic()));
        }
    }

    fn append(&self, rows: Vec<OutboxRow>) -> Result<(), RecorderError> {
        let append = self.recorder.append(self.shared.epoch, rows);
        self.runtime.block_on(async {
            match tokio::time::timeout(limits::APPEND_TIMEOUT, append).await {
                Ok(result) => result,
                Err(_) => Err(RecorderError {
                    what: format!("no answer within {:?}", limits::APPEND_TIMEOUT),
                }),
            }
        })
    }

    /// Endings are in force before they are published; the revision stays where it is.
    fn enforce_endings(&self, outcome: &Outcome) {
        if outcome.endings.is_empty() {
            return;
        }
        let snapshot = self.shared.snapshot.load();
        let next = snapshot.apply(&outcome.endings, snapshot.revision());
        self.shared.swap(Event::Ending(Arc::new(outcome.endings.clone())), next);
    }

    fn publish(&mut self, revision: Revision, outcome: &Outcome) {
        failpoint::hit("store.before_publish");
        let snapshot = self.shared.snapshot.load_full();
        // INVARIANT: revisions are published in order and without a gap.
        debug_assert_eq!(snapshot.revision().next(), revision);
        let next = snapshot.apply(&outcome.changes, revision);
        self.acknowledged = revision;
        let changes = Arc::new(outcome.changes.clone());
        self.shared.swap(Event::Published { revision, changes }, next);
    }

    fn compact(&mut self) {
        let now = self.shared.env.now();
        if now.since(self.compacted) < limits::COMPACTION_INTERVAL || self.broken {
            return;
        }
        self.compacted = now;
        let lifetime = limits::CHANGE_LIFETIME;
        let before = now.millis().saturating_sub(u64::try_from(lifetime.as_millis()).unwrap_or(0));
        match self.engine.compact(Timestamp::from_millis(before)) {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "old changes compacted"),
            Err(error) => tracing::warn!(%error, "old changes could not be compacted"),
        }
    }
}

impl Drop for Writer {
    /// Also when a panic ends the thread: feeds then stop proving that nodes are current.
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
    }
}

/// Checks that each commit in the outbox is whole, and that each of its changes has a record.
fn check_left_over(engine: &mut dyn Engine, rows: &[OutboxRow]) -> Result<(), StoreError> {
    for commit in rows.chunk_by(|a, b| a.revision == b.revision) {
        let Some(first) = commit.first() else { continue };
        let (revision, count) = (first.revision, first.count);
        let whole = usize::try_from(count) == Ok(commit.len())
            && commit.iter().zip(0..).all(|(row, at)| row.ordinal == at && row.count == count);
        if !whole {
            return Err(StoreError::corrupt(format!(
                "the outbox holds {} of the {count} audit records of revision {revision}; restore \
                 a backup",
                commit.len()
            )));
        }
        let recorded: BTreeSet<_> = commit.iter().map(|row| row.request_id).collect();
        let before = Revision(revision.0.saturating_sub(1));
        let Changes::Batch(changes) = engine.changes(before, 1)? else { continue };
        let of_commit = changes.iter().filter(|change| change.revision == revision);
        for change in of_commit {
            if !recorded.contains(&change.request_id) {
                return Err(StoreError::corrupt(format!(
                    "the change of `{}` in revision {revision} has no audit record; restore a \
                     backup",
                    change.object
                )));
            }
        }
    }
    Ok(())
}

fn record_bytes(transaction: &Transaction) -> usize {
    transaction.records.iter().map(|record| record.record.len()).sum()
}

/// Transactions of one group with those who wait for them, in the same order.
#[derive(Default)]
struct Waiting {
    transactions: Vec<Transaction>,
    replies: Vec<Reply>,
    record_bytes: usize,
}

impl Waiting {
    fn push(&mut self, transaction: Transaction, reply: Reply) {
        self.record_bytes += record_bytes(&transaction);
        self.transactions.push(transaction);
        self.replies.push(reply);
    }

    /// Adds what waits already; answers the first job that does not belong to the group. The bound
    /// on bytes is checked before a transaction joins: the ledger refuses a larger append for good.
    fn fill(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
        while self.transactions.len() < limits::GROUP_MAX_TRANSACTIONS {
            match jobs.try_recv() {
                Ok(Job::Commit { transaction, reply }) => {
                    let bytes = self.record_bytes + record_bytes(&transaction);
                    if bytes > limits::GROUP_MAX_RECORD_BYTES {
                        return Some(Job::Commit { transaction, reply });
                    }
                    self.push(*transaction, reply);
                }
                Ok(job) => return Some(job),
                Err(_) => return None,
            }
        }
        None
    }

    fn refuse(self, error: &StoreError) {
        for reply in self.replies {
            drop(reply.send(Err(error.clone())));
        }
    }

    /// Answers the dropped ones; gives back those who still wait.
    fn drop_failed(self, results: &[Result<(), StoreError>]) -> Vec<Reply> {
        let mut waiting = Vec::with_capacity(self.replies.len());
        for (reply, result) in self.replies.into_iter().zip(results) {
            match result {
                Ok(()) => waiting.push(reply),
                Err(error) => drop(reply.send(Err(error.clone()))),
            }
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use writ_model::Uuid;
    use writ_proof::origin::LogName;

    use super::*;
    use crate::{OutboxRecord, RecordKind};

    /// A transaction with the most bytes of records that one may carry: 4 MiB.
    fn job() -> (Transaction, Reply) {
        let record = OutboxRecord {
            event_id: Uuid::from_bytes([1; 16]),
            kind: RecordKind::Event,
            logs: vec![LogName::Operator],
            use_position: None,
            record: vec![b' '; limits::RECORD_MAX_BYTES],
        };
        let records = vec![record; limits::TRANSACTION_MAX_RECORDS];
        let transaction = Transaction {
            preconditions: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            endings: false,
            actor: "test".to_owned(),
            request_id: Uuid::from_bytes([2; 16]),
            records,
        };
        (transaction, oneshot::channel().0)
    }

    #[test]
    fn group_never_holds_more_record_bytes_than_one_append_takes() {
        let (queue, mut jobs) = mpsc::channel(8);
        for _ in 0..4 {
            let (transaction, reply) = job();
            let transaction = Box::new(transaction);
            assert!(queue.try_send(Job::Commit { transaction, reply }).is_ok());
        }
        let mut group = Waiting::default();
        let (mut small, reply) = job();
        small.records.truncate(1);
        group.push(small, reply);
        let held = group.fill(&mut jobs);
        assert!(matches!(held, Some(Job::Commit { .. })), "what did not fit is held back");
        assert_eq!(group.transactions.len(), 2);
        assert!(group.record_bytes <= limits::GROUP_MAX_RECORD_BYTES);
    }
}
