//! C-05: HR's word takes access away and gives none: who is suspended neither asks nor approves, and the manager whom
//! HR names is one of several.

use crate::operators::access::{ASK, Shift};
use crate::operators::people::{Staffed, line};

fn crew(states: [&str; 4]) -> Vec<String> {
    let people = ["anna", "boris", "carla", "dora"];
    people.iter().zip(states).map(|(id, state)| line(id, state, "")).collect()
}

const ALL: [&str; 4] = ["active"; 4];

#[test]
fn c05_who_is_suspended_neither_asks_nor_approves() {
    let staffed = Staffed::start();
    staffed.deliver(&crew(ALL));
    staffed.wait_for("dora", "enabled");
    let shift = Shift::at(&staffed.site);
    let id = shift.ask(&[]);
    shift.ok("boris", &["approve", &id]);
    // What boris signed does not count while he is away; nor does he sign.
    staffed.deliver(&crew(["active", "leave", "active", "active"]));
    staffed.wait_for("boris", "suspended");
    shift.refused("boris", &["approve", &id], "may not act now");
    let text = shift.ok("carla", &["approve", &id]);
    assert!(text.contains("`peers` needs 1 more"), "{text}");
    assert!(shift.stored("grant", &id).is_none());
    // The requester away: the request is gone.
    staffed.deliver(&crew(["leave", "active", "active", "active"]));
    staffed.wait_for("anna", "suspended");
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "withdrawn");
    shift.refused("anna", &ASK, "may not act in `oncall` now: the person is suspended");
    staffed.deliver(&crew(ALL));
    staffed.wait_for("anna", "enabled");
    shift.granted();
}

#[test]
fn c05_grants_end_with_leaver_mover_and_suspension_in_one_commit() {
    for (state, why, wanted) in
        [("terminated", "leaver", "left"), ("leave", "suspended", "suspended")]
    {
        let staffed = Staffed::start();
        staffed.deliver(&crew(ALL));
        staffed.wait_for("dora", "enabled");
        let shift = Shift::at(&staffed.site);
        let (live, waiting) = (shift.granted(), shift.ask(&[]));
        staffed.deliver(&crew([state, "active", "active", "active"]));
        staffed.wait_for("anna", wanted);
        // In the same commit: whoever sees the one sees the other.
        assert_eq!(shift.stored("grant", &live).unwrap()["end"]["reason"], why);
        assert_eq!(shift.stored("request", &waiting).unwrap()["state"], "withdrawn");
        assert_eq!(shift.event("EndGrant", &live, "").text("/requestParameters/reason"), why);
        assert_eq!(staffed.site.verify().code, 0);
    }
    let staffed = Staffed::start();
    staffed.deliver(&crew(ALL));
    staffed.wait_for("dora", "enabled");
    let shift = Shift::at(&staffed.site);
    let live = shift.granted();
    let mut moved = crew(ALL);
    moved[0] = moved[0].replace(",t1,j1,", ",t2,j2,");
    staffed.deliver(&moved);
    staffed.event("PersonMoved", "anna");
    assert_eq!(shift.stored("grant", &live).unwrap()["end"]["reason"], "job_change");
}
