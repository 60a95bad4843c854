//! C-09: whoever reaches the agents' listener and is no agent neither ends watch nor keeps agents out.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::Note;
use writ_tests::agent::{Agent, lines};
use writ_tests::site::Options;
use writ_tests::wait::within;
use writ_tests::{Site, process, until};

/// More than the descriptors that watch has here.
const STRANGERS: usize = 200;

/// A site without customers whose watch has been started anew with this limit of open files.
fn site(soft: u64, hard: u64) -> Site {
    let site = Site::with(Options { accounts: Vec::new(), ..Options::default() });
    let supervisor = i32::try_from(site.pid("supervisor")).unwrap();
    let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
    prlimit(Pid::from_raw(supervisor), Resource::Nofile, limit).unwrap();
    let killed = site.kill("watch");
    until("watch to be started anew", || {
        let is_new = site.pid("watch") != killed;
        let serves = UnixStream::connect(site.dir().join("watch/control.sock")).is_ok();
        (is_new && serves).then_some(())
    });
    site
}

#[test]
fn c09_silent_connections_take_no_descriptor_that_watch_needs() {
    let site = site(192, 192);
    let first = Agent::start(&site, "web-1");
    let watch = site.pid("watch");
    let address = site.ready["agents"].as_str().unwrap();
    let silent: Vec<TcpStream> =
        (0..STRANGERS).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Each second watch writes a checkpoint of what came.
    let begun = Instant::now();
    let mut written = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        first.write([format!("line {written}")]);
        written += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    until("the lines to be at watch", || {
        (lines(site.dir(), "web-1").len() == written).then_some(())
    });
    assert!(process::lives(watch) && site.pid("watch") == watch);
    drop(silent);
}

#[test]
fn c09_silent_connections_keep_no_agent_out() {
    let site = site(192, 192);
    let mut second = Agent::enrol(&site, "web-2");
    let address = site.ready["agents"].as_str().unwrap();
    let connect = || TcpStream::connect(address).unwrap();
    let mut silent: Vec<TcpStream> = (0..STRANGERS).map(|_| connect()).collect();
    second.run();
    // Whoever was sent away comes again.
    let held = until("the agent to be heard among strangers", || {
        silent.drain(..10);
        silent.extend((0..10).map(|_| connect()));
        second.write(["line".to_owned()]);
        lines(site.dir(), "web-2").first().cloned()
    });
    assert_eq!(held, "line");
}

#[test]
fn c09_process_has_all_descriptors_that_its_hard_limit_allows() {
    let site = site(256, 4096);
    let limits = fs::read_to_string(format!("/proc/{}/limits", site.pid("watch"))).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3..5], ["4096", "4096"]);
}

/// How much of the ledger watch has cosigned.
fn cosigned(site: &Site) -> u64 {
    let logs = fs::read_dir(site.dir().join("trail/logs/writ")).unwrap().next().unwrap().unwrap();
    let Ok(note) = fs::read(logs.path().join("checkpoint/cosigned")) else { return 0 };
    Checkpoint::of(&Note::from_bytes(&note).unwrap()).unwrap().size
}

/// Sixteen processes of the control machine that say nothing kept trail out, and so watch without the ledger.
#[test]
fn c09_silent_connections_keep_no_trail_out() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Some(format!("listen-watch = \"{free}\"\nlisten-s3 = \"127.0.0.1:0\"\n"));
    let site = Site::with(Options { accounts: Vec::new(), config, ..Options::default() });
    let silent: Vec<TcpStream> = (0..140).map(|_| TcpStream::connect(free).unwrap()).collect();
    site.kill("trail");
    let before = cosigned(&site);
    // If each of them were waited for it would be 40 s.
    let heard = within(Duration::from_secs(20), || (cosigned(&site) > before).then_some(()));
    assert!(heard.is_some(), "watch hears nothing of the ledger");
    drop(silent);
}
