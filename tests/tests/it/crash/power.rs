//! The negative control: a ledger that does not fsync loses what it acknowledged when the power goes,
//! and the check of the crash rounds must say so.

use std::fs;

use writ_tests::Site;

use super::load::{Diary, Load};
use super::options;

/// With the failpoint `trail.fsync_off` nothing is fsynced, and `wal/synced` names the length that an
/// fsync would have covered. Everything behind the trace of an earlier moment is cut away, as a
/// power failure might.
#[test]
fn power_failure_without_fsync_is_noticed() {
    let mut site = Site::with(options("trail.fsync_off"));
    let wal = site.dir().join("trail/wal");
    // What a disk would hold if nothing had been synced from here on.
    let (segment, length) = traced(&wal);
    let diary = Diary::create(&site.home().join("diary"));
    let load = Load::begin(&site, &diary, 0);
    load.wait_until_busy();
    writ_tests::until("acknowledgements", || (diary.counts().1 > 20).then_some(()));
    load.end();
    site.kill_all();
    let path = wal.join(format!("{segment:010}.wal"));
    let file = fs::File::options().write(true).open(&path).unwrap();
    assert!(file.metadata().unwrap().len() > length, "nothing was written");
    file.set_len(length).unwrap();
    // Tiles and indexes are made from the log; they were not synced either.
    fs::remove_dir_all(site.dir().join("trail/logs")).unwrap();
    let noticed = match site.start_again("") {
        // The ledger knows that it has less than keyd signed, or than watch holds.
        Err(failure) => format!("refused to start: {}", failure.log),
        Ok(()) => {
            let lost = diary.lost(&site);
            assert!(!lost.is_empty(), "everything is there although the ledger was cut");
            format!("{} acknowledged things are lost", lost.len())
        }
    };
    println!("noticed: {}", noticed.lines().next().unwrap_or_default());
}

fn traced(wal: &std::path::Path) -> (u64, u64) {
    let text = fs::read_to_string(wal.join("synced")).unwrap();
    let (segment, length) = text.split_once(' ').unwrap();
    (segment.parse().unwrap(), length.parse().unwrap())
}
