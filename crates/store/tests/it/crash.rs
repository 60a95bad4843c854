//! Goal: a crash at any point of the write path loses nothing that was acknowledged and records all
//! that was committed, once. Method: a child process aborts at a named point while it commits, with
//! its ledger in a file; the store is then opened here. Needs the feature `failpoints`.
#![cfg(feature = "failpoints")]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use writ_model::{Revision, StoreEpoch, SystemEnv, Uuid};
use writ_store::engine::{Changes, SqliteEngine};
use writ_store::state::Revocation;
use writ_store::{OutboxRow, PortFuture, Recorder, RecorderError, Store};

use crate::support::{account, env, revocation, transaction};

/// The signal of `abort()`.
const SIGABRT: i32 = 6;

const FOLDER: &str = "WRIT_STORE_CRASH_FOLDER";

/// A ledger of one line for each event, fsynced.
struct FileLedger(Mutex<File>, PathBuf);

impl FileLedger {
    fn open(folder: &Path) -> Arc<FileLedger> {
        let path = folder.join("ledger");
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        Arc::new(FileLedger(Mutex::new(file), path))
    }

    /// Event id and request id of each event, in order.
    fn events(&self) -> Vec<(Uuid, Uuid)> {
        let text = std::fs::read_to_string(&self.1).unwrap();
        let parse = |line: &str| {
            let (event, request) = line.split_once(' ').unwrap();
            (event.parse().unwrap(), request.parse().unwrap())
        };
        text.lines().map(parse).collect()
    }
}

impl Recorder for FileLedger {
    fn append(
        &self,
        _epoch: StoreEpoch,
        rows: Vec<OutboxRow>,
    ) -> PortFuture<'_, Result<(), RecorderError>> {
        let known: BTreeSet<Uuid> = self.events().into_iter().map(|(event, _)| event).collect();
        let mut file = self.0.lock().unwrap();
        for row in rows.iter().filter(|row| !known.contains(&row.event_id)) {
            writeln!(file, "{} {}", row.event_id, row.request_id).unwrap();
        }
        file.sync_data().unwrap();
        Box::pin(async { Ok(()) })
    }
}

async fn open(folder: &Path, ledger: &Arc<FileLedger>) -> Store {
    let engine = SqliteEngine::open(&folder.join("store.db"), &SystemEnv).unwrap();
    Store::open(Box::new(engine), Arc::clone(ledger) as _, env()).await.unwrap()
}

#[test]
#[ignore = "run by the crash test as its child"]
fn crash_child() {
    #[expect(clippy::disallowed_methods, reason = "the parent names the folder")]
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(&folder, &FileLedger::open(&folder)).await;
        let mut acknowledged =
            OpenOptions::new().create(true).append(true).open(folder.join("acknowledged")).unwrap();
        let start = store.snapshot().revision().0;
        for i in start.. {
            let wanted = transaction().put(revocation(&format!("s{i}"), 1));
            let request = wanted.request_id;
            store.commit(wanted).await.unwrap();
            writeln!(acknowledged, "s{i} {request}").unwrap();
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test's own program, as the process that crashes"
)]
fn run_child(folder: &Path, failpoint: &str) {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::crash_child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env("WRIT_FAILPOINT", failpoint)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(SIGABRT), "the child must abort at {failpoint}: {status}");
}

async fn check(folder: &Path) {
    let ledger = FileLedger::open(folder);
    let store = open(folder, &ledger).await;
    let snapshot = store.snapshot();
    let events = ledger.events();
    let ids: BTreeSet<Uuid> = events.iter().map(|(event, _)| *event).collect();
    assert_eq!(ids.len(), events.len(), "no event twice");
    let requests: BTreeSet<Uuid> = events.iter().map(|(_, request)| *request).collect();
    let Changes::Batch(changes) = store.changes(Revision(0), 4096).await.unwrap() else {
        panic!("nothing is compacted here");
    };
    let changed: BTreeSet<Uuid> = changes.iter().map(|change| change.request_id).collect();
    assert_eq!(changed, requests, "every change has its event, every event its change");
    let acknowledged = std::fs::read_to_string(folder.join("acknowledged")).unwrap();
    for line in acknowledged.lines() {
        let (subject, request) = line.split_once(' ').unwrap();
        assert!(snapshot.get::<Revocation>(account(1), subject).is_some(), "{subject} is lost");
        assert!(requests.contains(&request.parse().unwrap()));
    }
}

#[tokio::test]
async fn crash_at_each_point_loses_and_doubles_nothing() {
    for point in ["store.before_commit", "store.after_commit", "store.before_publish"] {
        let folder = tempfile::tempdir().unwrap();
        for pass in [1, 2, 7] {
            run_child(folder.path(), &format!("{point}:{pass}"));
            check(folder.path()).await;
        }
    }
}
