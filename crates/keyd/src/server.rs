//! The server: one reader and its own workers for each peer, so that a peer that does not read its
//! answers blocks nobody else.
//!
//! All threads exist before the system-call filter closes; none is started later. A new end of a
//! channel, after a peer was restarted, comes over the supervisor's channel alone.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Barrier, Condvar};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use writ_keyd_client::channel::{Channel, Message, MessageKind, Packet, pack, unpack};
use writ_keyd_client::control::{Control, Fact, Notice};
use writ_keyd_client::protocol::{Answer, Command, Push, Reply, Role};
use writ_model::{Env, Timestamp};
use writ_proof::cbor;
use writ_proof::origin::SiteId;
use zeroize::Zeroizing;

use crate::engine::{Engine, EngineParts};
use crate::head::{Head, HeadFile};
use crate::locked::{Locked, wait};
use crate::records::RecordSink;
use crate::refuse::forbidden;
use crate::root::Root;
use crate::{Error, limits, sandbox};

/// The peers, each with its workers. keyd's own line to the supervisor is apart.
const PEERS: [(Role, usize); 4] =
    [(Role::Front, 3), (Role::S3, 2), (Role::Trail, 1), (Role::Bastion, 1)];

/// Everything that keyd opens, all of it before its sandbox closes.
pub struct KeydConfig {
    /// The installation; checkpoints of no other are signed.
    pub site: SiteId,
    /// The domain under which buckets have hosts of their own, if any: as s3 is configured.
    pub s3_domain: Option<String>,
    /// The signed genesis statement. Without one that verifies keyd has no roster, and says so.
    pub genesis: Vec<u8>,
    /// The root file, readable.
    pub root: File,
    /// The head file, readable and writable.
    pub head: File,
    /// The channels to the peers, by what they are for.
    pub channels: Vec<(Role, Channel)>,
    /// The line to the supervisor.
    pub control: Arc<Channel>,
}

/// Serves until the supervisor says stop, or is gone. It sends `Ready` when all of it serves (signatures
/// of its first second are refused, so it waits for the next one), with each measure of the sandbox as a fact.
///
/// # Errors
/// The root or head file cannot be used, or the system refuses a thread.
pub fn run(config: KeydConfig, env: Arc<dyn Env>) -> Result<(), Error> {
    abort_on_panic();
    let peers: Peers = PEERS.map(|(role, _)| Arc::new(Peer::new(role)));
    let sink = Arc::new(TrailSink::default());
    let KeydConfig { site, s3_domain, genesis, root, head, channels, control } = config;
    let root = read_root(root)?;
    let (head, log) = read_head(head)?;
    let engine = Arc::new(Engine::new(EngineParts {
        env,
        root,
        head,
        head_log: Arc::new(log),
        sink: Arc::clone(&sink) as Arc<dyn RecordSink>,
        site,
        s3_domain,
        genesis,
    })?);
    engine.report_hardening(sandbox::before_threads());
    for (role, channel) in channels {
        attach(&peers, role, channel);
    }
    start_threads(&engine, &peers, &sink)?;
    engine.report_hardening([sandbox::after_threads()]);
    let facts = engine.status().hardening.into_iter().map(|(name, value)| Fact { name, value });
    let ready = cbor::to_vec(&Notice::Ready(facts.collect()));
    wait_until_served(engine.started, engine.env.now());
    control.send(&ready).map_err(Error::io("telling the supervisor"))?;
    listen(&control, &peers);
    Ok(())
}

/// Signatures are dated by the second, and those dated before the start are refused: so nothing that is
/// signed in the second of the start is served. Ready means served.
fn wait_until_served(started: Timestamp, now: Timestamp) {
    let served = Timestamp::from_secs(started.secs() + 1);
    // A clock that was set back must not hold the start up.
    std::thread::sleep(served.since(now).min(Duration::from_secs(1)));
}

fn read_root(mut file: File) -> Result<Root, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits::ROOT_FILE_MAX_BYTES));
    let limit = limits::ROOT_FILE_MAX_BYTES as u64 + 1;
    (&mut file).take(limit).read_to_end(&mut bytes).map_err(Error::io("reading the root file"))?;
    Root::parse(&bytes)
}

fn read_head(mut file: File) -> Result<(Head, HeadFile), Error> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::io("reading the head file"))?;
    let head = Head::parse(&bytes)?;
    let log = HeadFile::open(file, head.length)?;
    Ok((head, log))
}

type Peers = [Arc<Peer>; PEERS.len()];

/// A peer: its channel now, and the packets that wait for its workers.
struct Peer {
    role: Role,
    state: Locked<PeerState>,
    /// Woken for a new channel and for a new packet.
    changed: Condvar,
}

#[derive(Default)]
struct PeerState {
    channel: Option<Arc<Channel>>,
    /// Counts channels, so that a reader knows an old one from a new one.
    generation: u64,
    packets: VecDeque<(Arc<Channel>, Packet)>,
    /// Bytes of `packets`, together.
    bytes: usize,
}

impl PeerState {
    fn has_room(&self, packet: &Packet) -> bool {
        let bytes = self.bytes.saturating_add(packet.bytes.len());
        self.packets.is_empty()
            || self.packets.len() < limits::PACKETS_WAITING_MAX
                && bytes <= limits::PACKETS_WAITING_MAX_BYTES
    }

    fn push(&mut self, channel: Arc<Channel>, packet: Packet) {
        self.bytes += packet.bytes.len();
        self.packets.push_back((channel, packet));
    }

    fn pop(&mut self) -> Option<(Arc<Channel>, Packet)> {
        let next = self.packets.pop_front()?;
        self.bytes -= next.1.bytes.len();
        Some(next)
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
    }
}

impl Peer {
    fn new(role: Role) -> Peer {
        Peer { role, state: Locked::default(), changed: Condvar::new() }
    }

    /// Waits for a channel that is newer than `seen`.
    fn next_channel(&self, seen: u64) -> (Arc<Channel>, u64) {
        let mut state = self.state.lock();
        loop {
            if let Some(channel) = state.channel.as_ref().filter(|_| state.generation > seen) {
                return (Arc::clone(channel), state.generation);
            }
            state = wait(&self.changed, state);
        }
    }

    /// Hands a packet to the workers; waits while too many wait, which slows the peer alone.
    fn push(&self, channel: &Arc<Channel>, packet: Packet) {
        let mut state = self.state.lock();
        while !state.has_room(&packet) {
            state = wait(&self.changed, state);
        }
        state.push(Arc::clone(channel), packet);
        drop(state);
        self.changed.notify_all();
    }

    fn pop(&self) -> (Arc<Channel>, Packet) {
        let mut state = self.state.lock();
        loop {
            if let Some(next) = state.pop() {
                drop(state);
                self.changed.notify_all();
                return next;
            }
            state = wait(&self.changed, state);
        }
    }
}

/// The channel to trail, once trail has said hello on it.
#[derive(Default)]
struct TrailSink {
    channel: Locked<Option<Arc<Channel>>>,
    /// The one on which it is saying hello.
    next: Locked<Option<Arc<Channel>>>,
}

impl RecordSink for TrailSink {
    fn send(&self, batch: Vec<u8>) -> bool {
        let channel = self.channel.lock().clone();
        let Some(channel) = channel else { return false };
        let body = cbor::to_vec(&Push::UseRecords(batch));
        channel
            .send(&pack(&[Message { kind: MessageKind::Push, id: 0, body: body.into() }]))
            .is_ok()
    }

    fn restart(&self) {
        if let Some(next) = self.next.lock().take() {
            *self.channel.lock() = Some(next);
        }
    }
}

fn attach(peers: &Peers, role: Role, channel: Channel) {
    let Some(peer) = peers.iter().find(|peer| peer.role == role) else { return };
    // A peer that does not read must not hold a worker, or the record stream, for long. Where the
    // system refuses the limit, it holds its own workers only.
    let limit = if role == Role::Trail { limits::RECORD_SEND_MAX } else { limits::ANSWER_SEND_MAX };
    set_socket_timeout(&channel, Timeout::Send, Some(limit)).ok();
    let mut state = peer.state.lock();
    state.channel = Some(Arc::new(channel));
    state.generation += 1;
    // What a peer asked before it died nobody waits for; carried out now, it would be done behind the
    // back of its successor, which loads what the store holds.
    state.clear();
    drop(state);
    peer.changed.notify_all();
}

/// Starts all threads, and waits until each runs its own code: what the runtime does to start one
/// is not among the allowed system calls.
fn start_threads(engine: &Arc<Engine>, peers: &Peers, sink: &Arc<TrailSink>) -> Result<(), Error> {
    let count = PEERS.iter().map(|(_, workers)| workers + 1).sum::<usize>() + 1;
    let started = Arc::new(Barrier::new(count + 1));
    let spawn = |name: String, body: Box<dyn FnOnce() + Send>| {
        let started = Arc::clone(&started);
        let run = move || {
            started.wait();
            body();
        };
        let thread = std::thread::Builder::new().name(name).spawn(run);
        thread.map(|_| ()).map_err(Error::io("starting a thread"))
    };
    for (peer, (role, workers)) in peers.iter().zip(PEERS) {
        let (read_for, shared) = (Arc::clone(peer), Arc::clone(engine));
        let reader = move || read(&read_for, &shared);
        spawn(format!("read-{}", role.name()), Box::new(reader))?;
        for n in 0..workers {
            let (peer, engine, sink) = (Arc::clone(peer), Arc::clone(engine), Arc::clone(sink));
            let worker = move || work(&peer, &engine, &sink);
            spawn(format!("work-{}-{n}", role.name()), Box::new(worker))?;
        }
    }
    let engine = Arc::clone(engine);
    let maintain = move || {
        loop {
            std::thread::sleep(limits::MAINTENANCE_INTERVAL);
            // A head file that cannot be written stops checkpoints, which say so to trail.
            engine.maintain().ok();
        }
    };
    spawn("maintain".to_owned(), Box::new(maintain))?;
    started.wait();
    Ok(())
}

/// Reads the peer's packets. Acknowledgements and beats are handled at once: workers may be busy
/// with what waits for them.
fn read(peer: &Peer, engine: &Engine) {
    let mut seen = 0;
    loop {
        let (channel, generation) = peer.next_channel(seen);
        seen = generation;
        while let Ok(Some(packet)) = channel.recv() {
            match urgent(&packet) {
                Some(messages) => answer(peer.role, engine, &channel, messages),
                None => peer.push(&channel, packet),
            }
        }
    }
}

/// The messages of a packet that holds nothing but acknowledgements and beats.
fn urgent(packet: &Packet) -> Option<Vec<Message>> {
    let messages = unpack(&packet.bytes).ok()?;
    let quick = |message: &Message| {
        message.kind == MessageKind::Request
            && message.body.len() <= limits::URGENT_MAX_BYTES
            && matches!(
                cbor::from_slice::<Command>(&message.body),
                Ok(Command::Ack(_) | Command::Beat(_) | Command::End(_))
            )
    };
    messages.iter().all(quick).then_some(messages)
}

fn work(peer: &Peer, engine: &Engine, sink: &TrailSink) {
    loop {
        let (channel, packet) = peer.pop();
        // A packet that no honest peer sends is not answered; the peer's own deadline tells it.
        let Ok(messages) = unpack(&packet.bytes) else { continue };
        if peer.role == Role::Trail && messages.iter().any(is_hello) {
            *sink.next.lock() = Some(Arc::clone(&channel));
        }
        answer(peer.role, engine, &channel, messages);
    }
}

fn is_hello(message: &Message) -> bool {
    matches!(cbor::from_slice::<Command>(&message.body), Ok(Command::Hello(_)))
}

/// Carries out the requests of one packet and answers in one packet.
fn answer(role: Role, engine: &Engine, channel: &Channel, messages: Vec<Message>) {
    let answer = |message: Message| {
        let answer = match cbor::from_slice::<Command>(&message.body) {
            Ok(command) => match engine.handle(role, command) {
                Ok(reply) => Answer::Carried(reply),
                Err(refusal) => Answer::Refused(refusal),
            },
            Err(_) => Answer::Refused(forbidden("the command is not of this protocol")),
        };
        let silent = matches!(answer, Answer::Carried(Reply::Done)) && message.id == 0;
        let body = cbor::to_vec(&answer).into();
        (!silent).then_some(Message { kind: MessageKind::Reply, id: message.id, body })
    };
    let requests = messages.into_iter().filter(|m| m.kind == MessageKind::Request);
    let answers: Vec<Message> = requests.filter_map(answer).collect();
    if answers.is_empty() {
        return;
    }
    let packet = Zeroizing::new(pack(&answers));
    // A peer that is gone needs no answer; its successor asks again.
    channel.send(&packet).ok();
}

fn listen(control: &Channel, peers: &Peers) {
    while let Ok(Some(mut packet)) = control.recv() {
        match (cbor::from_slice(&packet.bytes), packet.fds.pop()) {
            (Ok(Control::Peer(role)), Some(fd)) => attach(peers, role, Channel::from(fd)),
            (Ok(Control::Stop), _) => return,
            _ => {}
        }
    }
}

/// A panic in keyd ends keyd: half-done state must not decide anything.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let line = format!("keyd panicked at {place} and stops\n");
        // Nothing is left to do if standard error is gone.
        io::stderr().write_all(line.as_bytes()).ok();
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_of_a_peer_is_bounded_in_bytes_and_in_packets() {
        let (ours, _theirs) = Channel::pair().unwrap();
        let channel = Arc::new(ours);
        let packet = |bytes: usize| Packet { bytes: vec![0; bytes].into(), fds: vec![] };
        let largest = writ_keyd_client::limits::LARGE_PACKET_MAX_BYTES;
        let mut state = PeerState::default();
        for n in 0..limits::PACKETS_WAITING_MAX_BYTES / largest {
            assert!(state.has_room(&packet(largest)), "{n}");
            state.push(Arc::clone(&channel), packet(largest));
        }
        assert!(!state.has_room(&packet(1)), "the bytes are full");
        state.pop().unwrap();
        assert!(state.has_room(&packet(largest)));
        state.clear();
        for _ in 0..limits::PACKETS_WAITING_MAX {
            assert!(state.has_room(&packet(1)));
            state.push(Arc::clone(&channel), packet(1));
        }
        assert!(!state.has_room(&packet(0)), "too many packets");
    }
}
