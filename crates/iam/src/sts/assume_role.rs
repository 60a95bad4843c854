//! AssumeRole: the role of the ARN's account, as its trust policy and the caller's own policies say.
//!
//! The key module decides the trust policy once more from what it has sealed; identity policies are
//! decided here alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use writ_aws::generated::sts::{AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser};
use writ_aws::{ApiError, Output, Service};
use writ_keyd_client::caller::CallerKind;
use writ_model::{AccountId, Arn};
use writ_policy::{Access, Context, Permit, Policy, PolicyKind, keys, limits as policy_limits};
use writ_service::call::{Call, Outcome};
use writ_service::managed;
use writ_store::Entry;
use writ_store::state::Role;
use writ_trail::record::Resource;

use super::get_session_token::refuse_mfa;
use super::session::{credentials, recorded};
use crate::access::insert_resource_tags;
use crate::entity::Entity;
use crate::error;
use crate::limits::{
    CHAINED_SESSION_MAX_SECS, SESSION_DEFAULT_SECS, SESSION_POLICY_ARNS_MAX, SESSION_TAGS_MAX,
};

pub(crate) async fn assume_role(
    call: &Call,
    request: &AssumeRoleRequest,
) -> Result<Outcome, ApiError> {
    let arn: Arn = request
        .role_arn
        .parse()
        .map_err(|_| error::sts_validation(format!("{} is invalid", request.role_arn)))?;
    if call.caller.kind == CallerKind::Root {
        return Err(error::sts_denied("Roles may not be assumed by root accounts."));
    }
    refuse_mfa(request.serial_number.as_deref(), request.token_code.as_deref())?;
    let carried = Carried::of(call, request)?;
    let (permit, role, account) = permit(call, request, &arn, &carried)?;
    check_duration(call, request, role)?;
    check_session_policy(request)?;
    check_managed_policies(call, request, account)?;
    let subject = Some(role.descriptor.as_slice().to_vec());
    let made = call.issue(&permit, subject).await?;
    let session = made.caller.as_ref().ok_or_else(|| ApiError::internal(Service::Sts))?;
    let user = AssumedRoleUser {
        assumed_role_id: session.unique_id.clone(),
        arn: session.arn.to_string(),
    };
    let credentials = credentials(&made)?;
    let mut elements = recorded(&credentials);
    let shown = serde_json::json!({"assumedRoleId": user.assumed_role_id, "arn": user.arn});
    elements.insert("assumedRoleUser".to_owned(), shown);
    let reply = AssumeRoleResponse {
        credentials: Some(credentials),
        assumed_role_user: Some(user),
        packed_policy_size: made.packed_policy_size.and_then(|size| i64::try_from(size).ok()),
        source_identity: carried.source_identity,
        ..AssumeRoleResponse::default()
    };
    let resource = Resource { arn, account: Some(account), kind: "AWS::IAM::Role" };
    let outcome = Outcome::reply(reply.into_value()).touching(resource);
    let mut outcome = outcome.recorded_at(made.position);
    outcome.audit.response_elements = Some(elements);
    Ok(outcome)
}

/// Decides for the role and for what the session brings. A role that does not exist has no trust
/// policy, so nobody learns of it.
fn permit<'c>(
    call: &'c Call,
    request: &AssumeRoleRequest,
    arn: &Arn,
    carried: &Carried,
) -> Result<(Permit, &'c Arc<Entry<Role>>, AccountId), ApiError> {
    let account = arn.account().unwrap_or(call.account());
    let role = find(call, arn);
    let context = context(call, request, role, carried);
    let mut actions = vec!["sts:AssumeRole"];
    if !carried.tags.is_empty() || !carried.transitive.is_empty() {
        actions.push("sts:TagSession");
    }
    if carried.source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    let accesses: Vec<Access<'_>> = actions
        .into_iter()
        .map(|action| {
            let access = Access::new(action, arn.as_str()).owned_by(account);
            match role {
                Some(role) => access.with_policy("trust policy", &role.derived.trust),
                None => access,
            }
        })
        .collect();
    let permit = call.authorize(&context, &accesses)?;
    // Without a trust policy nothing is allowed, so a permit means that there is a role.
    let role = role.ok_or_else(|| ApiError::internal(Service::Sts))?;
    Ok((permit, role, account))
}

/// The role with exactly this ARN, in the account of the ARN.
fn find<'c>(call: &'c Call, arn: &Arn) -> Option<&'c Arc<Entry<Role>>> {
    let account = arn.account()?;
    let name = arn.resource().strip_prefix("role/")?.rsplit('/').next()?;
    call.snapshot.role(account, name).filter(|role| role.arn(account) == *arn)
}

/// What the session takes along, from the request and from the session before it.
struct Carried {
    tags: BTreeMap<String, String>,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

impl Carried {
    fn of(call: &Call, request: &AssumeRoleRequest) -> Result<Carried, ApiError> {
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        for tag in request.tags.iter().flatten() {
            if tags.keys().any(|key| same(key, &tag.key)) {
                return Err(error::sts_invalid(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
            tags.insert(tag.key.clone(), tag.value.clone());
        }
        let mut transitive = request.transitive_tag_keys.clone().unwrap_or_default();
        if transitive.iter().any(|key| !tags.contains_key(key)) {
            return Err(error::sts_invalid(
                "The specified transitive tag key must be included in the requested tags.",
            ));
        }
        let before = call.caller.session.as_ref();
        let inherited = before.into_iter().flat_map(|session| {
            session.tags.iter().filter(|(key, _)| session.transitive_tag_keys.contains(key))
        });
        for (key, value) in inherited {
            if tags.keys().any(|asked| same(asked, key)) {
                return Err(error::sts_invalid(
                    "One of the specified transitive tag keys can't be set because it conflicts \
                     with a transitive tag key from the calling session.",
                ));
            }
            tags.insert(key.clone(), value.clone());
            transitive.push(key.clone());
        }
        if tags.len() > SESSION_TAGS_MAX {
            let message = "The number of session tags exceeds the maximum of 50.";
            return Err(error::sts_invalid(message));
        }
        let before = before.and_then(|session| session.source_identity.clone());
        let source_identity = match (&request.source_identity, before) {
            (Some(asked), Some(before)) if *asked != before => {
                let message = "The source identity of the calling session cannot be changed.";
                return Err(error::sts_denied(message));
            }
            (asked, before) => before.or_else(|| asked.clone()),
        };
        Ok(Carried { tags, transitive, source_identity })
    }
}

/// The condition keys of the request ("Available keys for AWS STS").
fn context(
    call: &Call,
    request: &AssumeRoleRequest,
    role: Option<&Arc<Entry<Role>>>,
    carried: &Carried,
) -> Context {
    let mut context = call.context();
    if let Some(role) = role {
        insert_resource_tags(&mut context, &role.tags);
    }
    context.insert(keys::STS_ROLE_SESSION_NAME, request.role_session_name.as_str());
    if let Some(id) = &request.external_id {
        context.insert(keys::STS_EXTERNAL_ID, id.as_str());
    }
    if let Some(seconds) = request.duration_seconds {
        context.insert(keys::STS_DURATION_SECONDS, seconds.to_string());
    }
    if let Some(identity) = &carried.source_identity {
        context.insert(keys::STS_SOURCE_IDENTITY, identity.as_str());
    }
    let transitive = carried.transitive.iter().map(String::as_str);
    context.insert_many(keys::STS_TRANSITIVE_TAG_KEYS, transitive);
    context.insert_many(keys::TAG_KEYS, carried.tags.keys().map(String::as_str));
    for (key, value) in &carried.tags {
        context.insert(&format!("{}{key}", keys::REQUEST_TAG), value.as_str());
    }
    context
}

fn check_duration(call: &Call, request: &AssumeRoleRequest, role: &Role) -> Result<(), ApiError> {
    let asked = request.duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let seconds = asked.unwrap_or(SESSION_DEFAULT_SECS);
    let chained = call.caller.session.as_ref().is_some_and(|session| session.role.is_some());
    if chained && seconds > CHAINED_SESSION_MAX_SECS {
        return Err(error::sts_validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    if seconds > u64::from(role.max_session_secs) {
        return Err(error::sts_validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(())
}

fn check_session_policy(request: &AssumeRoleRequest) -> Result<(), ApiError> {
    let Some(text) = &request.policy else { return Ok(()) };
    match Policy::parse(text, PolicyKind::Session) {
        Ok(_) => Ok(()),
        Err(errors) if errors.is_only_size() => {
            let room = policy_limits::SESSION_POLICY_MAX_CHARS;
            Err(error::packed_too_large((100 * text.chars().count()).div_ceil(room)))
        }
        Err(errors) => Err(error::malformed(Service::Sts, &errors)),
    }
}

/// Each managed session policy must be AWS's or of the role's account.
fn check_managed_policies(
    call: &Call,
    request: &AssumeRoleRequest,
    account: AccountId,
) -> Result<(), ApiError> {
    let arns: Vec<&str> =
        request.policy_arns.iter().flatten().filter_map(|p| p.arn.as_deref()).collect();
    if arns.len() > SESSION_POLICY_ARNS_MAX {
        let message = "The number of managed session policies exceeds the maximum of 10.";
        return Err(error::sts_invalid(message));
    }
    let exists = |text: &str| {
        let Ok(arn) = text.parse::<Arn>() else { return false };
        let own = || call.snapshot.managed_policy(&arn).filter(|_| arn.account() == Some(account));
        managed::find(&arn).is_some() || own().is_some_and(|policy| policy.in_force().is_some())
    };
    match arns.into_iter().find(|arn| !exists(arn)) {
        None => Ok(()),
        Some(arn) => {
            let why = format!("Policy {arn} does not exist or is not attachable.");
            Err(error::sts_validation(why))
        }
    }
}
