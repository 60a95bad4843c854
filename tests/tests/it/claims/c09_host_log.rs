//! C-09, C-04: watch's own log cannot be rolled back or changed unnoticed, by watch's owner least of all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::hostlog::Payload;
use writ_proof::note::Note;
use writ_tests::Site;
use writ_tests::agent::{Agent, alarm_within, alarms, held, lines, watch};
use writ_tests::site::Options;
use writ_tests::wait::{PATIENCE, until};

fn site() -> Site {
    Site::with(Options { accounts: Vec::new(), ..Options::default() })
}

/// How many entries keyd has cosigned, as watch or as trail keeps it.
fn cosigned(path: &Path) -> u64 {
    let Ok(bytes) = fs::read(path) else { return 0 };
    Checkpoint::of(&Note::from_bytes(&bytes).unwrap()).unwrap().size
}

fn own(site: &Site) -> PathBuf {
    site.dir().join("watch/hostlog/cosigned")
}

fn kept(site: &Site) -> PathBuf {
    site.dir().join("trail/host.cosigned")
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn c09_watch_from_an_old_copy_is_noticed_by_keyd_trail_and_verify() {
    let mut site = site();
    let agent = Agent::start(&site, "web-1");
    agent.write(["one".to_owned()]);
    until("the line to be held", || (lines(site.dir(), "web-1").len() == 1).then_some(()));
    let first =
        until("keyd's cosignature", || Some(cosigned(&own(&site))).filter(|size| *size > 3));
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
    drop(agent);
    assert!(site.stop().success());
    let hostlog = site.dir().join("watch/hostlog");
    let old = site.home().join("old");
    copy(&hostlog, &old);
    site.start_again("").unwrap();
    watch(&site, &["token", "web-2"]);
    let second =
        until("the next cosignature", || Some(cosigned(&kept(&site))).filter(|size| *size > first));
    assert!(site.stop().success());
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
    copy(&old, &hostlog);
    let verdict = site.verify();
    assert_eq!(verdict.code, 13, "{}", verdict.text);
    site.start_again("").unwrap();
    assert!(alarm_within(&site, "watch-rolled-back", Duration::from_secs(20)).is_some());
    // The ledger tells of it too: nobody needs watch's word.
    let told = "watch was rolled back to an old copy";
    until("the ledger's record", || {
        let records = site.dir().join("trail/logs");
        let mut files = vec![records];
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.file_name().is_some_and(|name| name == "records.dat") {
                let bytes = fs::read(path).unwrap();
                if bytes.windows(told.len()).any(|window| window == told.as_bytes()) {
                    return Some(());
                }
            }
        }
        None
    });
    assert_eq!(cosigned(&kept(&site)), second, "keyd does not cosign what does not extend");
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 13, "{}", verdict.text);
    println!("{}", verdict.text);
}

#[test]
fn c09_certificate_is_renewed_before_it_ends() {
    let mut site = site();
    assert!(site.stop().success());
    site.start_again("watch.short_certificates").unwrap();
    let mut agent = Agent::start(&site, "web-1");
    let first = fs::read(agent.kept("agent.pem")).unwrap();
    until("the next certificate", || {
        (fs::read(agent.kept("agent.pem")).unwrap() != first).then_some(())
    });
    // The first one is over by then.
    std::thread::sleep(Duration::from_secs(6));
    agent.signal(Signal::TERM);
    agent.run();
    agent.wait_until_watched(&site);
    let ends = held(site.dir(), "web-1").into_iter();
    let signed = ends.filter(|frame| matches!(frame.payload, Payload::Ended(_)));
    assert!(signed.into_iter().all(|frame| frame.signature.is_some()));
    drop(agent);
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// The value of a field in `/proc/PID/status`.
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let prefix = format!("{field}:");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().trim().to_owned()
}

/// The process that reads for an agent.
fn reader(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn c09_agent_that_ships_has_no_rights_and_ends_with_its_reader() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    let pid = agent.pid();
    let reader = reader(pid);
    assert_eq!(status(pid, "CapEff"), "0000000000000000");
    // CAP_DAC_READ_SEARCH (linux/capability.h): it follows one file.
    assert_eq!(status(reader, "CapEff"), "0000000000000004");
    for pid in [pid, reader] {
        assert_eq!(status(pid, "CapPrm"), status(pid, "CapEff"));
        assert_eq!(status(pid, "NoNewPrivs"), "1");
        assert_eq!(status(pid, "Seccomp"), "2", "a filter");
    }
    let shown = watch(&site, &["hosts"]);
    println!("{shown}");
    assert!(shown.contains("processes      confined"), "{shown}");
    agent.write(["one".to_owned()]);
    until("the line to be held", || (lines(site.dir(), "web-1").len() == 1).then_some(()));
    writ_tests::process::signal(reader, Signal::KILL);
    until("the agent to end", || agent.has_ended().then_some(()));
    assert!(alarm_within(&site, "agent-killed", Duration::from_secs(5)).is_some());
    agent.run();
    agent.wait_until_watched(&site);
    agent.write(["two".to_owned()]);
    until("both lines, once", || (lines(site.dir(), "web-1") == ["one", "two"]).then_some(()));
    let reader = self::reader(agent.pid());
    agent.signal(Signal::KILL);
    until("the reader to end too", || (!writ_tests::process::lives(reader)).then_some(()));
}

/// Whoever may write in the folder of a log, and no more, would read every file of the host by a link.
#[test]
fn c09_link_in_the_place_of_a_log_sends_no_line_of_another_file() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    agent.write(["one".to_owned()]);
    until("the line to be held", || (lines(site.dir(), "web-1") == ["one"]).then_some(()));
    fs::remove_file(&agent.log).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &agent.log).unwrap();
    assert!(alarm_within(&site, "source-silent", PATIENCE).is_some(), "{}", agent.printed());
    let told = alarms(&site);
    let why = "source `sshd`: it is `/etc/passwd`, which lies in no folder that this host lets be reported";
    assert!(told.iter().any(|(_, text)| text.contains(why)), "{told:?}");
    // Nor from its beginning, by a start that finds it there.
    agent.signal(Signal::TERM);
    agent.run();
    agent.wait_until_watched(&site);
    fs::remove_file(&agent.log).unwrap();
    agent.write(["two".to_owned()]);
    until("both lines", || (lines(site.dir(), "web-1").len() >= 2).then_some(()));
    assert_eq!(lines(site.dir(), "web-1"), ["one", "two"]);
}
