//! The writer process: the one opener of the write-ahead log, the logs' files and the lookup index.
//!
//! Threads: two for each channel (module `peers`), one sequencer, one builder that also makes checkpoints, one
//! that answers lookups, one that acknowledges keyd's records, one for the supervisor's spool, one for
//! each witness and one for the stream to watch.

pub(crate) mod keyd;
pub(crate) mod ledger;
pub(crate) mod peers;
pub(crate) mod prepare;
pub(crate) mod queue;
pub(crate) mod sequencer;
pub(crate) mod shared;
mod start;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use writ_keyd_client::channel::Channel;
use writ_keyd_client::protocol::Role;
use writ_model::Env;

use crate::error::TrailError;
use crate::limits::{
    CHECKPOINT_EVERY, LAST_ROUND_MAX, PEERS_GONE_MAX, RESERVE_BYTES, SEGMENT_BYTES,
};
use crate::protocol::Status;
use crate::push::WatchConnector;
use crate::witness::WitnessConfig;
use keyd::Keyd;
use peers::Peers;
use queue::Queue;
use shared::Shared;

/// What the writer is told at its start.
pub struct TrailConfig {
    /// The ledger's directory, such as `DIR/trail`.
    pub dir: PathBuf,
    /// The signed genesis statement ([`writ_proof::statement::Signed::to_bytes`]). Needed at the first
    /// start; later it must be the same, or absent.
    pub genesis: Option<Vec<u8>>,
    /// A segment of the write-ahead log is closed at this size.
    pub segment_bytes: u64,
    /// Below this much free space nothing is accepted.
    pub reserve_bytes: u64,
    /// How often a checkpoint is made when something is new.
    pub checkpoint_every: Duration,
    /// The file to which the supervisor spools its events.
    pub spool: Option<PathBuf>,
    /// Witnesses beside watch.
    pub witnesses: Vec<WitnessConfig>,
    /// Makes the connection to watch.
    pub watch: Option<Box<dyn WatchConnector>>,
}

impl TrailConfig {
    /// The defaults for the ledger in `dir`.
    pub fn new(dir: PathBuf, genesis: Option<Vec<u8>>) -> TrailConfig {
        TrailConfig {
            dir,
            genesis,
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            checkpoint_every: CHECKPOINT_EVERY,
            spool: None,
            witnesses: Vec::new(),
            watch: None,
        }
    }
}

/// A running writer. Dropping it does not stop it; [`Trail::stop`] does.
pub struct Trail {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    keyd: Arc<Keyd>,
    peers: Peers,
    sequencer: Mutex<Option<JoinHandle<Result<(), TrailError>>>>,
    builder: Mutex<Option<JoinHandle<Result<(), TrailError>>>>,
}

impl Trail {
    /// Opens the ledger, checks all of it, and starts the threads.
    ///
    /// # Errors
    /// When the ledger is damaged, foreign, newer, locked, forked, or cannot be written.
    pub fn start(config: TrailConfig, env: Arc<dyn Env>) -> Result<Trail, TrailError> {
        start::start(config, env)
    }

    /// Serves a channel. Its role says what its peer may do. keyd's is the one on which trail asks.
    ///
    /// # Errors
    /// When no thread can be started, or keyd does not answer.
    pub fn attach(&self, role: Role, channel: Channel) -> Result<(), TrailError> {
        match role {
            Role::Keyd => self.keyd.attach(channel),
            role => self.peers.attach(role, channel),
        }
    }

    /// What the writer says of itself.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Waits until everything that is durable now lies in the logs' files; false if that took longer.
    pub fn wait_built(&self, patience: Duration) -> bool {
        self.shared.wait_built(self.shared.durable().next_seq, patience)
    }

    /// Takes in what peers that are gone had sent, makes a last checkpoint, takes nothing more, writes
    /// what is queued, and lets the threads end.
    pub fn stop(&self) {
        if !self.peers.wait_gone(PEERS_GONE_MAX) {
            tracing::warn!("a peer is still there; what it sends now is under no checkpoint yet");
        }
        if !self.shared.last_round(LAST_ROUND_MAX) {
            tracing::warn!("the newest records are under no cosigned checkpoint yet");
        }
        self.queue.close();
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why the ledger had to be closed, if it was not [`Trail::stop`].
    pub fn wait(&self) -> Result<(), TrailError> {
        let ended = join(&self.sequencer);
        self.shared.stop();
        let built = join(&self.builder);
        // Whoever waits is told before the process ends; a peer that does not read holds up nobody long.
        for _ in 0..ANSWER_TURNS {
            if self.peers.unanswered.load(Ordering::SeqCst) == 0 {
                break;
            }
            std::thread::sleep(ANSWER_TURN);
        }
        ended.and(built)
    }
}

/// How long the end waits for answers to leave: turns of this length, so many.
const ANSWER_TURN: Duration = Duration::from_millis(10);
const ANSWER_TURNS: u32 = 100;

/// Runs the writer over `channels` until it is stopped or has to close the ledger.
///
/// # Errors
/// As [`Trail::start`] and [`Trail::wait`].
pub fn run(
    config: TrailConfig,
    channels: Vec<(Role, Channel)>,
    env: Arc<dyn Env>,
) -> Result<(), TrailError> {
    let trail = Trail::start(config, env)?;
    for (role, channel) in channels {
        trail.attach(role, channel)?;
    }
    trail.wait()
}

fn join(slot: &Mutex<Option<JoinHandle<Result<(), TrailError>>>>) -> Result<(), TrailError> {
    let handle = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    match handle.map(JoinHandle::join) {
        None => Ok(()),
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(TrailError::Unavailable("a thread of the writer panicked".to_owned())),
    }
}

pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), TrailError> {
    spawn_joined(name, work).map(drop)
}

fn spawn_joined<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, TrailError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|source| TrailError::Io {
        action: "start",
        path: PathBuf::from(name),
        source,
    })
}
