//! The following end of a feed: a snapshot and the lease that says whether it may be used.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use writ_model::limits::STALENESS_MAX;
use writ_model::{Env, Revision, StoreEpoch, Timestamp};
use writ_proof::cbor;

use super::frame::{BeatFrame, LoadFrame, PollFrame, ToNode, ToWriter, decode};
use crate::snapshot::check_order;
use crate::{Change, Object, Snapshot, Stale, StoreError, limits};

/// A read-only copy of the state that knows how current it is.
pub struct Node {
    env: Arc<dyn Env>,
    snapshot: ArcSwapOption<Snapshot>,
    state: Mutex<State>,
    swaps: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    loading: Option<Loading>,
    polls: VecDeque<Poll>,
    polls_sent: u64,
    /// Proofs whose revision the snapshot has not reached yet, oldest first.
    unreached: VecDeque<(Duration, Revision)>,
    /// When the poll was sent whose answer proved the snapshot current.
    proved: Option<Duration>,
    /// Snapshots that decisions may still hold, oldest first.
    held: VecDeque<(Revision, Weak<Snapshot>)>,
}

struct Loading {
    epoch: StoreEpoch,
    revision: Revision,
    objects: Vec<(Object, Revision)>,
}

struct Poll {
    number: u64,
    sent: Duration,
    sent_wall: Timestamp,
}

impl Node {
    /// A node that knows nothing yet.
    pub fn new(env: Arc<dyn Env>) -> Node {
        Node {
            env,
            snapshot: ArcSwapOption::empty(),
            state: Mutex::default(),
            swaps: watch::Sender::new(0),
        }
    }

    /// The state to decide from, if it is proven to have been current within the staleness limit.
    /// Ask when the decision is made and again right before its effect.
    ///
    /// # Errors
    /// [`Stale`]: refuse with a retryable error. There is no way to serve from an old state.
    pub fn lease(&self) -> Result<Arc<Snapshot>, Stale> {
        let now = self.env.monotonic();
        let age = self.lock().proved.map(|proved| now.saturating_sub(proved));
        match (age, self.snapshot.load_full()) {
            (Some(age), Some(snapshot)) if age <= STALENESS_MAX => Ok(snapshot),
            (age, _) => Err(Stale { age }),
        }
    }

    /// The newest state that is known, however old. Nothing may be allowed by it; but what it no longer
    /// gives has ended.
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// The frame that asks for the next proof. Send it at once: the lease will count from now.
    pub fn poll(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.polls_sent += 1;
        let number = state.polls_sent;
        let (sent, sent_wall) = (self.env.monotonic(), self.env.now());
        state.polls.push_back(Poll { number, sent, sent_wall });
        if state.polls.len() > limits::POLLS_MAX_OUTSTANDING {
            state.polls.pop_front();
        }
        let seen = self.oldest_held(&mut state);
        cbor::to_vec(&ToWriter::Poll(PollFrame { number, seen }))
    }

    /// Takes a frame of the feed.
    ///
    /// # Errors
    /// The frame is damaged, out of order or of another life of the store. The node then has no
    /// lease; connect anew.
    pub fn apply(&self, frame: &[u8]) -> Result<(), StoreError> {
        let applied = decode(frame).and_then(|frame| self.take(frame));
        if let Err(error) = &applied {
            tracing::error!(%error, "the feed is broken: no decisions until it is loaded anew");
            self.forget();
        }
        applied
    }

    /// To be called when a new connection begins: answers to earlier polls will not come. What is
    /// proven stays proven until it is too old.
    pub fn connected(&self) {
        let mut state = self.lock();
        state.polls.clear();
        state.unreached.clear();
        state.loading = None;
    }

    /// Changes with each swap of the snapshot, endings included. Long work checks anew then.
    pub fn swaps(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }

    fn take(&self, frame: ToNode) -> Result<(), StoreError> {
        match frame {
            ToNode::Load(load) => self.take_load(&load),
            ToNode::Changes(batch) => {
                let current = self.current()?;
                // A change may be in the load already: the feed begins a little before it.
                if batch.revision <= current.revision() {
                    return Ok(());
                }
                if batch.revision != current.revision().next() {
                    return Err(StoreError::corrupt(format!(
                        "revision {} of the feed comes after {}",
                        batch.revision,
                        current.revision()
                    )));
                }
                let changes = batch.changes.iter().map(|c| c.read()).collect::<Result<Vec<_>, _>>();
                let changes = changes?;
                check_order(current.revision(), &changes)?;
                self.swap(current.apply(&changes, batch.revision));
                Ok(())
            }
            ToNode::Ending(changes) => {
                let current = self.current()?;
                let changes: Vec<Change> =
                    changes.iter().map(|c| c.read()).collect::<Result<_, _>>()?;
                let new: Vec<Change> =
                    changes.into_iter().filter(|c| c.revision > current.revision()).collect();
                self.swap(current.apply(&new, current.revision()));
                Ok(())
            }
            ToNode::Beat(beat) => self.take_beat(&beat),
        }
    }

    fn take_load(&self, frame: &LoadFrame) -> Result<(), StoreError> {
        let mut state = self.lock();
        if frame.first {
            let known = self.snapshot.load_full();
            let other_life = known.is_some_and(|known| {
                known.epoch() != frame.epoch || known.revision() > frame.revision
            });
            if other_life {
                tracing::error!(epoch = %frame.epoch, "the store was restored: loading anew");
                self.snapshot.store(None);
                state.proved = None;
                state.unreached.clear();
            }
            let (epoch, revision) = (frame.epoch, frame.revision);
            state.loading = Some(Loading { epoch, revision, objects: Vec::new() });
        }
        let Some(loading) = &mut state.loading else {
            return Err(StoreError::corrupt("a feed's load has no beginning"));
        };
        if (loading.epoch, loading.revision) != (frame.epoch, frame.revision) {
            return Err(StoreError::corrupt("a feed's load changes its revision"));
        }
        for item in &frame.objects {
            loading.objects.push(item.read()?);
        }
        if !frame.last {
            return Ok(());
        }
        let Some(done) = state.loading.take() else { return Ok(()) };
        drop(state);
        self.swap(Snapshot::build(done.epoch, done.revision, done.objects));
        Ok(())
    }

    fn take_beat(&self, beat: &BeatFrame) -> Result<(), StoreError> {
        let mut state = self.lock();
        let answered = state.polls.iter().position(|poll| poll.number == beat.number);
        let Some(poll) = answered.and_then(|at| state.polls.drain(..=at).next_back()) else {
            // The answer to a poll that was forgotten as too old proves nothing of use.
            return Ok(());
        };
        let current = self.snapshot.load_full();
        if current.as_ref().is_some_and(|current| current.epoch() != beat.epoch) {
            return Err(StoreError::corrupt("a feed's beat is of another life of the store"));
        }
        let skew = skew(beat.time, poll.sent_wall, self.env.now());
        if skew > limits::CLOCK_SKEW_ALARM {
            tracing::error!(?skew, "this node's clock differs from the store's");
        }
        if skew > limits::CLOCK_SKEW_MAX {
            return Ok(());
        }
        state.unreached.push_back((poll.sent, beat.revision));
        state.prove(current.map(|current| current.revision()));
        Ok(())
    }

    fn current(&self) -> Result<Arc<Snapshot>, StoreError> {
        let current = self.snapshot.load_full();
        current.ok_or_else(|| StoreError::corrupt("a feed begins without a load"))
    }

    fn swap(&self, snapshot: Snapshot) {
        let (revision, snapshot) = (snapshot.revision(), Arc::new(snapshot));
        let mut state = self.lock();
        state.held.push_back((revision, Arc::downgrade(&snapshot)));
        self.snapshot.store(Some(snapshot));
        state.prove(Some(revision));
        self.oldest_held(&mut state);
        drop(state);
        self.swaps.send_modify(|count| *count += 1);
    }

    /// The oldest revision that a decision may still hold.
    fn oldest_held(&self, state: &mut State) -> Revision {
        state.held.retain(|(_, snapshot)| snapshot.strong_count() > 0);
        state.held.iter().map(|(revision, _)| *revision).min().unwrap_or_default()
    }

    fn forget(&self) {
        let mut state = self.lock();
        self.snapshot.store(None);
        let held = std::mem::take(&mut state.held);
        *state = State { polls_sent: state.polls_sent, held, ..State::default() };
        drop(state);
        self.swaps.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts the proofs whose revision is reached.
    fn prove(&mut self, reached: Option<Revision>) {
        while let Some((sent, revision)) = self.unreached.front().copied() {
            if reached.is_none_or(|reached| reached < revision) {
                break;
            }
            self.proved = self.proved.max(Some(sent));
            self.unreached.pop_front();
        }
    }
}

/// By how much `theirs`, read somewhere between our `sent` and `received`, must differ from ours.
fn skew(theirs: Timestamp, sent: Timestamp, received: Timestamp) -> Duration {
    sent.since(theirs).max(theirs.since(received))
}
