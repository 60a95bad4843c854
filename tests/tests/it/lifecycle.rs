//! Start, stop, restart, recovery: what an operator's directory goes through.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use writ_proof::cbor;
use writ_proof::frame::{Batch, Entry, Frame, Frames, frame_hash};
use writ_proof::leaf::Head;
use writ_proof::origin::LogName;
use writ_tests::site::{self, ANN, Verdict, binary, passable_dir};
use writ_tests::wait::{PATIENCE, within};
use writ_tests::{Client, Options, Site, process, until};

use crate::operations::Actor;

fn options() -> Options {
    Options { accounts: vec![ANN.to_owned()], ..Options::default() }
}

fn create_users(site: &Site, prefix: &str, count: usize) {
    let root = Actor::root(site, Client::Boto, ANN);
    for n in 0..count {
        root.ok("iam", "CreateUser", json!({"UserName": format!("{prefix}{n}")}));
    }
}

fn users(site: &Site) -> usize {
    let root = Actor::root(site, Client::Boto, ANN);
    let users = root.ok("iam", "ListUsers", json!({}));
    crate::operations::texts(&users, "Users", "UserName").len()
}

fn recover(dir: &Path, more: &[&str]) -> Verdict {
    let data = dir.to_str().unwrap();
    site::run(&[&["recover", "--data", data], more].concat())
}

/// All files below a folder with their content.
fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut left) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                // watch's socket, while it runs.
                false if !path.is_file() => {}
                false => found.push((path.display().to_string(), fs::read(&path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

/// Without its genesis an established directory was taken for a new one, and keyd's root removed.
#[test]
fn missing_genesis_destroys_nothing() {
    let mut site = Site::with(options());
    create_users(&site, "u", 2);
    assert!(site.stop().success());
    let genesis = site.dir().join("genesis");
    let kept = fs::read(&genesis).unwrap();
    fs::remove_file(&genesis).unwrap();
    let before = snapshot(site.dir());
    let failure = site.start_again("").expect_err("it started without genesis");
    assert!(failure.log.contains("an installation has run"), "{}", failure.log);
    assert!(snapshot(site.dir()) == before, "a refused start changed something");
    // The refusal names the command; it works as it is printed.
    let command = failure.log.split_once('`').unwrap().1;
    let command = command.split('`').find(|part| part.starts_with("install ")).unwrap();
    let status = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(status.success(), "{command}");
    assert!(fs::read(&genesis).unwrap() == kept);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    assert_eq!(users(&site), 2);

    // Nothing else that is made once is made anew either.
    assert!(site.stop().success());
    for name in ["keyd/root", "keyd/head", "front/state.sqlite", "s3", "trail/wal"] {
        let (path, aside) = (site.dir().join(name), site.home().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let failure = site.start_again("").expect_err("it started without what is made once");
        assert!(failure.log.contains(&format!("{name}` is missing")), "{name}: {}", failure.log);
        assert!(!path.exists());
        fs::rename(&aside, &path).unwrap();
    }
}

/// A first start that was cut off before its genesis goes on; what it left is kept.
#[test]
fn first_start_that_was_cut_off_goes_on() {
    let home = passable_dir();
    let dir = home.path().join("data");
    fs::create_dir_all(dir.join("keyd")).unwrap();
    fs::write(dir.join("FORMAT"), "writ data directory, format 1\n").unwrap();
    fs::write(dir.join("keyd/root"), b"unfinished").unwrap();
    let site = Site::with(Options { dir: Some(dir.clone()), ..options() });
    site.wait_until_served();
    let left = snapshot(&dir).into_iter().find(|(_, content)| content == b"unfinished").unwrap();
    assert!(left.0.contains("/unfinished-"), "{}", left.0);
}

/// Front dies between keyd's credential for a new account and its own commit: the number could not be
/// used in this directory any more.
#[test]
fn account_whose_creation_was_cut_off_is_created_again() {
    let home = passable_dir();
    let dir = home.path().join("data");
    let mut command = Command::new(binary());
    command.args(["up", "--listen", "127.0.0.1:0", "--account", ANN, "--data"]).arg(&dir);
    command.env("WRIT_FAILPOINT", "store.before_commit");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Front is started again and again; keyd lives on and gives it another credential each time.
    let profile = || {
        let text = fs::read_to_string(dir.join("credentials")).unwrap_or_default();
        text.lines().find(|line| line.contains("aws_access_key_id")).map(str::to_owned)
    };
    let first = until("a credential that is not stored", profile);
    until("another one", || profile().filter(|other| *other != first));
    process::signal(child.id(), Signal::TERM);
    child.wait().unwrap();
    let site = Site::with(Options { dir: Some(dir), ..options() });
    site.wait_until_served();
    create_users(&site, "u", 1);
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}

/// `ready.json` was there a second before signed calls were served.
#[test]
fn ready_means_served() {
    let mut site = Site::with(options());
    for round in 0..3 {
        let reply = site
            .http("sts")
            .query(&site.root(ANN), "Action=GetCallerIdentity&Version=2011-06-15")
            .unwrap();
        assert_eq!(reply.status, 200, "round {round}: {}", reply.text());
        assert!(site.stop().success());
        site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    }
}

/// Ctrl-C reaches the whole foreground group: the children died with the supervisor, without a last
/// checkpoint.
#[test]
fn ctrl_c_stops_in_order() {
    let home = passable_dir();
    let dir = home.path().join("data");
    let mut command = Command::new(binary());
    command.args(["up", "--listen", "127.0.0.1:0", "--account", ANN, "--data"]).arg(&dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().unwrap();
    let ready: Value = until("ready.json", || {
        serde_json::from_slice(&fs::read(dir.join("ready.json")).ok()?).ok()
    });
    let endpoint = ready["endpoint"].as_str().unwrap().to_owned();
    let text = fs::read_to_string(dir.join("credentials")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(" = ").to_owned()
    };
    let (id, secret) = (field("aws_access_key_id"), field("aws_secret_access_key"));
    let root = writ_tests::Credentials::long_term(ANN, &id, &secret);
    let load: Vec<_> = (0..8)
        .map(|thread| {
            let (root, http) = (root.clone(), writ_tests::http::Http::new(&endpoint, "iam"));
            std::thread::spawn(move || {
                let mut done = 0;
                for n in 0.. {
                    let form =
                        format!("Action=CreateUser&Version=2010-05-08&UserName=t{thread}-{n}");
                    match http.query(&root, &form) {
                        Ok(reply) => done += usize::from(reply.status == 200),
                        Err(_) => return done,
                    }
                }
                done
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(1500));
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let children = process::of_supervisor(child.id());
    kill_process_group(group, Signal::INT).unwrap();
    let status = within(PATIENCE, || child.try_wait().unwrap()).expect("it does not stop");
    let done: usize = load.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(status.success(), "{status}");
    assert!(done > 0);
    assert!(children.iter().all(|process| !process::lives(process.pid)));
    assert!(!dir.join("ready.json").exists());
    let genesis = ready["genesis"].as_str().unwrap();
    let verdict = site::verify(&dir, genesis, &home.path().join("seen"));
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    println!("{done} acknowledged\n{}", verdict.text);
    let uncovered = uncovered(&dir);
    assert!(uncovered.is_empty(), "the last checkpoint does not cover {uncovered:?}");
}

/// Logs of accounts with more records than the newest signed checkpoint covers.
fn uncovered(dir: &Path) -> Vec<String> {
    let bytes = fs::read(dir.join("trail/wal/0000000000.wal")).unwrap();
    let mut sizes = std::collections::BTreeMap::new();
    let mut heads = std::collections::BTreeMap::new();
    for frame in Frames::new(&bytes) {
        for entry in frame.unwrap().frame.batch.entries {
            for leaf in entry.decoded_leaves().unwrap() {
                sizes.insert(leaf.log.to_string(), leaf.seq + 1);
                if leaf.log == LogName::Checkpoint
                    && let Ok(Head::Log(head)) = cbor::from_slice(&entry.record)
                {
                    heads.insert(head.origin.log.to_string(), head.size);
                }
            }
        }
    }
    let covered = |log: &String, size: u64| heads.get(log).is_some_and(|head| *head >= size);
    let accounts = sizes.iter().filter(|(log, _)| log.contains("account"));
    accounts.filter(|(log, size)| !covered(log, **size)).map(|(log, _)| log.clone()).collect()
}

/// Nobody is left to stop the children in order, so they end because their line to it ends.
#[test]
fn children_end_with_a_killed_supervisor() {
    let site = Site::with(options());
    let children = site.processes();
    site.kill("supervisor");
    until("the children to end", || {
        children.iter().all(|process| !process::lives(process.pid)).then_some(())
    });
    let verdict = site::run(&["status", "--data", site.dir().to_str().unwrap()]);
    assert_ne!(verdict.code, 0, "status of a killed site says that it runs: {}", verdict.text);
    assert!(verdict.text.contains("nothing serves"), "{}", verdict.text);
}

/// `ready.json` kept the ids of processes that had been restarted.
#[test]
fn status_follows_a_restart() {
    let site = Site::with(options());
    let status = || site::run(&["status", "--data", site.dir().to_str().unwrap()]);
    let first = status();
    assert_eq!(first.code, 0, "{}", first.text);
    let killed = site.kill("s3");
    until("the new process in `writ status`", || {
        let verdict = status();
        let mut lines = verdict.text.lines().filter(|line| line.contains("runs"));
        let line = lines.find(|line| line.trim().starts_with("s3 "));
        let is_new = line.is_some_and(|line| !line.contains(&killed.to_string()));
        (verdict.code == 0 && is_new).then_some(())
    });
    site.wait_until_served();
}

/// A file that was away for a moment when a process had to be started again ended the whole site, at once.
#[test]
fn failed_restart_is_tried_again() {
    let mut site = Site::with(options());
    let (root, aside) = (site.dir().join("keyd/root"), site.dir().join("keyd/aside"));
    fs::rename(&root, &aside).unwrap();
    site.kill("keyd");
    until("a failed start", || site.log().contains("tried again").then_some(()));
    fs::rename(&aside, &root).unwrap();
    site.wait_until_served();
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    assert!(site.ledger().events().iter().any(|e| e.text("/eventName") == "ProcessStartFailed"));
}

/// Each process says how it is confined, and is: what it does not own it cannot open.
#[test]
fn processes_are_confined_to_their_folders() {
    let site = Site::with(options());
    for role in ["front", "s3", "trail", "watch", "keyd"] {
        let landlock = site.ready["hardening"][role]["landlock"].as_str().unwrap_or_default();
        assert!(
            landlock.starts_with("on") || landlock.starts_with("refused: "),
            "{role}: {landlock}"
        );
    }
    let root = Actor::root(&site, Client::Boto, ANN);
    root.ok("s3", "CreateBucket", json!({"Bucket": "confined"}));
    create_users(&site, "u", 1);
    let text = site.log();
    assert!(!text.contains("Permission denied"), "{text}");
}

/// A process that never said that it serves held the first start up for ever, without a word.
#[test]
fn start_that_waits_says_for_whom() {
    let home = passable_dir();
    let (dir, log) = (home.path().join("data"), home.path().join("log"));
    let sink = fs::File::create(&log).unwrap();
    let mut command = Command::new(binary());
    command.args(["up", "--listen", "127.0.0.1:0", "--account", ANN, "--data"]).arg(&dir);
    command.stdin(Stdio::null()).stdout(sink.try_clone().unwrap()).stderr(sink);
    let mut child = command.spawn().unwrap();
    let stopped = until("a process to hold up", || {
        let processes = process::of_supervisor(child.id());
        let watch = processes.iter().find(|process| process.role == "watch")?;
        process::signal(watch.pid, Signal::STOP).then_some(watch.pid)
    });
    until("its name", || {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("still waiting until these processes serve: watch").then_some(())
    });
    process::signal(stopped, Signal::CONT);
    until("ready.json", || dir.join("ready.json").exists().then_some(()));
    process::signal(child.id(), Signal::TERM);
    let status = within(PATIENCE, || child.try_wait().unwrap()).expect("it does not stop");
    assert!(status.success(), "{status}");
}

/// A start that is refused because a port is taken wrote the new settings and accounts first.
#[test]
fn refused_start_changes_nothing() {
    let mut site = Site::with(options());
    assert!(site.stop().success());
    let (config, accounts) = (site.dir().join("writ.toml"), site.dir().join("accounts"));
    let own = format!("# my own remark\n{}", fs::read_to_string(&config).unwrap());
    fs::write(&config, &own).unwrap();
    let before = fs::read(&accounts).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = site.dir().to_str().unwrap().to_owned();
    let arguments = ["up", "--data", &data, "--listen", &address, "--account", "333333333333"];
    let verdict = site::run(&arguments);
    assert_ne!(verdict.code, 0);
    assert!(verdict.text.contains(&address), "{}", verdict.text);
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
    assert_eq!(fs::read(&accounts).unwrap(), before);
    // A start that goes well leaves the file of its author alone, too.
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
}

/// A log that reads whole was replaced by watch's shorter copy, without a word.
#[test]
fn recover_of_a_whole_log_is_refused() {
    let mut site = Site::with(options());
    create_users(&site, "u", 2);
    assert!(site.stop().success());
    let before = snapshot(&site.dir().join("trail"));
    let verdict = recover(site.dir(), &[]);
    assert_ne!(verdict.code, 0, "{}", verdict.text);
    assert!(verdict.text.contains("reads whole"), "{}", verdict.text);
    assert!(snapshot(&site.dir().join("trail")) == before);

    let mistyped = site.home().join("dta");
    let verdict = recover(&mistyped, &[]);
    assert_ne!(verdict.code, 0, "{}", verdict.text);
    assert!(!mistyped.exists(), "a mistyped --data made a directory");
}

/// Offsets of the frames of a segment.
fn starts(bytes: &[u8]) -> Vec<usize> {
    Frames::new(bytes).map(|frame| usize::try_from(frame.unwrap().at).unwrap()).collect()
}

/// Damage in the middle, and watch's copy ends before the log: everything that was acknowledged is there
/// afterwards. The process ends between the two renames once; the second run finishes.
#[test]
fn recover_keeps_what_watch_never_got() {
    let mut site = Site::with(options());
    create_users(&site, "u", 3);
    assert!(site.stop().success());
    // watch's copy loses its last frames, as if it had been away.
    let mirror = site.dir().join("watch/mirror/0000000000.wal");
    let bytes = fs::read(&mirror).unwrap();
    let at = starts(&bytes);
    fs::write(&mirror, &bytes[..at[at.len() - 4]]).unwrap();
    let wal = site.dir().join("trail/wal/0000000000.wal");
    let mut damaged = fs::read(&wal).unwrap();
    let middle = at[at.len() / 2] + 60;
    damaged[middle] ^= 1;
    fs::write(&wal, &damaged).unwrap();

    let mut cut_off = Command::new(binary());
    cut_off.args(["recover", "--data"]).arg(site.dir()).env("WRIT_FAILPOINT", "recover.between");
    assert!(!cut_off.stdout(Stdio::null()).status().unwrap().success());
    assert!(!wal.exists(), "the failpoint was not reached");
    let failure = site.start_again("").expect_err("it started in the middle of a recovery");
    assert!(failure.log.contains("writ recover --data"), "{}", failure.log);
    let verdict = recover(site.dir(), &[]);
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    assert!(verdict.text.contains("finished"), "{}", verdict.text);

    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    assert_eq!(users(&site), 3);
    until("the record of the recovery", || {
        site.ledger()
            .events()
            .iter()
            .any(|e| e.text("/eventName") == "LedgerRecovered")
            .then_some(())
    });
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// What is in neither copy is named, with the ids of the requests, and given up only on demand.
#[test]
fn recover_names_what_is_lost() {
    let mut site = Site::with(options());
    create_users(&site, "u", 2);
    assert!(site.stop().success());
    // Two frames more, as if they had been written and acknowledged while watch was away.
    let wal = site.dir().join("trail/wal/0000000000.wal");
    let mut bytes = fs::read(&wal).unwrap();
    let last = Frames::new(&bytes).last().unwrap().unwrap();
    let (mut prev, mut seq) = (last.hash, last.frame.next_seq());
    let first_added = bytes.len();
    for n in 0..2 {
        let record = json!({"eventID": format!("00000000-0000-4000-8000-00000000000{n}"),
            "eventName": "CreateUser", "requestID": format!("request-{n}")});
        let leaves =
            last.frame.batch.entries.iter().flat_map(|e| e.leaves.clone()).take(1).collect();
        let entry = Entry { record: record.to_string().into_bytes(), leaves };
        let batch = Batch { entries: vec![entry], ..Batch::default() };
        let frame = Frame { epoch: last.frame.epoch, first_seq: seq, prev, batch };
        seq = frame.next_seq();
        let frame = frame.to_bytes().unwrap();
        prev = frame_hash(&frame);
        bytes.extend(frame);
    }
    bytes[first_added + 60] ^= 1;
    fs::write(&wal, &bytes).unwrap();

    let before = snapshot(site.dir());
    let verdict = recover(site.dir(), &[]);
    assert_ne!(verdict.code, 0, "{}", verdict.text);
    assert!(verdict.text.contains("request-1"), "{}", verdict.text);
    let positions = format!("positions {} to {}", seq - 2, seq - 1);
    assert!(verdict.text.contains(&positions), "{positions}: {}", verdict.text);
    assert!(verdict.text.contains("--accept-loss"), "{}", verdict.text);
    assert!(snapshot(site.dir()) == before, "something was changed");

    let verdict = recover(site.dir(), &["--accept-loss"]);
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    assert_eq!(users(&site), 2);
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    let events = site.ledger().events();
    let recovered = events.iter().find(|e| e.text("/eventName") == "LedgerRecovered").unwrap();
    assert!(recovered.text("/serviceEventDetails/lost").starts_with("1 known"), "{recovered:?}");
}

/// A log that would end before a signed checkpoint could never start again: that is no recovery.
#[test]
fn recover_below_a_signed_checkpoint_is_refused() {
    let mut site = Site::with(options());
    create_users(&site, "u", 2);
    assert!(site.stop().success());
    let mirror = site.dir().join("watch/mirror/0000000000.wal");
    let wal = site.dir().join("trail/wal/0000000000.wal");
    let mut bytes = fs::read(&wal).unwrap();
    let at = starts(&bytes);
    let cut = at[at.len() / 2];
    fs::write(&mirror, &bytes[..cut]).unwrap();
    bytes[cut + 60] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    let verdict = recover(site.dir(), &["--accept-loss"]);
    assert_ne!(verdict.code, 0, "{}", verdict.text);
    assert!(verdict.text.contains("keyd has signed"), "{}", verdict.text);
    assert!(verdict.text.contains("CreateUser, request "), "{}", verdict.text);
    assert!(fs::read(&wal).unwrap() == bytes);
}
