//! A recorder that dies or stands still: what it had acknowledged is on the disk.
//!
//! The test starts itself as a child, which writes down each acknowledgement that it got.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use writ_proof::recording::State;

use super::world::{SESSION, config, header, key, recorded, say, start, verified};

const DIR: &str = "WRIT_BASTION_TEST_DIR";

/// Not a test of its own: what the child does.
#[tokio::test]
async fn child_records_until_it_dies() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let (recorder, _, _) = start(config(dir));
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    let mut forwarded =
        std::fs::File::options().create(true).append(true).open(dir.join("forwarded")).unwrap();
    for n in 0..100_000 {
        let line = format!("line {n}\n");
        match say(&recording, &line).await {
            Ok(()) => forwarded.write_all(line.as_bytes()).unwrap(),
            Err(error) => {
                std::fs::write(dir.join("ended"), error.to_string()).unwrap();
                return;
            }
        }
    }
}

fn child(dir: &Path, points: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["process::child_records_until_it_dies", "--exact"])
        .env(DIR, dir)
        .env("WRIT_FAILPOINT", points)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn forwarded(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("forwarded")).unwrap_or_default()
}

/// Waits until the child has forwarded so much.
fn wait_for(dir: &Path, bytes: usize) {
    let enough = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        forwarded(dir).len() >= bytes
    });
    assert!(enough, "the child forwards nothing");
}

/// What went out is recorded, and the next start closes the recording.
fn check(dir: &Path, what: &str) {
    let forwarded = forwarded(dir);
    let (_, recovered, ledger) = start(config(dir));
    let path = dir.join(format!("{SESSION}.rec"));
    let marks = ledger.marks.lock().unwrap().clone();
    let state = verified(&path, &marks).unwrap().state;
    assert!(matches!(state, State::Truncated(_)), "{what}: {recovered:?}");
    assert!(recorded(&path).starts_with(&forwarded), "{what}: something unrecorded went out");
    assert!(!forwarded.is_empty(), "{what}: nothing was tested");
}

#[test]
fn killed_recorder_had_recorded_all_that_went_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child(dir.path(), "none");
    wait_for(dir.path(), 500);
    child.kill().unwrap();
    child.wait().unwrap();
    check(dir.path(), "kill -9");
}

#[cfg(feature = "failpoints")]
#[test]
fn recorder_that_dies_at_any_step_had_recorded_all_that_went_out() {
    for point in ["before_write", "after_write", "after_fsync", "before_ack"] {
        let dir = tempfile::tempdir().unwrap();
        let point = format!("bastion.{point}:20");
        let status = child(dir.path(), &point).wait().unwrap();
        assert!(!status.success(), "{point}: the child lived");
        check(dir.path(), &point);
    }
}

/// Recovery that dies in the middle loses neither the torn bytes nor their count.
#[cfg(feature = "failpoints")]
#[test]
fn recovery_that_dies_is_done_by_the_next_start() {
    for point in ["bastion.before_cut", "bastion.after_cut"] {
        let dir = tempfile::tempdir().unwrap();
        assert!(!child(dir.path(), "bastion.before_ack:20").wait().unwrap().success());
        let open = dir.path().join(format!("{SESSION}.rec.open"));
        let mut file = std::fs::File::options().append(true).open(open).unwrap();
        file.write_all(b"\0\0\0\x63torn").unwrap();
        assert!(!child(dir.path(), point).wait().unwrap().success(), "{point}: the child lived");
        let (_, recovered, _) = start(config(dir.path()));
        let path = dir.path().join(format!("{SESSION}.rec"));
        let mark = recovered[0].mark.clone();
        assert_eq!(verified(&path, &[mark]).unwrap().state, State::Truncated(8), "{point}");
        let torn = std::fs::read(dir.path().join(format!("{SESSION}.torn"))).unwrap();
        assert_eq!(torn, b"\0\0\0\x63torn");
    }
}

#[test]
fn stopped_recorder_forwards_nothing_and_had_recorded_all_that_went_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child(dir.path(), "none");
    wait_for(dir.path(), 500);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = forwarded(dir.path());
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(forwarded(dir.path()), before, "a stopped process forwarded something");
    kill_process(pid, Signal::CONT).unwrap();
    for _ in 0..100 {
        if dir.path().join("ended").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Whether it stood in a call or between two is chance; that nothing unrecorded went out is not.
    child.kill().unwrap();
    child.wait().unwrap();
    check(dir.path(), "SIGSTOP");
}
