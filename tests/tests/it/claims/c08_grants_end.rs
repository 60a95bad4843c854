//! C-08: what ends a grant ends it everywhere, keyd included, and nothing opens it again.

use std::time::{Duration, Instant};

use writ_keyd_client::protocol::{Command, Reply, Role};
use writ_tests::keyd::Keyd;
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
    let key = site.home().join("anna.pub");
    let host = ["add-host", "web-1", "--address=10.0.0.7:22", "--account=222222222222", "--key"];
    desk.changes(&[&host[..], &[key.to_str().unwrap()]].concat());
    assert_eq!(ended(&second), "policy_changed");
    // Nothing comes back with the old state.
    assert!(shift.ok("anna", &["grants"]).matches("ended").count() == 2);
}

/// A key module that starts anew is told of what has ended before its time, also where front died between the two.
#[test]
fn c08_keyd_learns_ends_at_its_start() {
    let mut site = Site::start();
    let id = {
        let shift = Shift::at(&site);
        let id = shift.granted();
        shift.ok("dora", &["revoke", &id]);
        id
    };
    let ended = |site: &Site| {
        // front tells keyd everything at its own start and at keyd's.
        site.kill("keyd");
        site.wait_until_served();
        !site.log().contains("there is no room")
    };
    assert!(ended(&site));
    assert!(site.stop().success());
    // What front gives to keyd: by our own keyd, with our own front it knows none.
    let genesis = std::fs::read(site.dir().join("genesis")).unwrap();
    let genesis = writ_proof::statement::Signed::from_bytes(&genesis).unwrap();
    let of = genesis.verify::<writ_proof::roster::Genesis>().unwrap().0.site.to_string();
    let keyd = Keyd::start(site.dir(), &of, Vec::new());
    keyd.greet(Role::Front, None);
    let count = || match keyd.carried(Role::Front, Command::Status) {
        Reply::Status(status) => status.ended_grants,
        _ => panic!("no status"),
    };
    assert_eq!(count(), 0);
    let digest = writ_proof::Hash([7; 32]);
    for _ in 0..2 {
        keyd.carried(Role::Front, Command::End(writ_keyd_client::protocol::End::Grant(digest)));
    }
    assert_eq!(count(), 1, "{id}");
}
