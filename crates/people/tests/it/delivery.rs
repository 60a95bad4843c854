//! Whole deliveries: absences, mass changes, damaged files.

use std::collections::BTreeMap;

use writ_model::Timestamp;
use writ_people::delivery::pass;
use writ_people::{Delivery, Event, Feed, Plan, Problem, Settings};
use writ_store::state::{HrFeed, HrState, Person, PersonState, Why};

use crate::world::{DAY, HOUR, Members, feed, row, start};

#[derive(Default)]
struct Site {
    people: BTreeMap<String, Person>,
    last: Option<HrFeed>,
}

impl Site {
    fn with(count: usize) -> Site {
        let mut site = Site::default();
        let plan = site.deliver(&all(count, HrState::Active, count), start());
        assert_eq!(plan.counts[&Event::Enabled], count);
        site
    }

    fn deliver(&mut self, feed: &Feed, now: Timestamp) -> Plan {
        let plan = Delivery {
            people: &self.people,
            last: self.last.as_ref(),
            feed,
            digest: "d",
            changed_ms: now.millis(),
            now,
            settings: &Settings::default(),
            roster: &Members::default(),
        }
        .plan();
        for step in plan.ends.iter().chain(&plan.others) {
            self.people.insert(step.person.id.clone(), step.person.clone());
        }
        self.last = Some(plan.feed.clone());
        plan
    }

    fn pass(&mut self, now: Timestamp) {
        let steps =
            pass(&self.people, self.last.as_ref(), now, &Settings::default(), &Members::default());
        for step in steps {
            self.people.insert(step.person.id.clone(), step.person);
        }
    }

    fn count(&self, state: PersonState) -> usize {
        self.people.values().filter(|person| person.state == state).count()
    }
}

/// `of` persons of whom the first `count` are in `state` and the others active.
fn all(count: usize, state: HrState, of: usize) -> Feed {
    let state_of = |n| if n < count { state } else { HrState::Active };
    feed((0..of).map(|n| row(&format!("p{n}"), state_of(n))).collect())
}

fn without(count: usize, of: usize) -> Feed {
    feed((count..of).map(|n| row(&format!("p{n}"), HrState::Active)).collect())
}

#[test]
fn absence_is_no_termination_and_suspends_after_a_day() {
    let mut site = Site::with(20);
    let now = start().plus(HOUR);
    let plan = site.deliver(&without(2, 20), now);
    assert_eq!(plan.counts[&Event::Absent], 2);
    assert!(plan.ends.is_empty() && !plan.feed.shrunk);
    site.pass(Timestamp::from_millis(now.plus(DAY).millis() - 1));
    assert_eq!(site.count(PersonState::Enabled), 20);
    site.pass(now.plus(DAY));
    assert_eq!(site.count(PersonState::Suspended), 2);
    assert_eq!(site.people["p0"].why, Some(Why::Absence));
    let plan = site.deliver(&all(0, HrState::Active, 20), now.plus(2 * DAY));
    assert_eq!(plan.counts[&Event::Returned], 2);
    assert_eq!(site.count(PersonState::Enabled), 20);
}

#[test]
fn file_that_lost_a_tenth_suspends_nobody_for_absence() {
    let mut site = Site::with(20);
    let now = start().plus(HOUR);
    site.deliver(&without(1, 20), now);
    let plan = site.deliver(&without(3, 20), now.plus(HOUR));
    assert!(plan.feed.shrunk && plan.counts.is_empty());
    site.pass(now.plus(3 * DAY));
    assert_eq!(site.count(PersonState::Enabled), 20, "also not who was missing before");
}

#[test]
fn mass_change_suspends_at_once_and_a_small_one_ends() {
    for (ending, of, wanted) in [
        (5, 20, PersonState::Left),
        (6, 20, PersonState::Suspended),
        (6, 60, PersonState::Left),
        (7, 60, PersonState::Suspended),
    ] {
        let mut site = Site::with(of);
        let plan = site.deliver(&all(ending, HrState::Terminated, of), start().plus(HOUR));
        assert_eq!(plan.ends.len(), ending);
        assert_eq!(site.count(wanted), ending, "{ending} of {of}");
        assert_eq!(plan.feed.mass_change.is_some(), wanted == PersonState::Suspended);
    }
    // The next delivery of the same is no new change, and does not end who waits.
    let mut site = Site::with(20);
    site.deliver(&all(10, HrState::Terminated, 20), start().plus(HOUR));
    let plan = site.deliver(&all(10, HrState::Terminated, 20), start().plus(DAY));
    assert!(plan.ends.is_empty() && plan.feed.mass_change.is_some());
    assert_eq!(plan.feed.mass_change.unwrap().persons, 10);
    let plan = site.deliver(&all(4, HrState::Terminated, 20), start().plus(2 * DAY));
    assert_eq!(plan.feed.mass_change.unwrap().persons, 4, "part of it is undone");
    let plan = site.deliver(&all(0, HrState::Active, 20), start().plus(3 * DAY));
    assert_eq!((site.count(PersonState::Enabled), plan.feed.mass_change), (20, None));
}

/// Who was left over after a crash in the middle was too few for a mass change, and left for good.
#[test]
fn mass_change_that_was_cut_off_stays_one() {
    let mut site = Site::with(20);
    let feed = all(8, HrState::Terminated, 20);
    let mut cut = Site { people: site.people.clone(), last: site.last.clone() };
    let plan = cut.deliver(&feed, start().plus(HOUR));
    for step in plan.ends.into_iter().take(4) {
        site.people.insert(step.person.id.clone(), step.person);
    }
    let plan = site.deliver(&feed, start().plus(2 * HOUR));
    assert_eq!((site.count(PersonState::Suspended), site.count(PersonState::Left)), (8, 0));
    assert_eq!(plan.feed.mass_change.unwrap().persons, 8);
}

#[test]
fn damaged_file_ends_and_concludes_nothing_from_absence() {
    let mut site = Site::with(20);
    let mut damaged = all(1, HrState::Terminated, 15);
    damaged.problems = vec![Problem { line: 9, column: None, reason: "r".to_owned() }];
    damaged.problem_count = 1;
    damaged.rows.push(row("new", HrState::Active));
    let plan = site.deliver(&damaged, start().plus(HOUR));
    assert_eq!(plan.ends.len(), 1);
    assert!(plan.others.is_empty(), "{:?}", plan.others);
    assert_eq!((site.count(PersonState::Left), site.count(PersonState::Enabled)), (1, 19));
}
