//! CreatePolicyVersion, DeletePolicyVersion, GetPolicyVersion, ListPolicyVersions and
//! SetDefaultPolicyVersion.

use writ_aws::generated::iam::{
    CreatePolicyVersionRequest, CreatePolicyVersionResponse, DeletePolicyVersionRequest,
    GetPolicyVersionRequest, GetPolicyVersionResponse, ListPolicyVersionsRequest,
    ListPolicyVersionsResponse, SetDefaultPolicyVersionRequest,
};
use writ_aws::{ApiError, Output};
use writ_policy::Permit;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::{ManagedPolicy, PolicyVersion};
use writ_store::{Entry, Object};

use crate::limits::POLICY_VERSIONS_MAX;
use crate::page::Cut;
use crate::policy::{FIRST_VERSION, Managed, Named};
use crate::{document, error, view};

pub(crate) fn create_policy_version(
    call: &Call,
    request: &CreatePolicyVersionRequest,
) -> Result<Outcome, ApiError> {
    let (permit, policy) = Named::of(call, &request.policy_arn)?.open_own()?;
    document::check_managed(&request.policy_document)?;
    if policy.versions.len() >= POLICY_VERSIONS_MAX {
        let message = format!(
            "A managed policy can have up to {POLICY_VERSIONS_MAX} versions. Before you create a \
             new version, you must delete an existing version."
        );
        return Err(error::iam("LimitExceeded", message));
    }
    let version = PolicyVersion {
        id: format!("v{}", policy.next_version),
        document: request.policy_document.clone(),
        created: call.now,
    };
    let default = request.set_as_default == Some(true);
    let in_force = if default { &version.id } else { &policy.default_version };
    let shown = view::version(&version, in_force, false);
    let changes = edited(call, permit, policy, |policy| {
        policy.next_version = policy.next_version.saturating_add(1);
        policy.updated = call.now;
        if default {
            policy.default_version = version.id.clone();
        }
        policy.versions.push(version);
    });
    let reply = CreatePolicyVersionResponse { policy_version: Some(shown) };
    Ok(Outcome::changed(reply.into_value(), changes))
}

pub(crate) fn delete_policy_version(
    call: &Call,
    request: &DeletePolicyVersionRequest,
) -> Result<Outcome, ApiError> {
    let (permit, policy) = Named::of(call, &request.policy_arn)?.open_own()?;
    let version = find(&policy.versions, &request.policy_arn, &request.version_id)?;
    if version.id == policy.default_version {
        let message = "Cannot delete the default version of a policy.";
        return Err(error::iam("DeleteConflict", message));
    }
    let changes = edited(call, permit, policy, |policy| {
        policy.versions.retain(|version| version.id != request.version_id);
    });
    Ok(Outcome::changed(().into_value(), changes))
}

pub(crate) fn set_default_policy_version(
    call: &Call,
    request: &SetDefaultPolicyVersionRequest,
) -> Result<Outcome, ApiError> {
    let (permit, policy) = Named::of(call, &request.policy_arn)?.open_own()?;
    find(&policy.versions, &request.policy_arn, &request.version_id)?;
    let changes = edited(call, permit, policy, |policy| {
        policy.default_version = request.version_id.clone();
        policy.updated = call.now;
    });
    Ok(Outcome::changed(().into_value(), changes))
}

pub(crate) fn get_policy_version(
    call: &Call,
    request: &GetPolicyVersionRequest,
) -> Result<Outcome, ApiError> {
    let (_, policy) = Named::of(call, &request.policy_arn)?.open()?;
    let (versions, default) = versions(&policy);
    let version = find(&versions, &request.policy_arn, &request.version_id)?;
    let version = view::version(version, &default, true);
    let reply = GetPolicyVersionResponse { policy_version: Some(version) };
    Ok(Outcome::reply(reply.into_value()))
}

/// Newest first, as at AWS.
pub(crate) fn list_policy_versions(
    call: &Call,
    request: &ListPolicyVersionsRequest,
) -> Result<Outcome, ApiError> {
    let (_, policy) = Named::of(call, &request.policy_arn)?.open()?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let (versions, default) = versions(&policy);
    let shown = versions.iter().rev().map(|version| {
        let number = version.id.trim_start_matches('v').parse().unwrap_or(0);
        (format!("{:010}", u32::MAX - number), view::version(version, &default, false))
    });
    let page = cut.page(shown);
    let reply = ListPolicyVersionsResponse {
        versions: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

/// All versions, oldest first, and the one in force.
fn versions(policy: &Managed<'_>) -> (Vec<PolicyVersion>, String) {
    match policy {
        Managed::Aws(policy) => {
            let version = PolicyVersion {
                id: FIRST_VERSION.to_owned(),
                document: policy.document.to_owned(),
                created: policy.created,
            };
            (vec![version], FIRST_VERSION.to_owned())
        }
        Managed::Local(policy) => (policy.versions.clone(), policy.default_version.clone()),
    }
}

fn find<'v>(
    versions: &'v [PolicyVersion],
    arn: &str,
    id: &str,
) -> Result<&'v PolicyVersion, ApiError> {
    let found = versions.iter().find(|version| version.id == id);
    found.ok_or_else(|| error::no_such_version(arn, id))
}

fn edited(
    call: &Call,
    permit: Permit,
    policy: &Entry<ManagedPolicy>,
    edit: impl FnOnce(&mut ManagedPolicy),
) -> Changes {
    let mut value = ManagedPolicy::clone(&policy.value);
    edit(&mut value);
    Changes::permitted(permit).update(Object::new(call.account(), value), policy.revision)
}
