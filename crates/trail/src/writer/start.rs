//! Opening the ledger and starting the writer's threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use writ_model::{Env, Uuid};
use writ_proof::Hash;
use writ_proof::append::AppendItem;
use writ_proof::leaf::{Kind, LogHead};
use writ_proof::origin::{LogName, Origin};
use writ_proof::roster::Genesis;
use writ_proof::statement::Signed;

use super::keyd::{Keyd, Word};
use super::ledger::Ledger;
use super::peers::{Peers, Question};
use super::queue::Queue;
use super::sequencer::Sequencer;
use super::shared::Shared;
use super::{Trail, TrailConfig, spawn, spawn_joined};
use crate::build::checkpoint::{Checkpointer, append_own, checkpoint_key};
use crate::build::notes::{Notes, SignedCheckpoint};
use crate::build::{BuildState, Builder};
use crate::disk::{self, DirLock};
use crate::error::TrailError;
use crate::limits::{BUILD_EVERY, LOCK_WAIT, SEGMENT_MIN_BYTES};
use crate::logs::LogFiles;
use crate::lookup::Lookup;
use crate::protocol::Reply;
use crate::wal::{Cut, Place, Replay, Wal, replay, segment_path};
use crate::{push, spool, witness};

/// The version of the directory's layout.
const LAYOUT_VERSION: u64 = 1;

pub(super) fn start(config: TrailConfig, env: Arc<dyn Env>) -> Result<Trail, TrailError> {
    disk::create_dir(&config.dir)?;
    let lock = Arc::new(DirLock::wait(&config.dir, LOCK_WAIT)?);
    let (genesis_bytes, genesis_hash, genesis) = genesis(&config)?;
    let wal_dir = config.dir.join("wal");
    disk::create_dir(&wal_dir)?;

    let notes = Arc::new(Notes::default());
    let shared = Arc::new(Shared::new(&config.dir));
    let (ledger, found, built) = open(&config.dir, &genesis, &notes, &*env)?;
    if let Some(signed) = notes.latest(LogName::Operator) {
        let origin = Origin::new(genesis.site.clone(), LogName::Operator);
        shared.signed_operator(LogHead { origin, size: signed.size, root: signed.root });
    }
    if let Some(cut) = &found.cut {
        cut_tail(&wal_dir, cut)?;
    }
    let segment_bytes = config.segment_bytes.max(SEGMENT_MIN_BYTES);
    let wal = Wal::go_on(&wal_dir, found.place, found.end, segment_bytes)?;
    shared.advance(wal.place(), wal.next_seq(), ledger.use_head());
    let is_new = ledger.frontier(LogName::Operator).size() == 0;

    let queue = Arc::new(Queue::default());
    let (acks, positions) = channel();
    let sequencer = Sequencer::new(
        wal,
        ledger,
        Arc::clone(&shared),
        Arc::clone(&queue),
        Arc::clone(&env),
        genesis.keyd.use_records,
        config.reserve_bytes,
        acks,
    );
    // Held by both threads that write, until the last of them ends.
    let sequencer = spawn_joined("sequencer", {
        let lock = Arc::clone(&lock);
        move || {
            let result = sequencer.run();
            drop(lock);
            result
        }
    })?;
    if is_new {
        append_own(&queue, vec![genesis_item(&genesis_bytes, genesis_hash)])?;
    }
    append_own(&queue, vec![boot_item(&*env, found.cut.as_ref())])?;
    let parts = Parts { env, shared, queue, notes, genesis, genesis_hash, sequencer, built, lock };
    follow(config, parts, positions)
}

/// What runs once the sequencer does.
struct Parts {
    env: Arc<dyn Env>,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    notes: Arc<Notes>,
    genesis: Genesis,
    genesis_hash: Hash,
    sequencer: JoinHandle<Result<(), TrailError>>,
    built: Option<BuildState>,
    lock: Arc<DirLock>,
}

/// Starts everything that follows the log.
fn follow(
    config: TrailConfig,
    parts: Parts,
    positions: Receiver<Word>,
) -> Result<Trail, TrailError> {
    let Parts { env, shared, queue, notes, genesis, genesis_hash, sequencer, built, lock } = parts;
    let keyd = Arc::new(Keyd::new(Arc::clone(&queue), Arc::clone(&shared)));
    let builder = Builder::open(&config.dir, &genesis.site, Arc::clone(&shared), built)?;
    let checkpointer = Checkpointer {
        site: genesis.site.clone(),
        env: Arc::clone(&env),
        queue: Arc::clone(&queue),
        shared: Arc::clone(&shared),
        keyd: Arc::clone(&keyd),
        notes: Arc::clone(&notes),
        key: genesis.keyd.checkpoint,
        last_uses: None,
    };
    let every = config.checkpoint_every;
    let builder = spawn_joined("builder", move || {
        let result = build(builder, checkpointer, every);
        drop(lock);
        result
    })?;
    spawn("keyd-acks", {
        let keyd = Arc::clone(&keyd);
        move || keyd.acknowledge(&positions)
    })?;
    let (lookups, questions) = sync_channel(LOOKUPS_MAX);
    let place = (config.dir.clone(), genesis.site.clone());
    let index = Lookup::open(&config.dir.join("lookup.sqlite"))?;
    spawn("lookup", {
        let shared = Arc::clone(&shared);
        move || answer_lookups(&index, &place, &questions, &shared)
    })?;
    let unanswered = Arc::default();
    let (peer_queue, peer_shared) = (Arc::clone(&queue), Arc::clone(&shared));
    let open = Arc::default();
    let peers = Peers { queue: peer_queue, shared: peer_shared, lookups, unanswered, open };
    spool::start(config.spool, &queue, &shared)?;
    let origin = Origin::new(genesis.site.clone(), LogName::Checkpoint);
    let files = LogFiles::new(&config.dir, &origin);
    let context = witness::Context { files, notes, shared: Arc::clone(&shared), env };
    witness::start(config.witnesses, &context)?;
    if let Some(connector) = config.watch {
        push::start(connector, context, Arc::clone(&keyd), &genesis, genesis_hash)?;
    }
    Ok(Trail {
        shared,
        queue,
        keyd,
        peers,
        sequencer: Mutex::new(Some(sequencer)),
        builder: Mutex::new(Some(builder)),
    })
}

/// Lookups that wait.
const LOOKUPS_MAX: usize = 256;

/// The genesis statement of the directory, which the configuration may repeat but not replace.
fn genesis(config: &TrailConfig) -> Result<(Vec<u8>, Hash, Genesis), TrailError> {
    let (path, layout) = (config.dir.join("genesis"), config.dir.join("layout"));
    if let Some(bytes) = disk::read_if_there(&layout)? {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = text.trim().strip_prefix("writ-trail ").and_then(|v| v.parse().ok());
        match found {
            Some(LAYOUT_VERSION) => {}
            Some(found) => {
                return Err(TrailError::Newer { path: layout, found, known: LAYOUT_VERSION });
            }
            None => return Err(foreign(&config.dir, "its file `layout` is not ours")),
        }
    }
    let kept = disk::read_if_there(&path)?;
    let bytes = match (kept, config.genesis.clone()) {
        (Some(kept), Some(given)) if kept != given => {
            return Err(foreign(&config.dir, "it began with another genesis statement"));
        }
        (Some(kept), _) => kept,
        (None, Some(given)) if is_empty(&config.dir)? => {
            disk::replace(&path, &given)?;
            disk::replace(&layout, format!("writ-trail {LAYOUT_VERSION}\n").as_bytes())?;
            given
        }
        (None, Some(_)) => {
            return Err(foreign(&config.dir, "it holds files, but no genesis statement"));
        }
        (None, None) => return Err(foreign(&config.dir, "it has no genesis statement")),
    };
    let signed = Signed::from_bytes(&bytes)?;
    let genesis = Genesis::verify(&signed, None)?;
    Ok((bytes, signed.digest(), genesis))
}

fn foreign(dir: &Path, why: &str) -> TrailError {
    TrailError::Foreign { path: dir.to_owned(), why: why.to_owned() }
}

/// True if nothing but our own lock (and a first start that a crash ended) lies in the directory.
fn is_empty(dir: &Path) -> Result<bool, TrailError> {
    let entries = std::fs::read_dir(dir).map_err(TrailError::io("list", dir))?;
    let known = ["lock", "genesis.tmp", "layout", "layout.tmp"];
    let foreign = entries
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_str().is_none_or(|name| !known.contains(&name)));
    Ok(!foreign)
}

/// Reads the whole log, and compares it with the checkpoints that keyd signed.
fn open(
    dir: &Path,
    genesis: &Genesis,
    notes: &Notes,
    env: &dyn Env,
) -> Result<(Ledger, Replay, Option<BuildState>), TrailError> {
    let wal = dir.join("wal");
    let mut signed = BTreeMap::new();
    for log in [LogName::Checkpoint, LogName::Operator] {
        let origin = Origin::new(genesis.site.clone(), log);
        let path = LogFiles::new(dir, &origin).dir().join("checkpoint");
        if let Some(bytes) = disk::read_if_there(&path)? {
            let key = checkpoint_key(&origin, genesis.keyd.checkpoint)?;
            let checkpoint = SignedCheckpoint::verify(&bytes, &key, env.now())?;
            notes.load(log, checkpoint.clone());
            signed.insert(log, checkpoint);
        }
    }
    let mut ledger = Ledger::default();
    let mut roots = BTreeMap::new();
    // What was built must have been built from this very log: its last frame has to be there still.
    let built = BuildState::load(dir)?;
    let mut is_there = built.as_ref().is_some_and(|built| built.hash == Hash::ZERO);
    let found = replay(&wal, &mut |placed| {
        let after = Place { segment: placed.at.segment, offset: placed.located.end };
        is_there |= built
            .as_ref()
            .is_some_and(|built| built.place == after && built.hash == placed.located.hash);
        let mut on_leaf = |log: LogName, frontier: &writ_proof::merkle::Frontier| {
            if signed.get(&log).is_some_and(|signed| signed.size == frontier.size()) {
                roots.insert(log, frontier.root());
            }
        };
        ledger.replay(&placed.located.frame, &mut on_leaf).map_err(|why| TrailError::Damaged {
            path: segment_path(&wal, placed.at.segment),
            offset: placed.at.offset,
            why,
        })
    })?;
    for (log, SignedCheckpoint { size, root, .. }) in signed {
        let found = roots.get(&log);
        if size > 0 && found != Some(&root) {
            let found = match found {
                Some(root) => root.to_string(),
                None => format!("none, for there are only {} leaves", ledger.frontier(log).size()),
            };
            return Err(TrailError::Fork {
                origin: Origin::new(genesis.site.clone(), log).to_string(),
                size,
                expected: root.to_string(),
                found,
            });
        }
    }
    let genesis_is_first = ledger.frontier(LogName::Operator).size() > 0;
    if found.end.next_seq > 0 && !genesis_is_first {
        return Err(foreign(dir, "its operator log does not begin with a genesis statement"));
    }
    Ok((ledger, found, built.filter(|_| is_there)))
}

fn cut_tail(wal: &Path, cut: &Cut) -> Result<(), TrailError> {
    let path = segment_path(wal, cut.place.segment);
    tracing::warn!(path = %path.display(), offset = cut.place.offset, bytes = cut.bytes,
        "the last frame is incomplete; nothing in it was acknowledged; it is cut off");
    let file =
        std::fs::File::options().write(true).open(&path).map_err(TrailError::io("open", &path))?;
    file.set_len(cut.place.offset)
        .and_then(|()| file.sync_all())
        .map_err(TrailError::io("cut", &path))
}

fn genesis_item(bytes: &[u8], hash: Hash) -> AppendItem {
    let mut id = [0; 16];
    id.iter_mut().zip(hash.0).for_each(|(to, from)| *to = from);
    AppendItem {
        event_id: Uuid::from_bytes(id),
        kind: Kind::Statement,
        logs: vec![LogName::Operator],
        record: bytes.to_vec(),
        commit: None,
        use_position: None,
    }
}

fn boot_item(env: &dyn Env, cut: Option<&Cut>) -> AppendItem {
    let cut = cut.map(|cut| {
        let (segment, offset) = (cut.place.segment, cut.place.offset);
        json!({ "segment": segment, "offset": offset, "bytes": cut.bytes })
    });
    let record = json!({
        "process": "trail", "what": "start", "time": env.now().iso_millis(),
        "version": env!("CARGO_PKG_VERSION"), "incompleteFrameCut": cut,
    });
    AppendItem {
        event_id: Uuid::random(env),
        kind: Kind::Boot,
        logs: vec![LogName::Operator],
        record: record.to_string().into_bytes(),
        commit: None,
        use_position: None,
    }
}

/// The builder's thread.
fn build(
    mut builder: Builder,
    mut checkpointer: Checkpointer,
    every: Duration,
) -> Result<(), TrailError> {
    let shared = Arc::clone(&checkpointer.shared);
    let env = Arc::clone(&checkpointer.env);
    let mut last = None;
    let result = loop {
        if shared.is_stopping() {
            break builder.catch_up();
        }
        let due = last.is_none_or(|last| env.monotonic().saturating_sub(last) >= every);
        let is_last = shared.wants_last_round();
        let done = if due || is_last {
            last = Some(env.monotonic());
            checkpointer.round(&mut builder)
        } else {
            builder.catch_up()
        };
        if is_last {
            shared.made_last_round();
        }
        match done {
            Ok(()) => {}
            // What the sequencer or keyd could not do now is tried again in the next round.
            Err(error @ (TrailError::Unavailable(_) | TrailError::Busy | TrailError::Call(_))) => {
                tracing::warn!(%error, "no checkpoint this time");
            }
            Err(error) => break Err(error),
        }
        shared.pause(BUILD_EVERY.min(every));
    };
    if let Err(error) = &result {
        tracing::error!(%error, "the logs' files cannot be made; the ledger closes");
        shared.close(&error.to_string());
        checkpointer.queue.close();
        return result;
    }
    builder.settle()
}

fn answer_lookups(
    index: &Lookup,
    (dir, site): &(std::path::PathBuf, writ_proof::origin::SiteId),
    questions: &Receiver<Question>,
    shared: &Shared,
) {
    while let Ok(Question { query, answer }) = questions.recv() {
        // What was acknowledged before the question was asked must be found.
        shared.wait_built(shared.durable().next_seq, LOOKUP_PATIENCE);
        let page = index.page(&query, &|account, seq| {
            let origin = Origin::new(site.clone(), LogName::Account(account));
            LogFiles::new(dir, &origin).record(seq)
        });
        answer.send(match page {
            Ok(page) => Reply::Lookup(page),
            Err(TrailError::Refused(why)) => Reply::Refused(why),
            Err(error) => {
                tracing::error!(%error, "a lookup failed");
                Reply::Refused("the index cannot be read".to_owned())
            }
        });
    }
}

/// How long a lookup waits for the index; AWS's own takes minutes.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(1);
