//! C-08: a session that runs ends with what it rests on, within a second.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use writ_tests::site::ANN;
use writ_tests::{Client, process, until};

use crate::operations::Actor;
use crate::operators::gate::{Gate, parameter, site};
use crate::operators::people::{Staffed, line};
use crate::operators::roster::Desk;

const BAR: Duration = Duration::from_secs(1);

#[test]
fn deadline_c08_running_session_dies_with_its_grant() {
    let site = site();
    let gate = Gate::at(&site);
    let desk = Desk::at(&site);
    let mut took = Vec::new();
    type End<'a> = &'a dyn Fn(&str);
    let causes: [(&str, End<'_>, &str); 3] = [
        ("revoke", &|id| drop(gate.shift.ok("dora", &["revoke", id])), "revoked"),
        (
            "member",
            &|_| desk.changes(&["remove-member", "--group=oncall", "--person=anna"]),
            "policy_changed",
        ),
        (
            "ticket",
            &|_| drop(gate.shift.ok("dora", &["ticket", "close", "OPS-17"])),
            "ticket_closed",
        ),
    ];
    for (name, end, reason) in causes {
        let id = gate.grant(&[], "1h");
        let mut shell = gate.shell("anna");
        // In the middle of output, too.
        let mut busy = gate.shell_with("anna", &[], &["yes"]);
        until("output", || (busy.said().len() > 100_000).then_some(()));
        end(&id);
        let ended = Instant::now();
        // front looks every 500 ms for what the roster took away.
        let bar = if name == "member" { BAR * 3 } else { BAR };
        let why = shell.dies(bar);
        busy.dies(bar);
        took.push((name, ended.elapsed()));
        assert!(why.contains(reason), "{name}: {why}");
        gate.event("EndSession", |event| parameter(event, "reason").contains(reason));
        gate.fails(gate.ssh("anna", &[], &["true"]));
        if name == "member" {
            desk.changes(&["add-member", "--group=oncall", "--person=anna", "--days=90"]);
        }
    }
    println!("from the command's end to the clients' deaths: {took:?}");
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}

/// HR's word alone is enough, however the grant would have gone on.
#[test]
fn deadline_c08_session_of_a_leaver_dies() {
    let staffed = Staffed::start();
    let crew = |anna: &str| -> Vec<String> {
        let rest = ["boris", "carla", "dora"].map(|id| line(id, "active", ""));
        std::iter::once(line("anna", anna, "")).chain(rest).collect()
    };
    staffed.deliver(&crew("active"));
    staffed.wait_for("dora", "enabled");
    let gate = Gate::at(&staffed.site);
    gate.grant(&[], "1h");
    let mut shell = gate.shell("anna");
    staffed.deliver(&crew("terminated"));
    staffed.wait_for("anna", "left");
    let why = shell.dies(BAR);
    assert!(why.contains("leaver") || why.contains("may not act"), "{why}");
    gate.fails(gate.ssh("anna", &[], &["true"]));
}

/// The customer's word alone is enough: the support role is disabled under a session that runs.
#[test]
fn deadline_c08_session_dies_when_the_customer_disables_the_support_role() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&["--shell"], "1h");
    let mut shell = gate.shell("anna");
    let mut busy = gate.shell_with("anna", &[], &["yes"]);
    until("output", || (busy.said().len() > 100_000).then_some(()));
    let ann = Actor::root(&site, Client::Boto, ANN);
    let told = Instant::now();
    ann.ok("writ", "DisableSupportRole", serde_json::json!({}));
    let why = shell.dies(BAR);
    busy.dies(BAR);
    println!("from the customer's call to the clients' deaths: {:?}", told.elapsed());
    assert!(why.contains("role_disabled"), "{why}");
    gate.fails(gate.ssh("anna", &[], &["true"]));
    let told = gate.event("OperatorSessionEnded", |event| event.log == ANN);
    assert!(parameter(&told, "reason").contains("role_disabled"), "{}", told.record);
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}

/// The bastion's own clock is enough: no message is needed.
#[test]
fn deadline_c08_session_dies_at_expiry() {
    let site = site();
    let gate = Gate::at(&site);
    let id = gate.grant(&[], "20s");
    let mut shell = gate.shell("anna");
    let grant = gate.shift.stored("grant", &id).unwrap();
    let over = Duration::from_millis(grant["not_after"].as_u64().unwrap());
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    while now() + Duration::from_millis(300) < over {
        assert!(shell.lives(), "{}", shell.errors());
        std::thread::sleep(Duration::from_millis(50));
    }
    let why = shell.dies(over.saturating_sub(now()) + BAR);
    assert!(now() < over + BAR && why.contains("expired"), "{why}");
    gate.fails(gate.ssh("anna", &[], &["true"]));
}

/// Access is the union of the live grants: ending one of two leaves the other's.
#[test]
fn c08_session_goes_on_while_another_grant_covers_it() {
    let site = site();
    let gate = Gate::at(&site);
    let (first, second) = (gate.grant(&[], "2h"), gate.grant(&[], "1h"));
    let mut shell = gate.shell("anna");
    gate.shift.ok("dora", &["revoke", &first]);
    let over = gate.event("TakeOverSession", |_| true);
    assert_eq!(parameter(&over, "takenOverBy"), second);
    shell.types("under the other one\n");
    until("the echo", || shell.said().contains("under the other one").then_some(()));
    gate.shift.ok("dora", &["revoke", &second]);
    let why = shell.dies(BAR);
    assert!(why.contains("revoked"), "{why}");
}

/// A bastion that does not hear what is granted forwards nothing after a second, and closes after five.
#[test]
fn deadline_c08_session_freezes_and_closes_without_front() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let mut shell = gate.shell("anna");
    let front = site.pid("front");
    process::signal(front, Signal::STOP);
    let stopped = Instant::now();
    std::thread::sleep(Duration::from_millis(1500));
    shell.types("frozen\n");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!shell.said().contains("frozen"), "{}", shell.said());
    assert!(shell.lives());
    let refused = gate.fails(gate.ssh("anna", &[], &["true"]));
    let why = shell.dies(Duration::from_millis(6500).saturating_sub(stopped.elapsed()));
    process::signal(front, Signal::CONT);
    assert!(why.contains("has not heard"), "{why}");
    assert!(!shell.said().contains("frozen") && !refused.is_empty());
}

/// Without the ledger no session begins, and one that runs ends when its marks cannot be kept.
#[test]
fn deadline_c08_session_ends_without_the_ledger() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let mut shell = gate.shell("anna");
    let trail = site.pid("trail");
    process::signal(trail, Signal::STOP);
    shell.types("unmarked\n");
    let why = shell.dies(Duration::from_secs(6));
    process::signal(trail, Signal::CONT);
    assert!(why.contains("ledger"), "{why}");
}
