//! HR's word and customers' as the rules for access ask for them.

use std::collections::{BTreeMap, BTreeSet};

use writ_access::{Customers, Hr};
use writ_model::{AccountId, PersonId, Ulid};
use writ_proof::access::{Consent, Touches};
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

/// No customer has said anything: none wants to be asked, and where a rule asks one, the request waits.
pub(super) struct NobodyAsked;

impl Customers for NobodyAsked {
    fn lockboxes(&self, _: &Touches) -> BTreeSet<AccountId> {
        BTreeSet::new()
    }

    fn consents(&self, _: Ulid) -> BTreeMap<AccountId, Consent> {
        BTreeMap::new()
    }
}
