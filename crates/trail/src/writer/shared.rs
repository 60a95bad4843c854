//! What the writer's threads tell each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use writ_model::{Timestamp, Uuid};
use writ_proof::leaf::{LogHead, UseHead};
use writ_proof::origin::LogName;

use crate::protocol::Status;
use crate::wal::Place;

/// State that threads read and wait for.
pub(crate) struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    durable: Place,
    next_seq: u64,
    use_head: Option<UseHead>,
    built_seq: u64,
    sizes: BTreeMap<LogName, u64>,
    checkpoint: Option<(u64, Timestamp)>,
    operator: Option<LogHead>,
    cosignatures: u64,
    watch_seq: Option<u64>,
    free_bytes: u64,
    suspended: Option<String>,
    closed: Option<String>,
    faults: BTreeMap<Fault, String>,
    last_round: LastRound,
    stopping: bool,
    keyd_boot: Option<Uuid>,
}

/// What others did wrong, which the ledger has to say: watch and verifiers must learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// keyd's records did not chain.
    BrokenChain,
    /// The host log is not what it was.
    HostLog,
}

impl Fault {
    /// As the ledger has it.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Fault::BrokenChain => "keyd's use records",
            Fault::HostLog => "watch's host log",
        }
    }
}

/// Whether the last checkpoint before an orderly end was made.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum LastRound {
    #[default]
    NotAsked,
    Asked,
    Made,
}

/// What is durable.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Durable {
    pub(crate) place: Place,
    pub(crate) next_seq: u64,
    pub(crate) use_head: Option<UseHead>,
}

impl Shared {
    pub(crate) fn new(dir: &Path) -> Shared {
        Shared { dir: dir.to_owned(), state: Mutex::default(), changed: Condvar::new() }
    }

    /// The ledger's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn advance(&self, place: Place, next_seq: u64, use_head: Option<UseHead>) {
        let mut state = self.lock();
        (state.durable, state.next_seq, state.use_head) = (place, next_seq, use_head);
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn durable(&self) -> Durable {
        let State { durable, next_seq, use_head, .. } = *self.lock();
        Durable { place: durable, next_seq, use_head }
    }

    /// keyd has said hello: this is its run now, and every other one is over.
    pub(crate) fn set_keyd_boot(&self, boot: Uuid) {
        self.lock().keyd_boot = Some(boot);
    }

    /// The run of the keyd that said hello last.
    pub(crate) fn keyd_boot(&self) -> Option<Uuid> {
        self.lock().keyd_boot
    }

    /// Waits `pause`, or until the writer stops or wants its last checkpoint.
    pub(crate) fn pause(&self, pause: Duration) {
        let state = self.lock();
        let goes_on = |state: &mut State| !state.stopping && state.last_round != LastRound::Asked;
        drop(self.changed.wait_timeout_while(state, pause, goes_on));
    }

    /// Asks for a checkpoint over everything that is durable, and waits until it is made and, where
    /// watch follows, cosigned; false if that took longer.
    pub(crate) fn last_round(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        state.last_round = LastRound::Asked;
        self.changed.notify_all();
        let waits = |state: &mut State| {
            let cosigned = state.watch_seq.is_none() || state.cosignatures > 0;
            !state.stopping && (state.last_round != LastRound::Made || !cosigned)
        };
        let waited = self.changed.wait_timeout_while(state, patience, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn wants_last_round(&self) -> bool {
        self.lock().last_round == LastRound::Asked
    }

    pub(crate) fn made_last_round(&self) {
        self.lock().last_round = LastRound::Made;
        self.changed.notify_all();
    }

    pub(crate) fn built(&self, seq: u64, sizes: BTreeMap<LogName, u64>) {
        let mut state = self.lock();
        (state.built_seq, state.sizes) = (seq, sizes);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the tiles hold everything below `seq`; false if that took too long.
    pub(crate) fn wait_built(&self, seq: u64, patience: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, patience, |state| state.built_seq < seq && !state.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.built_seq >= seq
    }

    pub(crate) fn signed(&self, size: u64, time: Timestamp, cosignatures: u64) {
        let mut state = self.lock();
        state.checkpoint = Some((size, time));
        state.cosignatures = cosignatures;
        drop(state);
        self.changed.notify_all();
    }

    /// keyd has signed this checkpoint of the operator log.
    pub(crate) fn signed_operator(&self, head: LogHead) {
        self.lock().operator = Some(head);
    }

    /// The newest signed checkpoint of the operator log.
    pub(crate) fn operator(&self) -> Option<LogHead> {
        self.lock().operator.clone()
    }

    pub(crate) fn watch_has(&self, seq: Option<u64>) {
        self.lock().watch_seq = seq;
    }

    pub(crate) fn suspend(&self, why: &str, free: u64) {
        let mut state = self.lock();
        state.suspended = Some(why.to_owned());
        state.free_bytes = free;
    }

    pub(crate) fn reopen(&self, free: u64) {
        let mut state = self.lock();
        state.suspended = None;
        state.free_bytes = free;
    }

    pub(crate) fn close(&self, why: &str) {
        self.lock().closed = Some(why.to_owned());
    }

    pub(crate) fn note(&self, fault: Fault, why: &str) {
        self.lock().faults.insert(fault, why.to_owned());
    }

    /// The last fault of this kind, once.
    pub(crate) fn take_fault(&self, fault: Fault) -> Option<String> {
        self.lock().faults.remove(&fault)
    }

    /// It could not be written down yet.
    pub(crate) fn put_back(&self, fault: Fault, why: String) {
        self.lock().faults.entry(fault).or_insert(why);
    }

    /// Asks all threads to end.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    pub(crate) fn status(&self) -> Status {
        let state = self.lock();
        Status {
            next_seq: state.next_seq,
            built_seq: state.built_seq,
            logs: state.sizes.iter().map(|(log, size)| (log.to_string(), *size)).collect(),
            checkpoint: state.checkpoint,
            cosignatures: state.cosignatures,
            watch_seq: state.watch_seq,
            free_bytes: state.free_bytes,
            closed: state.closed.clone().or_else(|| state.suspended.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
