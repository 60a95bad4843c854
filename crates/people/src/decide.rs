//! May this person act, and in this group, now? The one place that answers it.

use writ_model::Timestamp;
use writ_store::state::{Person, PersonState};

use crate::gates::is_expired;
use crate::{Gate, Membership, Roster, Settings};

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// A gate is open.
    #[error("the gate `{0}` is open")]
    Gate(Gate),
    /// The person's time is over.
    #[error("the person's time is over")]
    Expired,
    /// The membership was not approved anew after a move.
    #[error("the membership was not approved anew after a move")]
    NotApprovedAnew,
    /// The person has no enrolment.
    #[error("the person is not enrolled")]
    NotEnrolled,
    /// The person is not in the group.
    #[error("the person is not in the group")]
    NotMember,
    /// The person's state.
    #[error("the person is {}", .0.as_str())]
    State(PersonState),
    /// The feed has never named such a person.
    #[error("nobody has this id")]
    Unknown,
}

/// Whether the person may act at all at `now`.
///
/// # Errors
/// Why not.
pub fn may_act(person: &Person, settings: &Settings, now: Timestamp) -> Result<(), Denied> {
    match person.state {
        PersonState::Enabled | PersonState::Moving => {}
        state => return Err(Denied::State(state)),
    }
    if is_expired(person, now) {
        return Err(Denied::Expired);
    }
    settings.open_gates(person, now).first().map_or(Ok(()), |gate| Err(Denied::Gate(*gate)))
}

/// Whether the person is enabled and enrolled at `now`. An enrolment of an earlier employment has ended
/// with it: a re-hire enrols anew.
///
/// # Errors
/// Why not.
pub fn is_present(
    person: &Person,
    roster: &dyn Roster,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), Denied> {
    may_act(person, settings, now)?;
    match roster.enrolled_since(&person.id, now) {
        Some(since) if person.gates_from.is_none_or(|from| since >= from) => Ok(()),
        _ => Err(Denied::NotEnrolled),
    }
}

/// Whether the person may act in `group` at `now`: enabled, enrolled, a member, and approved since
/// the last move or still within its deadline.
///
/// # Errors
/// Why not.
pub fn decide(
    group: &str,
    person: Option<&Person>,
    roster: &dyn Roster,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), Denied> {
    let person = person.ok_or(Denied::Unknown)?;
    is_present(person, roster, settings, now)?;
    let membership = roster.membership(group, &person.id, now).ok_or(Denied::NotMember)?;
    match is_dead(group, person, membership, settings, now) {
        true => Err(Denied::NotApprovedAnew),
        false => Ok(()),
    }
}

/// True if a move ended the membership: its deadline has come without a new approval.
pub fn is_dead(
    group: &str,
    person: &Person,
    membership: Membership,
    settings: &Settings,
    now: Timestamp,
) -> bool {
    let noted = person
        .reapprovals
        .get(group)
        .is_some_and(|due| membership.approved <= due.moved_at && now >= due.deadline);
    // Also where the move could not note the group: the roster may have been unknown then.
    let by_move = person.moved_at.is_some_and(|moved| {
        let deadline = moved.plus(settings.reapproval_of(membership.privileged));
        membership.approved <= moved && now >= deadline
    });
    // An earlier epoch's membership is not this employment's.
    let earlier = person.gates_from.is_some_and(|from| membership.approved < from);
    noted || by_move || earlier
}
