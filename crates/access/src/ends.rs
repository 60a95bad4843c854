//! What a grant is at a moment, and what ends it.

use std::collections::BTreeSet;
use std::sync::Arc;

use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::{Decision, Grant, OWN_TICKETS, Request, Scope, Touches};
use writ_proof::hash::Hash;
use writ_proof::roster::{HostName, Roster};
use writ_store::state::{
    AccessGrant, AccessRequest, EndReason, GrantEnd, Person, PersonState, RequestState, Ticket,
};
use writ_store::{Entry, Snapshot};

use crate::limits;
use crate::request::{id_at, pending};
use crate::runbook::runs;
use crate::world::{Refusal, World};

/// What a grant is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// It is over, whether that is stored yet or not.
    Ended,
    /// It may be used.
    Live,
    /// Its window has not begun.
    Scheduled,
}

impl GrantState {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            GrantState::Ended => "ended",
            GrantState::Live => "live",
            GrantState::Scheduled => "scheduled",
        }
    }
}

/// The grant as everybody who judges it names it; `None` if what is stored is damaged.
pub fn grant_of(stored: &AccessGrant) -> Option<Grant> {
    Some(Grant {
        request: stored.request,
        digest: stored.digest.parse().ok()?,
        person: stored.person.clone(),
        not_before: stored.not_before,
        not_after: stored.not_after,
    })
}

/// What a stored grant is at `now`.
pub fn state(stored: &AccessGrant, now: Timestamp) -> GrantState {
    match grant_of(stored) {
        Some(grant) if stored.end.is_none() && grant.holds(now) => GrantState::Live,
        Some(grant) if stored.end.is_none() && now < grant.not_before => GrantState::Scheduled,
        _ => GrantState::Ended,
    }
}

/// The grants that are live at `now`. Access is their union; who serves sessions asks this and nothing else.
pub fn live(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = &Arc<Entry<AccessGrant>>> {
    unended(snapshot, now).filter(move |grant| state(grant, now) == GrantState::Live)
}

/// The grants without a stored end whose requests are recent enough to have one still before them.
pub fn unended(
    snapshot: &Snapshot,
    now: Timestamp,
) -> impl Iterator<Item = &Arc<Entry<AccessGrant>>> {
    recent(snapshot, now).filter(|grant| grant.end.is_none())
}

/// Grants that have ended before their window was over: whoever starts anew has to know them.
pub fn ended_early(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = Hash> {
    let early = recent(snapshot, now).filter(move |g| g.end.is_some() && now < g.not_after);
    early.filter_map(|grant| grant.digest.parse().ok())
}

fn recent(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = &Arc<Entry<AccessGrant>>> {
    let from = id_at(now, limits::LIVE_BACK);
    snapshot.list::<AccessGrant>(AccountId::PLATFORM, Some(&from))
}

/// What has to end, and why. Everything in it is as it is once ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ends {
    /// Requests that wait no more.
    pub requests: Vec<AccessRequest>,
    /// Grants.
    pub grants: Vec<AccessGrant>,
}

impl Ends {
    /// True if nothing has to.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.grants.is_empty()
    }

    /// How many things have to.
    pub fn len(&self) -> usize {
        self.requests.len() + self.grants.len()
    }

    /// The digests of the grants that end before their windows are over.
    pub fn digests(&self, now: Timestamp) -> Vec<Hash> {
        let early = self.grants.iter().filter(|grant| now < grant.not_after);
        early.filter_map(|grant| grant.digest.parse().ok()).collect()
    }

    fn close(&mut self, request: &AccessRequest, state: RequestState, why: &str, now: Timestamp) {
        let (request, why) = (request.clone(), Some(why.to_owned()));
        self.requests.push(AccessRequest { state, since: now, why, ..request });
    }

    fn end(
        &mut self,
        grant: &AccessGrant,
        reason: EndReason,
        now: Timestamp,
        by: Option<&PersonId>,
    ) {
        let end = Some(GrantEnd { reason, at: now, by: by.cloned() });
        self.grants.push(AccessGrant { end, ..grant.clone() });
    }
}

/// Everything of a person, who may not go on with it.
pub fn of_person(snapshot: &Snapshot, person: &str, reason: EndReason, now: Timestamp) -> Ends {
    let mut ends = Ends::default();
    for request in pending(snapshot, now).filter(|r| r.requester.as_str() == person) {
        ends.close(request, RequestState::Withdrawn, reason.as_str(), now);
    }
    for grant in unended(snapshot, now).filter(|g| g.person.as_str() == person) {
        ends.end(grant, reason, now, None);
    }
    ends
}

/// Everything that rests on a ticket, which is closed.
pub fn of_ticket(snapshot: &Snapshot, id: &str, by: &PersonId, now: Timestamp) -> Ends {
    let names = |request: &Request| request.ticket.system == OWN_TICKETS && request.ticket.id == id;
    let mut ends = Ends::default();
    for request in pending(snapshot, now) {
        if request.derived.as_deref().is_some_and(names) {
            ends.close(request, RequestState::Withdrawn, EndReason::TicketClosed.as_str(), now);
        }
    }
    for grant in unended(snapshot, now) {
        if asked(snapshot, grant.request).is_some_and(|request| names(&request)) {
            ends.end(grant, EndReason::TicketClosed, now, Some(by));
        }
    }
    ends
}

/// One grant, which somebody revokes.
///
/// # Errors
/// There is none that could end.
pub fn revoke(world: &World<'_>, id: Ulid, by: &PersonId) -> Result<Ends, Refusal> {
    let found = world.snapshot.get::<AccessGrant>(AccountId::PLATFORM, &id.to_string());
    let grant = found.ok_or_else(|| Refusal::NotFound(format!("there is no grant `{id}`")))?;
    if state(grant, world.now) == GrantState::Ended {
        return Err(Refusal::Over("the grant has ended already".to_owned()));
    }
    let mut ends = Ends::default();
    ends.end(grant, EndReason::Revoked, world.now, Some(by));
    Ok(ends)
}

/// What has to end by itself now: by time, by the roster, by HR's word, or with a ticket.
pub fn due(world: &World<'_>) -> Ends {
    let (snapshot, now) = (world.snapshot, world.now);
    let mut ends = Ends::default();
    for request in pending(snapshot, now) {
        if now >= request.pending_until {
            ends.close(request, RequestState::Expired, "too few agreed in time", now);
        }
    }
    for grant in unended(snapshot, now) {
        if let Some(reason) = over(grant, world) {
            ends.end(grant, reason, now, None);
        }
    }
    ends
}

/// What has to end because customers do not want it, or not any more.
pub fn of_customers(world: &World<'_>) -> Ends {
    let mut ends = Ends::default();
    for grant in unended(world.snapshot, world.now) {
        if let Some(reason) = unwanted(grant, world) {
            ends.end(grant, reason, world.now, None);
        }
    }
    ends
}

/// Why customers do not want a grant, if they do not: one has disabled the support role, one has a lockbox and has
/// not agreed, or one has said no.
fn unwanted(grant: &AccessGrant, world: &World<'_>) -> Option<EndReason> {
    let touches = match &grant.touches {
        None => Touches::Everybody,
        Some(accounts) => Touches::Only(accounts.iter().copied().collect()),
    };
    if !world.customers.disabled(&touches).is_empty() {
        return Some(EndReason::RoleDisabled);
    }
    let mut consents = world.customers.consents(grant.request);
    consents.retain(|account, _| touches.touches(*account));
    let mut lockboxes = world.customers.lockboxes(&touches).into_iter();
    let denied = consents.values().any(|consent| consent.decision == Decision::Deny);
    let unasked = lockboxes.any(|account| !consents.contains_key(&account));
    (denied || unasked).then_some(EndReason::LockboxWithdrawn)
}

/// Why a grant has to end, if it has.
fn over(grant: &AccessGrant, world: &World<'_>) -> Option<EndReason> {
    if world.now >= grant.not_after {
        return Some(EndReason::Expired);
    }
    // What cannot be read gives nothing.
    let Some(request) = asked(world.snapshot, grant.request) else {
        return Some(EndReason::PolicyChanged);
    };
    // INVARIANT: a grant is stored with its approved request, and nobody writes over that. If it were not so, the
    // request's end counts.
    let id = grant.request.to_string();
    let stored = world.snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id);
    if stored.is_none_or(|stored| stored.state != RequestState::Approved) {
        return Some(EndReason::Revoked);
    }
    if let Some(reason) = of_hr(&request, world) {
        return Some(reason);
    }
    if let Some(reason) = unwanted(grant, world) {
        return Some(reason);
    }
    if !gives(&request, grant, world.roster, world.now) {
        return Some(EndReason::PolicyChanged);
    }
    let ticket = world.snapshot.get::<Ticket>(AccountId::PLATFORM, &request.ticket.id);
    let open = ticket.is_some_and(|ticket| ticket.closed.is_none());
    if !open {
        return Some(EndReason::TicketClosed);
    }
    used(&request, grant, world).then_some(EndReason::Used)
}

/// True if nothing can come of it any more: it was for a runbook, which has ended on each host.
fn used(request: &Request, grant: &AccessGrant, world: &World<'_>) -> bool {
    let Scope::Runbook(run) = &request.scope else { return false };
    let ended = |host: &HostName| {
        runs(world.snapshot, world.now).any(|known| {
            known.request == grant.request && known.host == host.as_str() && known.ended.is_some()
        })
    };
    run.hosts.0.iter().all(ended)
}

/// HR's word against the person, whatever made it: a grant may have been made at the very moment.
fn of_hr(request: &Request, world: &World<'_>) -> Option<EndReason> {
    world.hr.may_act(&request.requester, Some(&request.group)).err()?;
    let id = request.requester.as_str();
    let person = world.snapshot.get::<Person>(AccountId::PLATFORM, id);
    Some(match person.map(|person| person.state) {
        Some(PersonState::Left) => EndReason::Leaver,
        Some(PersonState::Enabled | PersonState::Moving) => EndReason::JobChange,
        _ => EndReason::Suspended,
    })
}

/// True while the roster still gives what was granted: the same group as it was, a membership and an enrolment that
/// hold, the hosts, and nobody's data besides those who were known to be touched.
fn gives(request: &Request, grant: &AccessGrant, roster: &Roster, now: Timestamp) -> bool {
    let touched = match (request.touches(roster), &grant.touches) {
        (_, None) => true,
        (Touches::Everybody, Some(_)) => false,
        (Touches::Only(now), Some(then)) => {
            let then: BTreeSet<AccountId> = then.iter().copied().collect();
            now.is_subset(&then)
        }
    };
    touched
        && roster.group_revision(&request.group) == Some(request.revision)
        && roster.enrolment(&request.requester) == Some(request.enrolment)
        && roster.member(&request.group, &request.requester, now).is_some()
        && request.scope.hosts().iter().all(|host| roster.host(host).is_some())
}

/// What was asked for with the request of this id.
pub fn asked(snapshot: &Snapshot, id: Ulid) -> Option<Arc<Request>> {
    let request = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id.to_string())?;
    request.derived.clone()
}
