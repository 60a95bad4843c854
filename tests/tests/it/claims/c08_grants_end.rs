//! C-08: what ends a grant ends it everywhere, keyd included, and nothing opens it again.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use writ_tests::process;
use writ_tests::{Site, until};

use crate::operators::access::Shift;
use crate::operators::crook::assert_refused;
use crate::operators::roster::Desk;

fn reason(shift: &Shift<'_>, id: &str) -> Option<String> {
    let grant = shift.stored("grant", id).unwrap();
    grant["end"]["reason"].as_str().map(str::to_owned)
}

#[test]
fn c08_closed_ticket_ends_its_grants_and_requests() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (live, waiting) = (shift.granted(), shift.ask(&[]));
    let before = Instant::now();
    let text = shift.ok("dora", &["ticket", "close", "OPS-17"]);
    assert!(before.elapsed() < Duration::from_secs(5));
    assert!(text.contains("ended with it: 2"), "{text}");
    assert_eq!(reason(&shift, &live).as_deref(), Some("ticket_closed"));
    assert_eq!(shift.stored("request", &waiting).unwrap()["state"], "withdrawn");
    let end = shift.event("EndGrant", &live, "");
    assert_eq!(end.text("/requestParameters/by"), "dora");
    assert_refused(shift.challenge("boris", &waiting, "approve"), "Over", "is withdrawn");
    shift.refused("dora", &["ticket", "close", "OPS-17"], "is closed already");
    shift.refused("dora", &["ticket", "open", "OPS-17", "again"], "there is a ticket `OPS-17`");
    assert!(shift.ok("dora", &["ticket", "list"]).contains("closed"));
    assert_eq!(site.verify().code, 0);
}

#[test]
fn c08_change_of_the_roster_ends_what_it_gave() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    let ended = |id: &str| until("the grant to end", || reason(&shift, id));
    let first = shift.granted();
    desk.changes(&["remove-member", "--group=oncall", "--person=anna"]);
    assert_eq!(ended(&first), "policy_changed");
    desk.changes(&["add-member", "--group=oncall", "--person=anna", "--days=90"]);
    // A host that holds somebody else's data from now on.
    let second = shift.granted();
    let key = desk.key("web-1-other-key").with_extension("pub");
    let host = ["add-host", "web-1", "--address=10.0.0.7:22", "--account=222222222222", "--key"];
    desk.changes(&[&host[..], &[key.to_str().unwrap()]].concat());
    assert_eq!(ended(&second), "policy_changed");
    // Nothing comes back with the old state.
    assert!(shift.ok("anna", &["grants"]).matches("ended").count() == 2);
}

/// How many ends keyd remembers, by its own word.
fn known_to_keyd(site: &Site) -> Option<u64> {
    let http = site.http("sts");
    let request = http.request("GET", "/writ/v1/roster", "", b"");
    let reply = http.exchange(&request).ok()?;
    let told: Value = serde_json::from_slice(&reply.body).ok()?;
    told["keyd"]["ended_grants"].as_u64()
}

/// A key module that starts anew is told of what has ended before its time, and one that did not answer is told again.
#[test]
fn c08_keyd_learns_ends_at_its_start_and_when_it_answers_again() {
    let mut site = Site::start();
    let second = {
        let shift = Shift::at(&site);
        let (first, second) = (shift.granted(), shift.granted());
        assert_eq!(known_to_keyd(&site), Some(0));
        shift.ok("dora", &["revoke", &first]);
        assert_eq!(known_to_keyd(&site), Some(1), "before the reply");
        second
    };
    let knows = |site: &Site, count: u64| {
        until("keyd to know", || known_to_keyd(site).filter(|known| *known == count));
    };
    site.kill("keyd");
    site.wait_until_served();
    knows(&site, 1);
    // keyd hangs: the end is in force all the same.
    let keyd = site.pid("keyd");
    process::signal(keyd, Signal::STOP);
    let shift = Shift { site: &site };
    let text = shift.ok("dora", &["revoke", &second]);
    assert!(text.contains("keyd does not answer now"), "{text}");
    assert_eq!(reason(&shift, &second).as_deref(), Some("revoked"));
    process::signal(keyd, Signal::CONT);
    knows(&site, 2);
    assert!(site.stop().success());
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    knows(&site, 2);
}

/// front dies after keyd knows of an end and before anybody else does: nothing un-ends it, and it is told.
#[test]
fn c08_end_that_keyd_knows_and_front_lost_in_a_crash_is_an_end() {
    for failpoint in ["store.before_commit", "store.after_commit", "store.before_publish"] {
        let mut site = Site::start();
        let id = Shift::at(&site).granted();
        assert!(site.stop().success());
        site.start_again(failpoint).unwrap_or_else(|failure| panic!("{}", failure.log));
        let shift = Shift { site: &site };
        assert_ne!(shift.run("dora", &["revoke", &id]).code, 0, "{failpoint}");
        site.wait_until_served();
        until("keyd to know", || known_to_keyd(&site).filter(|known| *known == 1));
        // Whoever has got no answer does it again.
        assert!(site.stop().success());
        site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
        let shift = Shift { site: &site };
        let again = shift.run("dora", &["revoke", &id]);
        assert!(again.code == 0 || again.text.contains("has ended already"), "{}", again.text);
        assert_eq!(reason(&shift, &id).as_deref(), Some("revoked"), "{failpoint}");
        until("keyd to know", || known_to_keyd(&site).filter(|known| *known == 1));
        shift.event("EndGrant", &id, "");
        assert!(site.stop().success());
        let verdict = site.verify();
        assert_eq!(verdict.code, 0, "{failpoint}: {}", verdict.text);
    }
}
