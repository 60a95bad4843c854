//! C-08: what a session has left behind on a host ends with it.

use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};
use writ_proof::hostlog::Payload;
use writ_tests::agent::{Agent, alarms, held};
use writ_tests::wait::within;
use writ_tests::{Site, process, until};

use crate::operators::gate::{Gate, Shell, site};

/// The bastion cuts a session within a second; the agent looks forty times a second.
const BAR: Duration = Duration::from_millis(1500);

/// A shell that leaves two processes behind: one that does not hear the end of its terminal, and one that has left
/// its session and its parents. It prints their numbers, and stays.
const LEAVES: &str = "nohup sleep 1000 >/dev/null 2>&1 & echo pid $!; \
    (setsid sh -c 'echo pid $$; exec sleep 1001' 2>&1 &) ; exec cat";

/// A shell that is another program at once, and leaves nothing of how it came in.
const HIDES: &str =
    ": > $SSH_USER_AUTH; exec env -i sh -c 'echo pid $$; echo pid $$; exec sleep 1002'";

/// Anna's, who is too quick for the agent: what it looks with stands still until the shell is another program.
fn hides(gate: &Gate<'_>, agent: &Agent) -> (Shell, Vec<u32>) {
    let children = format!("/proc/{0}/task/{0}/children", agent.pid());
    let children = std::fs::read_to_string(children).unwrap();
    let reader = children.trim().parse().unwrap();
    process::signal(reader, Signal::STOP);
    let shell = gate.shell_with("anna", &[], &[HIDES]);
    let left = until("the process", || pids(&shell.said()));
    process::signal(reader, Signal::CONT);
    (shell, left)
}

/// The agent of the gate's host, which ends sessions.
fn agent(site: &Site, gate: &Gate<'_>) -> Agent {
    agent_with(site, gate, "")
}

/// The same, with more to report.
fn agent_with(site: &Site, gate: &Gate<'_>, more: &str) -> Agent {
    let sessions = format!(
        "\n[sessions]\nauthority = \"{}\"\npid-file = \"{}\"\n{more}",
        site.dir().join("ssh_ca.pub").display(),
        gate.host.pid_file().display(),
    );
    let mut agent = Agent::enrol_edited(site, "web-1", |text| text + &sessions);
    agent.run();
    agent.wait_until_open(site);
    agent
}

fn pids(said: &str) -> Option<Vec<u32>> {
    let pids: Vec<u32> =
        said.lines().filter_map(|line| line.strip_prefix("pid ")?.trim().parse().ok()).collect();
    (pids.len() == 2).then_some(pids)
}

fn notes(site: &Site) -> Vec<String> {
    let frames = held(site.dir(), "web-1").into_iter().filter(|frame| frame.source == "sessions");
    let text = frames.filter_map(|frame| match frame.payload {
        Payload::Note(text) => Some(text),
        _ => None,
    });
    text.collect()
}

#[test]
fn deadline_c08_what_a_session_left_behind_dies_with_its_grant() {
    assert!(geteuid().is_root(), "an agent ends others' processes as root alone");
    let site = site();
    let gate = Gate::at(&site);
    let agent = agent(&site, &gate);
    let id = gate.grant(&[], "1h");
    let shell = gate.shell_with("anna", &[], &[LEAVES]);
    let left = until("the processes", || pids(&shell.said()));
    until("the session to be told", || {
        notes(&site).iter().any(|note| note.contains("began")).then_some(())
    });
    assert!(left.iter().all(|pid| process::lives(*pid)));
    gate.shift.ok("dora", &["revoke", &id]);
    let revoked = Instant::now();
    let gone = within(BAR, || left.iter().all(|pid| !process::lives(*pid)).then_some(()));
    println!("revoked to gone: {:?}", revoked.elapsed());
    assert!(gone.is_some(), "{left:?} live: {}", agent.printed());
    let told = until("the end to be told", || {
        notes(&site).into_iter().find(|note| note.contains("ended"))
    });
    assert!(told.contains("user=anna") && told.contains("sleep"), "{told}");
    println!("{told}");
}

/// The agent needs nobody for it: the bastion is frozen, and nothing cuts the session.
#[test]
fn deadline_c08_session_dies_on_the_host_at_the_signed_deadline_without_the_bastion() {
    let site = site();
    let gate = Gate::at(&site);
    let agent = agent(&site, &gate);
    let id = gate.grant(&[], "20s");
    let shell = gate.shell_with("anna", &[], &[LEAVES]);
    let left = until("the processes", || pids(&shell.said()));
    until("the session to be told", || {
        notes(&site).iter().any(|note| note.contains("began")).then_some(())
    });
    let bastion = site.pid("bastion");
    process::signal(bastion, Signal::STOP);
    let grant = gate.shift.stored("grant", &id).unwrap();
    let over = Duration::from_millis(grant["not_after"].as_u64().unwrap());
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let second = Duration::from_secs(1);
    while now() + 2 * second < over {
        assert!(left.iter().all(|pid| process::lives(*pid)), "{}", agent.printed());
        std::thread::sleep(Duration::from_millis(100));
    }
    let limit = over.saturating_sub(now()) + second;
    let gone = within(limit, || left.iter().all(|pid| !process::lives(*pid)).then_some(()));
    process::signal(bastion, Signal::CONT);
    assert!(gone.is_some(), "{left:?} live after their deadline: {}", agent.printed());
    until("the end to be told", || {
        notes(&site).iter().any(|note| note.contains("its deadline has come")).then_some(())
    });
}

/// Neither its environment nor the file of its login is left, before anybody has looked: sshd's own log tells.
#[test]
fn deadline_c08_session_that_hides_whose_it_is_dies_with_its_grant_and_is_told() {
    let site = site();
    let gate = Gate::at(&site);
    let log = gate.host.log_file();
    let log = format!("\n[[file]]\nname = \"host\"\npath = \"{}\"\n", log.display());
    let agent = agent_with(&site, &gate, &log);
    let id = gate.grant(&[], "1h");
    let (_shell, left) = hides(&gate, &agent);
    let told = until("its hiding to be told", || {
        notes(&site).into_iter().find(|note| note.contains("does not show its certificate"))
    });
    assert!(told.contains("user=anna") && told.contains("sleep"), "{told}");
    assert!(left.iter().all(|pid| process::lives(*pid)));
    gate.shift.ok("dora", &["revoke", &id]);
    let gone = within(BAR, || left.iter().all(|pid| !process::lives(*pid)).then_some(()));
    assert!(gone.is_some(), "{left:?} live: {}", agent.printed());
    until("the end to be told", || {
        notes(&site)
            .iter()
            .any(|note| note.contains("ended") && note.contains("user=anna"))
            .then_some(())
    });
}

/// Without that log nobody can tell whose it is; that shows.
#[test]
fn c08_connection_that_does_not_show_how_it_was_opened_is_an_alarm() {
    let site = site();
    let gate = Gate::at(&site);
    let agent = agent(&site, &gate);
    gate.grant(&[], "1h");
    let (_shell, left) = hides(&gate, &agent);
    until("the alarm", || {
        let about =
            |(kind, text): &(String, String)| kind == "source-silent" && text.contains("sessions");
        alarms(&site).iter().any(about).then_some(())
    });
    let is_told = |note: &String| note.contains("did not show how it was opened");
    assert!(notes(&site).iter().any(is_told), "{}", agent.printed());
    left.iter().for_each(|pid| _ = process::signal(*pid, Signal::KILL));
}
