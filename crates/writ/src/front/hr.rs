//! HR's word and the roster: who has left, or has not come, gets nothing of it ([`Keeper::may_act`] says
//! who signs nothing and opens nothing), and the rules for persons ask it who holds what.

use writ_model::{PersonId, Timestamp};
use writ_people::{Membership, Roster};
use writ_proof::roster::{Change, Group, GroupName, Member, Roster as Signed, Tier};
use writ_store::Snapshot;
use writ_store::state::PersonState;

use super::roster::Keeper;

/// Fails if `person` gets no keys and no memberships. Where there is a feed, it must name them.
///
/// # Errors
/// Why not.
pub fn may_get(person: &PersonId, snapshot: &Snapshot) -> Result<(), String> {
    match snapshot.person(person.as_str()) {
        Some(known) => match known.value.state {
            PersonState::Gated | PersonState::Enabled | PersonState::Moving => Ok(()),
            state => Err(format!("the person is {}", state.as_str())),
        },
        None if snapshot.hr_feed().is_some_and(|feed| !feed.value.digest.is_empty()) => {
            Err("the HR feed names nobody of this id".to_owned())
        }
        None => Ok(()),
    }
}

/// Whom a change gives something to that HR's word can keep from them.
pub fn receiver(change: &Change) -> Option<&PersonId> {
    match change {
        Change::Enrol(enrolment) => Some(&enrolment.id.person),
        Change::AddKey(key) => Some(&key.person),
        Change::AddMember(membership) => Some(&membership.person),
        _ => None,
    }
}

/// The roster as the rules for persons ask for it.
pub struct Rules<'a>(pub &'a Signed);

impl Roster for Rules<'_> {
    fn enrolled_since(&self, person: &str, at: Timestamp) -> Option<Timestamp> {
        self.0.enrolled_since(&id(person)?, at)
    }

    fn enrolment(&self, person: &str) -> Option<u64> {
        self.0.enrolment(&id(person)?)
    }

    fn membership(&self, group: &str, person: &str, at: Timestamp) -> Option<Membership> {
        let name: GroupName = group.parse().ok()?;
        let member = self.0.member(&name, &id(person)?, at)?;
        Some(membership(self.0, self.0.group(&name)?, member))
    }

    fn memberships(&self, person: &str, at: Timestamp) -> Vec<(String, Membership)> {
        let Some(person) = id(person) else { return Vec::new() };
        let held = self.0.groups_of(&person, at);
        held.map(|(group, member)| (group.name.to_string(), membership(self.0, group, member)))
            .collect()
    }
}

/// The same of front's own, as it is now.
impl Roster for Keeper {
    fn enrolled_since(&self, person: &str, at: Timestamp) -> Option<Timestamp> {
        Rules(&self.current()).enrolled_since(person, at)
    }

    fn enrolment(&self, person: &str) -> Option<u64> {
        Rules(&self.current()).enrolment(person)
    }

    fn membership(&self, group: &str, person: &str, at: Timestamp) -> Option<Membership> {
        Rules(&self.current()).membership(group, person, at)
    }

    fn memberships(&self, person: &str, at: Timestamp) -> Vec<(String, Membership)> {
        Rules(&self.current()).memberships(person, at)
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
