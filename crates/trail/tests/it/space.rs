//! A full disk.

use std::sync::Arc;
use std::time::Duration;

use writ_keyd_client::protocol::Role;
use writ_model::SystemEnv;
use writ_trail::{Trail, TrailError};

use super::world::{account, append, client, config, end, item, start, wal_dir};

#[test]
fn below_the_reserve_nothing_is_accepted_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    end(&start(dir.path()));
    let mut greedy = config(dir.path());
    greedy.reserve_bytes = u64::MAX;
    let error = Trail::start(greedy, Arc::new(SystemEnv)).err().unwrap();
    assert!(matches!(error, TrailError::Unavailable(_)), "{error}");
}

/// Fills a small file system to its last byte: appends must be refused, never answered and lost.
#[test]
fn full_disk_loses_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let output = std::process::Command::new(arguments[0]).args(&arguments[1..]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let path = dir.path().to_str().unwrap();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path]) {
        println!("skipped: mounting a tmpfs is refused here");
        return;
    }
    let mut config = config(dir.path());
    config.reserve_bytes = 0;
    config.checkpoint_every = Duration::from_secs(3600);
    let trail = Trail::start(config, Arc::new(SystemEnv)).unwrap();
    let front = client(&trail, Role::Front);
    let mut answered = Vec::new();
    let mut refused = 0;
    for _ in 0..20_000 {
        let item = item(account(1), "Encrypt", None);
        let id = item.event_id;
        match append(&front, item) {
            Ok(_) => answered.push(id),
            Err(_) => refused += 1,
        }
        if refused >= 5 {
            break;
        }
    }
    trail.stop();
    // The builder may have failed as well, which closes the ledger.
    let ended = trail.wait();
    let mut found = std::collections::BTreeSet::new();
    let replayed = writ_trail::wal::replay(&wal_dir(dir.path()), &mut |placed| {
        for entry in &placed.located.frame.batch.entries {
            found.extend(entry.decoded_leaves().unwrap().into_iter().map(|leaf| leaf.event_id));
        }
        Ok(())
    });
    let unmounted = mount(&["umount", "-l", path]);
    assert!(unmounted);
    assert!(refused >= 5 && !answered.is_empty(), "{ended:?}");
    replayed.unwrap();
    let lost: Vec<_> = answered.iter().filter(|id| !found.contains(*id)).collect();
    assert!(lost.is_empty(), "{} answered records are lost", lost.len());
}
