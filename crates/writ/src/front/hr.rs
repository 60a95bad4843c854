//! What HR's word takes away from the roster: a person who may not act signs nothing and opens nothing,
//! and one who has left, or has not come, gets nothing.

use std::sync::Arc;

use writ_model::{Env as _, PersonId, SystemEnv};
use writ_people::{Roster, Settings, is_present};
use writ_proof::roster::Change;
use writ_service::pipeline::Pipeline;
use writ_store::Snapshot;
use writ_store::state::PersonState;

use super::enrol::Persons;
use super::roster::Keeper;

/// Fails if HR keeps `person` from acting. Of somebody whom HR does not know it says nothing: a founder
/// need not be on the payroll.
///
/// # Errors
/// Why not.
pub fn may_act(
    person: &PersonId,
    roster: &dyn Roster,
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<(), String> {
    let Some(known) = snapshot.person(person.as_str()) else { return Ok(()) };
    is_present(&known.value, roster, settings, SystemEnv.now()).map_err(|why| why.to_string())
}

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

/// The persons of the store, for enrolment.
pub struct HrPersons {
    pipeline: Arc<Pipeline>,
    keeper: Arc<Keeper>,
    settings: Settings,
}

impl HrPersons {
    /// The persons of this installation.
    pub fn new(pipeline: Arc<Pipeline>, keeper: Arc<Keeper>, settings: Settings) -> HrPersons {
        HrPersons { pipeline, keeper, settings }
    }
}

impl Persons for HrPersons {
    fn may_act(&self, person: &PersonId) -> Result<(), String> {
        may_act(person, &*self.keeper, &self.settings, &self.pipeline.store.snapshot())
    }

    fn may_enrol(&self, person: &PersonId) -> Result<(), String> {
        may_get(person, &self.pipeline.store.snapshot())
    }
}
