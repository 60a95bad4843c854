//! Crashes under load: what was acknowledged is there and recorded, and `writ verify` is clean.

mod hosts;
mod load;
mod power;
mod sessions;

use std::collections::BTreeSet;

use rustix::process::Signal;
use writ_tests::site::ANN;
use writ_tests::{Options, Site, process, until};

use load::{Diary, Load};

/// Rounds after each of which everything is looked for; later it is every so many.
const LOOKS_FIRST: usize = 6;
const LOOKS_EVERY: usize = 20;

/// Processes that are killed, in turn.
const ROLES: [&str; 6] = ["trail", "keyd", "front", "s3", "watch", "supervisor"];

/// The named places in the code where a process may end: the place, whose it is, and at which pass it
/// ends there. The first passes belong to the start itself; checkpoints come once a second.
const CRASH_POINTS: [(&str, &str, u32); 20] = [
    ("store.before_commit", "front", 40),
    ("store.after_commit", "front", 40),
    ("store.before_publish", "front", 40),
    ("s3.before_rename", "s3", 40),
    ("s3.after_rename", "s3", 40),
    ("s3.before_commit", "s3", 40),
    ("s3.after_commit", "s3", 40),
    ("keyd.before_head", "keyd", 6),
    ("keyd.before_head_sync", "keyd", 6),
    ("keyd.after_head", "keyd", 6),
    ("trail.before_write", "trail", 40),
    ("trail.after_write", "trail", 40),
    ("trail.after_fsync", "trail", 40),
    ("trail.before_ack", "trail", 40),
    ("trail.before_tiles", "trail", 8),
    ("trail.before_checkpoint", "trail", 8),
    ("watch.before_persist", "watch", 20),
    ("watch.after_persist", "watch", 20),
    ("watch.before_cosign", "watch", 6),
    ("watch.after_cosign", "watch", 6),
];

/// How many rounds: `WRIT_TEST_CRASH_ROUNDS`, or one for each role.
fn rounds() -> usize {
    let rounds = std::env::var("WRIT_TEST_CRASH_ROUNDS").ok();
    rounds.map_or(ROLES.len(), |text| text.parse().unwrap())
}

fn options(failpoints: &str) -> Options {
    Options {
        accounts: vec![ANN.to_owned()],
        failpoints: failpoints.to_owned(),
        ..Options::default()
    }
}

/// Goal: no acknowledged change is lost or unrecorded, whichever process is killed when. Method: at
/// least 50 operations in flight; intents and acknowledgements are fsynced outside the data directory;
/// a process is killed at a random time; then everything that was acknowledged must be there.
#[test]
fn crash_rounds() {
    let mut site = Site::with(options(""));
    let diary = Diary::create(&site.home().join("diary"));
    let mut in_flight = Vec::new();
    for round in 0..rounds() {
        let role = ROLES[round % ROLES.len()];
        let load = Load::begin(&site, &diary, round);
        load.wait_until_busy();
        load.run_for_random_time();
        let pid = site.pid(role);
        // Counted at the last moment: what was in flight before the wait is over by now.
        in_flight.push(load.wait_until_busy());
        if role == "supervisor" {
            site.kill_all();
            load.end();
            site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
        } else {
            process::signal(pid, Signal::KILL);
            until("the process to be gone", || (!process::lives(pid)).then_some(()));
            load.run_for_random_time();
            load.end();
        }
        site.wait_until_served();
        // A look takes longer the more there is; what is lost stays lost until the next one.
        if round < LOOKS_FIRST || round % LOOKS_EVERY == 0 {
            diary.check(&site);
        }
    }
    diary.check_all(&site);
    let (intents, acknowledged) = diary.counts();
    println!(
        "{} rounds, {intents} intents, {acknowledged} acknowledged, at least {} in flight at a kill",
        rounds(),
        in_flight.iter().min().unwrap()
    );
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// Each named crash point once: the process aborts there under load, and the site recovers from it.
#[test]
fn crash_points() {
    let mut site = Site::with(options(""));
    let diary = Diary::create(&site.home().join("diary"));
    let mut hit = BTreeSet::new();
    for (round, (point, role, pass)) in CRASH_POINTS.into_iter().enumerate() {
        assert!(site.stop().success());
        site.start_again(&format!("{point}:{pass}"))
            .unwrap_or_else(|failure| panic!("{}", failure.log));
        let before = site.pid(role);
        let load = Load::begin(&site, &diary, 1000 + round);
        until(&format!("{point} to be hit"), || (!process::lives(before)).then_some(()));
        hit.insert(point);
        load.end();
        // A restarted process counts its passes anew, so it must go without the failpoint.
        site.kill_all();
        site.start_again("").unwrap_or_else(|failure| panic!("{point}: {}", failure.log));
        site.wait_until_served();
        // A look takes longer the more there is; what is lost stays lost until the next one.
        if round < LOOKS_FIRST || round % LOOKS_EVERY == 0 {
            diary.check(&site);
        }
    }
    diary.check_all(&site);
    let (intents, acknowledged) = diary.counts();
    println!("{} crash points, {intents} intents, {acknowledged} acknowledged", hit.len());
    assert_eq!(hit.len(), CRASH_POINTS.len());
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}
