//! C-03: every call is durable in the ledger before its reply leaves. If the ledger cannot be written,
//! the call fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use writ_tests::site::{ANN, BOB, passable_dir};
use writ_tests::wait::within;
use writ_tests::{Client, Options, Site, process, skipped, until};

use crate::operations::Actor;

/// One call of each kind: a read, a denial, a change, a use of a key, an object.
fn calls(site: &Site, round: &str) -> Vec<(String, Result<String, writ_tests::Failure>)> {
    let root = Actor::root(site, Client::Boto, ANN);
    let table = [
        ("sts", "GetCallerIdentity", json!({})),
        ("iam", "GetUser", json!({"UserName": "nothing"})),
        ("iam", "CreateUser", json!({"UserName": format!("u-{round}")})),
        ("kms", "CreateKey", json!({"Description": round})),
        ("kms", "GenerateRandom", json!({"NumberOfBytes": 8})),
        ("s3", "CreateBucket", json!({"Bucket": format!("b-{round}")})),
        ("s3", "ListBuckets", json!({})),
    ];
    make(&root, table.into_iter())
}

/// The same where each call costs its whole time limit: one of each way to the ledger.
fn few_calls(site: &Site, round: &str) -> Vec<(String, Result<String, writ_tests::Failure>)> {
    let root = Actor::root(site, Client::Boto, ANN);
    let table = [
        ("sts", "GetCallerIdentity", json!({})),
        ("iam", "CreateUser", json!({"UserName": format!("u-{round}")})),
        ("kms", "GenerateRandom", json!({"NumberOfBytes": 8})),
        ("s3", "ListBuckets", json!({})),
    ];
    make(&root, table.into_iter())
}

fn make<'c>(
    root: &Actor<'_>,
    calls: impl Iterator<Item = (&'c str, &'c str, serde_json::Value)>,
) -> Vec<(String, Result<String, writ_tests::Failure>)> {
    let call = |(service, name, params): (&str, &str, serde_json::Value)| {
        let result = root.call(service, name, &params);
        let id = result.map(|reply| {
            reply["ResponseMetadata"]["RequestId"].as_str().unwrap_or_default().to_owned()
        });
        (format!("{service} {name}"), id)
    };
    calls.map(call).collect()
}

/// Every call must fail, with an error that clients try again.
fn all_refused(round: &str, calls: Vec<(String, Result<String, writ_tests::Failure>)>) {
    for (what, result) in calls {
        println!("{round}: {what}: {result:?}");
        let failure = result.expect_err(&format!("{what} was answered without the ledger"));
        let retryable = [
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "KMSInternalException",
            "DependencyTimeoutException",
            "InternalError",
            "SlowDown",
        ];
        assert!(
            failure.status >= 500 && retryable.contains(&failure.code.as_str()),
            "{what}: {failure:?}"
        );
    }
}

/// Nothing half done: what exists has its record, what failed left nothing that is not recorded.
fn nothing_half_done(site: &Site, rounds: &[&str]) {
    let root = Actor::root(site, Client::Boto, ANN);
    let users = root.ok("iam", "ListUsers", json!({}));
    let users: BTreeSet<String> =
        crate::operations::texts(&users, "Users", "UserName").into_iter().collect();
    let recorded = || -> BTreeSet<String> {
        let events = site.ledger().events();
        let made = events
            .iter()
            .filter(|event| event.operation() == "iam.CreateUser" && event.error().is_empty());
        made.map(|event| event.text("/requestParameters/userName").to_owned()).collect()
    };
    // The record files are a moment behind the log.
    within(Duration::from_secs(10), || (recorded() == users).then_some(()));
    assert_eq!(users, recorded(), "users against their records");
    for round in rounds {
        println!("round {round}: the user exists: {}", users.contains(&format!("u-{round}")));
    }
}

/// A frozen ledger writer: all calls fail in bounded time, and go on once it thaws.
#[test]
fn c03_frozen_ledger_fails_every_call() {
    let site = Site::start();
    for (what, result) in calls(&site, "before") {
        let expected_denial = what == "iam GetUser";
        assert_eq!(result.is_err(), expected_denial, "{what}: {result:?}");
    }
    let trail = site.pid("trail");
    process::signal(trail, Signal::STOP);
    all_refused("frozen", few_calls(&site, "frozen"));
    process::signal(trail, Signal::CONT);
    site.wait_until_served();
    let after = calls(&site, "after");
    assert_eq!(after.iter().filter(|(_, result)| result.is_err()).count(), 1, "{after:?}");
    let ids: BTreeSet<String> = after.into_iter().filter_map(|(_, result)| result.ok()).collect();
    assert_eq!(site.ledger().missing(&ids), BTreeSet::new());
    nothing_half_done(&site, &["before", "frozen", "after"]);
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// A ledger writer that is killed again and again: what was answered is recorded.
#[test]
fn c03_killed_ledger_loses_no_answered_call() {
    let site = Site::start();
    let mut answered = BTreeSet::new();
    let mut failed = 0;
    let rounds = ["k0", "k1", "k2"];
    for round in rounds {
        let pid = site.kill("trail");
        until("trail to be gone", || (!process::lives(pid)).then_some(()));
        for (what, result) in calls(&site, round) {
            match result {
                Ok(id) => drop(answered.insert(id)),
                Err(failure) if what == "iam GetUser" && failure.code == "NoSuchEntity" => {
                    answered.insert(failure.request);
                }
                Err(failure) => {
                    assert!(failure.status >= 500 || failure.status == 0, "{what}: {failure:?}");
                    failed += 1;
                }
            }
        }
        site.wait_until_served();
    }
    println!("{} calls were answered, {failed} failed", answered.len());
    assert!(failed > 0, "the kill had no effect");
    assert_eq!(site.ledger().missing(&answered), BTreeSet::new());
    nothing_half_done(&site, &rounds);
    site.ledger().wait("trail's end", |event| {
        event.text("/eventName") == "ProcessRestarted"
            && event.text("/serviceEventDetails/process") == "trail"
    });
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// A full disk: calls fail, nothing answered is lost, and room brings it back without a restart.
#[test]
fn c03_full_disk_fails_every_call() {
    let home = passable_dir();
    let disk = home.path().join("disk");
    fs::create_dir(&disk).unwrap();
    if !mount(&disk, 96) {
        skipped("C-03: the full disk: mounting a tmpfs is refused here");
        return;
    }
    let unmount = Unmount(&disk);
    let options = Options {
        accounts: vec![ANN.to_owned(), BOB.to_owned()],
        config: Some(
            "ledger-floor-mib = 16\nobjects-floor-mib = 16\nlisten-s3 = \"127.0.0.1:0\"\n\
                      listen-watch = \"127.0.0.1:0\"\n"
                .to_owned(),
        ),
        dir: Some(disk.join("data")),
        ..Options::default()
    };
    let site = Site::with(options);
    let before = calls(&site, "before");
    assert_eq!(before.iter().filter(|(_, result)| result.is_err()).count(), 1, "{before:?}");
    fill(&disk.join("ballast"), &disk);
    until("the ledger to refuse", || {
        let root = Actor::root(&site, Client::Boto, ANN);
        root.call("sts", "GetCallerIdentity", &json!({})).is_err().then_some(())
    });
    all_refused("full", calls(&site, "full"));
    fs::remove_file(disk.join("ballast")).unwrap();
    site.wait_until_served();
    changes_again(&site);
    let after = calls(&site, "after");
    assert_eq!(after.iter().filter(|(_, result)| result.is_err()).count(), 1, "{after:?}");
    nothing_half_done(&site, &["before", "full", "after"]);
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    drop(site);
    drop(unmount);
}

/// Waits until changes are taken again; the stores ask the ledger with growing pauses.
fn changes_again(site: &Site) {
    let root = Actor::root(site, Client::Boto, ANN);
    let mut number = 0;
    until("changes to be taken again", || {
        number += 1;
        let user = json!({"UserName": format!("again-{number}")});
        let bucket = json!({"Bucket": format!("again-{number}")});
        root.call("iam", "CreateUser", &user).ok()?;
        root.call("s3", "CreateBucket", &bucket).ok().map(|_| ())
    });
}

struct Unmount<'p>(&'p Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().unwrap();
    }
}

fn mount(path: &Path, mib: u32) -> bool {
    let size = format!("size={mib}m,mode=0711");
    let output =
        Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// Fills the disk until next to nothing is left.
fn fill(ballast: &Path, disk: &Path) {
    let stat = rustix::fs::statvfs(disk).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    let length = usize::try_from(free.saturating_sub(1 << 20)).unwrap();
    fs::write(ballast, vec![0; length]).unwrap();
}
