//! Bodies in motion: how many there may be, and whether each may still go on.
//!
//! A stream lives by the request that opened it. When the caller's key, session or principal is ended,
//! when its session expires, when its KMS key is disabled, or the state that would say so falls silent, it is cut: within a second, in any direction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use writ_keyd_client::caller::{Caller, Session};
use writ_keyd_client::descriptor::{Descriptor, KeyState, peek};
use writ_model::limits::STALENESS_MAX;
use writ_model::{AccountId, Arn, Env};
use writ_store::Snapshot;

use super::ports::{State, is_admitted};
use crate::limits::{BATCH_FRAMES, STREAM_SILENCE_MAX, STREAM_WAIT_MAX, STREAMS_MAX};

/// Frames of all streams together that may be in memory: 64 MiB, four turns of each stream.
const FRAMES_IN_TURN: usize = 256;

/// Places for all accounts together, of which one account gets at most half.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    share: usize,
    accounts: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
}

/// One place; free again when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    account: AccountId,
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Places {
    /// `max` places.
    pub(crate) fn new(max: usize) -> Places {
        let all = Arc::new(Semaphore::new(max));
        Places { all, share: (max / 2).max(1), accounts: Mutex::default() }
    }

    /// A place for `account`, or none within [`STREAM_WAIT_MAX`].
    pub(crate) async fn take(self: &Arc<Self>, account: AccountId) -> Option<Place> {
        let own = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(self.share));
            Arc::clone(accounts.entry(account).or_insert_with(new))
        };
        // Made first, so that the account's entry goes away also when there is no place.
        let mut place = Place { places: Arc::clone(self), account, held: None };
        let both = async {
            let own = own.acquire_owned().await.ok()?;
            Some((own, Arc::clone(&self.all).acquire_owned().await.ok()?))
        };
        place.held = tokio::time::timeout(STREAM_WAIT_MAX, both).await.ok()?;
        place.held.is_some().then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held = None;
        let mut accounts = self.places.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds or waits for a place of the account has the semaphore as well.
        if accounts.get(&self.account).is_some_and(|own| Arc::strong_count(own) == 1) {
            accounts.remove(&self.account);
        }
    }
}

/// Admits streams.
pub(crate) struct Streams {
    places: Arc<Places>,
    running: AtomicUsize,
}

/// One admitted stream; ends when dropped.
pub(crate) struct Admission {
    streams: Arc<Streams>,
    _place: Place,
}

impl Streams {
    pub(crate) fn new() -> Streams {
        Streams { places: Arc::new(Places::new(STREAMS_MAX)), running: AtomicUsize::new(0) }
    }

    /// A place for one more stream of `account`, or none within a second.
    pub(crate) async fn admit(self: &Arc<Self>, account: AccountId) -> Option<Admission> {
        let place = self.places.take(account).await?;
        self.running.fetch_add(1, Ordering::Relaxed);
        Some(Admission { streams: Arc::clone(self), _place: place })
    }

    /// How many frames a stream may have in one step, so that all together stay within their pool.
    pub(crate) fn frames_a_step(&self) -> u64 {
        let running = self.running().max(1);
        (FRAMES_IN_TURN / running).max(1).min(usize::try_from(BATCH_FRAMES).unwrap_or(1)) as u64
    }

    /// How many streams there are.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.streams.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Watches over one stream.
pub(crate) struct Guard {
    state: Arc<dyn State>,
    env: Arc<dyn Env>,
    caller: Caller,
    keys: Vec<WatchedKey>,
    silent_since: Option<Duration>,
}

/// A KMS key whose data keys a stream uses.
struct WatchedKey {
    arn: Arn,
    /// The feed may bring a key that this very call made only after the call has its data key.
    seen: bool,
}

impl WatchedKey {
    fn holds(&mut self, snapshot: &Snapshot) -> bool {
        let Some(key) = snapshot.key(&self.arn) else { return !self.seen };
        self.seen = true;
        matches!(
            peek(key.descriptor.as_slice()),
            Ok(Descriptor::Key(key)) if key.state == KeyState::Enabled
        )
    }
}

impl Guard {
    /// For a stream of `caller` under the KMS keys `keys`.
    pub(crate) fn new(
        state: Arc<dyn State>,
        env: Arc<dyn Env>,
        caller: Caller,
        keys: &[&Arn],
    ) -> Guard {
        let watched = |arn: &&Arn| WatchedKey { arn: Arn::clone(arn), seen: false };
        let keys = keys.iter().map(watched).collect();
        Guard { state, env, caller, keys, silent_since: None }
    }

    /// True while the stream may go on.
    pub(crate) fn holds(&mut self) -> bool {
        let over = |session: &Session| session.expires <= self.env.now();
        if self.caller.session.as_ref().is_some_and(over) {
            return false;
        }
        let Some(snapshot) = self.state.lease() else {
            let now = self.env.monotonic();
            let since = *self.silent_since.get_or_insert(now);
            // The lease itself was already old by its limit when it was lost.
            return now.saturating_sub(since) + STALENESS_MAX < STREAM_SILENCE_MAX;
        };
        self.silent_since = None;
        is_admitted(&self.caller, &snapshot) && self.keys.iter_mut().all(|key| key.holds(&snapshot))
    }
}
