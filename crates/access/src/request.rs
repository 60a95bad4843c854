//! Filing a request.

use writ_model::{AccountId, PersonId, Revision, Timestamp, Ulid};
use writ_proof::access::{Asked, OWN_TICKETS, Request};
use writ_proof::statement::{Namespace, Signed};
use writ_store::Snapshot;
use writ_store::state::{AccessRequest, RequestState, Ticket};

use crate::ends::unended;
use crate::limits;
use crate::world::{Refusal, World, refused};

/// A request that may be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Filed {
    /// As it is stored.
    pub request: AccessRequest,
    /// What was asked, judged.
    pub asked: Asked,
    /// True if it is stored already: its reply was lost, and it was sent again.
    pub repeated: bool,
}

/// Judges a signed request that is sent in.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn file(signed: &Signed, world: &World<'_>) -> Result<Filed, Refusal> {
    if signed.namespace() != Namespace::Request {
        return Err(Refusal::Malformed(format!(
            "a statement of kind `{}` is no request: `writ request` makes them",
            signed.namespace()
        )));
    }
    let asked = Asked::verify(signed, world.roster, world.now)
        .map_err(|error| Refusal::Refused(error.to_string()))?;
    let request = asked.request();
    let id = request.id.to_string();
    if let Some(known) = world.snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id) {
        if known.statement.as_slice() == signed.to_bytes() {
            let request = AccessRequest::clone(&known.value);
            return Ok(Filed { request, asked, repeated: true });
        }
        return Err(Refusal::Taken(format!("there is another request `{id}`: make a new one")));
    }
    check_time(request, world.now)?;
    may_ask(request, world)?;
    check_room(request, world)?;
    let pending_until = world.now.plus(limits::PENDING_LIFETIME).min(request.not_after);
    let request = AccessRequest {
        id: request.id,
        requester: request.requester.clone(),
        digest: asked.digest().to_string(),
        statement: signed.to_bytes().into(),
        filed: world.now,
        pending_until,
        state: RequestState::Pending,
        since: world.now,
        why: None,
    };
    Ok(Filed { request, asked, repeated: false })
}

/// Fails unless a request could be filed now, once it is signed.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn check(request: &Request, world: &World<'_>) -> Result<(), Refusal> {
    let checked = request.check(world.roster, world.now);
    checked.map_err(|error| Refusal::Refused(error.to_string()))?;
    check_time(request, world.now)?;
    may_ask(request, world)?;
    check_room(request, world)
}

/// Fails unless HR and the ticket let the requester ask, now. Looked at again at each decision.
pub(crate) fn may_ask(request: &Request, world: &World<'_>) -> Result<(), Refusal> {
    let who = &request.requester;
    world
        .hr
        .may_act(who, Some(&request.group))
        .or_else(|why| refused(format!("`{who}` may not act in `{}` now: {why}", request.group)))?;
    check_ticket(request, world.snapshot)?;
    crate::runbook::entry_of(request, world.snapshot, world.roster, world.now)?;
    match world.customers.disabled(&request.touches(world.roster)).first() {
        None => Ok(()),
        Some(account) => refused(format!(
            "the customer {account} has disabled the support role: ask them, or leave their hosts out"
        )),
    }
}

fn check_ticket(request: &Request, snapshot: &Snapshot) -> Result<(), Refusal> {
    let (system, id) = (&request.ticket.system, &request.ticket.id);
    if system != OWN_TICKETS {
        return refused(format!(
            "the ticket system `{system}` is not known here: use `{OWN_TICKETS}/ID`, a ticket of `writ ticket \
             open`"
        ));
    }
    match snapshot.get::<Ticket>(AccountId::PLATFORM, id) {
        None => refused(format!("there is no ticket `{id}`: open it with `writ ticket open {id}`")),
        Some(ticket) if ticket.closed.is_some() => {
            refused(format!("the ticket `{id}` is closed: open one for this work"))
        }
        Some(_) => Ok(()),
    }
}

fn check_time(request: &Request, now: Timestamp) -> Result<(), Refusal> {
    if now.since(request.created) > limits::REQUEST_AGE_MAX {
        return refused("it was made more than 15 minutes ago: make it anew");
    }
    let made = request.id.time();
    if made.since(request.created).max(request.created.since(made)) > limits::ID_SKEW_MAX {
        return refused("its id is of another time than it was made at: `writ request` makes both");
    }
    if request.not_after <= now {
        return refused("its window is over");
    }
    Ok(())
}

fn check_room(request: &Request, world: &World<'_>) -> Result<(), Refusal> {
    let waiting = pending(world.snapshot, world.now);
    let (mut all, mut own) = (0, 0);
    for entry in waiting {
        all += 1;
        own += usize::from(entry.requester == request.requester);
    }
    if all >= limits::PENDING_MAX {
        let most = limits::PENDING_MAX;
        return Err(Refusal::TooMany(format!("{most} requests wait: wait until some are decided")));
    }
    let held = unended(world.snapshot, world.now);
    own += held.filter(|grant| grant.person == request.requester).count();
    if own >= limits::PERSON_MAX_OPEN {
        let most = limits::PERSON_MAX_OPEN;
        return Err(Refusal::TooMany(format!(
            "`{}` has {most} requests and grants: withdraw or end some",
            request.requester
        )));
    }
    Ok(())
}

/// The requests that wait for decisions.
pub fn pending(
    snapshot: &Snapshot,
    now: Timestamp,
) -> impl Iterator<Item = &std::sync::Arc<writ_store::Entry<AccessRequest>>> {
    let from = id_at(now, limits::PENDING_BACK);
    let recent = snapshot.list::<AccessRequest>(AccountId::PLATFORM, Some(&from));
    recent.filter(|entry| entry.state == RequestState::Pending)
}

/// Takes a pending request back: as it is then, and the revision of which that was decided. What has changed since
/// must be decided anew.
///
/// # Errors
/// It is not this person's, or is over.
pub fn withdraw(
    world: &World<'_>,
    id: Ulid,
    person: &PersonId,
) -> Result<(AccessRequest, Revision), Refusal> {
    let entry = world.request(id)?;
    if entry.requester != *person {
        return refused(format!("it is the request of `{}`: deny it instead", entry.requester));
    }
    check_pending(entry, world.now)?;
    let state = RequestState::Withdrawn;
    let request = AccessRequest::clone(&entry.value);
    Ok((AccessRequest { state, since: world.now, why: None, ..request }, entry.revision))
}

/// Fails unless it still waits.
pub(crate) fn check_pending(request: &AccessRequest, now: Timestamp) -> Result<(), Refusal> {
    let state = match request.state {
        RequestState::Pending if now < request.pending_until => return Ok(()),
        RequestState::Pending => RequestState::Expired,
        state => state,
    };
    Err(Refusal::Over(format!(
        "the request is {}: what is asked for again is a new request",
        state.as_str()
    )))
}

/// An id that comes before all that are made later than `back` before `now`.
pub(crate) fn id_at(now: Timestamp, back: std::time::Duration) -> String {
    let mut bytes = [0; 16];
    let back = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
    let at = now.millis().saturating_sub(back).to_be_bytes();
    bytes.iter_mut().zip(at.iter().skip(2)).for_each(|(to, from)| *to = *from);
    Ulid::from_bytes(bytes).to_string()
}
