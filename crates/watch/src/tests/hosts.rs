//! Tests of agents at watch, without the network.

use writ_model::env::TestEnv;
use writ_model::limits::{
    AGENT_FROZEN_ALARM, AGENT_KILLED_ALARM, CANARY_EVERY, SOURCE_SILENT_ALARM,
};
use writ_model::{Nonce, Timestamp, Uuid};
use writ_proof::cbor::Version;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hostlog::{
    AuditState, Beat, Class, Frame, Frames, GapReason, Item, Lost, Payload, SourceBeat,
};

use writ_proof::note::{KeyKind, VerifierKey};

use super::book::Book;
use super::*;
use crate::limits::TICK;

#[path = "flood.rs"]
mod flood;

const SEED: [u8; 32] = [5; 32];

/// What the host proposes to report.
const CONFIG: &str = "watch = \"w:1\"";

struct Bench {
    temp: tempfile::TempDir,
    env: Arc<TestEnv>,
    hosts: Hosts,
}

/// An agent as it should be.
struct Agent {
    connection: Connection,
    epoch: u64,
    instance: Nonce,
    end: Position,
    acked: Position,
    config: Hash,
    kept: u64,
    mono_ms: u64,
    audit: Option<AuditState>,
    sources: Vec<SourceBeat>,
}

fn open(folder: &std::path::Path, env: &Arc<TestEnv>) -> Book {
    let key = SoftKey::from_seed(&[9; 32]).unwrap();
    let cosigner = SoftKey::from_seed(&[8; 32]).unwrap().public_key();
    let cosigner = VerifierKey::new("s/keyd", KeyKind::Cosignature, cosigner).unwrap();
    let keys = log::LogKeys { origin: "writ/s/host".to_owned(), key, cosigner };
    Book::open(folder, keys, env.clone()).unwrap()
}

fn hosts(folder: &std::path::Path, env: &Arc<TestEnv>) -> Hosts {
    let book = open(folder, env);
    let authority = Authority::open(folder, "s", env.now()).unwrap();
    Hosts::new(env.clone(), Shared::new(book), authority)
}

impl Bench {
    /// A watch with host web-1 enrolled.
    fn new() -> Bench {
        let temp = tempfile::tempdir().unwrap();
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(1_800_000_000), 1));
        let mut bench = Bench { hosts: hosts(temp.path(), &env), temp, env };
        let token = bench.hosts.token(&host()).unwrap();
        assert!(matches!(bench.enrol(&token)[..], [ToAgent::Enrolled(_)]));
        bench
    }

    fn enrol(&mut self, token: &str) -> Vec<ToAgent> {
        self.enrol_with(token, &key())
    }

    fn enrol_with(&mut self, token: &str, key: &SoftKey) -> Vec<ToAgent> {
        let secret: Hash = token.split_once('.').unwrap().0.parse().unwrap();
        let public = key.public_key().0;
        let proof = key.sign(enrolment_message(&secret.0, &public).as_bytes()).unwrap();
        let config = CONFIG.to_owned();
        let enrol = Enrol { v: Version, token: secret.0, key: public, proof, config };
        let mut connection = self.connection(None);
        self.hosts.take(&mut connection, vec![FromAgent::Enrol(enrol)]).unwrap().replies
    }

    fn connection(&mut self, key: Option<[u8; 32]>) -> Connection {
        let (kick, _) = oneshot::channel();
        self.hosts.connected("127.0.0.1:1".parse().unwrap(), key, kick)
    }

    fn agent(&mut self, epoch: u64) -> Agent {
        let key = SoftKey::from_seed(&SEED).unwrap().public_key().0;
        Agent {
            connection: self.connection(Some(key)),
            epoch,
            instance: Nonce([u8::try_from(epoch).unwrap(); 16]),
            end: Position::default(),
            acked: Position::default(),
            config: sha256(CONFIG.as_bytes()),
            kept: 1,
            mono_ms: 0,
            audit: None,
            sources: Vec::new(),
        }
    }

    /// An agent that is connected and has beaten once.
    fn connected(&mut self, epoch: u64) -> Agent {
        let mut agent = self.agent(epoch);
        assert!(matches!(self.hello(&mut agent)[..], [ToAgent::Welcome(_)]));
        self.beat(&mut agent);
        agent
    }

    fn take(&mut self, agent: &mut Agent, message: FromAgent) -> Vec<ToAgent> {
        self.hosts.take(&mut agent.connection, vec![message]).unwrap().replies
    }

    fn hello(&mut self, agent: &mut Agent) -> Vec<ToAgent> {
        let hello = Hello {
            v: Version,
            host: host(),
            boot: Uuid::from_bytes([1; 16]),
            epoch: agent.epoch,
            instance: agent.instance,
            config: agent.config,
            end: agent.end,
            acked: agent.acked,
            kept: agent.kept,
            hardening: Vec::new(),
        };
        self.take(agent, FromAgent::Hello(hello))
    }

    fn beat(&mut self, agent: &mut Agent) -> Vec<ToAgent> {
        let beat = Beat {
            end: agent.end,
            mono_ms: agent.mono_ms,
            wall: self.env.now(),
            looked_ms: 0,
            spool_bytes: 1,
            spool_max_bytes: 1000,
            dropped: 0,
            sources: agent.sources.clone(),
            audit: agent.audit,
        };
        self.take(agent, FromAgent::Beat(beat))
    }

    fn send(&mut self, agent: &mut Agent, payloads: &[Payload]) -> Vec<ToAgent> {
        let from = agent.end;
        let items = payloads.iter().map(|payload| agent.next(payload.clone())).collect();
        self.take(agent, FromAgent::Frames(Frames { from, items }))
    }

    /// Lets time pass in ticks; `alive` beats each second.
    fn pass(&mut self, time: Duration, mut alive: Option<&mut Agent>) {
        let ticks = time.as_millis() / TICK.as_millis();
        for tick in 1..=ticks {
            self.env.advance(TICK);
            if let Some(agent) = alive.as_deref_mut().filter(|_| tick % 10 == 0) {
                agent.mono_ms += 1000;
                self.beat(agent);
            }
            self.hosts.tick().unwrap();
        }
    }

    /// The connection ends and another begins.
    fn reconnect(&mut self, agent: &mut Agent) {
        self.hosts.ended(&agent.connection);
        agent.connection = self.connection(agent.connection.key);
    }

    /// Kinds of the alarms that are open.
    fn alarms(&self) -> Vec<String> {
        let book = self.hosts.book.lock();
        let open = book.facts().alarms.values().filter(|a| a.acknowledged.is_none());
        open.map(|alarm| alarm.alarm.kind.clone()).collect()
    }

    fn restart(&mut self) {
        let temp = tempfile::tempdir().unwrap();
        self.hosts = hosts(temp.path(), &self.env);
        self.hosts = hosts(self.temp.path(), &self.env);
    }
}

impl Agent {
    fn next(&mut self, payload: Payload) -> Item {
        let frame = Frame {
            v: Version,
            host: host(),
            boot: Uuid::from_bytes([1; 16]),
            epoch: self.epoch,
            seq: self.end.next_seq,
            mono_ms: self.mono_ms,
            wall: Timestamp::from_secs(1),
            source: "sshd".to_owned(),
            class: Class::Security,
            payload,
            signature: None,
        };
        let bytes = frame.sign(&key()).unwrap().to_bytes().unwrap();
        self.end = self.end.after(&bytes);
        Item::Frame(bytes)
    }
}

fn key() -> SoftKey {
    SoftKey::from_seed(&SEED).unwrap()
}

fn host() -> HostName {
    "web-1".parse().unwrap()
}

fn note(text: &str) -> Payload {
    Payload::Note(text.to_owned())
}

#[test]
fn token_enrols_once_and_within_an_hour() {
    let mut bench = Bench::new();
    let token = bench.hosts.token(&host()).unwrap();
    assert!(matches!(bench.enrol(&token)[..], [ToAgent::Enrolled(_)]));
    assert!(matches!(bench.enrol(&token)[..], [ToAgent::Refuse(_)]));
    let late = bench.hosts.token(&host()).unwrap();
    bench.env.advance(TOKEN_LIFETIME);
    assert!(matches!(bench.enrol(&late)[..], [ToAgent::Refuse(_)]));
    assert_eq!(bench.alarms(), ["agent-refused"]);
}

#[test]
fn frames_are_held_once_over_restarts_of_watch() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    let sent = bench.send(&mut agent, &[note("a"), note("b")]);
    assert_eq!(sent, [ToAgent::Ack(agent.end)]);
    bench.restart();
    let mut again = bench.agent(1);
    (again.instance, again.end) = (agent.instance, agent.end);
    assert!(matches!(&bench.hello(&mut again)[..], [ToAgent::Welcome(w)] if w.held == agent.end));
    // The same once more, and one that is new: only the new one is taken.
    let entries = bench.hosts.book.lock().size();
    again.end = Position::default();
    assert_eq!(
        bench.send(&mut again, &[note("a"), note("b"), note("c")]),
        [ToAgent::Ack(again.end)]
    );
    assert_eq!((again.end.next_seq, bench.hosts.book.lock().size()), (3, entries + 1));
    assert!(bench.alarms().is_empty());
}

#[test]
fn frames_are_held_once_and_in_order_whatever_is_sent_twice_or_cut_off() {
    for seed in 1..=20 {
        let mut bench = Bench::new();
        let mut agent = bench.connected(1);
        let mut sent: Vec<(Position, Item)> = Vec::new();
        let dice = TestEnv::new(Timestamp::from_secs(1), seed);
        let roll = |below: usize| usize::from(dice.nonce().0[0]) % below;
        let mut made = Position::default();
        for round in 0..60 {
            for n in 0..roll(4) {
                agent.end = made;
                let from = agent.end;
                sent.push((from, agent.next(note(&format!("{round}.{n}")))));
                made = agent.end;
            }
            let held = usize::try_from(bench.hosts.held(&host()).next_seq).unwrap();
            let first = held.saturating_sub(roll(5));
            let last = (first + roll(8)).min(sent.len());
            if let Some(batch) = sent.get(first..last).filter(|batch| !batch.is_empty()) {
                let items = batch.iter().map(|(_, item)| item.clone()).collect();
                let frames = Frames { from: batch[0].0, items };
                bench.take(&mut agent, FromAgent::Frames(frames));
            }
            match roll(6) {
                0 => bench.reconnect(&mut agent),
                1 => {
                    bench.hosts.ended(&agent.connection);
                    bench.restart();
                    agent.connection = bench.connection(agent.connection.key);
                }
                _ => continue,
            }
            agent.end = made;
            assert!(matches!(bench.hello(&mut agent)[..], [ToAgent::Welcome(_)]), "seed {seed}");
        }
        let held = bench.hosts.held(&host());
        let expected = sent.iter().take(usize::try_from(held.next_seq).unwrap());
        let reached = expected.fold(Position::default(), |place, (_, item)| match item {
            Item::Frame(bytes) => place.after(bytes),
            Item::Lost(_) => place,
        });
        assert_eq!(held, reached, "seed {seed}");
        assert!(
            held.next_seq > 20 && bench.alarms().is_empty(),
            "seed {seed}: {:?}",
            bench.alarms()
        );
    }
}

#[test]
fn killed_agent_is_an_alarm_in_time_and_one_that_comes_back_at_once_is_none() {
    let mut bench = Bench::new();
    let agent = bench.connected(1);
    bench.hosts.ended(&agent.connection);
    bench.pass(Duration::from_millis(500), None);
    let mut back = bench.agent(1);
    back.instance = agent.instance;
    bench.hello(&mut back);
    bench.pass(Duration::from_millis(2500), Some(&mut back));
    assert!(bench.alarms().is_empty());
    bench.hosts.ended(&back.connection);
    bench.pass(AGENT_KILLED_ALARM, None);
    assert_eq!(bench.alarms(), ["agent-killed"]);
    // It stays until somebody takes note, also over a restart of watch.
    bench.restart();
    assert_eq!(bench.alarms(), ["agent-killed"]);
    let number = *bench.hosts.book.lock().facts().alarms.keys().next().unwrap();
    assert!(bench.hosts.book.lock().acknowledge(number, "ann").unwrap());
    assert!(!bench.hosts.book.lock().acknowledge(number, "ann").unwrap());
    bench.restart();
    assert!(bench.alarms().is_empty());
    // Nobody heard it since watch's own start: that is an alarm again.
    bench.pass(AGENT_FROZEN_ALARM, None);
    assert_eq!(bench.alarms(), ["agent-silent"]);
}

#[test]
fn frozen_agent_is_unwatched_after_three_beats_and_an_alarm_in_time() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    bench.pass(Duration::from_secs(20), Some(&mut agent));
    assert_eq!(bench.hosts.health(&host()), Health::Healthy);
    bench.pass(Duration::from_secs(4), None);
    assert!(matches!(bench.hosts.health(&host()), Health::Unwatched(_)));
    assert!(bench.alarms().is_empty());
    bench.pass(AGENT_FROZEN_ALARM - Duration::from_secs(4), None);
    assert_eq!(bench.alarms(), ["agent-silent"]);
}

#[test]
fn end_without_a_window_is_an_alarm_and_one_within_is_none() {
    let mut bench = Bench::new();
    for (epoch, windowed, expected) in [(1, true, 0), (2, false, 1)] {
        let mut agent = bench.agent(epoch);
        agent.end = Position::default();
        bench.hello(&mut agent);
        if windowed {
            let (from, until) = (bench.env.now(), bench.env.now().plus(Duration::from_secs(60)));
            let by = "ann".to_owned();
            let window = writ_proof::hostlog::log::Window { host: host(), from, until, by };
            bench.hosts.book.lock().append(Event::Window(window)).unwrap();
        }
        let bye = Bye::sign(&host(), agent.end, "stop".to_owned(), &key()).unwrap();
        bench.take(&mut agent, FromAgent::Bye(bye));
        bench.hosts.ended(&agent.connection);
        bench.pass(Duration::from_secs(15), None);
        assert_eq!(bench.alarms().len(), expected, "{:?}", bench.alarms());
        if windowed {
            // Who does not come back after the window is missed.
            bench.pass(Duration::from_secs(50), None);
            assert_eq!(bench.alarms(), ["agent-stopped"]);
            let number = *bench.hosts.book.lock().facts().alarms.keys().next().unwrap();
            bench.hosts.book.lock().acknowledge(number, "ann").unwrap();
        }
    }
    assert_eq!(bench.alarms(), ["agent-stopped"]);
}

#[test]
fn history_that_is_not_the_announced_one_is_an_alarm() {
    type Attack = fn(&mut Bench, &mut Agent);
    let attacks: [(&str, Attack); 9] = [
        ("history-rewritten", |bench, agent| {
            // The spool was rolled back.
            bench.reconnect(agent);
            agent.end = Position::default();
            (agent.epoch, agent.instance) = (2, Nonce([2; 16]));
            assert!(matches!(bench.hello(agent)[..], [ToAgent::Refuse(Refusal::Rebase(_))]));
        }),
        ("history-rewritten", |bench, agent| {
            // A frame that was announced and not sent was changed.
            let held = agent.end;
            agent.next(note("c"));
            bench.beat(agent);
            agent.end = held;
            bench.send(agent, &[note("C")]);
        }),
        ("history-rewritten", |bench, agent| {
            agent.end.head = Hash([3; 32]);
            assert!(matches!(bench.beat(agent)[..], [ToAgent::Refuse(Refusal::Rebase(_))]));
        }),
        ("history-rewritten", |bench, agent| {
            // A frame that was announced and not sent was taken out.
            let held = agent.end;
            agent.next(note("c"));
            bench.beat(agent);
            agent.end = held;
            bench.reconnect(agent);
            assert!(matches!(bench.hello(agent)[..], [ToAgent::Welcome(_)]));
        }),
        ("history-rewritten", |bench, agent| {
            // What was acknowledged comes again, changed.
            agent.end = Position::default();
            bench.send(agent, &[note("A"), note("b")]);
        }),
        ("history-rewritten", |bench, agent| {
            // Something new comes after a past that never was.
            agent.end.head = Hash([3; 32]);
            bench.send(agent, &[note("c")]);
        }),
        ("epoch-rollback", |bench, agent| {
            bench.reconnect(agent);
            agent.instance = Nonce([8; 16]);
            assert!(matches!(bench.hello(agent)[..], [ToAgent::Refuse(Refusal::Rebase(_))]));
        }),
        ("watch-rolled-back", |bench, agent| {
            bench.reconnect(agent);
            agent.acked = Position { next_seq: 9, head: Hash([3; 32]) };
            agent.end = agent.acked;
            assert!(matches!(bench.hello(agent)[..], [ToAgent::Welcome(_)]));
        }),
        ("gap", |bench, agent| {
            let head = Hash([4; 32]);
            let (first, class, reason) = (agent.end.next_seq, Class::Audit, GapReason::Full);
            let lost = Lost { first, count: 7, class, reason, head, signature: None };
            let lost = Item::Lost(lost.sign(&host(), &key()).unwrap());
            let from = agent.end;
            agent.end = Position { next_seq: first + 7, head };
            let frames = Frames { from, items: vec![lost, agent.next(note("after"))] };
            assert_eq!(bench.take(agent, FromAgent::Frames(frames)), [ToAgent::Ack(agent.end)]);
        }),
    ];
    for (alarm, attack) in attacks {
        let mut bench = Bench::new();
        let mut agent = bench.connected(1);
        bench.send(&mut agent, &[note("a"), note("b")]);
        assert!(bench.alarms().is_empty(), "{alarm}: {:?}", bench.alarms());
        attack(&mut bench, &mut agent);
        assert_eq!(bench.alarms(), [alarm]);
    }
}

#[test]
fn start_after_no_end_is_unclean_and_a_second_agent_is_refused() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    let mut thief = bench.agent(2);
    assert!(matches!(bench.hello(&mut thief)[..], [ToAgent::Refuse(Refusal::Other(_))]));
    assert_eq!(bench.alarms(), ["double-connection"]);
    bench.pass(Duration::from_secs(3), Some(&mut agent));
    bench.hosts.ended(&agent.connection);
    bench.connected(2);
    assert_eq!(bench.alarms(), ["double-connection", "unclean-stop"]);
}

#[test]
fn silent_and_changed_sources_are_alarms_in_time() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    let audit = AuditState { enabled: 1, pid: 77, lost: 0, rules: Hash([6; 32]) };
    let canary = SourceBeat { name: "canary".to_owned(), frames: 0, fault: None };
    (agent.audit, agent.sources) = (Some(audit), vec![canary]);
    bench.pass(Duration::from_secs(2), Some(&mut agent));
    for _ in 0..3 {
        bench.pass(CANARY_EVERY, Some(&mut agent));
        bench.send(&mut agent, &[Payload::Canary("t".to_owned())]);
    }
    assert!(bench.alarms().is_empty());
    for changed in [
        AuditState { pid: 0, ..audit },
        AuditState { lost: 4, ..audit },
        AuditState { rules: Hash([7; 32]), ..audit },
        AuditState { enabled: 0, ..audit },
    ] {
        let mut bench = Bench::new();
        let mut agent = bench.connected(1);
        agent.audit = Some(audit);
        bench.pass(Duration::from_secs(2), Some(&mut agent));
        agent.audit = Some(changed);
        bench.pass(Duration::from_secs(2), Some(&mut agent));
        assert_eq!(bench.alarms(), ["audit-changed"], "{changed:?}");
    }
    bench.pass(SOURCE_SILENT_ALARM, Some(&mut agent));
    assert_eq!(bench.alarms(), ["source-silent"]);
    let gone = SourceBeat { name: "sshd".to_owned(), frames: 1, fault: Some("gone".to_owned()) };
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    agent.sources = vec![gone];
    bench.pass(SOURCE_SILENT_ALARM, Some(&mut agent));
    assert_eq!(bench.alarms(), ["source-silent"]);
}

#[test]
fn certificate_that_ends_soon_is_an_alarm() {
    let mut bench = Bench::new();
    bench.env.advance(CERTIFICATE_LIFETIME - crate::limits::CERTIFICATE_ENDS);
    let mut agent = bench.connected(1);
    bench.pass(Duration::from_secs(2), Some(&mut agent));
    assert_eq!(bench.alarms(), ["certificate-ends"]);
}

#[test]
fn refused_peers_are_counted_and_not_all_written() {
    let mut bench = Bench::new();
    let peer = "192.0.2.9:1".parse().unwrap();
    let before = bench.hosts.book.lock().size();
    for _ in 0..100 {
        bench.hosts.refused(peer, "no").unwrap();
    }
    assert_eq!(bench.hosts.book.lock().size(), before + 1);
    bench.env.advance(REFUSED_EVERY);
    bench.hosts.refused(peer, "no").unwrap();
    let book = bench.hosts.book.lock();
    let alarm = book.facts().alarms.values().next().unwrap();
    assert!(alarm.last_what.contains("100 such peers"), "{}", alarm.last_what);
}

#[test]
fn clock_that_is_moved_is_an_alarm() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    bench.pass(Duration::from_secs(5), Some(&mut agent));
    assert!(bench.alarms().is_empty());
    agent.mono_ms -= 3000;
    bench.pass(Duration::from_secs(1), Some(&mut agent));
    assert_eq!(bench.alarms(), ["clock-step"]);
}

#[test]
fn host_that_was_removed_or_never_enrolled_is_refused() {
    let mut bench = Bench::new();
    let mut stranger = bench.agent(1);
    stranger.connection.key = Some([8; 32]);
    assert!(matches!(bench.hello(&mut stranger)[..], [ToAgent::Refuse(Refusal::Other(_))]));
    let removed = writ_proof::hostlog::log::Removed { host: host(), by: "ann".to_owned() };
    bench.hosts.book.lock().append(Event::Removed(removed)).unwrap();
    let mut agent = bench.agent(1);
    assert!(matches!(bench.hello(&mut agent)[..], [ToAgent::Refuse(Refusal::Other(_))]));
    assert_eq!(bench.alarms(), ["agent-refused"]);
}

#[test]
fn key_that_was_stolen_is_cut_off_by_the_next_enrolment_and_keeps_nobody_out() {
    for is_cut in [true, false] {
        let mut bench = Bench::new();
        let mut thief = bench.agent(1);
        let (kick, mut kicked) = oneshot::channel();
        thief.connection.kick = Some(kick);
        assert!(matches!(bench.hello(&mut thief)[..], [ToAgent::Welcome(_)]));
        bench.beat(&mut thief);
        let fresh = SoftKey::from_seed(&[6; 32]).unwrap();
        let token = bench.hosts.token(&host()).unwrap();
        assert!(matches!(bench.enrol_with(&token, &fresh)[..], [ToAgent::Enrolled(_)]));
        assert!(matches!(kicked.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        if is_cut {
            bench.hosts.ended(&thief.connection);
        } else {
            // What it had sent already is not taken either.
            let held = bench.hosts.held(&host());
            let replies = bench.send(&mut thief, &[note("all is well")]);
            assert!(matches!(replies[..], [ToAgent::Refuse(Refusal::Other(_))]), "{replies:?}");
            assert_eq!(bench.hosts.held(&host()), held);
            assert_eq!(bench.alarms(), ["agent-refused"]);
        }
        let mut agent = bench.agent(2);
        agent.connection.key = Some(fresh.public_key().0);
        assert!(matches!(bench.hello(&mut agent)[..], [ToAgent::Welcome(_)]));
        bench.beat(&mut agent);
        assert_eq!(bench.hosts.health(&host()), Health::Healthy);
        assert!(!bench.alarms().contains(&"double-connection".to_owned()));
    }
}

#[test]
fn gap_end_and_lost_frames_without_the_hosts_own_signature_are_refused() {
    let stranger = SoftKey::from_seed(&[6; 32]).unwrap();
    let (class, reason) = (Class::Security, GapReason::Kernel);
    let gap = writ_proof::hostlog::Gap { from: 0, to: 0, count: 3, class, reason };
    let lost = Lost { first: 0, count: 3, class, reason, head: Hash([7; 32]), signature: None };
    for signer in [None, Some(&stranger)] {
        let mut bench = Bench::new();
        let mut epoch = 2;
        let mut agent = bench.connected(1);
        let Item::Frame(bytes) = agent.next(Payload::Gap(gap.clone())) else { panic!("no frame") };
        let frame = Frame { signature: None, ..Frame::from_bytes(&bytes).unwrap() };
        let frame = signer.map_or(frame.clone(), |key| frame.sign(key).unwrap());
        let lost = signer.map_or(lost, |key| lost.sign(&host(), key).unwrap());
        bench.hosts.ended(&agent.connection);
        for item in [Item::Frame(frame.to_bytes().unwrap()), Item::Lost(lost)] {
            let mut agent = bench.connected(epoch);
            epoch += 1;
            let frames = Frames { from: Position::default(), items: vec![item] };
            let replies = bench.take(&mut agent, FromAgent::Frames(frames));
            assert!(matches!(replies[..], [ToAgent::Refuse(_)]), "{replies:?}");
            bench.hosts.ended(&agent.connection);
        }
        assert_eq!(bench.hosts.held(&host()), Position::default());
        let mut agent = bench.connected(epoch);
        let key = signer.unwrap_or(&stranger);
        let forged = Bye::sign(&host(), agent.end, "stop".to_owned(), key).unwrap();
        bench.take(&mut agent, FromAgent::Bye(forged));
        assert!(!bench.hosts.book.lock().facts().hosts[&host()].left, "a forged end is none");
        assert!(bench.alarms().contains(&"protocol".to_owned()), "{:?}", bench.alarms());
    }
}

#[test]
fn certificate_is_renewed_at_half_its_life_and_sent_again_until_it_is_shown() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    let sent = |bench: &mut Bench, agent: &mut Agent| -> usize {
        let replies = bench.beat(agent);
        replies.iter().filter(|reply| matches!(reply, ToAgent::Certificate(_))).count()
    };
    assert_eq!(sent(&mut bench, &mut agent), 0);
    bench.env.advance(CERTIFICATE_LIFETIME / RENEW_PART);
    assert_eq!([sent(&mut bench, &mut agent), sent(&mut bench, &mut agent)], [1, 0]);
    bench.reconnect(&mut agent);
    bench.hello(&mut agent);
    assert_eq!(sent(&mut bench, &mut agent), 1, "it still shows the old one");
    let renewed = bench.hosts.book.lock().facts().hosts[&host()].renewed;
    let newest = renewed.map(|(newest, _)| newest);
    bench.reconnect(&mut agent);
    agent.connection.certificate = newest;
    bench.hello(&mut agent);
    assert_eq!(sent(&mut bench, &mut agent), 0);
    let until = bench.hosts.book.lock().facts().hosts[&host()].until;
    assert!(until > bench.env.now().plus(CERTIFICATE_LIFETIME / RENEW_PART), "it counts");
}

/// What an agent runs with is judged by what was signed: the newest, an older one until it is started again, or nothing.
#[test]
fn configuration_that_was_not_signed_or_is_older_than_before_is_an_alarm() {
    let mut bench = Bench::new();
    let mut agent = bench.connected(1);
    let next =
        bench.hosts.book().lock().configure(&host(), "next".to_owned(), Some("dora")).unwrap();
    assert_eq!(next.serial, 2);
    let replies = bench.beat(&mut agent);
    assert!(matches!(&replies[..], [ToAgent::Ack(_), ToAgent::Configure(sent)] if *sent == next));
    assert!(matches!(bench.beat(&mut agent)[..], [ToAgent::Ack(_)]), "it is sent once");
    let facts = |bench: &Bench| bench.hosts.book().lock().facts().hosts[&host()].clone();
    assert!(facts(&bench).waits_for_restart());
    let changed = |bench: &Bench| {
        let book = bench.hosts.book().lock();
        book.facts().alarms.values().filter(|a| a.alarm.kind == "config-changed").count()
    };
    let again = |bench: &mut Bench, epoch: u64, kept: u64, config: Hash| {
        let mut agent = Agent { config, kept, ..bench.agent(epoch) };
        bench.hello(&mut agent);
        bench.hosts.ended(&agent.connection);
    };
    bench.hosts.ended(&agent.connection);
    let first = sha256(CONFIG.as_bytes());
    again(&mut bench, 2, 2, first);
    assert_eq!(changed(&bench), 0, "it runs with the older one, and keeps the next");
    again(&mut bench, 3, 1, first);
    assert_eq!(changed(&bench), 1, "what it kept is gone");
    again(&mut bench, 4, 2, next.hash());
    assert!(!facts(&bench).waits_for_restart());
    bench.hosts.book().lock().configure(&host(), "third".to_owned(), Some("dora")).unwrap();
    let said = |bench: &Bench| {
        let book = bench.hosts.book().lock();
        let mut all = book.facts().alarms.values();
        all.find(|a| a.alarm.kind == "config-changed").unwrap().last_what.clone()
    };
    again(&mut bench, 5, 2, first);
    assert!(said(&bench).contains("it went back"), "{}", said(&bench));
    bench.env.advance(crate::limits::OTHER_EVERY);
    again(&mut bench, 6, 2, Hash([7; 32]));
    assert!(said(&bench).contains("which is not signed"), "{}", said(&bench));
}

/// What watch's people have changed themselves wakes nobody; what else changed meanwhile does.
#[test]
fn signed_configuration_without_audit_is_no_change_of_the_audit() {
    let audit = AuditState { enabled: 1, pid: 77, lost: 0, rules: Hash([6; 32]) };
    let other_rules = AuditState { rules: Hash([7; 32]), ..audit };
    let killed = AuditState { pid: 0, ..audit };
    for (is_signed, after, alarms) in [
        (true, None, &[][..]),
        (true, Some(other_rules), &[]),
        (true, Some(killed), &["audit-changed"]),
        (false, None, &["audit-changed"]),
        (false, Some(other_rules), &["audit-changed"]),
    ] {
        let mut bench = Bench::new();
        let mut agent = bench.connected(1);
        agent.audit = Some(audit);
        let fault = Some("gone".to_owned());
        agent.sources = vec![SourceBeat { name: "app".to_owned(), frames: 1, fault }];
        bench.beat(&mut agent);
        if is_signed {
            let mut book = bench.hosts.book().lock();
            agent.config = book.configure(&host(), "next".to_owned(), Some("dora")).unwrap().hash();
            agent.kept = 2;
        }
        // The same run: an agent that ends in order or not is another matter.
        bench.reconnect(&mut agent);
        (agent.audit, agent.sources) = (after, Vec::new());
        bench.hello(&mut agent);
        bench.pass(SOURCE_SILENT_ALARM, Some(&mut agent));
        assert_eq!(bench.alarms(), alarms, "{is_signed} {after:?}");
    }
}

#[test]
fn host_that_was_only_configured_is_not_enrolled_yet_and_can_be_removed() {
    let mut bench = Bench::new();
    let other: HostName = "web-9".parse().unwrap();
    let remove = |bench: &mut Bench, host: &HostName| {
        crate::control::remove(&mut bench.hosts, host, "dora".to_owned()).unwrap()
    };
    assert!(remove(&mut bench, &other).is_err(), "nobody has heard of it");
    let configured = crate::control::configure(&bench.hosts, &other, "dora", CONFIG).unwrap();
    assert_eq!(configured.unwrap(), serde_json::json!({ "serial": 1, "enrolled": false }));
    let ever = |bench: &Bench| -> Vec<bool> {
        let list = crate::control::list(&bench.hosts);
        let hosts = list["hosts"].as_array().unwrap().iter();
        hosts.map(|host| host["ever_enrolled"].as_bool().unwrap()).collect()
    };
    assert_eq!(ever(&bench), [true, false]);
    assert!(remove(&mut bench, &other).is_ok());
    assert_eq!(ever(&bench), [true]);
    bench.restart();
    assert_eq!(ever(&bench), [true], "the log says so, too");
    // One that was enrolled stays as one that was removed.
    assert!(remove(&mut bench, &host()).is_ok());
    assert!(remove(&mut bench, &host()).is_err());
    assert_eq!(ever(&bench), [true]);
}
