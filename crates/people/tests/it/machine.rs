//! The states of one person: a table, and walks through random feeds.

use std::time::Duration;

use proptest::prelude::*;
use writ_model::Timestamp;
use writ_people::machine::{Context, follow, pass};
use writ_people::{Ending, Event, Row, Settings, Step, decide, may_act};
use writ_store::state::{HrState, Person, PersonState, Why};

use crate::world::{DAY, HOUR, Members, context, enabled, gates, row, start};

fn step(old: Option<&Person>, row: &Row, now: Timestamp) -> Option<Step> {
    let (settings, roster) = (Settings::default(), Members::default());
    follow(old, row, &context(now, &settings, &roster))
}

fn after(old: &Person, state: HrState) -> Person {
    let now = start().plus(HOUR);
    step(Some(old), &row(&old.id, state), now).map_or_else(|| old.clone(), |step| step.person)
}

#[test]
fn joiner_goes_through_the_gates() {
    let now = start();
    let requested = step(None, &row("a", HrState::Requested), now).unwrap();
    assert_eq!(requested.person.state, PersonState::Requested);
    let mut open = row("a", HrState::Active);
    open.gates.nda = None;
    let gated = step(Some(&requested.person), &open, now).unwrap();
    assert_eq!((gated.person.state, gated.event()), (PersonState::Gated, Event::Gated));
    let done = step(Some(&gated.person), &row("a", HrState::Active), now).unwrap();
    assert_eq!((done.person.state, done.event()), (PersonState::Enabled, Event::Enabled));
    assert!(!done.ends());
    for state in [HrState::Terminated, HrState::Leave] {
        assert_eq!(step(None, &row("a", state), now), None, "nobody joins by it");
    }
}

#[test]
fn suspension_ends_sessions_and_comes_back_through_the_gates() {
    let person = enabled("a");
    for state in [HrState::Leave, HrState::Requested] {
        let now = start().plus(HOUR);
        let suspended = step(Some(&person), &row("a", state), now).unwrap();
        assert_eq!(suspended.person.state, PersonState::Suspended);
        let ending = Ending::Sessions { person: "a".to_owned(), epoch: 1, before: now };
        assert_eq!(suspended.ending(), Some(ending));
        let back = after(&suspended.person, HrState::Active);
        assert_eq!((back.state, back.epoch), (PersonState::Enabled, 1));
    }
    // A gate that lapsed stays shut until it is passed.
    let mut lapsed = row("a", HrState::Active);
    lapsed.gates.training_until = Some(start());
    let suspended = step(Some(&person), &lapsed, start()).unwrap().person;
    assert_eq!((suspended.state, suspended.why), (PersonState::Suspended, Some(Why::Gate)));
    assert_eq!(step(Some(&suspended), &lapsed, start()), None);
    assert_eq!(after(&suspended, HrState::Active).state, PersonState::Enabled);
}

#[test]
fn leaver_ends_with_a_receipt_and_nothing_returns() {
    let now = start().plus(HOUR);
    let settings = Settings::default();
    let roster = Members::with(&[("ops", "a", start(), false), ("keys", "a", start(), true)]);
    let cx = context(now, &settings, &roster);
    let left = follow(Some(&enabled("a")), &row("a", HrState::Terminated), &cx).unwrap();
    assert_eq!((left.person.state, left.person.epoch), (PersonState::Left, 2));
    assert_eq!(left.ending(), Some(Ending::Enrolment { person: "a".to_owned(), number: Some(1) }));
    let receipt = left.person.receipt.clone().unwrap();
    let ended: Vec<&str> = receipt.ended.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ended, ["a", "a/1", "keys", "ops"]);

    for state in [HrState::Terminated, HrState::Leave] {
        assert_eq!(follow(Some(&left.person), &row("a", state), &cx), None);
    }
    // Hired again with the evidence of then: gated, and the old memberships are dead.
    let again = follow(Some(&left.person), &row("a", HrState::Active), &cx).unwrap().person;
    assert_eq!((again.state, again.epoch), (PersonState::Gated, 3));
    let later = now.plus(HOUR);
    let mut anew = row("a", HrState::Active);
    anew.gates = gates(later);
    let cx = context(later, &settings, &roster);
    let again = follow(Some(&again), &anew, &cx).unwrap().person;
    assert_eq!(again.state, PersonState::Enabled);
    assert!(may_act(&again, &settings, later).is_ok());
    assert!(decide("ops", Some(&again), &roster, &settings, later).is_err());
}

#[test]
fn move_sets_deadlines_that_no_second_move_extends() {
    let settings = Settings::default();
    let roster = Members::with(&[("ops", "a", start(), false), ("keys", "a", start(), true)]);
    let moved_at = start().plus(HOUR);
    for change in [
        (|row: &mut Row| row.manager = Some("boss".to_owned())) as fn(&mut Row),
        |row| row.team = "t2".to_owned(),
        |row| row.job_code = "j2".to_owned(),
    ] {
        let mut line = row("a", HrState::Active);
        change(&mut line);
        let moved = follow(Some(&enabled("a")), &line, &context(moved_at, &settings, &roster));
        let moved = moved.unwrap();
        assert_eq!((moved.person.state, moved.event()), (PersonState::Moving, Event::Moved));
        assert_eq!(moved.person.reapprovals["ops"].deadline, moved_at.plus(7 * DAY));
        assert_eq!(moved.person.reapprovals["keys"].deadline, moved_at.plus(DAY));
        let back = row("a", HrState::Active);
        let cx = context(moved_at.plus(HOUR), &settings, &roster);
        let back = follow(Some(&moved.person), &back, &cx).unwrap().person;
        assert_eq!(back.reapprovals, moved.person.reapprovals);
    }
    // What no right depends on is no move.
    let mut line = row("a", HrState::Active);
    line.cost_center = "c2".to_owned();
    let changed = follow(Some(&enabled("a")), &line, &context(moved_at, &settings, &roster));
    assert_eq!(changed.unwrap().events, [Event::Changed]);
}

#[test]
fn person_settles_when_nothing_is_left_to_approve() {
    let settings = Settings::default();
    let old = Members::with(&[("ops", "a", start(), false)]);
    let mut line = row("a", HrState::Active);
    line.team = "t2".to_owned();
    let moved_at = start().plus(HOUR);
    let moving = follow(Some(&enabled("a")), &line, &context(moved_at, &settings, &old));
    let moving = moving.unwrap().person;
    let state = |roster: &Members, now: Timestamp| {
        pass(&moving, true, &context(now, &settings, roster)).map(|step| step.person.state)
    };
    assert_eq!(state(&old, moved_at.plus(HOUR)), None);
    let approved = Members::with(&[("ops", "a", moved_at.plus(HOUR), false)]);
    assert_eq!(state(&approved, moved_at.plus(2 * HOUR)), Some(PersonState::Enabled));
    assert_eq!(state(&Members::default(), moved_at.plus(HOUR)), Some(PersonState::Enabled));
    assert_eq!(state(&old, moved_at.plus(7 * DAY)), Some(PersonState::Enabled));
}

#[test]
fn damaged_delivery_ends_and_suspends_alone() {
    let (settings, roster) = (Settings::default(), Members::default());
    let now = start().plus(HOUR);
    let cx = Context { frozen: true, ..context(now, &settings, &roster) };
    let mut line = row("a", HrState::Active);
    line.team = "t2".to_owned();
    assert_eq!(follow(None, &line, &cx), None);
    assert_eq!(follow(Some(&enabled("a")), &line, &cx), None);
    for (state, wanted) in
        [(HrState::Terminated, PersonState::Left), (HrState::Leave, PersonState::Suspended)]
    {
        let step = follow(Some(&enabled("a")), &row("a", state), &cx).unwrap();
        assert_eq!(step.person.state, wanted);
    }
    let left = after(&enabled("a"), HrState::Terminated);
    assert_eq!(follow(Some(&left), &row("a", HrState::Active), &cx), None, "no re-hire");
}

#[test]
fn mass_change_waits_and_can_be_undone() {
    let (settings, roster) = (Settings::default(), Members::default());
    let now = start().plus(HOUR);
    let cx = Context { mass_change: true, ..context(now, &settings, &roster) };
    let step = follow(Some(&enabled("a")), &row("a", HrState::Terminated), &cx).unwrap();
    assert_eq!(
        (step.person.state, step.person.why),
        (PersonState::Suspended, Some(Why::MassChange))
    );
    assert!(step.ends());
    // The same file again, alone, does not end what waits.
    assert_eq!(after(&step.person, HrState::Terminated), step.person);
    let cx = context(now, &settings, &roster);
    let left = writ_people::machine::confirm(&step.person, &cx).unwrap();
    assert_eq!((left.person.state, left.person.epoch), (PersonState::Left, 2));
    assert!(left.ends() && left.person.receipt.is_some());
    assert_eq!(writ_people::machine::confirm(&enabled("a"), &cx), None);
    // Away in between, a termination is a new one.
    let away = after(&step.person, HrState::Leave);
    assert_eq!(writ_people::machine::confirm(&away, &cx), None);
    assert_eq!(after(&away, HrState::Terminated).state, PersonState::Left);
    assert_eq!(after(&step.person, HrState::Active).state, PersonState::Enabled);
}

#[derive(Debug, Clone)]
enum Act {
    Line { state: HrState, team: u8, gated: bool, until: bool, frozen: bool, mass: bool },
    Absent,
    Wait(u8),
    Approve,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let state = prop::sample::select(vec![
        HrState::Requested,
        HrState::Active,
        HrState::Active,
        HrState::Active,
        HrState::Leave,
        HrState::Terminated,
    ]);
    let rarely = || prop::bool::weighted(0.15);
    let line = (state, 0..3u8, rarely(), rarely(), rarely(), rarely()).prop_map(
        |(state, team, gated, until, frozen, mass)| Act::Line {
            state,
            team,
            gated,
            until,
            frozen,
            mass,
        },
    );
    let act = prop_oneof![
        6 => line,
        1 => Just(Act::Absent),
        3 => (1..100u8).prop_map(Act::Wait),
        1 => Just(Act::Approve),
    ];
    prop::collection::vec(act, 1..40)
}

/// What must hold of every change.
fn hold(old: Option<&Person>, step: &Step, settings: &Settings, roster: &Members, now: Timestamp) {
    let (new, did) = (&step.person, old.map(|old| may_act(old, settings, now)));
    let acts_now = may_act(new, settings, now).is_ok();
    if acts_now && !matches!(did, Some(Ok(()))) {
        assert!(step.events.contains(&Event::Enabled), "only `enabled` gives: {step:?}");
        assert!(settings.open_gates(new, now).is_empty(), "and after the gates alone");
    }
    if let Some(old) = old {
        assert!(new.epoch >= old.epoch);
        assert!(old.state != PersonState::Left || new.epoch > old.epoch, "left is final");
        let ended = did == Some(Ok(())) && !acts_now;
        assert!(!ended || step.ends(), "what ends is an ending: {step:?}");
        for group in ["ops", "keys"] {
            let (was, is) =
                [old, new].map(|p| decide(group, Some(p), roster, settings, now)).into();
            // A right in a group comes back with the state alone, never by a change of the deadlines.
            assert!(was.is_ok() || is.is_err() || did != Some(Ok(())), "{group}: {step:?}");
        }
        for (group, due) in &old.reapprovals {
            let same = new.reapprovals.get(group).is_some_and(|new| {
                new == due || roster.0[&(group.clone(), "a".to_owned())].approved > due.moved_at
            });
            assert!(same || new.state == PersonState::Left, "a deadline was extended: {step:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn hr_alone_gives_nothing_but_enabled(acts in acts()) {
        let settings = Settings::default();
        let mut roster = Members::with(&[("ops", "a", start(), false), ("keys", "a", start(), true)]);
        let (mut now, mut person) = (start().plus(Duration::from_millis(1)), None::<Person>);
        for act in acts {
            now = now.plus(Duration::from_millis(1));
            let cx = context(now, &settings, &roster);
            let step = match act {
                Act::Line { state, team, gated, until, frozen, mass } => {
                    let mut line = row("a", state);
                    line.team = format!("t{team}");
                    line.gates = gates(now);
                    if gated {
                        line.gates.nda = None;
                    }
                    line.valid_until = until.then(|| now.plus(HOUR));
                    follow(person.as_ref(), &line, &Context { frozen, mass_change: mass, ..cx })
                }
                Act::Absent => person.as_ref().and_then(|p| writ_people::machine::absent(p, now)),
                Act::Wait(hours) => {
                    now = now.plus(u32::from(hours) * HOUR);
                    let cx = context(now, &settings, &roster);
                    person.as_ref().and_then(|p| pass(p, true, &cx))
                }
                Act::Approve => {
                    roster.0.values_mut().for_each(|membership| membership.approved = now);
                    None
                }
            };
            if let Some(step) = step {
                hold(person.as_ref(), &step, &settings, &roster, now);
                person = Some(step.person);
            }
        }
    }
}
