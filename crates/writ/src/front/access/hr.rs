//! HR's word as the rules for access ask for it.

use writ_access::Hr;
use writ_model::PersonId;
use writ_proof::roster::GroupName;
use writ_store::Snapshot;

use super::super::roster::Keeper;

/// HR's word, from one snapshot.
pub(super) struct OfHr<'a> {
    pub(super) keeper: &'a Keeper,
    pub(super) snapshot: &'a Snapshot,
}

impl Hr for OfHr<'_> {
    fn may_act(&self, person: &PersonId, group: Option<&GroupName>) -> Result<(), String> {
        match group {
            Some(group) => self.keeper.may_act_in(group, person, self.snapshot),
            None => self.keeper.may_act(person, self.snapshot),
        }
    }

    fn manager(&self, person: &PersonId) -> Option<PersonId> {
        let known = self.snapshot.person(person.as_str())?;
        known.value.manager.as_ref()?.parse().ok()
    }
}
