//! The store of the one process that writes: commit, record, publish.
//!
//! One thread drives the engine. It takes up to 64 waiting mutations, commits them together, has
//! their audit records appended to the ledger, and only then publishes the revision and answers.
//! Endings are in force right after the commit. While the ledger does not acknowledge, the thread
//! refuses further mutations and tries again; so there is never more than one unpublished revision,
//! and the order of publication is the order of revisions.

mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use writ_model::limits::{REVISION_WAIT_MAX, STALENESS_MAX};
use writ_model::{Env, Revision, StoreEpoch};

use crate::engine::{Cell, Changes, Engine};
use crate::feed::Event;
use crate::{Kind, Ledger, Recorder, Snapshot, StoreError, Subscription, Transaction, limits};

use writer::{Job, Writer};

/// A mutation that is durable, recorded and published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its revision; the store's own snapshot has reached it.
    pub revision: Revision,
}

/// The handle of the store; cheap to clone. The writer thread ends when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
}

/// What the handles, the writer and the subscriptions share.
pub(crate) struct Shared {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) epoch: StoreEpoch,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Counts swaps of the snapshot, so that waiters see endings too.
    pub(crate) swaps: watch::Sender<u64>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Held while an event is sent and the snapshot swapped, and while a subscriber joins: so a
    /// subscriber finds every event either in its first snapshot or in its queue.
    pub(crate) order: Mutex<()>,
    pub(crate) subscribers: Mutex<BTreeMap<u64, Seen>>,
    /// Counts changes of `subscribers`, for barriers.
    pub(crate) seen: watch::Sender<u64>,
    /// Set when the writer has ended: nothing proves currency any more.
    pub(crate) closed: AtomicBool,
}

/// How far a subscriber is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The oldest revision that it may still decide from.
    pub(crate) revision: Revision,
    /// When it last asked, on this process's monotonic clock; `None` before the first time.
    pub(crate) polled: Option<Duration>,
    /// True if its feed is closed; its lease may still run.
    pub(crate) left: bool,
}

impl Seen {
    /// True if a lease that was proved by the last poll may still run.
    fn may_decide(&self, now: Duration) -> bool {
        self.polled.is_some_and(|polled| now.saturating_sub(polled) <= lease_max())
    }
}

/// How long a lease can run, seen from another clock.
fn lease_max() -> Duration {
    STALENESS_MAX + STALENESS_MAX * limits::BARRIER_DRIFT_PERCENT / 100
}

impl Shared {
    pub(crate) fn lock_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_subscribers(&self) -> MutexGuard<'_, BTreeMap<u64, Seen>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a subscriber on the list, and takes those off whose leases are over.
    pub(crate) fn enter(&self, id: u64) {
        let now = self.env.monotonic();
        let mut subscribers = self.lock_subscribers();
        subscribers.retain(|_, seen| !seen.left || seen.may_decide(now));
        subscribers.insert(id, Seen { revision: Revision(0), polled: None, left: false });
    }

    /// Notes how far a subscriber is.
    pub(crate) fn note(&self, id: u64, revision: Revision) {
        let polled = Some(self.env.monotonic());
        self.lock_subscribers().insert(id, Seen { revision, polled, left: false });
        self.seen.send_modify(|count| *count += 1);
    }

    /// Notes that a subscriber's feed is closed. Its lease may still run, so it stays on the list.
    pub(crate) fn leave(&self, id: u64) {
        if let Some(seen) = self.lock_subscribers().get_mut(&id) {
            seen.left = true;
        }
    }

    fn is_behind(&self, revision: Revision) -> bool {
        let now = self.env.monotonic();
        let subscribers = self.lock_subscribers();
        subscribers.values().any(|seen| seen.may_decide(now) && seen.revision < revision)
    }

    /// Sends `event` to the feeds and puts `snapshot` in force. The feeds come first: a proof of
    /// currency that is made after the swap is queued behind the event.
    pub(crate) fn swap(&self, event: Event, snapshot: Snapshot) {
        let _order = self.lock_order();
        // An error means that nobody listens.
        drop(self.events.send(event));
        self.snapshot.store(Arc::new(snapshot));
        self.swaps.send_modify(|count| *count += 1);
    }
}

impl Store {
    /// Opens the store: loads everything, brings what is left in the outbox to the ledger, checks
    /// that every change there has its record, and starts the writer.
    ///
    /// # Errors
    /// What the engine says; [`StoreError::Unavailable`] if the ledger does not acknowledge.
    pub async fn open(
        engine: Box<dyn Engine>,
        recorder: Arc<dyn Recorder>,
        env: Arc<dyn Env>,
    ) -> Result<Store, StoreError> {
        let (queue, jobs) = mpsc::channel(limits::QUEUE_MAX_TRANSACTIONS);
        let (ready, opened) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let run = move || match Writer::open(engine, recorder, env, runtime) {
            Ok(writer) => {
                if ready.send(Ok(writer.shared())).is_ok() {
                    writer.run(jobs);
                }
            }
            // An error means that nobody waits any more.
            Err(error) => drop(ready.send(Err(error))),
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(run)
            .map_err(|e| StoreError::Unavailable { what: format!("no thread: {e}") })?;
        let shared = opened.await.map_err(|_| StoreError::Closed)??;
        Ok(Store { shared, queue })
    }

    /// The state in force. A request takes it once and decides from it alone.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// The life of the store.
    pub fn epoch(&self) -> StoreEpoch {
        self.shared.epoch
    }

    /// Commits a mutation and answers when its records are in the ledger and it is published. The
    /// mutation goes on if the caller stops waiting.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: decide anew on a new snapshot. [`StoreError::Unavailable`]: the
    /// outcome is unknown, as after a lost reply. [`StoreError::Full`], [`StoreError::Invalid`],
    /// [`StoreError::TooLarge`]: nothing happened.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        transaction.check()?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job::Commit { transaction: Box::new(transaction), reply })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Returns once the snapshot holds every commit that was made before this call.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the ledger does not acknowledge the last one; and always
    /// after a commit of unknown outcome, until the store is opened anew.
    pub async fn settled(&self) -> Result<Arc<Snapshot>, StoreError> {
        let rows = self.with_engine(|engine| engine.outbox()).await?;
        self.wait_for(rows.last().map_or(Revision(0), |row| row.revision)).await
    }

    /// Waits until the snapshot has reached `revision`, at most [`REVISION_WAIT_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not get there in time.
    pub async fn wait_for(&self, revision: Revision) -> Result<Arc<Snapshot>, StoreError> {
        let mut swaps = self.shared.swaps.subscribe();
        let reached = async {
            loop {
                let snapshot = self.snapshot();
                if snapshot.revision() >= revision || swaps.changed().await.is_err() {
                    return snapshot;
                }
            }
        };
        match tokio::time::timeout(REVISION_WAIT_MAX, reached).await {
            Ok(snapshot) if snapshot.revision() >= revision => Ok(snapshot),
            _ => Err(StoreError::Unavailable { what: format!("revision {revision} is not here") }),
        }
    }

    /// Changes with each swap of the snapshot, endings included. Long work checks anew then.
    pub fn swaps(&self) -> watch::Receiver<u64> {
        self.shared.swaps.subscribe()
    }

    /// A feed for a read-only node, limited to `kinds`.
    pub fn subscribe(&self, kinds: &[Kind]) -> Subscription {
        Subscription::join(Arc::clone(&self.shared), kinds)
    }

    /// Returns when no node can still decide from a revision before `revision`: each has said that
    /// it holds none, or its lease has run out. Call it after the commit has answered.
    pub async fn barrier(&self, revision: Revision) {
        let mut seen = self.shared.seen.subscribe();
        let all_seen = async {
            loop {
                if !self.shared.is_behind(revision) || seen.changed().await.is_err() {
                    return;
                }
            }
        };
        // When the time is over every lease that was proved before the commit is over too.
        drop(tokio::time::timeout(lease_max(), all_seen).await);
    }

    /// The changes after a revision; whole revisions, published ones only.
    pub async fn changes(&self, after: Revision, limit: usize) -> Result<Changes, StoreError> {
        let published = self.snapshot().revision();
        let limit = limit.min(limits::CHANGES_MAX);
        let found = self.with_engine(move |engine| engine.changes(after, limit)).await?;
        Ok(match found {
            Changes::Batch(mut batch) => {
                batch.retain(|change| change.revision <= published);
                Changes::Batch(batch)
            }
            Changes::Compacted => Changes::Compacted,
        })
    }

    /// Checks that the ledger has an event for every change that is still kept (24 hours).
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the first request whose mutation is unrecorded.
    pub async fn check_recorded(&self, ledger: &dyn Ledger) -> Result<(), StoreError> {
        let published = self.snapshot().revision();
        let Some(mut after) = self.oldest_kept().await? else { return Ok(()) };
        while after < published {
            let Changes::Batch(batch) = self.changes(after, limits::CHANGES_MAX).await? else {
                return Err(StoreError::Unavailable { what: "changes are being compacted".into() });
            };
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.revision;
            let mut requests: Vec<_> = batch.iter().map(|change| change.request_id).collect();
            requests.dedup();
            let missing = ledger.unrecorded(requests).await;
            let missing = missing.map_err(|e| StoreError::Unavailable { what: e.to_string() })?;
            if let Some(request) = missing.first() {
                return Err(StoreError::corrupt(format!(
                    "the mutation of request {request} has no event in the ledger; keep both \
                     directories as they are and verify the ledger"
                )));
            }
        }
        Ok(())
    }

    /// A compare-and-swap cell.
    pub async fn cell(&self, name: &str) -> Result<Option<Cell>, StoreError> {
        let name = name.to_owned();
        self.with_engine(move |engine| engine.cell(&name)).await
    }

    /// Replaces a cell that is at version `expected` (0: absent); `None` if it is at another.
    pub async fn swap_cell(
        &self,
        name: &str,
        expected: u64,
        body: Vec<u8>,
    ) -> Result<Option<u64>, StoreError> {
        let name = name.to_owned();
        self.with_engine(move |engine| engine.swap_cell(&name, expected, &body)).await
    }

    /// The revision before the oldest kept change.
    async fn oldest_kept(&self) -> Result<Option<Revision>, StoreError> {
        let mut low = Revision(0);
        let mut high = self.snapshot().revision();
        if high == low {
            return Ok(None);
        }
        // Changes are kept without a gap, so the border is found by halving.
        while low < high {
            let middle = Revision(low.0 + (high.0 - low.0) / 2);
            match self.changes(middle, 1).await? {
                Changes::Compacted => low = middle.next(),
                Changes::Batch(_) => high = middle,
            }
        }
        Ok(Some(low))
    }

    async fn with_engine<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn Engine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let run = move |engine: &mut dyn Engine| drop(reply.send(call(engine)));
        self.enqueue(Job::Run(Box::new(run)))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Full { what: "the queue" },
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
    }
}
