//! The bounded queue in front of the sequencer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use writ_proof::append::AppendReply;
use writ_proof::use_record::UseBatch;

use super::prepare::Prepared;
use crate::limits::{BATCH_MAX_BYTES, BATCH_MAX_RECORDS, QUEUE_MAX_RECORDS};

/// Answers one append, once.
pub(crate) type Answer = Box<dyn FnOnce(AppendReply) + Send>;

/// One thing for the sequencer to do.
pub(crate) enum Job {
    /// Append records.
    Append(Append),
    /// Put keyd's records into the log.
    Uses(UseBatch),
}

/// Records of one request.
pub(crate) struct Append {
    pub(crate) items: Vec<Prepared>,
    pub(crate) statements: Vec<Vec<u8>>,
    pub(crate) answer: Answer,
}

impl Job {
    fn records(&self) -> usize {
        match self {
            Job::Append(append) => append.items.len().max(1),
            Job::Uses(batch) => batch.records.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Job::Append(append) => {
                let items: usize = append.items.iter().map(|p| p.item.record.len()).sum();
                items + append.statements.iter().map(Vec::len).sum::<usize>()
            }
            Job::Uses(batch) => batch.records.iter().map(Vec::len).sum(),
        }
    }
}

/// What [`Queue::take`] found.
pub(crate) enum Taken {
    /// Jobs for one frame, in the order of their coming.
    Jobs(Vec<Job>),
    /// Nothing came in time.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

/// Jobs in order, at most [`QUEUE_MAX_RECORDS`] records.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    records: usize,
    closed: bool,
}

impl Queue {
    /// Queues a job; gives it back if there is no room, or if the queue is closed.
    pub(crate) fn put(&self, job: Job) -> Result<(), Box<Refused>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Box::new(Refused { job, full: false }));
        }
        // keyd's records pass always: keyd limits them itself, and answers wait for them.
        let bounded = matches!(job, Job::Append(_));
        if bounded && state.records > 0 && state.records + job.records() > QUEUE_MAX_RECORDS {
            return Err(Box::new(Refused { job, full: true }));
        }
        state.records += job.records();
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Everything that is queued, as far as it fits into one frame.
    pub(crate) fn take(&self, patience: Duration) -> Taken {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.closed {
            let waited = self.work.wait_timeout_while(state, patience, |state| {
                state.jobs.is_empty() && !state.closed
            });
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (mut records, mut bytes) = (0, 0);
        let mut jobs = Vec::new();
        while let Some(job) = state.jobs.front() {
            records += job.records();
            bytes += job.bytes();
            let full = records > BATCH_MAX_RECORDS || bytes > BATCH_MAX_BYTES;
            if full && !jobs.is_empty() {
                break;
            }
            state.records = state.records.saturating_sub(job.records());
            jobs.extend(state.jobs.pop_front());
        }
        match (jobs.is_empty(), state.closed) {
            (false, _) => Taken::Jobs(jobs),
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
        }
    }

    /// Takes nothing more; what is queued is still done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that was not queued.
pub(crate) struct Refused {
    pub(crate) job: Job,
    pub(crate) full: bool,
}
