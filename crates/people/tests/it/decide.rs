//! Who may act, in which group, now.

use writ_model::Timestamp;
use writ_people::{Denied, Gate, Settings, decide};
use writ_store::state::{Person, PersonState, Reapproval, Screening};

use crate::world::{DAY, HOUR, Members, enabled, start};

fn check(what: &str, change: impl FnOnce(&mut Person), now: Timestamp, wanted: Result<(), Denied>) {
    let mut person = enabled("ann");
    change(&mut person);
    let approved = start().plus(HOUR);
    let roster = Members::with(&[
        ("ops", &person.id, approved, false),
        ("keys", &person.id, approved, true),
    ]);
    let settings = Settings::default();
    assert_eq!(decide("ops", Some(&person), &roster, &settings, now), wanted, "{what}");
}

#[test]
fn decision_denies_for_each_reason() {
    let now = start().plus(2 * HOUR);
    check("all is well", |_| {}, now, Ok(()));
    for state in
        [PersonState::Requested, PersonState::Gated, PersonState::Suspended, PersonState::Left]
    {
        check(state.as_str(), |p| p.state = state, now, Err(Denied::State(state)));
    }
    check("moving", |p| p.state = PersonState::Moving, now, Ok(()));
    let until = now.plus(HOUR);
    check("time is left", |p| p.valid_until = Some(until), now, Ok(()));
    check("time is over", |p| p.valid_until = Some(until), until, Err(Denied::Expired));
    check(
        "training lapsed",
        |p| p.gates.training_until = Some(until),
        until,
        Err(Denied::Gate(Gate::Training)),
    );
    check("no agreement", |p| p.gates.nda = None, now, Err(Denied::Gate(Gate::Nda)));
    check("no policy", |p| p.gates.policy = None, now, Err(Denied::Gate(Gate::Policy)));
    check(
        "screening pends",
        |p| p.gates.screening = Screening::Pending,
        now,
        Err(Denied::Gate(Gate::Screening)),
    );
    check("none is required", |p| p.gates.screening = Screening::NotRequired, now, Ok(()));
    check(
        "evidence of an earlier employment",
        |p| p.gates_from = Some(start().plus(HOUR)),
        now,
        Err(Denied::Gate(Gate::Nda)),
    );
    check(
        "evidence of tomorrow",
        |p| p.gates.nda = Some(now.plus(DAY)),
        now,
        Err(Denied::Gate(Gate::Nda)),
    );
    let again = |p: &mut Person| {
        p.gates_from = Some(start().plus(HOUR));
        p.gates = crate::world::gates(start().plus(HOUR));
    };
    check("enrolled in an earlier employment", again, now, Err(Denied::NotEnrolled));
    check("not enrolled", |p| p.id = "unenrolled".to_owned(), now, Err(Denied::NotEnrolled));
}

#[test]
fn membership_dies_at_its_deadline_without_a_new_approval() {
    let moved_at = start().plus(2 * HOUR);
    let deadline = moved_at.plus(7 * DAY);
    let last = Timestamp::from_millis(deadline.millis() - 1);
    let due = |p: &mut Person| {
        p.moved_at = Some(moved_at);
        p.reapprovals.insert("ops".to_owned(), Reapproval { moved_at, deadline });
    };
    check("before the deadline", due, last, Ok(()));
    let noted = |p: &mut Person| {
        due(p);
        p.moved_at = None;
    };
    check("noted alone", noted, deadline, Err(Denied::NotApprovedAnew));
    check("at the deadline", due, deadline, Err(Denied::NotApprovedAnew));
    // Also where the group was not noted at the move.
    check("unnoted", |p| p.moved_at = Some(moved_at), deadline, Err(Denied::NotApprovedAnew));
    check("unnoted, before", |p| p.moved_at = Some(moved_at), last, Ok(()));
    let before = start();
    let earlier = |p: &mut Person| {
        p.moved_at = Some(before);
        p.reapprovals.insert("ops".to_owned(), Reapproval { moved_at: before, deadline });
    };
    check("approved after the move", earlier, deadline, Ok(()));
}

#[test]
fn membership_of_an_earlier_employment_is_dead() {
    let again = |p: &mut Person| {
        p.id = "enrolled-anew".to_owned();
        p.gates_from = Some(start().plus(2 * HOUR));
        p.gates = crate::world::gates(start().plus(2 * HOUR));
    };
    check("hired again", again, start().plus(3 * HOUR), Err(Denied::NotApprovedAnew));
}

#[test]
fn decision_without_person_or_membership_denies() {
    let (settings, person) = (Settings::default(), enabled("ann"));
    let roster = Members::default();
    let now = start();
    assert_eq!(decide("ops", None, &roster, &settings, now), Err(Denied::Unknown));
    assert_eq!(decide("ops", Some(&person), &roster, &settings, now), Err(Denied::NotMember));
    let privileged = Members::with(&[("keys", "ann", start(), true)]);
    let mut moved = person;
    moved.moved_at = Some(start());
    let day = start().plus(DAY);
    assert_eq!(
        decide("keys", Some(&moved), &privileged, &settings, day),
        Err(Denied::NotApprovedAnew),
        "the privileged tier has a day"
    );
}
