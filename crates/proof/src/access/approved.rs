//! Whether one human's approval or denial counts.

use writ_model::{PersonId, Timestamp};

use super::{APPROVAL, Approval, Asked, Decision, Request, refused};
use crate::error::Error;
use crate::hash::Hash;
use crate::roster::{Approver, GroupName, Mode, Roster, Slot};
use crate::statement::Signed;

/// A decision whose signature is its approver's, and which that person may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    pub(super) approval: Approval,
    pub(super) digest: Hash,
}

impl Approved {
    /// Checks a decision on `asked` against the roster, as of `at`. `manager` is the requester's manager by
    /// the word of HR; who does not know it (keyd) leaves it out and takes any enrolled person in that slot,
    /// which is never the only one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        signed: &Signed,
        asked: &Asked,
        roster: &Roster,
        manager: Option<&PersonId>,
        at: Timestamp,
    ) -> Result<Approved, Error> {
        let (approval, signers) = signed.verify::<Approval>()?;
        let [signer] = signers.as_slice() else {
            return refused(APPROVAL, "its approver signs it, and nobody else");
        };
        let person = roster.signer(signer, roster.mode() != Mode::Dev)?;
        if *person != approval.approver {
            return refused(APPROVAL, format!("the key that signed it is `{person}`'s"));
        }
        if *person == asked.request.requester {
            return refused(APPROVAL, "nobody approves their own request");
        }
        check_facts(&approval, asked)?;
        let slot = slot_of(&approval, asked, roster)?;
        may_fill(&asked.request, slot, person, roster, manager, at)?;
        Ok(Approved { approval, digest: signed.digest() })
    }

    /// What was said.
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// SHA-256 of it as it was signed.
    pub fn digest(&self) -> Hash {
        self.digest
    }
}

/// The approval says what the request says; only its window may be shorter.
fn check_facts(approval: &Approval, asked: &Asked) -> Result<(), Error> {
    let request = &asked.request;
    let same = approval.site == request.site
        && approval.request == request.id
        && approval.request_digest == asked.digest
        && approval.requester == request.requester
        && approval.scope == request.scope
        && approval.account == request.account
        && approval.ticket == request.ticket
        && approval.revision == request.revision;
    if !same {
        return refused(
            APPROVAL,
            "it is of another request, or says something else than that does",
        );
    }
    let (from, to) = (approval.not_before, approval.not_after);
    let whole = [from, to].iter().all(|time| time.millis() % 1000 == 0);
    if !whole || from < request.not_before || to > request.not_after || to <= from {
        return refused(APPROVAL, "its window is empty, or wider than what was asked for");
    }
    Ok(())
}

fn slot_of<'a>(approval: &Approval, asked: &Asked, roster: &'a Roster) -> Result<&'a Slot, Error> {
    let group = roster.group(&asked.request.group);
    let slot = group.and_then(|group| group.rule.0.iter().find(|slot| slot.slot == approval.slot));
    match slot {
        Some(slot) => Ok(slot),
        None => refused(APPROVAL, format!("the rule has no slot `{}`", approval.slot)),
    }
}

/// Whether a person may fill a slot for a request, as of `at`; `manager` as for [`Approved::verify`].
///
/// # Errors
/// Why not.
pub fn may_fill(
    request: &Request,
    slot: &Slot,
    person: &PersonId,
    roster: &Roster,
    manager: Option<&PersonId>,
    at: Timestamp,
) -> Result<(), Error> {
    let no = |why: String| refused(APPROVAL, format!("`{person}` {why}"));
    if *person == request.requester {
        return refused(APPROVAL, "nobody approves their own request");
    }
    if roster.enrolled_since(person, request.created).is_none() {
        return no("was enrolled after the request was made".to_owned());
    }
    match &slot.from {
        Approver::Group(name) => {
            member_since(roster, name, person, request.created, at).or_else(no)
        }
        Approver::Owner => {
            let group = roster.group(&request.group);
            if group.is_some_and(|group| group.owners.0.contains(person)) {
                return Ok(());
            }
            no(format!("is no owner of `{}`", request.group))
        }
        Approver::ManagerOfRequester => {
            if manager.is_none_or(|manager| manager == person) {
                return Ok(());
            }
            no(format!("is not the manager of `{}`", request.requester))
        }
        Approver::Customer => no("is no customer: that slot is filled by a signed call".to_owned()),
    }
}

/// Who is added to a group of approvers after a request cannot fill a slot of it.
fn member_since(
    roster: &Roster,
    group: &GroupName,
    person: &PersonId,
    asked: Timestamp,
    at: Timestamp,
) -> Result<(), String> {
    match roster.member(group, person, at) {
        Some(member) if member.from <= asked => Ok(()),
        Some(_) => Err(format!("became a member of `{group}` after the request was made")),
        None => Err(format!("is not a member of `{group}` now")),
    }
}

impl Approved {
    pub(super) fn denies(&self) -> bool {
        self.approval.decision == Decision::Deny
    }
}
