//! Bodies in motion: how many there may be, and whether each may still go on.
//!
//! A stream lives by the request that opened it. When the caller's key, session or principal is
//! ended, or the state that would say so falls silent, it is cut: within a second, in any direction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use writ_keyd_client::caller::Caller;
use writ_model::limits::STALENESS_MAX;
use writ_model::{AccountId, Env};

use super::ports::{State, is_admitted};
use crate::limits::{BATCH_FRAMES, STREAM_SILENCE_MAX, STREAM_WAIT_MAX, STREAMS_MAX};

/// Frames of all streams together that may be in memory: 64 MiB, four turns of each stream.
const FRAMES_IN_TURN: usize = 256;

/// Admits streams.
pub(crate) struct Streams {
    all: Arc<Semaphore>,
    accounts: Mutex<HashMap<AccountId, usize>>,
    running: AtomicUsize,
}

/// One admitted stream; ends when dropped.
pub(crate) struct Admission {
    streams: Arc<Streams>,
    account: AccountId,
    _slot: OwnedSemaphorePermit,
}

impl Streams {
    pub(crate) fn new() -> Streams {
        Streams {
            all: Arc::new(Semaphore::new(STREAMS_MAX)),
            accounts: Mutex::default(),
            running: AtomicUsize::new(0),
        }
    }

    /// A place for one more stream of `account`, or none within a second.
    pub(crate) async fn admit(self: &Arc<Self>, account: AccountId) -> Option<Admission> {
        let slot = Arc::clone(&self.all).acquire_owned();
        let slot = tokio::time::timeout(STREAM_WAIT_MAX, slot).await.ok()?.ok()?;
        {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = accounts.entry(account).or_default();
            if *count >= STREAMS_MAX / 2 {
                return None;
            }
            *count += 1;
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        Some(Admission { streams: Arc::clone(self), account, _slot: slot })
    }

    /// How many frames a stream may have in one step, so that all together stay within their pool.
    pub(crate) fn frames_a_step(&self) -> u64 {
        let running = self.running.load(Ordering::Relaxed).max(1);
        (FRAMES_IN_TURN / running).max(1).min(usize::try_from(BATCH_FRAMES).unwrap_or(1)) as u64
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.streams.running.fetch_sub(1, Ordering::Relaxed);
        let mut accounts = self.streams.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = accounts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

/// Watches over one stream.
pub(crate) struct Guard {
    state: Arc<dyn State>,
    env: Arc<dyn Env>,
    caller: Caller,
    silent_since: Option<Duration>,
}

impl Guard {
    pub(crate) fn new(state: Arc<dyn State>, env: Arc<dyn Env>, caller: Caller) -> Guard {
        Guard { state, env, caller, silent_since: None }
    }

    /// True while the stream may go on.
    pub(crate) fn holds(&mut self) -> bool {
        let Some(snapshot) = self.state.lease() else {
            let now = self.env.monotonic();
            let since = *self.silent_since.get_or_insert(now);
            // The lease itself was already old by its limit when it was lost.
            return now.saturating_sub(since) + STALENESS_MAX < STREAM_SILENCE_MAX;
        };
        self.silent_since = None;
        is_admitted(&self.caller, &snapshot)
    }
}
