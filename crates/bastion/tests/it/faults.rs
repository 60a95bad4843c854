//! Disks that fail: the session ends within a second, and nothing more of it is acknowledged.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use writ_bastion::Error;
use writ_bastion::limits::STALL_MAX;
use writ_bastion::recorder::Config;
use writ_proof::recording::{Mark, State};

use super::world::{
    SESSION, config, data, header, key, recorded, say, session, start, start_faulty, verified,
};

const DEAD_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn failed_write_or_sync_ends_the_session_it_touches() {
    for write in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, fault, _) = start_faulty(config(dir.path()));
        let recording = recorder.open(header(SESSION), key()).await.unwrap();
        say(&recording, "good").await.unwrap();
        let broken = if write { &fault.append } else { &fault.sync };
        broken.store(true, Ordering::SeqCst);
        let error = timeout(DEAD_WITHIN, say(&recording, "lost")).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        // The disk recovers; the session does not.
        broken.store(false, Ordering::SeqCst);
        assert_eq!(say(&recording, "after").await, Err(error.clone()));
        assert_eq!(timeout(DEAD_WITHIN, recording.failed()).await.unwrap(), error);
        assert_eq!(recording.end("x").await, Err(error));
        // Others go on.
        let other = recorder.open(header(&session(2)), key()).await.unwrap();
        say(&other, "works").await.unwrap();
        drop((other, recorder));
        let (_, recovered, ledger) = start(config(dir.path()));
        assert_eq!(recovered.len(), 2);
        let path = dir.path().join(format!("{SESSION}.rec"));
        let marks = ledger.marks.lock().unwrap().clone();
        let mine: Vec<Mark> =
            marks.into_iter().filter(|m| m.at().session.to_string() == SESSION).collect();
        assert!(matches!(verified(&path, &mine).unwrap().state, State::Truncated(_)));
        assert!(recorded(&path).starts_with("good"));
    }
}

#[tokio::test]
async fn hanging_storage_ends_every_session_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, fault, _) = start_faulty(Config { stall: STALL_MAX, ..config(dir.path()) });
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    let idle = recorder.open(header(&session(1)), key()).await.unwrap();
    say(&recording, "good").await.unwrap();
    fault.hang.store(true, Ordering::SeqCst);
    let hung = recording.accept(vec![data(b"lost")]);
    let error = timeout(DEAD_WITHIN, hung).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
    // One that had nothing in flight ends too, and none begins.
    assert_eq!(timeout(DEAD_WITHIN, idle.failed()).await.unwrap(), error);
    let refused = timeout(DEAD_WITHIN, recorder.open(header(&session(2)), key())).await.unwrap();
    assert!(matches!(refused.err(), Some(Error::Stalled { .. })));
    // The call returns at last: the old sessions stay dead, a new one may begin.
    fault.hang.store(false, Ordering::SeqCst);
    assert_eq!(say(&recording, "after").await, Err(error));
    let mut fresh = recorder.open(header(&session(3)), key()).await;
    for _ in 0..50 {
        if fresh.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        fresh = recorder.open(header(&session(3)), key()).await;
    }
    say(&fresh.unwrap(), "works").await.unwrap();
}

#[tokio::test]
async fn ledger_that_takes_no_marks_ends_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let every = Duration::from_millis(50);
    let (recorder, _, ledger) = start(Config { checkpoint_every: every, ..config(dir.path()) });
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    ledger.closed.store(true, Ordering::SeqCst);
    let said = say(&recording, "x").await;
    let error = timeout(DEAD_WITHIN, recording.failed()).await.unwrap();
    assert!(matches!(error, Error::Marks(_)), "{said:?} {error}");
}

#[tokio::test]
async fn floors_refuse_new_sessions_and_then_close_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let floors = Config { refuse_below_bytes: 2000, close_below_bytes: 500, ..config(dir.path()) };
    let (recorder, fault, ledger) = start_faulty(floors);
    let first = recorder.open(header(&session(1)), key()).await.unwrap();
    let second = recorder.open(header(&session(2)), key()).await.unwrap();
    fault.free.store(1999, Ordering::SeqCst);
    let refused = recorder.open(header(&session(3)), key()).await.err();
    assert_eq!(refused, Some(Error::DiskLow { free: 1999, floor: 2000 }));
    tokio::time::sleep(Duration::from_millis(400)).await;
    say(&first, "still here").await.unwrap();
    fault.free.store(499, Ordering::SeqCst);
    let error = timeout(DEAD_WITHIN, first.failed()).await.unwrap();
    assert_eq!(error, Error::DiskFull { free: 499 });
    fault.free.store(3000, Ordering::SeqCst);
    // The closed one has an orderly end that says why; the younger one lives.
    say(&second, "spared").await.unwrap();
    let path = dir.path().join(format!("{}.rec", session(1)));
    let marks = ledger.marks.lock().unwrap().clone();
    let mine: Vec<Mark> =
        marks.into_iter().filter(|m| m.at().session.to_string() == session(1)).collect();
    let state = verified(&path, &mine).unwrap().state;
    assert_eq!(state, State::Ended(error.to_string()));
}

/// A small file system that is filled to its last byte.
#[tokio::test]
async fn full_disk_ends_the_session_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let output = std::process::Command::new(arguments[0]).args(&arguments[1..]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let path = dir.path().to_str().unwrap();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path]) {
        println!("skipped: mounting a tmpfs is refused here");
        return;
    }
    let (recorder, _, _) = start(config(dir.path()));
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    let mut acknowledged = String::new();
    let line = "0123456789abcdef".repeat(64);
    let error = loop {
        match timeout(DEAD_WITHIN, say(&recording, &line)).await.unwrap() {
            Ok(()) => acknowledged.push_str(&line),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 2 << 20, "the disk never fills");
    };
    let refused = recorder.open(header(&session(2)), key()).await.err();
    drop((recording, recorder));
    let held = recorded(&dir.path().join(format!("{SESSION}.rec.open")));
    // Somebody makes room, and the next start closes it.
    std::fs::write(dir.path().join("lock"), b"").unwrap();
    assert!(mount(&["mount", "-o", "remount,size=4m", path]));
    let (recorder, recovered, ledger) = start(config(dir.path()));
    let marks = ledger.marks.lock().unwrap().clone();
    let closed = dir.path().join(format!("{SESSION}.rec"));
    let state = verified(&closed, &marks[..1]).map(|verified| verified.state);
    let after = recorded(&closed);
    drop(recorder);
    assert!(mount(&["umount", "-l", path]));
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(refused.is_some(), "a session began on a full disk");
    assert!(!acknowledged.is_empty() && held.starts_with(&acknowledged));
    assert!(after.starts_with(&acknowledged));
    assert!(matches!(state, Ok(State::Truncated(_))), "{state:?} {recovered:?}");
}
