//! A power failure: of the ledger's log there is what the last fsync covered, and nothing else.
//!
//! With the feature `failpoints` trail writes `wal/synced` each time that an fsync of the log has
//! returned: the segment and how long it was then. The same cut at that trace is made with fsync on,
//! where nothing that was acknowledged may be missing, and, as a control, with fsync switched off,
//! where it must be.

use std::fs;
use std::path::Path;

use writ_tests::{Site, until};

use super::load::{Diary, Load};
use super::options;

/// Acknowledgements before the power goes.
const ACKNOWLEDGED_MIN: usize = 40;

/// What a start says that finds less in the log than keyd has signed.
const ROLLBACK: &str = "the disk was rolled back or the log forked";

#[test]
fn power_failure_with_fsync_loses_nothing_acknowledged() {
    let mut site = Site::with(options(""));
    let diary = Diary::create(&site.home().join("diary"));
    work(&site, &diary);
    site.kill_all();
    let cut = lose_power(&site);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    site.wait_until_served();
    diary.check_all(&site);
    println!("{cut} bytes were cut off, {} acknowledged are there", diary.counts().1);
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

#[test]
fn power_failure_without_fsync_is_noticed() {
    let mut site = Site::with(options(""));
    let diary = Diary::create(&site.home().join("diary"));
    assert!(site.stop().success());
    site.start_again("trail.fsync_off").unwrap_or_else(|failure| panic!("{}", failure.log));
    work(&site, &diary);
    site.kill_all();
    let cut = lose_power(&site);
    assert!(cut > 0, "everything was fsynced although fsync was off");
    if let Err(failure) = site.start_again("") {
        assert!(failure.log.contains(ROLLBACK), "refused for another reason: {}", failure.log);
        println!("the start is refused as a rollback");
        // The checkpoints that tell of it were not fsynced either.
        fs::remove_dir_all(site.dir().join("trail/logs")).unwrap();
        site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    }
    let lost = diary.lost(&site);
    assert!(!lost.is_empty(), "everything is there although the ledger was cut");
    println!("{cut} bytes were cut off; {} acknowledged things are lost", lost.len());
}

/// Load until enough is acknowledged.
fn work(site: &Site, diary: &std::sync::Arc<Diary>) {
    let load = Load::begin(site, diary, 0);
    load.wait_until_busy();
    until("acknowledgements", || (diary.counts().1 > ACKNOWLEDGED_MIN).then_some(()));
    load.end();
}

/// Cuts the log at the last trace, and takes away what is made from it; gives how much was cut.
fn lose_power(site: &Site) -> u64 {
    let trail = site.dir().join("trail");
    let (segment, length) = traced(&trail.join("wal"));
    let path = |segment: u64| trail.join(format!("wal/{segment:010}.wal"));
    assert!(!path(segment + 1).exists(), "a later segment was begun and never fsynced");
    let file = fs::File::options().write(true).open(path(segment)).unwrap();
    let there = file.metadata().unwrap().len();
    assert!(there >= length, "the trace is ahead of the log");
    file.set_len(length).unwrap();
    // Tiles, records and indexes are not fsynced; they are made again from the log.
    forget(&trail.join("logs"));
    for name in ["build.state", "lookup.sqlite", "lookup.sqlite-wal", "lookup.sqlite-shm"] {
        fs::remove_file(trail.join(name)).ok();
    }
    there - length
}

/// Removes all files below `folder` but the signed checkpoints, which have an fsync of their own.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            forget(&entry.path());
        } else if !["checkpoint", "checkpoint.pending", "cosigned"].iter().any(|kept| name == *kept)
        {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn traced(wal: &Path) -> (u64, u64) {
    let text = fs::read_to_string(wal.join("synced")).unwrap();
    let (segment, length) = text.split_once(' ').unwrap();
    (segment.parse().unwrap(), length.parse().unwrap())
}
