//! The agent's process: one thread takes in events and writes them to the spool, one ships them.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use writ_model::limits::AGENT_BEAT;
use writ_model::{Env, Nonce, Uuid};
use writ_proof::Hash;
use writ_proof::cbor::Version;
use writ_proof::hostlog::{
    AuditState, Beat, Began, Class, Frame, Gap, GapReason, Payload, Position, SignedConfig,
    SourceBeat, SourceReport, Welcome,
};

use crate::config::Config;
use crate::error::AgentError;
use crate::identity::Home;
use crate::limits::{BYE_MAX, POLL, STATE_EVERY};
use crate::reader::{Look, Reader};
use crate::source::{Event, Looked};
use crate::spool::Spool;
use crate::state::{Cursor, SPOOL_FOLDER, State, Written};
use crate::{CONFIG_FILE, confine, disk, ship};

const MIB: u64 = 1024 * 1024;

/// The name under which the agent speaks of itself.
const AGENT: &str = "agent";

/// What both threads use.
pub(crate) struct Shared {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) home: Home,
    pub(crate) config: Hash,
    /// The serial of the newest configuration that is kept.
    serial: AtomicU64,
    /// The serial of the configuration that this process runs with.
    pub(crate) running: u64,
    /// What this process gave up, and what it could not.
    pub(crate) hardening: Vec<SourceReport>,
    pub(crate) boot: Uuid,
    pub(crate) instance: Nonce,
    pub(crate) wake: OwnedFd,
    pub(crate) beat_every: Duration,
    epoch: AtomicU64,
    /// The host's uptime when the process's own clock began.
    boot_offset: Duration,
    spool: Mutex<Spool>,
    report: Mutex<Report>,
    urgent: AtomicBool,
    stopping: AtomicBool,
    finished: AtomicBool,
    over: AtomicBool,
    deadline: Mutex<Option<Duration>>,
}

/// What beats tell.
#[derive(Default)]
struct Report {
    looked: Duration,
    dropped: u64,
    sources: Vec<SourceBeat>,
    audit: Option<AuditState>,
}

impl Shared {
    pub(crate) fn spool(&self) -> MutexGuard<'_, Spool> {
        lock(&self.spool)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// True once after something that watch is to hear before the next beat is due.
    pub(crate) fn take_urgent(&self) -> bool {
        self.urgent.swap(false, Ordering::SeqCst)
    }

    /// The last frame of this run is on the disk.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::SeqCst)
    }

    /// The other thread has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// The time for an end in order has passed.
    pub(crate) fn overdue(&self) -> bool {
        self.is_over() || lock(&self.deadline).is_some_and(|until| self.env.monotonic() >= until)
    }

    /// The serial of the configuration that counts at the next start.
    pub(crate) fn serial(&self) -> u64 {
        self.serial.load(Ordering::SeqCst)
    }

    /// Keeps what the host is to report from the next start on.
    pub(crate) fn configure(&self, signed: &SignedConfig) -> Result<(), AgentError> {
        self.home.configure(signed, self.serial())?;
        self.serial.store(signed.serial, Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn acked(&self, acked: Position) {
        self.spool().ack(acked);
    }

    pub(crate) fn beat(&self) -> Beat {
        let (end, (spool_bytes, spool_max_bytes)) = {
            let spool = self.spool();
            (spool.end(), spool.fill())
        };
        let now = self.env.monotonic();
        let report = lock(&self.report);
        Beat {
            end,
            mono_ms: millis(self.boot_offset + now),
            wall: self.env.now(),
            looked_ms: millis(now.saturating_sub(report.looked)),
            spool_bytes,
            spool_max_bytes,
            dropped: report.dropped,
            sources: report.sources.clone(),
            audit: report.audit,
        }
    }

    /// Goes on behind what watch holds, in a new epoch, with what watch has not acknowledged.
    pub(crate) fn rebase(&self, welcome: &Welcome) -> Result<(), AgentError> {
        let mut spool = self.spool();
        let epoch = self.home.next_epoch(welcome.epoch.max(self.epoch()))?;
        self.epoch.store(epoch, Ordering::SeqCst);
        let kept = spool.unacknowledged()?;
        let reason = GapReason::Rebased;
        let gap = Gap { from: 0, to: 0, count: 0, class: Class::Security, reason };
        let (source, class) = (AGENT.to_owned(), Class::Security);
        let gap = Event { source, class, payload: Payload::Gap(gap) };
        let first = welcome.held.next_seq;
        let mut frames = vec![self.frame(&gap, first)?];
        let kept = (first.saturating_add(1)..).zip(kept);
        for (seq, frame) in kept {
            frames.push(Frame { epoch, seq, ..frame }.sign(&self.home.key)?);
        }
        let frames: Result<Vec<Vec<u8>>, _> = frames.iter().map(Frame::to_bytes).collect();
        spool.rebase(welcome.held, &frames?)
    }

    pub(crate) fn wait(&self, patience: Duration) {
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        // An interrupted wait is a short one.
        poll(&mut [PollFd::new(&self.wake, PollFlags::empty())], Some(&timeout)).ok();
    }

    /// Takes notice of having been woken.
    pub(crate) fn awake(&self) {
        rustix::io::read(&self.wake, &mut [0; 8]).ok();
    }

    fn notify(&self) {
        rustix::io::write(&self.wake, &1u64.to_ne_bytes()).ok();
    }

    fn frame(&self, event: &Event, seq: u64) -> Result<Frame, AgentError> {
        let frame = Frame {
            v: Version,
            host: self.home.host.clone(),
            boot: self.boot,
            epoch: self.epoch(),
            seq,
            mono_ms: millis(self.boot_offset + self.env.monotonic()),
            wall: self.env.now(),
            source: event.source.clone(),
            class: event.class,
            payload: event.payload.clone(),
            signature: None,
        };
        Ok(frame.sign(&self.home.key)?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Runs the agent of the folder until SIGTERM or SIGINT.
///
/// # Errors
/// The folder is not of an enrolled agent, or its disk fails: then a restart finds what is durable.
pub fn run(dir: &Path, env: Arc<dyn Env>) -> Result<(), AgentError> {
    let home = Home::open(dir)?;
    let (config, signed) = Config::load(dir)?;
    tell_of_edits(dir, &signed);
    // What is wrong with the identity shows at once.
    home.tls()?;
    disk::create_dir(&dir.join(SPOOL_FOLDER))?;
    let (boot, boot_offset) = (boot_id()?, uptime()?.saturating_sub(env.monotonic()));
    let mut reader = Reader::spawn(dir)?;
    // What an earlier run has written is read and written without rights: it may have been taken over.
    let mut hardening = confine::shipper(dir);
    let mut state = State::load(dir)?;
    let epoch = home.next_epoch(0)?;
    let mut cursors: BTreeMap<String, Cursor> =
        state.cursors.drain(..).map(|cursor| (cursor.source.clone(), cursor)).collect();
    let (spool, found) = Spool::open(
        &dir.join(SPOOL_FOLDER),
        config.spool_mib.saturating_mul(MIB),
        config.segment_mib.saturating_mul(MIB),
        state.acked,
        |frame| advance(&mut cursors, state.written, frame),
    )?;
    state.cursors = cursors.into_values().collect();
    hardening.extend(reader.begin(signed.hash(), &state.cursors)?);
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| AgentError::io("make", Path::new("eventfd"))(error.into()))?;
    let shared = Arc::new(Shared {
        home,
        config: signed.hash(),
        serial: AtomicU64::new(signed.serial),
        running: signed.serial,
        hardening,
        boot,
        instance: env.nonce(),
        wake,
        beat_every: AGENT_BEAT,
        epoch: AtomicU64::new(epoch),
        boot_offset,
        spool: Mutex::new(spool),
        report: Mutex::new(Report { looked: env.monotonic(), ..Report::default() }),
        urgent: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        finished: AtomicBool::new(false),
        over: AtomicBool::new(false),
        deadline: Mutex::new(None),
        env,
    });
    signals(&shared)?;
    let mut collector = Collector::new(Arc::clone(&shared), reader);
    collector.begin(found.cut_bytes)?;
    let shipper = ship(&shared, config.watch)?;
    let collected = collector.run(&shipper);
    if collected.is_err() {
        shared.over.store(true, Ordering::SeqCst);
        shared.notify();
    }
    let shipped =
        shipper.join().unwrap_or(Err(AgentError::Refused("its thread panicked".to_owned())));
    collected.and(shipped)?;
    let ended = collector.end();
    collector.save()?;
    ended
}

/// Somebody may think that the file which was proposed once is what counts.
fn tell_of_edits(dir: &Path, signed: &SignedConfig) {
    let path = dir.join(CONFIG_FILE);
    let text = disk::read_if_there(&path).ok().flatten();
    if text.is_some_and(|text| text != signed.text.as_bytes()) {
        let serial = signed.serial;
        tracing::warn!(
            path = %path.display(),
            "{CONFIG_FILE} differs from configuration {serial}, which watch has signed and which counts"
        );
    }
}

fn ship(
    shared: &Arc<Shared>,
    watch: String,
) -> Result<JoinHandle<Result<(), AgentError>>, AgentError> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("ship".to_owned())
        .spawn(move || ship::run(&shared, &watch))
        .map_err(AgentError::io("start", Path::new("ship")))
}

/// A place may be on the disk in a frame before it is in the state. Frames before `written` are not asked: they can
/// be of a file that the source was then, or of a source that there is no more.
fn advance(cursors: &mut BTreeMap<String, Cursor>, written: Option<Written>, frame: &Frame) {
    let Payload::Line(line) = &frame.payload else { return };
    if written.is_some_and(|w| Written { epoch: frame.epoch, next_seq: frame.seq } < w) {
        return;
    }
    let source = frame.source.clone();
    let (inode, offset) = (line.inode, line.end);
    let cursor = Cursor { source: source.clone(), inode, offset, path: None };
    let known = cursors.entry(source).or_insert_with(|| cursor.clone());
    if known.inode != cursor.inode {
        *known = cursor;
    } else if known.offset < cursor.offset {
        known.offset = cursor.offset;
    }
}

/// Tells `shared` when the process is to end.
fn signals(shared: &Arc<Shared>) -> Result<(), AgentError> {
    use tokio::signal::unix::{SignalKind, signal};
    let error = AgentError::io("listen for", Path::new("signals"));
    let shared = Arc::clone(shared);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return Err(error(source)),
    };
    let listen = move || {
        runtime.block_on(async {
            let both = signal(SignalKind::terminate())
                .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
            let Ok((mut term, mut int)) = both else { return };
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            shared.stopping.store(true, Ordering::SeqCst);
            shared.notify();
        });
    };
    match std::thread::Builder::new().name("signals".to_owned()).spawn(listen) {
        Ok(_) => Ok(()),
        Err(source) => Err(error(source)),
    }
}

fn boot_id() -> Result<Uuid, AgentError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).map_err(AgentError::io("read", path))?;
    text.trim().parse().map_err(|_| AgentError::Foreign {
        path: path.to_owned(),
        why: "it holds no id of a boot".to_owned(),
    })
}

fn uptime() -> Result<Duration, AgentError> {
    let path = Path::new("/proc/uptime");
    let text = std::fs::read_to_string(path).map_err(AgentError::io("read", path))?;
    let seconds = text.split_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok());
    Ok(seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_default())
}

/// The thread that takes in events.
struct Collector {
    shared: Arc<Shared>,
    reader: Reader,
    /// What the last look has found, but its events.
    last: Looked,
    queue: Vec<Event>,
    /// Events that were given up before they had a number, by source and class.
    owed: BTreeMap<(String, Class), u64>,
    counts: BTreeMap<String, u64>,
    dropped: u64,
    blocked: bool,
    saved: Duration,
}

impl Collector {
    fn new(shared: Arc<Shared>, reader: Reader) -> Collector {
        let saved = shared.env.monotonic();
        Collector {
            shared,
            reader,
            last: Looked::default(),
            queue: Vec::new(),
            owed: BTreeMap::new(),
            counts: BTreeMap::new(),
            dropped: 0,
            blocked: false,
            saved,
        }
    }

    /// The first frame of the epoch: what this agent is, and what it can read.
    fn begin(&mut self, cut_bytes: u64) -> Result<(), AgentError> {
        let found = self.look(Look { all: true, idle: false })?;
        let sources = self.source_beats();
        let sources =
            sources.into_iter().map(|s| SourceReport { name: s.name, fault: s.fault }).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let config = self.shared.config;
        self.say(Payload::Began(Began { version, config, sources }));
        self.queue.extend(found);
        if cut_bytes > 0 {
            let text = format!("{cut_bytes} bytes of the spool were no whole frames and are gone");
            self.queue.push(Event::note(AGENT, text));
        }
        self.commit()?;
        // Where each file begins is written down before anything can be missed.
        self.turn(false)?;
        self.save()
    }

    fn say(&mut self, payload: Payload) {
        let (source, class) = (AGENT.to_owned(), Class::Security);
        self.queue.push(Event { source, class, payload });
    }

    fn run(&mut self, shipper: &JoinHandle<Result<(), AgentError>>) -> Result<(), AgentError> {
        let mut idle = false;
        while !self.shared.is_stopping() {
            if shipper.is_finished() {
                return Ok(());
            }
            idle = !self.turn(idle)?;
        }
        self.turn(false)?;
        self.say(Payload::Ended("stop".to_owned()));
        self.commit()?;
        *lock(&self.shared.deadline) = Some(self.shared.env.monotonic() + BYE_MAX);
        self.shared.finished.store(true, Ordering::SeqCst);
        self.shared.notify();
        Ok(())
    }

    /// After the last word to watch.
    fn end(&mut self) -> Result<(), AgentError> {
        self.reader.end()
    }

    /// Looks at the sources; answers what has happened.
    fn look(&mut self, look: Look) -> Result<Vec<Event>, AgentError> {
        let mut looked = self.reader.look(look)?;
        let events = std::mem::take(&mut looked.events);
        self.last = looked;
        Ok(events)
    }

    /// Looks at all sources once; true if there was something.
    fn turn(&mut self, idle: bool) -> Result<bool, AgentError> {
        if idle && self.blocked {
            // Without room, what the kernel says wakes nobody.
            std::thread::sleep(POLL);
        }
        let now = self.shared.env.monotonic();
        // What was not written yet must not pile up; the kernel's buffer is emptied all the same.
        let look = Look { all: self.queue.is_empty(), idle: idle && !self.blocked };
        let found = self.look(look)?;
        self.queue.extend(found);
        let busy = !self.queue.is_empty() && !self.blocked;
        if !self.queue.is_empty() {
            self.commit()?;
        }
        self.report();
        if now.saturating_sub(self.saved) >= STATE_EVERY {
            self.saved = now;
            self.save()?;
        }
        Ok(busy && !self.blocked)
    }

    /// Writes the queue to the spool. Without room, events of class security stay and their sources wait; others
    /// are given up and counted.
    fn commit(&mut self) -> Result<(), AgentError> {
        let mut events = self.gaps();
        events.append(&mut self.queue);
        let written = {
            let mut spool = self.shared.spool();
            let first = spool.end().next_seq;
            let frames: Result<Vec<Vec<u8>>, AgentError> = (first..)
                .zip(&events)
                .map(|(seq, event)| Ok(self.shared.frame(event, seq)?.to_bytes()?))
                .collect();
            spool.append(&frames?)
        };
        match written {
            Ok(()) => {
                self.blocked = false;
                self.owed.clear();
                self.last.cursors = self.reader.committed()?;
                for event in &events {
                    *self.counts.entry(event.source.clone()).or_default() += 1;
                }
                self.shared.notify();
                Ok(())
            }
            Err(error) if error.is_no_room() => {
                if !std::mem::replace(&mut self.blocked, true) {
                    tracing::error!(%error, "no room: sources of class security wait");
                }
                self.give_up(events);
                self.reclaim()
            }
            Err(error) => Err(error),
        }
    }

    /// What was given up, as frames. It stays owed until they are written.
    fn gaps(&self) -> Vec<Event> {
        let gap = |((source, class), count): (&(String, Class), &u64)| {
            let (reason, class) = (GapReason::NoRoom, *class);
            let payload = Payload::Gap(Gap { from: 0, to: 0, count: *count, class, reason });
            Event { source: source.clone(), class: Class::Security, payload }
        };
        self.owed.iter().map(gap).collect()
    }

    fn give_up(&mut self, events: Vec<Event>) {
        let own_gaps = self.owed.len();
        for event in events.into_iter().skip(own_gaps) {
            if event.class == Class::Security {
                self.queue.push(event);
            } else {
                self.dropped += 1;
                *self.owed.entry((event.source, event.class)).or_default() += 1;
            }
        }
    }

    /// Frees what watch holds, also from the segment that is written to.
    fn reclaim(&mut self) -> Result<(), AgentError> {
        {
            let mut spool = self.shared.spool();
            if !spool.is_all_acked() {
                return Ok(());
            }
            match spool.begin_anew() {
                Err(error) if error.is_no_room() => return Ok(()),
                other => other?,
            }
        }
        self.save()?;
        self.shared.spool().keep_reserve();
        Ok(())
    }

    /// Writes the places down, and lets go of what watch holds.
    fn save(&mut self) -> Result<(), AgentError> {
        let epoch = self.shared.epoch();
        let (acked, next_seq) = {
            let spool = self.shared.spool();
            (spool.acked(), spool.end().next_seq)
        };
        let cursors = self.last.cursors.clone();
        // A rebase meanwhile begins a newer epoch, whose frames are asked all the same.
        let written = Some(Written { epoch, next_seq });
        let state = State { v: Version, acked, cursors, written };
        match state.save(&self.shared.home.dir) {
            Ok(()) => self.shared.spool().release(),
            Err(error) if error.is_no_room() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn report(&mut self) {
        let sources = self.source_beats();
        let mut report = lock(&self.shared.report);
        report.looked = self.shared.env.monotonic();
        report.dropped = self.dropped;
        let audit = self.last.audit;
        let changed = std::mem::replace(&mut report.audit, audit) != audit;
        report.sources = sources;
        if self.blocked {
            let fault = Some("the spool has no room: sources of class security wait".to_owned());
            report.sources.push(SourceBeat { name: "spool".to_owned(), frames: 0, fault });
        }
        drop(report);
        if changed {
            self.shared.urgent.store(true, Ordering::SeqCst);
            self.shared.notify();
        }
    }

    fn source_beats(&self) -> Vec<SourceBeat> {
        let count = |name: &str| self.counts.get(name).copied().unwrap_or_default();
        let beats = self.last.sources.iter().cloned();
        beats.map(|beat| SourceBeat { frames: count(&beat.name), ..beat }).collect()
    }
}

#[cfg(test)]
mod tests {
    use writ_model::Timestamp;
    use writ_proof::hostlog::Line;

    use super::*;

    fn frame(epoch: u64, seq: u64, inode: u64, end: u64) -> Frame {
        let line = Line { inode, end, text: Vec::new(), partial: false };
        Frame {
            v: Version,
            host: "web-1".parse().unwrap(),
            boot: Uuid::from_bytes([1; 16]),
            epoch,
            seq,
            mono_ms: 0,
            wall: Timestamp::from_secs(1),
            source: "sshd".to_owned(),
            class: Class::Security,
            payload: Payload::Line(line),
            signature: None,
        }
    }

    fn place(inode: u64, offset: u64, path: Option<&str>) -> Cursor {
        Cursor { source: "sshd".to_owned(), inode, offset, path: path.map(str::to_owned) }
    }

    /// The spool still has frames of the file that the source was before; they must not lead back there.
    #[test]
    fn frames_of_a_file_that_was_configured_before_do_not_move_the_new_ones_place() {
        let known = place(2, 70, Some("/var/log/new"));
        let advanced = |written, frames: &[Frame]| {
            let mut cursors = BTreeMap::from([("sshd".to_owned(), known.clone())]);
            frames.iter().for_each(|frame| advance(&mut cursors, written, frame));
            cursors.remove("sshd").unwrap()
        };
        let written = Some(Written { epoch: 3, next_seq: 9 });
        let older = [frame(2, 7, 1, 400), frame(3, 8, 1, 500)];
        assert_eq!(advanced(written, &older), known);
        // What came behind the state counts, also after a rebase, which numbers anew.
        assert_eq!(advanced(written, &[frame(3, 9, 2, 90)]), place(2, 90, Some("/var/log/new")));
        assert_eq!(advanced(written, &[frame(4, 1, 5, 10)]), place(5, 10, None));
    }

    #[test]
    fn state_that_is_lost_is_found_again_in_the_frames() {
        let mut cursors = BTreeMap::new();
        [frame(1, 0, 1, 10), frame(1, 1, 1, 20)]
            .iter()
            .for_each(|frame| advance(&mut cursors, None, frame));
        assert_eq!(cursors.remove("sshd"), Some(place(1, 20, None)));
    }
}
