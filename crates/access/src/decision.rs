//! What one human's decision makes of a request.

use std::sync::Arc;

use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::{
    Approval, Approved, Asked, Decision, Evidence, Missing, Outcome, Request, Touches, may_fill,
};
use writ_proof::cbor;
use writ_proof::roster::{Approver, Roster, Slot, SlotName};
use writ_proof::statement::{Namespace, Signed};
use writ_store::state::{AccessApproval, AccessGrant, AccessRequest, RequestState};
use writ_store::{Entry, Snapshot};

use crate::limits;
use crate::nonce::Nonces;
use crate::request::{check_pending, may_ask};
use crate::world::{Refusal, World, refused};

/// A decision that may be stored, and what it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// As it is stored.
    pub approval: AccessApproval,
    /// What was said.
    pub said: Approval,
    /// The request as it is then.
    pub request: AccessRequest,
    /// What was asked, judged.
    pub asked: Asked,
    /// The grant, if this was the last approval that it needed.
    pub grant: Option<AccessGrant>,
    /// How many people have agreed, this one included.
    pub approvers: usize,
    /// Who has still to agree.
    pub missing: Vec<Missing>,
    /// True if it is stored already: its reply was lost, and it was sent again.
    pub repeated: bool,
}

/// Judges a signed decision that is sent in. Its nonce is still good afterwards: whoever stores the decision
/// takes it.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn decide(signed: &Signed, nonces: &Nonces, world: &World<'_>) -> Result<Decided, Refusal> {
    let said = read(signed)?;
    let entry = world.request(said.request)?;
    let id = AccessApproval::id_of(said.request, &said.approver);
    let known = world.snapshot.get::<AccessApproval>(AccountId::PLATFORM, &id);
    if let Some(known) = known
        && known.statement.as_slice() == signed.to_bytes()
    {
        return repeated(&known.value, said, entry, world);
    }
    check_pending(entry, world.now)?;
    let asked = asked(entry, world)?;
    let approved = judge(signed, &asked, world)?;
    let request = asked.request();
    if said.not_after <= world.now && said.decision == Decision::Approve {
        return refused("its window is over");
    }
    nonces.check(&said, world.now)?;
    let mut all = others(entry, &asked, &said.approver, world);
    if all.len() >= limits::DECISIONS_MAX {
        return Err(Refusal::TooMany("too many people have decided on it".to_owned()));
    }
    all.push(approved);
    let touches = request.touches(world.roster);
    let evidence = Evidence {
        approved: &all,
        lockboxes: world.customers.lockboxes(&touches),
        consents: world.customers.consents(request.id),
    };
    let outcome = writ_proof::access::decide(&asked, world.roster, &evidence);
    let approval = AccessApproval {
        request: request.id,
        approver: said.approver.clone(),
        decision: said.decision.as_str().to_owned(),
        statement: signed.to_bytes().into(),
        at: world.now,
    };
    let approvers = all.iter().filter(|one| one.approval().decision == Decision::Approve).count();
    let (request, grant, missing) = follow(&entry.value, outcome, &touches, world);
    let repeated = false;
    Ok(Decided { approval, said, request, asked, grant, approvers, missing, repeated })
}

/// What becomes of the request.
pub(crate) fn follow(
    request: &AccessRequest,
    outcome: Outcome,
    touches: &Touches,
    world: &World<'_>,
) -> (AccessRequest, Option<AccessGrant>, Vec<Missing>) {
    let request = request.clone();
    let now = world.now;
    match outcome {
        Outcome::Waiting(missing) => (request, None, missing),
        Outcome::Denied(by) => {
            let (state, why) = (RequestState::Denied, Some(format!("by {by}")));
            (AccessRequest { state, since: now, why, ..request }, None, Vec::new())
        }
        // The window that all agree to may be over although the request's is not.
        Outcome::Granted(grant) if grant.not_after <= now => {
            let (state, why) = (RequestState::Expired, Some("the approvals' window".to_owned()));
            (AccessRequest { state, since: now, why, ..request }, None, Vec::new())
        }
        Outcome::Granted(grant) => {
            let grant = AccessGrant {
                request: grant.request,
                digest: grant.digest.to_string(),
                person: grant.person,
                not_before: grant.not_before,
                not_after: grant.not_after,
                granted: now,
                touches: match touches {
                    Touches::Everybody => None,
                    Touches::Only(accounts) => Some(accounts.iter().copied().collect()),
                },
                end: None,
            };
            let state = RequestState::Approved;
            (AccessRequest { state, since: now, why: None, ..request }, Some(grant), Vec::new())
        }
    }
}

/// Fails unless a person may be given a nonce for a decision; else the slots that they may fill.
///
/// # Errors
/// Why they may not decide.
pub fn may_decide(
    world: &World<'_>,
    id: Ulid,
    person: &PersonId,
) -> Result<Vec<SlotName>, Refusal> {
    let entry = world.request(id)?;
    check_pending(entry, world.now)?;
    let asked = asked(entry, world)?;
    let slots = slots_for(&asked, person, world);
    if !slots.is_empty() {
        return Ok(slots);
    }
    let request = asked.request();
    let rule = rule_of(request.group.as_str(), world);
    let mut why = format!("no slot of the rule of `{}` is for `{person}`", request.group);
    if *person == request.requester {
        why = "nobody approves their own request".to_owned();
    } else if let [slot] = rule
        && let Err(error) = fills(request, slot, person, world)
    {
        why = error;
    }
    refused(why)
}

/// The slots that a person may fill for a request, in the order of the rule.
fn slots_for(asked: &Asked, person: &PersonId, world: &World<'_>) -> Vec<SlotName> {
    let rule = rule_of(asked.request().group.as_str(), world);
    let fitting = rule.iter().filter(|slot| fills(asked.request(), slot, person, world).is_ok());
    fitting.map(|slot| slot.slot.clone()).collect()
}

/// The slots that a person may fill for a pending request that they have not decided on: what waits for them.
/// The request's signature is not looked at again.
pub fn waits_for(
    entry: &Entry<AccessRequest>,
    person: &PersonId,
    world: &World<'_>,
) -> Vec<SlotName> {
    let Some(request) = &entry.derived else { return Vec::new() };
    let id = AccessApproval::id_of(entry.id, person);
    let decided = world.snapshot.get::<AccessApproval>(AccountId::PLATFORM, &id).is_some();
    if decided || check_pending(entry, world.now).is_err() {
        return Vec::new();
    }
    let manager = world.hr.manager(&request.requester);
    let fits = |slot: &&Slot| {
        let known = slot.from != Approver::ManagerOfRequester || manager.is_some();
        known && may_fill(request, slot, person, world.roster, manager.as_ref(), world.now).is_ok()
    };
    let rule = rule_of(request.group.as_str(), world);
    rule.iter().filter(fits).map(|slot| slot.slot.clone()).collect()
}

/// Who could fill a slot for a request now, as far as the roster and HR say.
pub fn fillers(request: &Request, slot: &Slot, world: &World<'_>) -> Vec<PersonId> {
    let all = world.roster.people().map(|(person, _)| person);
    all.filter(|person| fills(request, slot, person, world).is_ok()).cloned().collect()
}

fn fills(
    request: &Request,
    slot: &Slot,
    person: &PersonId,
    world: &World<'_>,
) -> Result<(), String> {
    let manager = world.hr.manager(&request.requester);
    if slot.from == Approver::ManagerOfRequester && manager.is_none() {
        let who = &request.requester;
        return Err(format!("HR names no manager of `{who}`"));
    }
    let group = match &slot.from {
        Approver::Group(name) => Some(name),
        _ => None,
    };
    world.hr.may_act(person, group).map_err(|why| format!("`{person}` may not act now: {why}"))?;
    may_fill(request, slot, person, world.roster, manager.as_ref(), world.now)
        .map_err(|error| error.to_string())
}

fn rule_of<'a>(group: &str, world: &World<'a>) -> &'a [Slot] {
    let group = group.parse().ok().and_then(|name| world.roster.group(&name));
    group.map_or(&[], |group| group.rule.0.as_slice())
}

fn read(signed: &Signed) -> Result<Approval, Refusal> {
    if signed.namespace() != Namespace::Approval {
        return Err(Refusal::Malformed(format!(
            "a statement of kind `{}` is no decision: `writ approve` and `writ deny` make them",
            signed.namespace()
        )));
    }
    cbor::from_slice(signed.body())
        .map_err(|error| Refusal::Malformed(format!("its body is no decision: {error}")))
}

/// The stored request, judged as of now.
pub(crate) fn asked(entry: &Entry<AccessRequest>, world: &World<'_>) -> Result<Asked, Refusal> {
    let over = |why: String| Refusal::Refused(format!("the request does not hold any more: {why}"));
    let signed = Signed::from_bytes(entry.statement.as_slice());
    let asked = signed.and_then(|signed| Asked::verify(&signed, world.roster, world.now));
    let asked = asked.map_err(|error| over(error.to_string()))?;
    may_ask(asked.request(), world).map_err(|error| over(error.to_string()))?;
    Ok(asked)
}

/// A decision whose signer may make it, by the roster and by HR.
pub(crate) fn judge(
    signed: &Signed,
    asked: &Asked,
    world: &World<'_>,
) -> Result<Approved, Refusal> {
    let manager = world.hr.manager(&asked.request().requester);
    let approved = Approved::verify(signed, asked, world.roster, manager.as_ref(), world.now)
        .map_err(|error| Refusal::Refused(error.to_string()))?;
    let said = approved.approval();
    let rule = rule_of(asked.request().group.as_str(), world);
    // INVARIANT: it is there, or the decision would not have been good.
    let slot = rule.iter().find(|slot| slot.slot == said.slot);
    let slot = slot.ok_or_else(|| Refusal::Refused("the rule has no such slot".to_owned()))?;
    fills(asked.request(), slot, &said.approver, world).map_err(Refusal::Refused)?;
    Ok(approved)
}

/// What a person has decided and may still decide now.
pub fn said_before(
    entry: &Arc<Entry<AccessRequest>>,
    person: &PersonId,
    world: &World<'_>,
) -> Option<Approval> {
    let asked = asked(entry, world).ok()?;
    let mut held = decisions(world.snapshot, entry.id);
    let held = held.find(|held| held.approver == *person)?;
    let signed = Signed::from_bytes(held.statement.as_slice()).ok()?;
    judge(&signed, &asked, world).ok().map(|judged| judged.approval().clone())
}

/// What others have decided and may still decide now: who has left the approvers since, does not count.
fn others(
    entry: &Arc<Entry<AccessRequest>>,
    asked: &Asked,
    but: &PersonId,
    world: &World<'_>,
) -> Vec<Approved> {
    let held = decisions(world.snapshot, entry.id).filter(|held| held.approver != *but);
    held.filter_map(|held| {
        let signed = Signed::from_bytes(held.statement.as_slice()).ok()?;
        judge(&signed, asked, world).ok()
    })
    .collect()
}

/// The stored decisions on a request.
pub fn decisions(
    snapshot: &Snapshot,
    request: Ulid,
) -> impl Iterator<Item = &Arc<Entry<AccessApproval>>> {
    let all = snapshot.list::<AccessApproval>(AccountId::PLATFORM, Some(&request.to_string()));
    all.take_while(move |held| held.request == request)
}

/// The decisions that prove a grant now, as they were signed. Who has left the approvers since does not count, and a
/// quorum may hold without them; but keyd and the bastion refuse evidence with a decision that does not count. A denial
/// is never left out.
///
/// This is what the roster says and what keyd has been told of leavers, and no more: HR's passing words keep people from
/// deciding, and undo nothing that they decided.
pub fn evidence(
    snapshot: &Snapshot,
    roster: &Roster,
    asked: &Asked,
    now: Timestamp,
) -> Vec<Vec<u8>> {
    let counts = |held: &&Arc<Entry<AccessApproval>>| {
        let Ok(signed) = Signed::from_bytes(held.statement.as_slice()) else { return false };
        !has_left(snapshot, roster, &held.approver)
            && Approved::verify(&signed, asked, roster, None, now).is_ok()
    };
    let all = decisions(snapshot, asked.request().id);
    all.filter(|held| held.decision == Decision::Deny.as_str() || counts(held))
        .map(|held| held.statement.as_slice().to_vec())
        .collect()
}

/// True if the person's present enrolment ended when HR's word was that they left: keyd was told of it then.
pub fn has_left(snapshot: &Snapshot, roster: &Roster, person: &PersonId) -> bool {
    let receipt = snapshot.person(person.as_str()).and_then(|known| known.receipt.as_ref());
    let ended = receipt.and_then(|receipt| receipt.enrolment);
    ended.is_some() && ended == roster.enrolment(person)
}

fn repeated(
    known: &AccessApproval,
    said: Approval,
    entry: &Entry<AccessRequest>,
    world: &World<'_>,
) -> Result<Decided, Refusal> {
    let signed = Signed::from_bytes(entry.statement.as_slice());
    let asked = signed.and_then(|signed| Asked::verify(&signed, world.roster, world.now));
    let asked = asked.map_err(|error| Refusal::Over(error.to_string()))?;
    Ok(Decided {
        approval: known.clone(),
        said,
        request: entry.value.as_ref().clone(),
        asked,
        grant: None,
        approvers: decisions(world.snapshot, entry.id).count(),
        missing: Vec::new(),
        repeated: true,
    })
}

/// Who has still to agree to a pending request.
pub fn missing(entry: &Arc<Entry<AccessRequest>>, world: &World<'_>) -> Vec<Missing> {
    let Ok(asked) = asked(entry, world) else { return Vec::new() };
    let held = decisions(world.snapshot, entry.id);
    let approved: Vec<Approved> = held
        .filter_map(|held| {
            let signed = Signed::from_bytes(held.statement.as_slice()).ok()?;
            judge(&signed, &asked, world).ok()
        })
        .collect();
    let evidence = Evidence {
        approved: &approved,
        lockboxes: world.customers.lockboxes(&asked.request().touches(world.roster)),
        consents: world.customers.consents(entry.id),
    };
    match writ_proof::access::decide(&asked, world.roster, &evidence) {
        Outcome::Waiting(missing) => missing,
        Outcome::Denied(_) | Outcome::Granted(_) => Vec::new(),
    }
}
