//! Tests of cosigning.

use super::*;
use crate::world::{Log, WATCH_SEED, key};

fn open(dir: &Path, log: &Log) -> Witness {
    Witness::open(dir, "w", key(WATCH_SEED), [log.log_key()]).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_100)
}

#[test]
fn witness_goes_on_after_a_restart_where_it_was() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::begun();
    log.grow(b"a");
    let mut witness = open(temp.path(), &log);
    let answered = witness.answer(&log.request(0), now()).unwrap();
    assert_eq!(answered.status, 200);
    let mut note = AddCheckpoint::from_bytes(&log.request(0)).unwrap().checkpoint;
    note.add(String::from_utf8(answered.body).unwrap().parse().unwrap());
    assert_eq!(note.verify_one(witness.verifier()).unwrap().time, Some(now()));
    drop(witness);

    let mut witness = open(temp.path(), &log);
    let held = witness.checkpoint(&sha256(log.origin().as_bytes())).unwrap();
    assert_eq!(held, note.to_bytes());
    log.grow(b"b");
    assert_eq!(witness.answer(&log.request(0), now()).unwrap().body, b"1\n");
    assert_eq!(witness.answer(&log.request(1), now()).unwrap().status, 200);
    // A checkpoint of unchanged size is cosigned again.
    assert_eq!(witness.answer(&log.request(2), now()).unwrap().status, 200);
}

#[test]
fn witness_names_forks_and_rollbacks() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::begun();
    let (mut other, old) = (log.clone(), log.clone());
    log.grow(b"a");
    other.grow(b"b");
    let mut witness = open(temp.path(), &log);
    assert_eq!(witness.answer(&log.request(0), now()).unwrap().status, 200);
    let fork = witness.answer(&other.request(1), now()).unwrap();
    assert!(fork.status == 422 && matches!(fork.breach, Some(Breach::Fork(_))), "{fork:?}");
    let back = witness.answer(&old.request(0), now()).unwrap();
    assert!(back.status == 409 && matches!(back.breach, Some(Breach::Rollback(_))), "{back:?}");
    assert_eq!(witness.answer(&log.request(1), now()).unwrap().status, 200);
}

#[test]
fn witness_does_not_open_over_what_another_key_said() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::begun();
    log.grow(b"a");
    open(temp.path(), &log).answer(&log.request(0), now()).unwrap();
    let other = Witness::open(temp.path(), "w", key([8; 32]), [log.log_key()]);
    assert!(matches!(other, Err(WatchError::Foreign { .. })));
    let first = open(temp.path(), &log);
    let second = Witness::open(temp.path(), "w", key(WATCH_SEED), [log.log_key()]);
    assert!(matches!(second, Err(WatchError::Locked(_))));
    drop(first);
}
