//! What waits for the recorder's thread, and who hears of its failures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use writ_model::Env;
use writ_proof::recording::{Header, RecordingKey};

use super::Record;
use crate::error::Error;
use crate::limits::{BATCH_MAX_BYTES, QUEUE_MAX_BYTES, STALL_LOOK_EVERY};

/// One thing for the recorder's thread to do.
pub(super) struct Job {
    pub(super) line: Arc<Line>,
    pub(super) what: What,
    pub(super) answer: oneshot::Sender<Result<(), Error>>,
    /// When it came, by the monotonic clock.
    pub(super) at: Duration,
    bytes: usize,
}

pub(super) enum What {
    Open(Box<(Header, RecordingKey)>),
    Append(Vec<Record>),
    End(String),
    /// Its owner is gone.
    Forget,
}

/// A session as both sides know it.
pub(super) struct Line {
    pub(super) id: u64,
    failure: watch::Sender<Option<Error>>,
}

impl Line {
    /// Says that the session has failed. The first reason stays.
    pub(super) fn fail(&self, error: &Error) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(error.clone());
            }
            first
        });
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    pub(super) async fn failed(&self) -> Error {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        failed.ok().and_then(|failure| failure.clone()).unwrap_or(Error::Stopped)
    }
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) env: Arc<dyn Env>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    stopped: bool,
    lines: BTreeMap<u64, Arc<Line>>,
    next_line: u64,
    /// Since when the recorder's thread works on what it took.
    busy_since: Option<Duration>,
    /// The thread stood still: nothing that it does before it has seen this may be acknowledged.
    stalled: Option<Error>,
}

impl Shared {
    pub(super) fn new(env: Arc<dyn Env>) -> Shared {
        Shared { env, state: Mutex::default(), work: Condvar::new() }
    }

    pub(super) fn new_line(&self) -> Arc<Line> {
        let mut state = self.lock();
        state.next_line += 1;
        let line = Arc::new(Line { id: state.next_line, failure: watch::Sender::new(None) });
        state.lines.insert(line.id, Arc::clone(&line));
        line
    }

    /// Queues a job.
    pub(super) fn put(
        &self,
        line: &Arc<Line>,
        what: What,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.lock();
        let refused = match (line.failure(), &state.stalled) {
            (Some(error), _) => Some(error),
            (None, Some(stalled)) => Some(stalled.clone()),
            (None, None) if state.stopped => Some(Error::Stopped),
            (None, None) if state.bytes.saturating_add(bytes) > QUEUE_MAX_BYTES => {
                Some(Error::QueueFull)
            }
            (None, None) => None,
        };
        if let Some(error) = refused {
            // What is not recorded must not be followed by anything that is.
            line.fail(&error);
            return Err(error);
        }
        state.bytes += bytes;
        let at = self.env.monotonic();
        state.jobs.push_back(Job { line: Arc::clone(line), what, answer, at, bytes });
        self.work.notify_one();
        Ok(receiver)
    }

    /// Takes jobs for one fsync; waits for at most `patience`. `None` if the recorder was stopped.
    pub(super) fn take(&self, patience: Duration) -> Option<Vec<Job>> {
        let mut state = self.lock();
        state.busy_since = None;
        if state.jobs.is_empty() && !state.stopped {
            let waited = self.work.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stopped {
            return None;
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(job) = state.jobs.pop_front() {
            bytes += job.bytes;
            state.bytes = state.bytes.saturating_sub(job.bytes);
            taken.push(job);
            if bytes >= BATCH_MAX_BYTES {
                break;
            }
        }
        state.busy_since = Some(self.env.monotonic());
        Some(taken)
    }

    /// Calls `acknowledge` unless the thread had stood still; then answers why, and begins anew.
    pub(super) fn settle(&self, acknowledge: impl FnOnce()) -> Result<(), Error> {
        let mut state = self.lock();
        match state.stalled.take() {
            None => {
                acknowledge();
                Ok(())
            }
            Some(stalled) => Err(stalled),
        }
    }

    pub(super) fn forget(&self, line: &Arc<Line>) {
        let (answer, _) = oneshot::channel();
        let at = self.env.monotonic();
        let mut state = self.lock();
        state.lines.remove(&line.id);
        let line = Arc::clone(line);
        state.jobs.push_back(Job { line, what: What::Forget, answer, at, bytes: 0 });
    }

    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.fail_all(&Error::Stopped);
        self.work.notify_all();
    }

    /// The second thread: looks whether the first stands still.
    pub(super) fn watch(&self, stall: Duration) {
        loop {
            std::thread::sleep(STALL_LOOK_EVERY);
            let now = self.env.monotonic();
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            let oldest = state.jobs.front().map(|job| job.at);
            let since = [state.busy_since, oldest].into_iter().flatten().min();
            let age = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
            if age < stall || state.stalled.is_some() {
                continue;
            }
            let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let error = Error::Stalled { ms };
            tracing::error!(%error, "recording.failed");
            state.fail_all(&error);
            state.stalled = Some(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Every session fails, and what waits is not done any more.
    fn fail_all(&mut self, error: &Error) {
        self.lines.values().for_each(|line| line.fail(error));
        self.jobs.clear();
        self.bytes = 0;
    }
}
