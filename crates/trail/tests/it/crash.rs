//! A process that dies at each step: what it had answered is there, once, and the ledger goes on.
//!
//! The test starts itself as a child with a failpoint set; the child writes down each answer that it got.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use writ_keyd_client::protocol::Role;
use writ_proof::leaf::{leaf_hash, rec};
use writ_proof::merkle::Frontier;
use writ_proof::origin::LogName;
use writ_trail::reader::Reader;
use writ_trail::wal::{replay, segment_path};

use super::world::{Keyd, account, append, client, end, item, start, wal_dir};

const DIR: &str = "WRIT_TRAIL_TEST_DIR";

fn directory() -> Option<String> {
    std::env::var(DIR).ok()
}

/// Not a test of its own: what the child does.
#[test]
fn child_appends_until_it_dies() {
    let Some(dir) = directory() else { return };
    let dir = Path::new(&dir);
    let keyd = Keyd::new();
    let trail = start(dir);
    keyd.attach(&trail);
    let front = client(&trail, Role::Front);
    let mut answered =
        std::fs::File::options().create(true).append(true).open(dir.join("answered")).unwrap();
    for n in 0..60 {
        let item = item(account(1 + n % 2), "Encrypt", None);
        let id = item.event_id;
        append(&front, item).unwrap();
        // One write: half an id would look like a lost one.
        answered.write_all(format!("{id}\n").as_bytes()).unwrap();
    }
    trail.wait_built(super::world::PATIENCE);
    std::thread::sleep(std::time::Duration::from_millis(400));
    end(&trail);
}

fn run_child(dir: &Path, points: &str) -> std::process::ExitStatus {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["crash::child_appends_until_it_dies", "--exact"])
        .env(DIR, dir)
        .env("WRIT_FAILPOINT", points)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    child.status().unwrap()
}

/// Everything that was answered is there.
fn check(dir: &Path, point: &str) {
    let (answered, lost, lost_in_log) = lost(dir, point);
    assert!(
        lost.is_empty(),
        "{point}: {} of {answered} answered are lost, {lost_in_log} of them in the log too",
        lost.len(),
    );
}

/// How many were answered, which of them are not in the built logs, and how many of these not in the
/// write-ahead log either. What is there must fit together.
fn lost(dir: &Path, point: &str) -> (usize, Vec<String>, usize) {
    let answered = std::fs::read_to_string(dir.join("answered")).unwrap_or_default();
    let trail = start(dir);
    assert!(trail.wait_built(super::world::PATIENCE), "{point}");
    end(&trail);
    let reader = Reader::open(&dir.join("trail")).unwrap();
    let mut found = BTreeSet::new();
    for log in reader.logs().unwrap() {
        let size = reader.size(log).unwrap();
        let mut naive = Frontier::new();
        for line in reader.lines(log, size) {
            let line = line.unwrap();
            assert_eq!(rec(line.leaf.kind, &line.record).unwrap(), line.leaf.rec, "{point}");
            naive.append(leaf_hash(&line.bytes));
            if matches!(log, LogName::Account(_)) {
                assert!(found.insert(line.leaf.event_id.to_string()), "{point}: twice");
            }
        }
        assert_eq!(Frontier::at(&reader.log(log), size).unwrap(), naive, "{point}: {log}");
    }
    let ids = answered.lines().filter(|id| !found.contains(*id));
    let lost: Vec<String> = ids.map(str::to_owned).collect();
    let mut logged = BTreeSet::new();
    replay(&wal_dir(dir), &mut |placed| {
        for entry in &placed.located.frame.batch.entries {
            logged.extend(entry.decoded_leaves().unwrap().iter().map(|l| l.event_id.to_string()));
        }
        Ok(())
    })
    .unwrap();
    let lost_in_log = lost.iter().filter(|id| !logged.contains(*id)).count();
    (answered.lines().count(), lost, lost_in_log)
}

#[test]
fn process_that_dies_at_any_step_has_lost_no_answer() {
    let points = [
        "trail.before_write:9",
        "trail.after_write:9",
        "trail.after_fsync:9",
        "trail.before_ack:9",
        "trail.before_tiles:3",
        "trail.before_checkpoint:3",
    ];
    for point in points {
        let dir = tempfile::tempdir().unwrap();
        assert!(!run_child(dir.path(), point).success(), "{point}: the child lived");
        check(dir.path(), point);
        assert!(run_child(dir.path(), "none").success(), "{point}: the ledger does not go on");
        check(dir.path(), point);
    }
}

/// Plays a power failure: of the log there is what the last fsync covered; what is built from it is
/// gone. The trace is written after an fsync has returned, and only then.
fn lose_power(dir: &Path) {
    let synced = std::fs::read_to_string(wal_dir(dir).join("synced")).unwrap();
    let (segment, length) = synced.split_once(' ').unwrap();
    let (segment, length) = (segment.parse().unwrap(), length.parse().unwrap());
    let file =
        std::fs::File::options().write(true).open(segment_path(&wal_dir(dir), segment)).unwrap();
    assert!(file.metadata().unwrap().len() >= length, "the trace is ahead of the log");
    file.set_len(length).unwrap();
    assert!(!segment_path(&wal_dir(dir), segment + 1).exists(), "the trace is of an old segment");
    std::fs::remove_dir_all(dir.join("trail/logs")).unwrap();
    std::fs::remove_file(dir.join("trail/build.state")).ok();
}

/// An answer before its fsync would show here, and so would a log that is never fsynced.
#[test]
fn what_was_answered_was_synced_before() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!run_child(dir.path(), "trail.before_ack:20").success());
    lose_power(dir.path());
    check(dir.path(), "fsync on");
    assert!(run_child(dir.path(), "none").success());
    lose_power(dir.path());
    check(dir.path(), "fsync on");
}

/// The control: without fsync the same cut loses what was answered since.
#[test]
fn what_was_answered_without_fsync_is_lost_with_the_power() {
    let dir = tempfile::tempdir().unwrap();
    assert!(run_child(dir.path(), "none").success());
    let before = std::fs::read_to_string(dir.path().join("answered")).unwrap().lines().count();
    assert!(run_child(dir.path(), "trail.fsync_off").success());
    lose_power(dir.path());
    let (answered, lost, lost_in_log) = lost(dir.path(), "fsync off");
    assert_eq!((lost.len(), lost_in_log), (answered - before, answered - before));
    assert!(answered > before);
}
