//! Tests of watch's copy of the log.

use super::*;
use crate::world::Log;

fn open(dir: &Path, log: &Log) -> Result<Mirror, WatchError> {
    Mirror::open(dir, &log.genesis, 600)
}

#[test]
fn mirror_goes_on_after_a_restart_over_many_segments() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, first) = Log::begun();
    let mut mirror = open(temp.path(), &log).unwrap();
    mirror.accept(&first).unwrap();
    for n in 0..20u8 {
        mirror.accept(&log.grow(&[n])).unwrap();
        mirror.sync().unwrap();
        if n % 7 == 0 {
            mirror = open(temp.path(), &log).unwrap();
        }
        assert_eq!(mirror.position(), log.position());
    }
    assert!(segment_path(temp.path(), 3).exists());
    assert!(matches!(mirror.root_at(20), RootAt::Known(_)));
    assert_eq!(mirror.root_at(21), RootAt::NotYet);
}

#[test]
fn mirror_cuts_a_torn_frame_and_refuses_a_changed_one() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, first) = Log::begun();
    let mut mirror = open(temp.path(), &log).unwrap();
    mirror.accept(&first).unwrap();
    let before = mirror.position();
    let frame = log.grow(b"a");
    mirror.accept(&frame).unwrap();
    mirror.sync().unwrap();
    drop(mirror);
    let last = segment_path(temp.path(), 1);
    let torn = File::options().write(true).open(&last).unwrap();
    torn.set_len(frame.len() as u64 - 1).unwrap();
    let mut mirror = open(temp.path(), &log).unwrap();
    assert_eq!(mirror.position(), before);
    mirror.accept(&frame).unwrap();
    drop(mirror);

    let path = segment_path(temp.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    disk::replace(&path, &bytes, 0o600).unwrap();
    assert!(matches!(open(temp.path(), &log), Err(WatchError::Damaged { .. })));
}

#[test]
fn frame_that_does_not_follow_leaves_no_trace() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, first) = Log::begun();
    let mut mirror = open(temp.path(), &log).unwrap();
    let mut other = log.clone();
    let (ours, theirs) = (log.grow(b"a"), other.grow(b"b"));
    assert!(mirror.accept(&ours).is_err(), "a frame is missing");
    mirror.accept(&first).unwrap();
    assert!(mirror.accept(&first).is_err(), "twice");
    assert!(mirror.accept(&ours[..ours.len() - 1]).is_err(), "cut");
    mirror.accept(&ours).unwrap();
    assert!(mirror.accept(&theirs).is_err(), "a fork");
    assert_eq!(mirror.position(), log.position());
    mirror.accept(&log.grow(b"c")).unwrap();
}

#[test]
fn first_leaf_must_be_the_genesis_statement() {
    let temp = tempfile::tempdir().unwrap();
    let (log, _) = Log::begun();
    let mut mirror = open(temp.path(), &log).unwrap();
    let pins = writ_proof::roster::ChannelPins { trail: Hash([3; 32]), watch: Hash([4; 32]) };
    let foreign = Log::new(pins).first();
    assert!(matches!(mirror.accept(&foreign), Err(WatchError::Proof(_))));
}

#[test]
fn roster_statement_that_does_not_follow_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, first) = Log::begun();
    let mut mirror = open(temp.path(), &log).unwrap();
    mirror.accept(&first).unwrap();
    let genesis = log.genesis.digest();
    let (one, head) = log.enrol(31, 1, genesis, &[21, 22]);
    mirror.accept(&one).unwrap();
    let table: [(&str, u8, u64, Hash, &[u8]); 4] = [
        ("of too few", 32, 2, head, &[21]),
        ("of strangers", 32, 2, head, &[40, 41]),
        ("a fork", 32, 1, genesis, &[21, 22]),
        ("one that skips another", 32, 3, head, &[21, 22]),
    ];
    for (name, person, seq, prev, signers) in table {
        let (frame, _) = log.clone().enrol(person, seq, prev, signers);
        assert!(matches!(mirror.accept(&frame), Err(WatchError::Proof(_))), "{name}");
    }
    let (two, _) = log.enrol(32, 2, head, &[21, 31]);
    mirror.accept(&two).unwrap();
    mirror.sync().unwrap();
    assert_eq!(open(temp.path(), &log).unwrap().position(), log.position());
}
