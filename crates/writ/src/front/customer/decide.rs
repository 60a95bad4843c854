//! ApproveOperatorAccess, RefuseOperatorAccess and WithdrawOperatorAccess.
//!
//! keyd seals the customer's word from the signed request, which names the request for access by its digest.
//! What follows from it is in the same commit; what ends, ends before it.

use writ_access::Settled;
use writ_aws::generated::writ::{
    ApproveOperatorAccessRequest, ApproveOperatorAccessResponse, RefuseOperatorAccessRequest,
    RefuseOperatorAccessResponse, WithdrawOperatorAccessRequest, WithdrawOperatorAccessResponse,
};
use writ_aws::{ApiError, Output as _, Service, Value};
use writ_model::{AccountId, Said, Timestamp};
use writ_policy::Permit;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::{AccessGrant, AccessRequest, Consent, RequestState};
use writ_store::{Body, Entry, Object, Snapshot};

use super::super::access::{Access, Change, linger};
use super::show::{Found, find, show, thing};
use super::{end_unwanted, newest, permit, seal};

pub(super) async fn approve(
    access: &Access,
    call: &Call,
    request: &ApproveOperatorAccessRequest,
) -> Result<Outcome, ApiError> {
    let asked = Asked {
        id: &request.request_id,
        digest: &request.request_digest,
        said: Said::Approved,
        not_after: request.not_after,
    };
    say(access, call, &asked, |shown| {
        ApproveOperatorAccessResponse { operator_access: Some(shown) }.into_value()
    })
    .await
}

pub(super) async fn refuse(
    access: &Access,
    call: &Call,
    request: &RefuseOperatorAccessRequest,
) -> Result<Outcome, ApiError> {
    let (id, digest) = (request.request_id.as_str(), request.request_digest.as_str());
    let asked = Asked { id, digest, said: Said::Refused, not_after: None };
    say(access, call, &asked, |shown| {
        RefuseOperatorAccessResponse { operator_access: Some(shown) }.into_value()
    })
    .await
}

pub(super) async fn withdraw(
    access: &Access,
    call: &Call,
    request: &WithdrawOperatorAccessRequest,
) -> Result<Outcome, ApiError> {
    let (id, digest) = (request.request_id.as_str(), request.request_digest.as_str());
    let asked = Asked { id, digest, said: Said::Withdrawn, not_after: None };
    say(access, call, &asked, |shown| {
        WithdrawOperatorAccessResponse { operator_access: Some(shown) }.into_value()
    })
    .await
}

struct Asked<'a> {
    id: &'a str,
    digest: &'a str,
    said: Said,
    not_after: Option<Timestamp>,
}

async fn say(
    access: &Access,
    call: &Call,
    asked: &Asked<'_>,
    reply: impl FnOnce(writ_aws::generated::writ::OperatorAccess) -> Value,
) -> Result<Outcome, ApiError> {
    let permit = permit(call, &thing(asked.id))?;
    let turn = access.turn().await;
    // What ends does not wait for the ledger.
    let snapshot = match asked.said {
        Said::Approved => newest(access).await?,
        Said::Refused | Said::Withdrawn => access.state(),
    };
    let found = find(access, &snapshot, call.account(), asked.id)?;
    check(call, &snapshot, &found, asked)?;
    let change = Change::Consent(call.account(), found.entry.id, asked.said, asked.not_after);
    let settled = settle(access, call, &snapshot, &found, change)?;
    if settled.is_none() {
        end_unwanted(access, change, &snapshot).await?;
    }
    let (descriptor, position) = seal(call, &permit).await?;
    let consent = Consent {
        request: found.entry.id,
        digest: found.entry.digest.clone(),
        said: asked.said,
        not_after: asked.not_after,
        updated: call.now,
        by: call.caller.arn.clone(),
        descriptor,
    };
    let followed = follow(access, call, &snapshot, &found, (change, settled)).await?;
    let Followed { request, grant, objects, records } = followed;
    let entry = Entry { value: request.into(), ..clone(found.entry) };
    let found = Found { entry: &entry, grant: grant.as_ref(), asked: found.asked };
    let shown = show(access, call, &snapshot, &found, Some(&consent));
    let changes = changes(permit, call.account(), &snapshot, consent, objects).telling(records);
    // The commit comes after this: whoever writes the request in between demands the revision that they judged.
    drop(turn);
    linger("access.slow_consent").await;
    Ok(Outcome::changed(reply(shown), changes).recorded_at(position))
}

fn clone(entry: &Entry<AccessRequest>) -> Entry<AccessRequest> {
    Entry { revision: entry.revision, value: entry.value.clone(), derived: entry.derived.clone() }
}

/// Everything that can refuse is here: what keyd has sealed, is said.
fn check(
    call: &Call,
    snapshot: &Snapshot,
    found: &Found<'_>,
    asked: &Asked<'_>,
) -> Result<(), ApiError> {
    let conflict =
        |message: String| Err(ApiError::modelled(Service::Writ, "ConflictException", message));
    if found.entry.digest != asked.digest {
        return Err(ApiError::validation(
            Service::Writ,
            "RequestDigest is not that of this request: GetOperatorAccess shows it.",
        ));
    }
    if asked.not_after.is_some_and(|time| time <= call.now) {
        return Err(ApiError::validation(Service::Writ, "NotAfter is over."));
    }
    let before = snapshot.get::<Consent>(call.account(), asked.id).map(|consent| consent.said);
    if !Said::may_follow(before, asked.said) {
        let before = before.map_or("you have said nothing of it", Said::as_str);
        return conflict(format!("{} cannot follow: {before}.", asked.said.as_str()));
    }
    let waits = found.entry.state == RequestState::Pending && call.now < found.entry.pending_until;
    let holds = found
        .grant
        .is_some_and(|grant| writ_access::state(grant, call.now) != writ_access::GrantState::Ended);
    let shortens = |grant: &AccessGrant| asked.not_after.is_some_and(|at| at < grant.not_after);
    if holds && found.grant.is_some_and(shortens) {
        return conflict("It is granted for longer already: withdraw it instead.".to_owned());
    }
    if !waits && !holds {
        return conflict("The request is over: nothing follows from what is said now.".to_owned());
    }
    Ok(())
}

/// What follows from a customer's word.
struct Followed {
    request: AccessRequest,
    grant: Option<AccessGrant>,
    /// The request, so that a decision at the same moment conflicts, and a new grant.
    objects: Vec<Object>,
    records: Vec<writ_store::OutboxRecord>,
}

/// What becomes of a request that waits; nothing of one that is granted already. An agreement counts for what still
/// holds alone, a no always.
fn settle(
    access: &Access,
    call: &Call,
    snapshot: &Snapshot,
    found: &Found<'_>,
    change: Change,
) -> Result<Option<Settled>, ApiError> {
    let request = &found.entry.value;
    let Change::Consent(account, _, said, _) = change else { return Ok(None) };
    if request.state != RequestState::Pending {
        return Ok(None);
    }
    if said == Said::Approved {
        let settled = access.settle(change, request.id, snapshot);
        return settled.map(Some).map_err(|refusal| {
            ApiError::modelled(Service::Writ, "ConflictException", refusal.to_string())
        });
    }
    let why = Some(format!("by the customer {account}"));
    let (state, since) = (RequestState::Denied, call.now);
    let request = AccessRequest { state, since, why, ..AccessRequest::clone(request) };
    Ok(Some(Settled { request, grant: None }))
}

async fn follow(
    access: &Access,
    call: &Call,
    snapshot: &Snapshot,
    found: &Found<'_>,
    (change, settled): (Change, Option<Settled>),
) -> Result<Followed, ApiError> {
    let Change::Consent(account, _, said, _) = change else {
        return Err(ApiError::internal(Service::Writ));
    };
    let name = match said {
        Said::Approved => "CustomerApproveAccess",
        Said::Refused => "CustomerRefuseAccess",
        Said::Withdrawn => "CustomerWithdrawAccess",
    };
    let failed = |error: anyhow::Error| {
        tracing::warn!(error = format!("{error:#}"), "what a customer said cannot be told");
        ApiError::service_unavailable(Service::Writ)
    };
    if let Some(settled) = settled {
        let by = (account, name);
        let told = access.follow(by, &settled, found.asked, snapshot).await.map_err(failed)?;
        let (objects, records) = told;
        let Settled { request, grant, .. } = settled;
        return Ok(Followed { request, grant: grant.map(|made| made.grant), objects, records });
    }
    let request = AccessRequest::clone(&found.entry.value);
    let now = access.state();
    let grant = now.get::<AccessGrant>(AccountId::PLATFORM, &request.id.to_string());
    let grant = grant.map(|entry| AccessGrant::clone(&entry.value));
    let record = access.customer_said(call.account(), name, &request).map_err(failed)?;
    Ok(Followed { request, grant, objects: Vec::new(), records: vec![record] })
}

fn changes(
    permit: Permit,
    account: AccountId,
    snapshot: &Snapshot,
    consent: Consent,
    objects: Vec<Object>,
) -> Changes {
    let id = consent.request.to_string();
    let object = Object::new(account, consent);
    let changes = Changes::permitted(permit);
    let changes = match snapshot.get::<Consent>(account, &id) {
        Some(old) => changes.update(object, old.revision),
        None => changes.create(object),
    };
    objects.into_iter().fold(changes, |changes, object| match &object.body {
        Body::AccessRequest(_) => match snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id) {
            Some(old) => changes.update(object, old.revision),
            None => changes,
        },
        _ => changes.create(object),
    })
}
