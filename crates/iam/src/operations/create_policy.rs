//! CreatePolicy.

use writ_aws::generated::iam::{CreatePolicyRequest, CreatePolicyResponse};
use writ_aws::{ApiError, Output};
use writ_model::{UniqueId, UniqueIdKind};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;
use writ_store::state::{ManagedPolicy, PolicyVersion};

use crate::access::Ask;
use crate::entity::arn;
use crate::limits::POLICIES_MAX;
use crate::policy::FIRST_VERSION;
use crate::{document, error, tags};

pub(crate) fn create_policy(
    call: &Call,
    request: &CreatePolicyRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let name = &request.policy_name;
    let path = request.path.as_deref().unwrap_or("/");
    let tags = tags::read(request.tags.as_deref().unwrap_or_default())?;
    let arn = arn("policy", account, path, name);
    let permit = Ask::of(call).with_tags(&tags, Some("iam:TagPolicy")).permit(arn.as_str())?;
    document::check_managed(&request.policy_document)?;
    if call.snapshot.get::<ManagedPolicy>(account, name).is_some() {
        return Err(error::policy_exists(name));
    }
    let state = call.snapshot.state(account);
    if state.is_some_and(|state| state.count::<ManagedPolicy>() >= POLICIES_MAX) {
        return Err(error::over_quota("PoliciesPerAccount", POLICIES_MAX));
    }
    let version = PolicyVersion {
        id: FIRST_VERSION.to_owned(),
        document: request.policy_document.clone(),
        created: call.now,
    };
    let policy = ManagedPolicy {
        arn,
        name: name.clone(),
        path: path.to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::Policy, &*call.env),
        description: request.description.clone(),
        created: call.now,
        updated: call.now,
        default_version: version.id.clone(),
        versions: vec![version],
        next_version: 2,
        tags,
    };
    let reply = CreatePolicyResponse { policy: Some(shown(&policy)) };
    let changes = Changes::permitted(permit).create(Object::new(account, policy));
    Ok(Outcome::changed(reply.into_value(), changes))
}

/// A new policy: nothing uses it yet.
fn shown(policy: &ManagedPolicy) -> writ_aws::generated::iam::Policy {
    writ_aws::generated::iam::Policy {
        policy_name: Some(policy.name.clone()),
        policy_id: Some(policy.unique_id.to_string()),
        arn: Some(policy.arn.to_string()),
        path: Some(policy.path.clone()),
        default_version_id: Some(policy.default_version.clone()),
        attachment_count: Some(0),
        permissions_boundary_usage_count: Some(0),
        is_attachable: Some(true),
        description: policy.description.clone(),
        create_date: Some(policy.created),
        update_date: Some(policy.updated),
        tags: tags::shown_if_any(&policy.tags),
    }
}
