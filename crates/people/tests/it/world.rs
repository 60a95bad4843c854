//! People, lines and a roster for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_model::Timestamp;
use writ_people::machine::Context;
use writ_people::{Feed, Membership, Roster, Row, Settings};
use writ_store::state::{Cleared, Employment, Gates, HrState, Person, PolicyAccepted, Screening};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Noon of the day on which everything begins.
pub(crate) fn start() -> Timestamp {
    Timestamp::parse_iso("2026-06-01T12:00:00Z").unwrap()
}

/// Evidence for every gate, dated at `at`.
pub(crate) fn gates(at: Timestamp) -> Gates {
    Gates {
        nda: Some(at),
        policy: Some(PolicyAccepted { version: "1".to_owned(), at }),
        training_until: Some(start().plus(365 * DAY)),
        screening: Screening::Cleared(Cleared { at }),
    }
}

/// A line of an active employee who has passed every gate.
pub(crate) fn row(id: &str, state: HrState) -> Row {
    Row {
        line: 2,
        id: id.to_owned(),
        user_name: id.to_owned(),
        display_name: format!("The {id}"),
        email: String::new(),
        employment: Employment::Employee,
        state,
        manager: None,
        team: "t1".to_owned(),
        job_code: "j1".to_owned(),
        cost_center: String::new(),
        valid_until: None,
        gates: gates(start()),
    }
}

pub(crate) fn feed(rows: Vec<Row>) -> Feed {
    Feed { lines: rows.len(), rows, ..Feed::default() }
}

/// A roster in which everybody is enrolled, with memberships by (group, person).
#[derive(Default)]
pub(crate) struct Members(pub(crate) BTreeMap<(String, String), Membership>);

impl Members {
    pub(crate) fn with(list: &[(&str, &str, Timestamp, bool)]) -> Members {
        let one = |(group, person, approved, privileged): &(&str, &str, Timestamp, bool)| {
            let membership = Membership { approved: *approved, privileged: *privileged };
            (((*group).to_owned(), (*person).to_owned()), membership)
        };
        Members(list.iter().map(one).collect())
    }
}

impl Roster for Members {
    fn enrolled_since(&self, person: &str, _at: Timestamp) -> Option<Timestamp> {
        match person {
            "unenrolled" => None,
            "enrolled-anew" => Some(start().plus(2 * HOUR)),
            _ => Some(start()),
        }
    }

    fn enrolment(&self, person: &str) -> Option<u64> {
        (person != "unenrolled").then_some(1)
    }

    fn membership(&self, group: &str, person: &str, _at: Timestamp) -> Option<Membership> {
        self.0.get(&(group.to_owned(), person.to_owned())).copied()
    }

    fn memberships(&self, person: &str, _at: Timestamp) -> Vec<(String, Membership)> {
        let of = self.0.iter().filter(|((_, member), _)| member == person);
        of.map(|((group, _), membership)| (group.clone(), *membership)).collect()
    }
}

/// A context that freezes nothing.
pub(crate) fn context<'a>(
    now: Timestamp,
    settings: &'a Settings,
    roster: &'a dyn Roster,
) -> Context<'a> {
    Context { now, settings, roster, frozen: false, mass_change: false }
}

/// An enabled person.
pub(crate) fn enabled(id: &str) -> Person {
    let (settings, roster) = (Settings::default(), Members::default());
    let cx = context(start(), &settings, &roster);
    writ_people::machine::follow(None, &row(id, HrState::Active), &cx).unwrap().person
}
