//! What records say of access. They name ids and digests; what was asked and said stands in the statements, which
//! are leaves of the operator log beside them.

use anyhow::Result;
use writ_access::{Decided, pseudonym};
use writ_model::{AccountId, PersonId, SystemEnv, Uuid};
use writ_proof::access::{Asked, Decision, Request, Scope, Touches};
use writ_proof::roster::{Accounts, HostName, Roster};
use writ_store::state::{AccessGrant, GrantEnd};
use writ_store::{OutboxRecord, Snapshot};

use super::super::platform::Platform;
use super::SOURCE;

type Shown = Vec<(&'static str, String)>;

/// The event of a decision.
pub(super) const fn name_of(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "ApproveAccess",
        Decision::Deny => "DenyAccess",
    }
}

/// What the event of a request tells.
pub(super) fn request(asked: &Asked, roster: &Roster) -> Shown {
    let request = asked.request();
    let mut shown = of_request(request);
    shown.push(("digest", asked.digest().to_string()));
    shown.push(("touches", touches(&request.touches(roster))));
    shown
}

/// What the event of a request that is refused tells: what it says, whoever may have written it.
pub(super) fn of_request(request: &Request) -> Shown {
    let mut shown = vec![
        ("requestId", request.id.to_string()),
        ("requester", request.requester.to_string()),
        ("group", request.group.to_string()),
        ("kind", request.scope.kind().as_str().to_owned()),
        ("hosts", list(request.scope.hosts())),
        ("basis", request.basis.as_str().to_owned()),
        ("ticket", format!("{}/{}", request.ticket.system, request.ticket.id)),
        ("notBefore", request.not_before.iso()),
        ("notAfter", request.not_after.iso()),
    ];
    shown.extend(request.account.map(|account| ("account", account.to_string())));
    if let Scope::Playback(scope) = &request.scope {
        shown.push(("sessionId", scope.session.to_string()));
    }
    shown
}

/// What the event of a decision tells.
pub(super) fn decision(decided: &Decided) -> Shown {
    let said = &decided.said;
    let mut shown = of_decision(said);
    shown.push(("state", decided.request.state.as_str().to_owned()));
    if let Some(grant) = &decided.grant {
        shown.push(("grant", grant.digest.clone()));
        shown.push(("granted", format!("{} to {}", grant.not_before.iso(), grant.not_after.iso())));
    }
    if !decided.missing.is_empty() {
        let missing: Vec<String> = decided.missing.iter().map(ToString::to_string).collect();
        shown.push(("missing", missing.join("; ")));
    }
    shown
}

/// The same of one that is refused.
pub(super) fn of_decision(said: &writ_proof::access::Approval) -> Shown {
    vec![
        ("requestId", said.request.to_string()),
        ("requestDigest", said.request_digest.to_string()),
        ("requester", said.requester.to_string()),
        ("approver", said.approver.to_string()),
        ("decision", said.decision.as_str().to_owned()),
        ("slot", said.slot.to_string()),
        ("notBefore", said.not_before.iso()),
        ("notAfter", said.not_after.iso()),
    ]
}

/// What the event of an end tells.
pub(super) fn end(grant: &AccessGrant, end: &GrantEnd) -> Shown {
    let mut shown = vec![
        ("requestId", grant.request.to_string()),
        ("digest", grant.digest.clone()),
        ("person", grant.person.to_string()),
        ("reason", end.reason.as_str().to_owned()),
    ];
    shown.extend(end.by.as_ref().map(|by: &PersonId| ("by", by.to_string())));
    shown
}

/// The records for the logs of all customers whose data a grant can lead to.
pub(super) fn granted(
    platform: &Platform,
    decided: &Decided,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Result<Vec<OutboxRecord>> {
    let Some(grant) = &decided.grant else { return Ok(Vec::new()) };
    let request = decided.asked.request();
    granted_by(platform, (grant, decided.approvers), request, roster, snapshot)
}

/// The same of a grant that so many people have approved.
pub(super) fn granted_by(
    platform: &Platform,
    (grant, approvers): (&AccessGrant, usize),
    request: &Request,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Result<Vec<OutboxRecord>> {
    let own = vec![("approvers", approvers.to_string())];
    customers(platform, ("OperatorAccessGranted", &own), grant, request, roster, snapshot)
}

/// The records for the logs of the same customers when it ends.
pub(super) fn ended(
    platform: &Platform,
    grant: &AccessGrant,
    end: &GrantEnd,
    request: &Request,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Result<Vec<OutboxRecord>> {
    let own = vec![("reason", end.reason.as_str().to_owned()), ("ended", end.at.iso())];
    customers(platform, ("OperatorAccessEnded", &own), grant, request, roster, snapshot)
}

fn customers(
    platform: &Platform,
    (name, own): (&str, &[(&'static str, String)]),
    grant: &AccessGrant,
    request: &Request,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Result<Vec<OutboxRecord>> {
    let request_id = Uuid::random(&SystemEnv);
    let one = |account: AccountId| {
        let mut shown = vec![
            ("operator", pseudonym(&platform.site, &grant.person)),
            ("basis", request.basis.as_str().to_owned()),
            ("ticket", format!("{}/{}", request.ticket.system, request.ticket.id)),
            ("kind", request.scope.kind().as_str().to_owned()),
            ("hosts", list(&hosts_of(account, request, roster))),
            ("notBefore", grant.not_before.iso()),
            ("notAfter", grant.not_after.iso()),
            ("accessRequestId", grant.request.to_string()),
            ("accessRequestDigest", grant.digest.clone()),
        ];
        shown.extend(own.iter().cloned());
        platform.record(account, (SOURCE, name), &shown, request_id, None)
    };
    told(grant, snapshot).into_iter().map(one).collect()
}

/// The customers that there are, of those to whose data a grant can lead.
pub(in crate::front) fn told(grant: &AccessGrant, snapshot: &Snapshot) -> Vec<AccountId> {
    let known = |account: &AccountId| snapshot.account(*account).is_some();
    let mut all: Vec<AccountId> = match &grant.touches {
        Some(accounts) => accounts.iter().copied().filter(known).collect(),
        None => snapshot.accounts().filter(known).collect(),
    };
    all.retain(|account| *account != AccountId::PLATFORM);
    all.sort();
    all
}

/// What a customer sees of the hosts: those that hold their data, and all if the work is for them.
pub(super) fn hosts_of(account: AccountId, request: &Request, roster: &Roster) -> Vec<HostName> {
    let holds = |host: &&HostName| match roster.accounts(host) {
        // Whose data it was at the time, says the recording.
        _ if matches!(request.scope, Scope::Playback(_)) => true,
        Accounts::All => true,
        Accounts::Only(held) => request.account == Some(account) || held.0.contains(&account),
    };
    request.scope.hosts().iter().filter(holds).cloned().collect()
}

pub(super) fn touches(touches: &Touches) -> String {
    match touches {
        Touches::Everybody => "everybody".to_owned(),
        Touches::Only(accounts) if accounts.is_empty() => "nobody".to_owned(),
        Touches::Only(accounts) => {
            accounts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
    }
}

fn list(hosts: &[HostName]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
