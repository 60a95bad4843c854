//! Which revisions readers see, and the buckets as of those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use writ_model::{AccountId, Nonce};

use super::change::Change;
use super::rows::{Bucket, BucketPolicy};

/// What a commit does to the table of buckets, once it is visible.
pub(super) enum Effect {
    /// A new bucket.
    Add(Bucket),
    /// Objects only.
    None,
    /// Another policy.
    Policy(Nonce, Option<BucketPolicy>),
    /// The bucket is gone.
    Remove(Nonce),
}

impl Effect {
    pub(super) fn of(change: &Change) -> Effect {
        match change {
            Change::CreateBucket(bucket) => Effect::Add(bucket.clone()),
            Change::DeleteBucket { bucket, .. } => Effect::Remove(*bucket),
            Change::PutPolicy { bucket, policy } => Effect::Policy(*bucket, policy.clone()),
            Change::Abort { .. }
            | Change::Complete { .. }
            | Change::CreateUpload(_)
            | Change::Delete { .. }
            | Change::Put(_)
            | Change::PutPart { .. } => Effect::None,
        }
    }
}

/// The watermark and what depends on it.
pub(super) struct Visible {
    watermark: AtomicU64,
    state: Mutex<State>,
    moved: watch::Sender<u64>,
}

struct State {
    /// Committed and not visible, with what they do to buckets.
    waiting: BTreeMap<u64, Effect>,
    /// Acknowledged out of order.
    acknowledged: BTreeSet<u64>,
    buckets: BTreeMap<String, Arc<Bucket>>,
}

impl Visible {
    pub(super) fn new(watermark: u64, buckets: Vec<Bucket>) -> Visible {
        let (moved, _) = watch::channel(watermark);
        let buckets = buckets.into_iter().map(|b| (b.name.clone(), Arc::new(b))).collect();
        let state = State { waiting: BTreeMap::new(), acknowledged: BTreeSet::new(), buckets };
        Visible { watermark: AtomicU64::new(watermark), state: Mutex::new(state), moved }
    }

    pub(super) fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// How many commits are not visible.
    pub(super) fn waiting(&self) -> u64 {
        self.lock().waiting.len() as u64
    }

    pub(super) fn committed(&self, rev: u64, effect: Effect) {
        self.lock().waiting.insert(rev, effect);
    }

    /// Marks `rev` and answers the revisions that became visible by it.
    pub(super) fn acknowledge(&self, rev: u64) -> Option<(u64, u64)> {
        let mut state = self.lock();
        let before = self.watermark.load(Ordering::Acquire);
        if rev <= before {
            return None;
        }
        state.acknowledged.insert(rev);
        let mut now = before;
        while state.acknowledged.remove(&(now + 1)) {
            now += 1;
            if let Some(effect) = state.waiting.remove(&now) {
                state.apply(effect);
            }
        }
        if now == before {
            return None;
        }
        self.watermark.store(now, Ordering::Release);
        drop(state);
        self.moved.send_replace(now);
        Some((before + 1, now))
    }

    pub(super) async fn wait(&self, rev: u64) {
        // The sender lives as long as `self`, so the wait can only end by the condition.
        self.moved.subscribe().wait_for(|now| *now >= rev).await.ok();
    }

    pub(super) fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        self.lock().buckets.get(name).cloned()
    }

    pub(super) fn buckets_of(&self, account: AccountId) -> Vec<Arc<Bucket>> {
        self.lock().buckets.values().filter(|b| b.account == account).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Add(bucket) => {
                self.buckets.insert(bucket.name.clone(), Arc::new(bucket));
            }
            Effect::None => {}
            Effect::Policy(id, policy) => {
                if let Some(bucket) = self.buckets.values_mut().find(|b| b.id == id) {
                    let changed = Bucket { policy, ..Bucket::clone(bucket) };
                    *bucket = Arc::new(changed);
                }
            }
            Effect::Remove(id) => self.buckets.retain(|_, b| b.id != id),
        }
    }
}
