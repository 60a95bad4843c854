//! A full disk: calls fail with a retryable error, nothing is half done, and it works again later.

use std::sync::Arc;

use writ_model::SystemEnv;
use writ_store::engine::SqliteEngine;
use writ_store::{Store, StoreError};

use crate::support::{TestLedger, env, revocation, transaction};

/// A small file system that is gone with the value; `None` where none can be mounted.
struct Tmpfs(tempfile::TempDir);

#[expect(clippy::disallowed_methods, reason = "mounting needs the system's own program")]
fn run(program: &str, arguments: &[&str]) -> bool {
    let status = std::process::Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Tmpfs {
    fn mount() -> Option<Tmpfs> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        run("mount", &["-t", "tmpfs", "-o", "size=512k", "none", &path]).then_some(Tmpfs(folder))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

#[tokio::test]
async fn commits_on_a_full_disk_fail_whole_and_work_again_with_room() {
    let Some(disk) = Tmpfs::mount() else {
        println!("skipped: this machine lets the test mount no tmpfs");
        return;
    };
    let path = disk.0.path().join("store.db");
    let ledger = TestLedger::new();
    let open = || {
        let engine = SqliteEngine::open(&path, &SystemEnv).unwrap();
        Store::open(Box::new(engine), Arc::clone(&ledger) as _, env())
    };
    let store = open().await.unwrap();
    store.commit(transaction().put(revocation("first", 1))).await.unwrap();
    let filler = disk.0.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    while std::io::Write::write_all(&mut file, &[0; 64]).is_ok() {}
    let mut done = 1;
    let error = loop {
        match store.commit(transaction().put(revocation(&format!("s{done}"), 1))).await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 10_000, "the disk never became full");
    };
    assert!(matches!(error, StoreError::Full { what: "the disk" }), "{error}");
    assert_eq!(store.snapshot().object_count(), done);
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    store.commit(transaction().put(revocation("last", 1))).await.unwrap();
    assert_eq!(store.snapshot().object_count(), done + 1);
    assert_eq!(ledger.rows().len(), done + 1);
    drop(store);
    assert_eq!(open().await.unwrap().snapshot().object_count(), done + 1);
}
