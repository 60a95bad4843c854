//! The roster as the rules for persons ask for it.

use writ_model::{PersonId, Timestamp};
use writ_people::{Membership, Roster};
use writ_proof::roster::{Group, GroupName, Member, Roster as Signed, Tier};

use super::roster::Keeper;

impl Roster for Keeper {
    fn enrolled_since(&self, person: &str, at: Timestamp) -> Option<Timestamp> {
        self.current().enrolled_since(&id(person)?, at)
    }

    fn enrolment(&self, person: &str) -> Option<u64> {
        self.current().enrolment(&id(person)?)
    }

    fn membership(&self, group: &str, person: &str, at: Timestamp) -> Option<Membership> {
        let roster = self.current();
        let name: GroupName = group.parse().ok()?;
        let member = roster.member(&name, &id(person)?, at)?;
        Some(membership(&roster, roster.group(&name)?, member))
    }

    fn memberships(&self, person: &str, at: Timestamp) -> Vec<(String, Membership)> {
        let roster = self.current();
        let Some(person) = id(person) else { return Vec::new() };
        let held = roster.groups_of(&person, at);
        held.map(|(group, member)| (group.name.to_string(), membership(&roster, group, member)))
            .collect()
    }
}

/// Whoever has no id of this form is in no roster.
fn id(person: &str) -> Option<PersonId> {
    person.parse().ok()
}

fn membership(roster: &Signed, group: &Group, member: Member) -> Membership {
    let privileged = group.tier == Tier::Privileged || roster.reaches_customers(&group.name);
    Membership { approved: member.approved, privileged }
}
