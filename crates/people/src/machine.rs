//! The states of one person: what a line of the feed, or the time, makes of them.
//!
//! ```text
//! requested -> gated -> enabled <-> moving      any -> left      left -> (re-hire) requested
//!                 ^        |           |
//!                 +---- suspended <----+
//! ```

use writ_model::Timestamp;
use writ_store::state::{HrState, Person, PersonState, Reapproval, Receipt, ReceiptItem, Why};

use crate::gates::is_expired;
use crate::{Ending, Roster, Row, Settings, limits};

/// What happened to a person; the order is the order of happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A full file lacks the person: a discrepancy is open.
    Absent,
    /// Data changed that no right depends on.
    Changed,
    /// All gates are passed.
    Enabled,
    /// HR says active, a gate is open.
    Gated,
    /// The person left.
    Left,
    /// Manager, team or job changed: memberships must be approved anew.
    Moved,
    /// The person was hired again.
    Rehired,
    /// The feed names the person for the first time.
    Requested,
    /// A discrepancy is closed: the feed names the person again.
    Returned,
    /// Nothing is left to be approved after a move.
    Settled,
    /// The person is suspended.
    Suspended,
}

impl Event {
    /// The name of the event in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Event::Absent => "PersonAbsent",
            Event::Changed => "PersonChanged",
            Event::Enabled => "PersonEnabled",
            Event::Gated => "PersonGated",
            Event::Left => "PersonLeft",
            Event::Moved => "PersonMoved",
            Event::Rehired => "PersonRehired",
            Event::Requested => "PersonRequested",
            Event::Returned => "PersonReturned",
            Event::Settled => "PersonSettled",
            Event::Suspended => "PersonSuspended",
        }
    }

    /// Which of several events a record is named after: what ends access first.
    const fn weight(self) -> u8 {
        match self {
            Event::Left => 0,
            Event::Suspended => 1,
            Event::Absent => 2,
            Event::Rehired => 3,
            Event::Moved => 4,
            Event::Enabled => 5,
            Event::Gated => 6,
            Event::Requested => 7,
            Event::Returned => 8,
            Event::Settled => 9,
            Event::Changed => 10,
        }
    }
}

/// A change of one person.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// As the person was; `None` for somebody new.
    pub before: Option<Person>,
    /// As the person is.
    pub person: Person,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Step {
    /// The event that the record is named after.
    pub fn event(&self) -> Event {
        self.events.iter().copied().min_by_key(|event| event.weight()).unwrap_or(Event::Changed)
    }

    /// True if access ends: it is then in force at once.
    pub fn ends(&self) -> bool {
        self.ending().is_some()
    }

    /// What the key module must know before the change is acknowledged.
    pub fn ending(&self) -> Option<Ending> {
        let (person, epoch) = (self.person.id.clone(), self.person.epoch);
        match self.person.state {
            PersonState::Left if self.events.contains(&Event::Left) => {
                let number = self.person.receipt.as_ref().and_then(|receipt| receipt.enrolment);
                Some(Ending::Enrolment { person, number })
            }
            PersonState::Suspended if self.events.contains(&Event::Suspended) => {
                Some(Ending::Sessions { person, epoch, before: self.person.since })
            }
            _ => None,
        }
    }
}

/// What a step is decided from besides the person.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time.
    pub now: Timestamp,
    /// The installation's settings.
    pub settings: &'a Settings,
    /// Who is in which group.
    pub roster: &'a dyn Roster,
    /// True if nobody joins or moves: the delivery is damaged.
    pub frozen: bool,
    /// True if terminations wait for a human's word.
    pub mass_change: bool,
}

/// What a line makes of a person; `None` if nothing changes.
pub fn follow(old: Option<&Person>, row: &Row, cx: &Context<'_>) -> Option<Step> {
    let mut change = match old {
        None => joiner(row, cx)?,
        Some(old) if old.state == PersonState::Left => rehire(old, row, cx)?,
        Some(old) => Change { person: old.clone(), events: Vec::new() },
    };
    match row.state {
        HrState::Terminated if cx.mass_change => change.suspend(Why::MassChange, cx),
        HrState::Terminated => change.leave(cx),
        HrState::Leave => change.suspend(Why::Leave, cx),
        HrState::Requested if change.person.state != PersonState::Requested => {
            change.suspend(Why::Leave, cx);
        }
        HrState::Requested | HrState::Active => {}
    }
    if !(cx.frozen || row.state == HrState::Terminated) {
        change.adopt(row, cx);
        change.advance(row, cx);
    }
    change.person.hr_state = match cx.frozen && row.state != HrState::Terminated {
        true => change.person.hr_state,
        false => row.state,
    };
    change.into_step(old)
}

/// True if the feed ended the person and a human has not confirmed it yet.
pub fn waits(person: &Person) -> bool {
    person.why == Some(Why::MassChange) && person.hr_state == HrState::Terminated
}

/// A human confirmed the mass change that suspended the person.
pub fn confirm(old: &Person, cx: &Context<'_>) -> Option<Step> {
    if !waits(old) {
        return None;
    }
    let mut change = Change { person: old.clone(), events: vec![Event::Left] };
    end(&mut change.person, cx);
    change.into_step(Some(old))
}

/// What the time makes of a person. `absences` is false while the feed is not believed on them.
pub fn pass(old: &Person, absences: bool, cx: &Context<'_>) -> Option<Step> {
    let mut change = Change { person: old.clone(), events: Vec::new() };
    match old.state {
        PersonState::Left => return None,
        PersonState::Enabled | PersonState::Moving => {
            change.lapse(cx);
            change.settle(cx);
        }
        PersonState::Gated | PersonState::Requested | PersonState::Suspended => {}
    }
    let due = |since: Timestamp| cx.now.since(since) >= limits::ABSENCE_ANSWER;
    if absences && old.absent_since.is_some_and(due) {
        change.suspend(Why::Absence, cx);
    }
    change.into_step(Some(old))
}

/// A full file lacks the person.
pub fn absent(old: &Person, now: Timestamp) -> Option<Step> {
    if old.state == PersonState::Left || old.absent_since.is_some() {
        return None;
    }
    let mut change = Change { person: old.clone(), events: vec![Event::Absent] };
    change.person.absent_since = Some(now);
    change.into_step(Some(old))
}

/// Nobody new comes with a termination, a leave or a damaged delivery.
fn joiner(row: &Row, cx: &Context<'_>) -> Option<Change> {
    if cx.frozen || !matches!(row.state, HrState::Requested | HrState::Active) {
        return None;
    }
    Some(Change { person: row.person(1, cx.now), events: vec![Event::Requested] })
}

/// The feed that ended the person says active again. Nothing returns: evidence for the gates must be
/// of now, memberships must be approved now, and the enrolment has ended.
fn rehire(old: &Person, row: &Row, cx: &Context<'_>) -> Option<Change> {
    let mut change = joiner(row, cx)?;
    let person = &mut change.person;
    person.epoch = old.epoch.saturating_add(1);
    person.gates_from = Some(old.since);
    person.receipt.clone_from(&old.receipt);
    person.created = old.created;
    change.events = vec![Event::Rehired];
    Some(change)
}

struct Change {
    person: Person,
    events: Vec<Event>,
}

impl Change {
    fn enter(&mut self, state: PersonState, event: Event, cx: &Context<'_>) {
        self.person.state = state;
        self.person.why = None;
        self.person.since = cx.now;
        self.events.push(event);
    }

    /// A termination waits longer than anything else: no other reason takes its place.
    fn suspend(&mut self, why: Why, cx: &Context<'_>) {
        if self.person.state == PersonState::Suspended {
            if why == Why::MassChange && self.person.why != Some(why) {
                self.person.why = Some(why);
                self.events.push(Event::Suspended);
            }
            return;
        }
        self.enter(PersonState::Suspended, Event::Suspended, cx);
        self.person.why = Some(why);
    }

    fn leave(&mut self, cx: &Context<'_>) {
        // What waits for a human's word is not ended by the same file's next delivery.
        if waits(&self.person) {
            return;
        }
        end(&mut self.person, cx);
        self.events.push(Event::Left);
    }

    fn adopt(&mut self, row: &Row, cx: &Context<'_>) {
        let old = self.person.clone();
        let new = row.person(old.epoch, cx.now);
        let person = &mut self.person;
        person.absent_since = None;
        person.user_name = new.user_name;
        person.display_name = new.display_name;
        person.email = new.email;
        person.employment = new.employment;
        person.cost_center = new.cost_center;
        person.valid_until = new.valid_until;
        person.gates = new.gates;
        let moved =
            (&old.manager, &old.team, &old.job_code) != (&new.manager, &new.team, &new.job_code);
        (person.manager, person.team, person.job_code) = (new.manager, new.team, new.job_code);
        if old.absent_since.is_some() {
            self.events.push(Event::Returned);
        }
        if moved {
            self.moved(cx);
        } else if self.person != (Person { absent_since: None, ..old }) {
            self.events.push(Event::Changed);
        }
    }

    /// Each membership gets a deadline. One that is set already stays: a second move, or a way back,
    /// gives no more time.
    fn moved(&mut self, cx: &Context<'_>) {
        self.events.push(Event::Moved);
        self.person.moved_at = Some(cx.now);
        for (group, membership) in cx.roster.memberships(&self.person.id, cx.now) {
            let known = self.person.reapprovals.get(&group);
            if known.is_some_and(|due| membership.approved <= due.moved_at) {
                continue;
            }
            let deadline = cx.now.plus(cx.settings.reapproval_of(membership.privileged));
            self.person.reapprovals.insert(group, Reapproval { moved_at: cx.now, deadline });
        }
        if self.person.state == PersonState::Enabled && !self.person.reapprovals.is_empty() {
            self.person.state = PersonState::Moving;
            self.person.since = cx.now;
        }
    }

    fn advance(&mut self, row: &Row, cx: &Context<'_>) {
        if row.state != HrState::Active {
            return;
        }
        match self.person.state {
            PersonState::Requested => self.enter(PersonState::Gated, Event::Gated, cx),
            // What a gate closed stays closed until the gate is passed.
            PersonState::Suspended if self.person.why != Some(Why::Gate) || self.passes(cx) => {
                self.enter(PersonState::Gated, Event::Gated, cx);
            }
            _ => {}
        }
        match self.person.state {
            PersonState::Gated if self.passes(cx) => {
                self.enter(PersonState::Enabled, Event::Enabled, cx);
                if self.is_unsettled(cx) {
                    self.person.state = PersonState::Moving;
                }
            }
            PersonState::Enabled | PersonState::Moving => {
                self.lapse(cx);
                self.settle(cx);
            }
            _ => {}
        }
    }

    fn passes(&self, cx: &Context<'_>) -> bool {
        !is_expired(&self.person, cx.now) && cx.settings.open_gates(&self.person, cx.now).is_empty()
    }

    fn lapse(&mut self, cx: &Context<'_>) {
        if !self.passes(cx) {
            self.suspend(Why::Gate, cx);
        }
    }

    fn settle(&mut self, cx: &Context<'_>) {
        if self.person.state == PersonState::Moving && !self.is_unsettled(cx) {
            self.enter(PersonState::Enabled, Event::Settled, cx);
        }
    }

    /// True while an old approval still counts.
    fn is_unsettled(&self, cx: &Context<'_>) -> bool {
        let waits = |(group, due): (&String, &Reapproval)| {
            let membership = cx.roster.membership(group, &self.person.id, cx.now);
            cx.now < due.deadline && membership.is_some_and(|m| m.approved <= due.moved_at)
        };
        self.person.reapprovals.iter().any(waits)
    }

    fn into_step(self, old: Option<&Person>) -> Option<Step> {
        if old == Some(&self.person) {
            return None;
        }
        let Change { person, events } = self;
        Some(Step { before: old.cloned(), person, events })
    }
}

/// The leaver: the state, the epoch, every membership, and the receipt for all of it.
pub(crate) fn end(person: &mut Person, cx: &Context<'_>) {
    let now = cx.now;
    let item = |what: &str, id: String, at| ReceiptItem { what: what.to_owned(), id, at };
    let mut ended = vec![
        item("person", person.id.clone(), Some(now)),
        item("enrolment", format!("{}/{}", person.id, person.epoch), None),
    ];
    let memberships = cx.roster.memberships(&person.id, now);
    ended.extend(memberships.into_iter().map(|(group, _)| item("membership", group, Some(now))));
    let enrolment = cx.roster.enrolment(&person.id);
    person.receipt = Some(Receipt { epoch: person.epoch, enrolment, found: now, ended });
    person.state = PersonState::Left;
    person.why = None;
    person.since = now;
    person.epoch = person.epoch.saturating_add(1);
    person.reapprovals.clear();
    person.moved_at = None;
    person.absent_since = None;
}
