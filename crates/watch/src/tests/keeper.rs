//! Tests of the keeper.

use writ_model::env::TestEnv;
use writ_model::{Timestamp, Uuid};
use writ_proof::cbor::Version;
use writ_proof::hostlog::{Class, Line, Payload, Record};
use writ_proof::stream::StreamPosition;
use writ_proof::witness::WitnessState;

use super::*;
use crate::ALARMS_FILE;
use crate::world::{Log, WATCH_SEED};

struct Bench {
    temp: tempfile::TempDir,
    env: Arc<TestEnv>,
    log: Log,
    keeper: Keeper,
}

impl Bench {
    /// A keeper that holds the first frame.
    fn new() -> Bench {
        let temp = tempfile::tempdir().unwrap();
        disk::replace(&temp.path().join(SEED_FILE), &WATCH_SEED, 0o600).unwrap();
        let (log, first) = Log::begun();
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(1_800_000_000), 1));
        let keeper = Keeper::open(temp.path(), &log.genesis.to_bytes(), env.clone()).unwrap();
        let mut bench = Bench { temp, env, log, keeper };
        let welcome = bench.hello();
        assert_eq!(welcome, [FromWatch::Welcome(StreamPosition::default())]);
        assert_eq!(bench.take(ToWatch::Frame(first)), [FromWatch::Ack(bench.log.position())]);
        bench
    }

    fn hello(&mut self) -> Vec<FromWatch> {
        self.take(ToWatch::Hello(self.log.hello()))
    }

    fn take(&mut self, message: ToWatch) -> Vec<FromWatch> {
        self.keeper.take(vec![message]).unwrap().replies
    }

    fn restart(self) -> Bench {
        let Bench { temp, env, log, keeper } = self;
        drop(keeper);
        let keeper = Keeper::open(temp.path(), &log.genesis.to_bytes(), env.clone()).unwrap();
        Bench { temp, env, log, keeper }
    }

    fn alarms(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.temp.path().join(ALARMS_FILE)).unwrap();
        let alarm = |line: &str| -> String {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["alarm"].as_str().unwrap().to_owned()
        };
        text.lines().map(alarm).collect()
    }
}

fn status(replies: &[FromWatch]) -> u16 {
    match replies {
        [FromWatch::Answer(reply)] => reply.status,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn frames_that_come_together_are_acknowledged_once() {
    let mut bench = Bench::new();
    let frames: Vec<_> = (0..5u8).map(|n| ToWatch::Frame(bench.log.grow(&[n]))).collect();
    let turn = bench.keeper.take(frames).unwrap();
    assert_eq!(turn.replies, [FromWatch::Ack(bench.log.position())]);
    let mut bench = bench.restart();
    assert_eq!(bench.hello(), [FromWatch::Welcome(bench.log.position())]);
    assert!(bench.alarms().is_empty());
}

#[test]
fn checkpoint_ahead_of_its_frames_waits_for_them() {
    let mut bench = Bench::new();
    let frame = bench.log.grow(b"a");
    let request = bench.log.request(0);
    assert_eq!(bench.take(ToWatch::Checkpoint(request)), []);
    let replies = bench.take(ToWatch::Frame(frame));
    assert_eq!(status(&replies[1..]), 200);
}

#[test]
fn checkpoint_that_the_mirror_does_not_show_is_a_fork() {
    let mut bench = Bench::new();
    let mut other = bench.log.clone();
    let frame = bench.log.grow(b"a");
    bench.take(ToWatch::Frame(frame));
    other.grow(b"b");
    let replies = bench.take(ToWatch::Checkpoint(other.request(0)));
    assert_eq!(status(&replies), 422);
    assert_eq!(bench.alarms(), ["fork"]);
    let replies = bench.take(ToWatch::Checkpoint(bench.log.request(0)));
    assert_eq!(status(&replies), 200, "the honest one is still cosigned");
}

#[test]
fn rollback_bad_frames_and_strangers_are_refused_and_written_down() {
    let mut bench = Bench::new();
    let old = bench.log.clone();
    let frame = bench.log.grow(b"a");
    bench.take(ToWatch::Frame(frame));
    let refused = |turn: Turn| {
        assert!(turn.close && matches!(turn.replies[..], [FromWatch::Refuse(_)]), "{turn:?}");
    };
    bench.keeper.begin();
    refused(bench.keeper.take(vec![ToWatch::Hello(old.hello())]).unwrap());
    refused(bench.keeper.take(vec![ToWatch::Beat(Timestamp::from_secs(1))]).unwrap());
    let foreign = Hello { genesis: Hash::ZERO, ..bench.log.hello() };
    refused(bench.keeper.take(vec![ToWatch::Hello(foreign)]).unwrap());
    bench.hello();
    refused(bench.keeper.take(vec![ToWatch::Frame(vec![0; 80])]).unwrap());
    assert_eq!(bench.alarms(), ["rollback", "protocol", "protocol", "bad-frame"]);
}

#[test]
fn silence_of_more_than_two_seconds_is_one_alarm() {
    let mut bench = Bench::new();
    bench.env.advance(TRAIL_SILENCE_MAX);
    bench.keeper.tick().unwrap();
    assert!(bench.alarms().is_empty());
    for _ in 0..5 {
        bench.env.advance(Duration::from_millis(100));
        bench.keeper.tick().unwrap();
    }
    assert_eq!(bench.alarms(), ["stream-silent"]);
    bench.take(ToWatch::Beat(Timestamp::from_secs(1)));
    assert_eq!(bench.alarms(), ["stream-silent", "stream-back"]);
}

#[test]
fn commit_that_stays_incomplete_is_an_alarm() {
    let mut bench = Bench::new();
    let wait = |bench: &mut Bench, secs| {
        for _ in 0..secs {
            bench.env.advance(Duration::from_secs(1));
            bench.take(ToWatch::Beat(Timestamp::from_secs(1)));
            bench.keeper.tick().unwrap();
        }
    };
    for frame in [bench.log.commit(1, 1, 2), bench.log.commit(3, 0, 1)] {
        bench.take(ToWatch::Frame(frame));
    }
    wait(&mut bench, 5);
    let rest = bench.log.commit(1, 0, 2);
    bench.take(ToWatch::Frame(rest));
    wait(&mut bench, 15);
    assert_eq!(bench.alarms(), ["commit-incomplete"]);
}

/// keyd, as far as it cosigns the host log.
#[derive(Default)]
struct Keyd {
    held: Option<WitnessState>,
}

impl Keyd {
    fn answer(&mut self, bench: &Bench, asked: &FromWatch) -> WitnessReply {
        let FromWatch::HostCheckpoint(body) = asked else { panic!("{asked:?}") };
        let genesis = Genesis::verify(&bench.log.genesis, None).unwrap();
        let request = AddCheckpoint::from_bytes(body).unwrap();
        let key = genesis.host_log_key().unwrap();
        let answer = writ_proof::witness::decide(&request, &|_| Some(key.clone()), &|_| self.held);
        let line = match &answer {
            WitnessAnswer::Cosign(state) => {
                self.held = Some(*state);
                let key = crate::world::key(crate::world::CHECKPOINT_SEED);
                let name = genesis.keyd_cosigner_name();
                request.checkpoint.cosign(&name, &key, bench.env.now()).unwrap().to_string()
            }
            WitnessAnswer::Conflict(size) => format!("{size}\n"),
            _ => String::new(),
        };
        let (request, status) = (sha256(body), answer.status());
        WitnessReply { request, status, body: line.into_bytes() }
    }
}

impl Bench {
    fn cosign(&mut self, keyd: &mut Keyd) -> u16 {
        self.env.advance(HOST_COSIGN_AGAIN);
        let asked = self.keeper.host_checkpoint().unwrap().unwrap();
        let reply = keyd.answer(self, &asked);
        let status = reply.status;
        assert!(self.take(ToWatch::HostCosigned(reply)).is_empty());
        status
    }

    fn entry(&mut self, what: &str) {
        self.keeper.book().lock().raise("test", None, what).unwrap();
    }
}

#[test]
fn keyd_cosigns_a_host_log_that_grows_also_over_restarts_and_lost_answers() {
    let mut bench = Bench::new();
    let mut keyd = Keyd::default();
    assert!(bench.keeper.host_checkpoint().unwrap().is_none(), "there is nothing yet");
    for n in 0..9 {
        bench.entry(&format!("{n}"));
        assert_eq!(bench.cosign(&mut keyd), 200, "{n}");
    }
    assert_eq!(bench.cosign(&mut keyd), 200, "nothing has come, and keyd is asked all the same");
    bench.entry("a");
    bench.env.advance(HOST_COSIGN_AGAIN);
    let lost = bench.keeper.host_checkpoint().unwrap().unwrap();
    assert_eq!(keyd.answer(&bench, &lost).status, 200);
    bench.entry("b");
    let mut bench = bench.restart();
    bench.hello();
    let again = bench.keeper.host_checkpoint().unwrap().unwrap();
    assert_eq!(again, lost, "the same is asked for again, whose answer was lost");
}

#[test]
fn watch_that_is_an_old_copy_learns_it_from_keyd() {
    let mut bench = Bench::new();
    let mut keyd = Keyd::default();
    bench.entry("one");
    assert_eq!(bench.cosign(&mut keyd), 200);
    let folder = bench.temp.path().join(crate::HOST_LOG_FOLDER);
    let old: Vec<(_, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    bench.entry("two");
    assert_eq!(bench.cosign(&mut keyd), 200);
    old.iter().for_each(|(path, bytes)| write_file(path, bytes));
    let mut bench = bench.restart();
    bench.hello();
    assert_eq!(bench.cosign(&mut keyd), 409);
    assert!(bench.alarms().contains(&"watch-rolled-back".to_owned()), "{:?}", bench.alarms());
}

#[test]
fn host_log_that_keyd_does_not_cosign_is_an_alarm() {
    let mut bench = Bench::new();
    bench.entry("one");
    for _ in 0..70 {
        bench.env.advance(Duration::from_secs(1));
        bench.take(ToWatch::Beat(bench.env.now()));
        bench.keeper.tick().unwrap();
    }
    let count = bench.alarms().iter().filter(|kind| *kind == "host-log-uncosigned").count();
    assert_eq!(count, 1);
}

#[test]
fn empty_host_log_that_nobody_can_cosign_is_no_alarm() {
    let mut bench = Bench::new();
    let wait = |bench: &mut Bench, secs| {
        for _ in 0..secs {
            bench.env.advance(Duration::from_secs(1));
            bench.take(ToWatch::Beat(bench.env.now()));
            assert!(
                bench.keeper.book().lock().size() > 0
                    || bench.keeper.host_checkpoint().unwrap().is_none()
            );
            bench.keeper.tick().unwrap();
        }
    };
    // No checkpoint of the ledger comes meanwhile, which is another alarm.
    wait(&mut bench, 70);
    assert!(bench.alarms().is_empty(), "{:?}", bench.alarms());
    // The minute begins with the first entry.
    bench.entry("one");
    wait(&mut bench, 59);
    assert!(!bench.alarms().contains(&"host-log-uncosigned".to_owned()));
    wait(&mut bench, 2);
    assert!(bench.alarms().contains(&"host-log-uncosigned".to_owned()));
}

/// A frame of a host, as the host log has it.
fn told(seq: u64, payload: Payload) -> HostFrame {
    HostFrame {
        v: Version,
        host: "web-1".parse().unwrap(),
        boot: Uuid::from_bytes([7; 16]),
        epoch: 1,
        seq,
        mono_ms: 0,
        wall: Timestamp::from_secs(1_800_000_000),
        source: "sshd".to_owned(),
        class: Class::Security,
        payload,
        signature: None,
    }
}

fn record(kind: u16, text: &str) -> Payload {
    let (serial, text) = (1, text.as_bytes().to_vec());
    Payload::Record(Record { kind, serial, text })
}

fn line(text: &str) -> Payload {
    let text = text.as_bytes().to_vec();
    Payload::Line(Line { inode: 1, end: 1, text, partial: false })
}

#[test]
fn login_after_many_records_of_the_audit_is_looked_at_again_after_a_crash() {
    let bench = Bench::new();
    let mut book = bench.keeper.book().lock();
    let count = u64::try_from(REMEMBERED_MAX).unwrap();
    for seq in 0..count {
        let bytes = told(seq, record(1300, "arch=c000003e")).to_bytes().unwrap();
        book.append(Event::Frame(bytes)).unwrap();
    }
    let login = "Accepted password for root from 192.0.2.7 port 5 ssh2";
    book.append(Event::Frame(told(count, line(login)).to_bytes().unwrap())).unwrap();
    book.sync().unwrap();
    drop(book);
    assert!(bench.alarms().is_empty(), "watch had no time to look");
    assert_eq!(bench.restart().alarms(), ["access-without-grant"]);
}

#[test]
fn newest_logins_are_looked_at_again_when_there_are_too_many() {
    let mut logins = Logins::default();
    let at = |seq: u64| {
        let text = format!("Accepted password for root from 192.0.2.7 port {seq} ssh2");
        let event = Event::Frame(told(seq, line(&text)).to_bytes().unwrap());
        Entry { v: Version, at: Timestamp::from_secs(1_800_000_000), event }
    };
    let first = at(0);
    (0..REMEMBERED_MAX).for_each(|_| logins.see(&first));
    logins.see(&at(1));
    assert_eq!(logins.recent.len(), REMEMBERED_MAX);
    assert_eq!(logins.recent.back().unwrap().1.seq, 1);
}

/// A file of a test needs no durability.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn write_file(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}
