//! Attach…Policy, Detach…Policy and ListAttached…Policies for users, roles and groups.

use writ_aws::generated::iam::{
    AttachGroupPolicyRequest, AttachRolePolicyRequest, AttachUserPolicyRequest, AttachedPolicy,
    DetachGroupPolicyRequest, DetachRolePolicyRequest, DetachUserPolicyRequest,
    ListAttachedGroupPoliciesRequest, ListAttachedGroupPoliciesResponse,
    ListAttachedRolePoliciesRequest, ListAttachedRolePoliciesResponse,
    ListAttachedUserPoliciesRequest, ListAttachedUserPoliciesResponse,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::{Group, Role, User};

use crate::entity::{Entity, Target, edited};
use crate::error;
use crate::limits::ATTACHED_POLICIES_MAX;
use crate::page::{Cut, Page};
use crate::policy::{Managed, parse_arn};

macro_rules! operations {
    ($type:ident, $name:ident:
     $attach:ident($attach_request:ident), $detach:ident($detach_request:ident),
     $list:ident($list_request:ident) -> $list_response:ident) => {
        pub(crate) fn $attach(call: &Call, request: &$attach_request) -> Result<Outcome, ApiError> {
            attach::<$type>(call, &request.$name, &request.policy_arn)
        }

        pub(crate) fn $detach(call: &Call, request: &$detach_request) -> Result<Outcome, ApiError> {
            detach::<$type>(call, &request.$name, &request.policy_arn)
        }

        pub(crate) fn $list(call: &Call, request: &$list_request) -> Result<Outcome, ApiError> {
            let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
            let prefix = request.path_prefix.as_deref().unwrap_or("/");
            let page = list::<$type>(call, &request.$name, prefix, &cut)?;
            let reply = $list_response {
                attached_policies: Some(page.items),
                is_truncated: page.is_truncated,
                marker: page.marker,
            };
            Ok(Outcome::reply(reply.into_value()))
        }
    };
}

operations!(Group, group_name:
    attach_group_policy(AttachGroupPolicyRequest), detach_group_policy(DetachGroupPolicyRequest),
    list_attached_group_policies(ListAttachedGroupPoliciesRequest) -> ListAttachedGroupPoliciesResponse);
operations!(Role, role_name:
    attach_role_policy(AttachRolePolicyRequest), detach_role_policy(DetachRolePolicyRequest),
    list_attached_role_policies(ListAttachedRolePoliciesRequest) -> ListAttachedRolePoliciesResponse);
operations!(User, user_name:
    attach_user_policy(AttachUserPolicyRequest), detach_user_policy(DetachUserPolicyRequest),
    list_attached_user_policies(ListAttachedUserPoliciesRequest) -> ListAttachedUserPoliciesResponse);

fn attach<T: Entity>(call: &Call, name: &str, policy: &str) -> Result<Outcome, ApiError> {
    let arn = parse_arn(policy)?;
    let target = Target::<T>::of(call, name);
    let (permit, entity) = target.permit(target.ask().with_policy(policy))?;
    let found = Managed::find(call, &arn).ok_or_else(|| error::not_attachable(policy))?;
    if entity.attached().contains(&arn) {
        return Ok(Outcome::reply(().into_value()));
    }
    if entity.attached().len() >= ATTACHED_POLICIES_MAX {
        return Err(error::over_quota(T::ATTACHED_QUOTA, ATTACHED_POLICIES_MAX));
    }
    let mut changes = edited(call, permit, entity, |entity: &mut T| {
        entity.attached_mut().insert(arn);
    });
    if let Some((id, expect)) = found.precondition(call) {
        changes = changes.require(id, expect);
    }
    Ok(Outcome::changed(().into_value(), changes))
}

fn detach<T: Entity>(call: &Call, name: &str, policy: &str) -> Result<Outcome, ApiError> {
    let arn = parse_arn(policy)?;
    let target = Target::<T>::of(call, name);
    let (permit, entity) = target.permit(target.ask().with_policy(policy))?;
    if !entity.attached().contains(&arn) {
        return Err(error::no_such_policy(policy));
    }
    let changes = edited(call, permit, entity, |entity: &mut T| {
        entity.attached_mut().remove(&arn);
    });
    Ok(Outcome::changed(().into_value(), changes))
}

fn list<T: Entity>(
    call: &Call,
    name: &str,
    prefix: &str,
    cut: &Cut,
) -> Result<Page<AttachedPolicy>, ApiError> {
    let (_, entity) = Target::<T>::of(call, name).open()?;
    let mut attached: Vec<(String, AttachedPolicy)> = entity
        .attached()
        .iter()
        .filter_map(|arn| {
            let policy = Managed::find(call, arn)?;
            let (name, path) = policy.name_and_path();
            let shown = AttachedPolicy {
                policy_name: Some(name.to_owned()),
                policy_arn: Some(arn.to_string()),
            };
            path.starts_with(prefix).then(|| (policy.key(), shown))
        })
        .collect();
    attached.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(cut.page(attached.into_iter()))
}
