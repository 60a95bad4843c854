//! ListOperatorAccess and GetOperatorAccess: what a customer sees of who may touch their account, and did.
//!
//! Operators are pseudonyms; of a request's hosts only those are shown that may hold the customer's data, and
//! the reason in words is not, since it may speak of others.

use writ_access::GrantState;
use writ_access::decision::decisions;
use writ_aws::generated::writ::{
    CustomerDecision, GetOperatorAccessRequest, GetOperatorAccessResponse,
    ListOperatorAccessRequest, ListOperatorAccessResponse, OperatorAccess,
};
use writ_aws::{ApiError, Output as _, Service};
use writ_model::{AccountId, Timestamp, Ulid};
use writ_proof::access::{Request, Scope};
use writ_service::call::{Call, Outcome};
use writ_store::state::{AccessGrant, AccessRequest, Consent, EndReason, RequestState};
use writ_store::{Entry, Snapshot};

use super::super::access::Access;
use super::permit;

/// Entries of a page, unless the caller wants fewer.
const PAGE: usize = 100;
/// Requests that one page looks at; then it says where to go on.
const LOOK_MAX: usize = 20_000;

pub(super) fn get(
    access: &Access,
    call: &Call,
    request: &GetOperatorAccessRequest,
) -> Result<Outcome, ApiError> {
    permit(call, &thing(&request.request_id))?;
    let found = find(access, &call.snapshot, call.account(), &request.request_id)?;
    let operator_access = Some(show(access, call, &call.snapshot, &found, None));
    Ok(Outcome::reply(GetOperatorAccessResponse { operator_access }.into_value()))
}

pub(super) fn list(
    access: &Access,
    call: &Call,
    request: &ListOperatorAccessRequest,
) -> Result<Outcome, ApiError> {
    permit(call, &thing("*"))?;
    let before = request.next_token.as_deref();
    if before.is_some_and(|token| token.parse::<Ulid>().is_err()) {
        return Err(ApiError::validation(Service::Writ, "NextToken is not one of this operation."));
    }
    let max = request.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE);
    let (mut page, mut next) = (Vec::new(), None);
    let all = call.snapshot.list_back::<AccessRequest>(AccountId::PLATFORM, before);
    let mut last: Option<Ulid> = None;
    for (looked, entry) in all.enumerate() {
        if page.len() >= max || looked >= LOOK_MAX {
            next = last.map(|id| id.to_string());
            break;
        }
        last = Some(entry.id);
        let Some(found) = visible(access, &call.snapshot, call.account(), entry) else { continue };
        let shown = show(access, call, &call.snapshot, &found, None);
        if request.state.is_none() || request.state == shown.state {
            page.push(shown);
        }
    }
    let reply = ListOperatorAccessResponse { operator_access: Some(page), next_token: next };
    Ok(Outcome::reply(reply.into_value()))
}

/// A request that touches the caller's account.
pub(super) struct Found<'a> {
    pub(super) entry: &'a Entry<AccessRequest>,
    pub(super) asked: &'a Request,
    pub(super) grant: Option<&'a AccessGrant>,
}

/// The resource of a request, for policies.
pub(super) fn thing(id: &str) -> String {
    format!("operator-access/{id}")
}

/// The request of this id, if it touches the account; of another it is not said that it exists.
pub(super) fn find<'a>(
    access: &Access,
    snapshot: &'a Snapshot,
    account: AccountId,
    id: &str,
) -> Result<Found<'a>, ApiError> {
    let entry = snapshot.get::<AccessRequest>(AccountId::PLATFORM, id);
    entry.and_then(|entry| visible(access, snapshot, account, entry)).ok_or_else(|| {
        let message = format!("No request {id} touches this account.");
        ApiError::modelled(Service::Writ, "ResourceNotFoundException", message)
    })
}

fn visible<'a>(
    access: &Access,
    snapshot: &'a Snapshot,
    account: AccountId,
    entry: &'a Entry<AccessRequest>,
) -> Option<Found<'a>> {
    let asked = entry.derived.as_deref()?;
    let id = entry.id.to_string();
    let grant = snapshot.get::<AccessGrant>(AccountId::PLATFORM, &id).map(|grant| &*grant.value);
    access.touches(account, asked, grant).then_some(Found { entry, asked, grant })
}

/// The request as the customer sees it; `said` is what they say in this very call.
pub(super) fn show(
    access: &Access,
    call: &Call,
    snapshot: &Snapshot,
    found: &Found<'_>,
    said: Option<&Consent>,
) -> OperatorAccess {
    let Found { entry, asked, grant } = found;
    let seen = access.seen(call.account(), asked, &entry.requester);
    let id = entry.id.to_string();
    let stored = snapshot.get::<Consent>(call.account(), &id).map(|consent| &*consent.value);
    let approvals = decisions(snapshot, entry.id).filter(|one| one.decision == "approve").count();
    let end = grant.and_then(|grant| grant.end.as_ref());
    let login = asked.scope.ssh().map(|ssh| ssh.login.clone());
    let (not_before, not_after) = grant
        .map_or((asked.not_before, asked.not_after), |grant| (grant.not_before, grant.not_after));
    OperatorAccess {
        request_id: Some(id),
        request_digest: Some(entry.digest.clone()),
        operator: Some(seen.operator),
        reason_type: Some(asked.basis.as_str().to_uppercase().replace('-', "_")),
        ticket: Some(format!("{}/{}", asked.ticket.system, asked.ticket.id)),
        scope: Some(asked.scope.kind().as_str().to_owned()),
        hosts: Some(seen.hosts.iter().map(ToString::to_string).collect()),
        logins: Some(login.into_iter().collect()),
        rights: Some(rights(&asked.scope)),
        not_before: Some(not_before),
        not_after: Some(not_after),
        request_date: Some(asked.created),
        approvers: i64::try_from(approvals).ok(),
        state: Some(state(&entry.value, *grant, call.now).to_owned()),
        end_reason: end.map(|end| end.reason.as_str().to_owned()),
        end_date: end.map(|end| end.at),
        decision: said.or(stored).map(decision),
    }
}

fn decision(consent: &Consent) -> CustomerDecision {
    CustomerDecision {
        decision: Some(consent.said.as_str().to_owned()),
        by: Some(consent.by.to_string()),
        date: Some(consent.updated),
        not_after: consent.not_after,
    }
}

fn state(request: &AccessRequest, grant: Option<&AccessGrant>, now: Timestamp) -> &'static str {
    match (request.state, grant) {
        (RequestState::Approved, Some(grant)) => match (&grant.end, writ_access::state(grant, now))
        {
            (Some(end), _) if end.reason != EndReason::Expired => "ENDED",
            (_, GrantState::Ended) => "EXPIRED",
            (_, GrantState::Live | GrantState::Scheduled) => "GRANTED",
        },
        (RequestState::Approved, None) => "ENDED",
        (RequestState::Denied, _) => "DENIED",
        (RequestState::Expired, _) => "EXPIRED",
        (RequestState::Pending, _) if now >= request.pending_until => "EXPIRED",
        (RequestState::Pending, _) => "PENDING",
        (RequestState::Withdrawn, _) => "WITHDRAWN",
    }
}

fn rights(scope: &Scope) -> Vec<String> {
    let scope = match scope {
        Scope::Playback(scope) => {
            return vec![format!("read the recording of session {}", scope.session)];
        }
        Scope::Runbook(run) => {
            let told = run.settings.0.iter().map(|one| format!(" {}={}", one.name, one.value));
            let told: String = told.collect();
            let (name, version) = (&run.runbook, run.version);
            return vec![format!("runbook {name} version {version} ({}){told}", run.entry)];
        }
        Scope::Ssh(scope) => scope,
    };
    let shell = scope.interactive.then(|| "shell".to_owned());
    let commands = scope.commands.0.iter().map(|command| format!("run {command}"));
    let files = scope.files.0.iter().map(|rule| {
        let rights: Vec<&str> = rule.rights.0.iter().map(|right| right.as_str()).collect();
        format!("{} {}", rights.join(","), rule.path)
    });
    shell.into_iter().chain(commands).chain(files).collect()
}
