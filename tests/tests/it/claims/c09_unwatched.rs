//! C-09: a host that nobody watches opens to nobody, and sessions there end with watch's last good word.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use writ_tests::agent::Agent;
use writ_tests::{process, until};

use crate::operators::gate::{Gate, parameter, site};

/// The lease of watch's word, and what reading it may take.
const LEASE: Duration = Duration::from_secs(10 + 1);

#[test]
fn deadline_c09_session_on_a_host_whose_agent_was_killed_is_cut_and_none_begins() {
    let site = site();
    let gate = Gate::at(&site);
    let mut agent = Agent::start(&site, "web-1");
    gate.grant(&["--shell"], "1h");
    let opens = || gate.ssh("anna", &[], &["true"]).output().unwrap().status.success();
    agent.wait_until_open(&site);
    assert!(opens());
    let mut shell = gate.shell("anna");
    agent.signal(Signal::KILL);
    let killed = Instant::now();
    until("the gate to close", || {
        let said = gate.ssh("anna", &[], &["true"]).output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        said.contains("is not watched now").then_some(())
    });
    println!("no session begins {:?} after the agent was killed", killed.elapsed());
    assert!(shell.lives(), "a moment without its agent ends no session: {}", shell.errors());
    let why = shell.dies((LEASE + Duration::from_secs(2)).saturating_sub(killed.elapsed()));
    println!("the session was cut after {:?}: {why}", killed.elapsed());
    assert!(why.contains("its host is not watched any more"), "{why}");
    gate.event("RefuseLogin", |event| event.text("/errorMessage").contains("is not watched now"));
    gate.event("EndSession", |event| parameter(event, "reason").contains("not watched any more"));
    // The agent is back, and so is the host.
    agent.run();
    until("the gate to open again", || opens().then_some(()));
}

/// A watch that stands still says nothing: its silence is no good word.
#[test]
fn deadline_c09_silent_watch_cuts_sessions_on_the_hosts_that_it_knows() {
    let site = site();
    let gate = Gate::at(&site);
    let agent = Agent::start(&site, "web-1");
    gate.grant(&["--shell"], "1h");
    let opens = || gate.ssh("anna", &[], &["true"]).output().unwrap().status.success();
    agent.wait_until_open(&site);
    assert!(opens());
    let mut shell = gate.shell("anna");
    let watch = site.pid("watch");
    process::signal(watch, Signal::STOP);
    let stopped = Instant::now();
    let why = shell.dies(LEASE);
    process::signal(watch, Signal::CONT);
    println!("the session was cut after {:?}: {why}", stopped.elapsed());
    assert!(why.contains("watch has not been heard"), "{why}");
    until("the gate to open again", || opens().then_some(()));
}
