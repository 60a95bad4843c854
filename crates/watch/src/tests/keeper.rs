//! Tests of the keeper.

use writ_model::Timestamp;
use writ_model::env::TestEnv;
use writ_proof::stream::StreamPosition;

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
