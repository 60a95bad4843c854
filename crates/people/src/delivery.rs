//! A whole delivery against everybody who is stored: who changes, who is missing, and whether so many
//! end at once that a human must confirm it.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::Timestamp;
use writ_store::state::{HrFeed, HrState, MassChange, Person, PersonState};

use crate::machine::{self, Context};
use crate::{Event, Feed, Roster, Settings, Step, limits};

/// A delivery and what it is compared with.
pub struct Delivery<'a> {
    /// Everybody who is stored, by id.
    pub people: &'a BTreeMap<String, Person>,
    /// The delivery before it.
    pub last: Option<&'a HrFeed>,
    /// What it says.
    pub feed: &'a Feed,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: &'a str,
    /// When its file was changed, in milliseconds since 1970.
    pub changed_ms: u64,
    /// The time.
    pub now: Timestamp,
    /// The installation's settings.
    pub settings: &'a Settings,
    /// Who is in which group.
    pub roster: &'a dyn Roster,
}

/// What follows from a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What ends access: committed first, and in force at once.
    pub ends: Vec<Step>,
    /// Everything else.
    pub others: Vec<Step>,
    /// The delivery as it is stored.
    pub feed: HrFeed,
    /// How many persons each event concerns.
    pub counts: Counts,
}

/// How many persons each event concerns.
pub type Counts = BTreeMap<Event, usize>;

impl Delivery<'_> {
    /// Decides what follows.
    pub fn plan(&self) -> Plan {
        let known = self.people.values().filter(|person| person.state != PersonState::Left).count();
        let mass_change = self.is_mass_change(known);
        let cx = Context {
            now: self.now,
            settings: self.settings,
            roster: self.roster,
            frozen: self.feed.is_damaged(),
            mass_change,
        };
        let mut steps: Vec<Step> = self
            .feed
            .rows
            .iter()
            .filter_map(|row| machine::follow(self.people.get(&row.id), row, &cx))
            .collect();
        let absent = self.absent();
        let shrunk = match self.feed.is_damaged() {
            // A wrong line may be the one that is missed: nothing is concluded.
            true => self.last.is_some_and(|last| last.shrunk),
            false => is_more_than(absent.len(), limits::SHRUNK_PERCENT, known),
        };
        if !(shrunk || self.feed.is_damaged()) {
            steps.extend(absent.into_iter().filter_map(|p| machine::absent(p, self.now)));
        }
        let counts = count(&steps);
        let (ends, others): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(Step::ends);
        let feed = HrFeed {
            digest: self.digest.to_owned(),
            changed_ms: self.changed_ms,
            taken: self.now,
            rows: u64::try_from(self.feed.rows.len()).unwrap_or(u64::MAX),
            problems: u64::try_from(self.feed.problem_count).unwrap_or(u64::MAX),
            shrunk,
            alarm: None,
            silence_told: None,
            mass_change: self.waiting(&ends, &others, mass_change),
        };
        Plan { ends, others, feed, counts }
    }

    /// What waits for a human's word after all this; nothing once nobody does.
    fn waiting(&self, ends: &[Step], others: &[Step], is_new: bool) -> Option<MassChange> {
        let mut waiting: BTreeSet<&str> = self
            .people
            .values()
            .filter(|person| machine::waits(person))
            .map(|person| person.id.as_str())
            .collect();
        for step in ends.iter().chain(others) {
            match machine::waits(&step.person) {
                true => waiting.insert(&step.person.id),
                false => waiting.remove(step.person.id.as_str()),
            };
        }
        let persons = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        let before = self.last.and_then(|last| last.mass_change.clone());
        let pending = match before.filter(|_| !is_new) {
            Some(before) => MassChange { persons, ..before },
            None => MassChange { digest: self.digest.to_owned(), at: self.now, persons },
        };
        (persons > 0).then_some(pending)
    }

    /// Whether the file ends more than a human would have to confirm. Those who wait already count too:
    /// a delivery that was cut off in the middle is found as large as it was when it is gone on with.
    fn is_mass_change(&self, known: usize) -> bool {
        let terminated = self.feed.rows.iter().filter(|row| row.state == HrState::Terminated);
        let ending = terminated.filter_map(|row| self.people.get(&row.id));
        let ending = ending.filter(|person| person.state != PersonState::Left);
        let (waiting, new): (Vec<&Person>, Vec<&Person>) =
            ending.partition(|person| machine::waits(person));
        let all = waiting.len() + new.len();
        !new.is_empty()
            && all > limits::MASS_CHANGE_PERSONS
            && is_more_than(all, limits::MASS_CHANGE_PERCENT, known)
    }

    fn absent(&self) -> Vec<&Person> {
        let there: BTreeSet<&str> = self.feed.rows.iter().map(|row| row.id.as_str()).collect();
        self.people
            .values()
            .filter(|person| person.state != PersonState::Left)
            .filter(|person| !there.contains(person.id.as_str()))
            .collect()
    }
}

/// What the time makes of everybody; call it every so often. Access does not wait for it: the decision
/// looks at the clock itself.
pub fn pass(
    people: &BTreeMap<String, Person>,
    last: Option<&HrFeed>,
    now: Timestamp,
    settings: &Settings,
    roster: &dyn Roster,
) -> Vec<Step> {
    let cx = Context { now, settings, roster, frozen: true, mass_change: false };
    let absences = last.is_some_and(|last| !last.shrunk);
    people.values().filter_map(|person| machine::pass(person, absences, &cx)).collect()
}

/// How many persons each event concerns.
fn count(steps: &[Step]) -> Counts {
    let mut counts = Counts::new();
    for event in steps.iter().flat_map(|step| &step.events) {
        *counts.entry(*event).or_default() += 1;
    }
    counts
}

fn is_more_than(part: usize, percent: usize, whole: usize) -> bool {
    part.saturating_mul(100) > whole.saturating_mul(percent)
}
