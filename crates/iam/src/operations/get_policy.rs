//! GetPolicy and ListPolicies.

use writ_aws::generated::iam::{
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse, Policy,
};
use writ_aws::{ApiError, Output};
use writ_model::Arn;
use writ_service::call::{Call, Outcome};
use writ_service::managed;
use writ_store::state::ManagedPolicy;

use crate::access::Ask;
use crate::page::Cut;
use crate::policy::{Managed, Named, Usage};
use crate::view::{self, Detail};

pub(crate) fn get_policy(call: &Call, request: &GetPolicyRequest) -> Result<Outcome, ApiError> {
    let (_, policy) = Named::of(call, &request.policy_arn)?.open()?;
    let policy = view::policy(&policy, &Usage::of(call), Detail::Full);
    let reply = GetPolicyResponse { policy: Some(policy) };
    Ok(Outcome::reply(reply.into_value()))
}

pub(crate) fn list_policies(
    call: &Call,
    request: &ListPoliciesRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let prefix = request.path_prefix.as_deref().unwrap_or("/");
    Ask::of(call).permit(Arn::iam(account, &format!("policy{prefix}")).as_str())?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let scope = request.scope.as_deref().unwrap_or("All");
    let usage = Usage::of(call);
    let aws = managed::ALL.iter().filter(|_| scope != "Local").map(Managed::Aws);
    let local = call.snapshot.list::<ManagedPolicy>(account, None);
    let local = local.filter(|_| scope != "AWS").map(Managed::Local);
    let shown = aws
        .chain(local)
        .filter(|policy| policy.name_and_path().1.starts_with(prefix))
        .map(|policy| (policy.key(), view::policy(&policy, &usage, Detail::Listed)))
        .filter(|(_, policy)| wanted(policy, request));
    let page = cut.page(shown);
    let reply = ListPoliciesResponse {
        policies: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

/// Whether the filters on use let it through.
fn wanted(policy: &Policy, request: &ListPoliciesRequest) -> bool {
    let attached = policy.attachment_count.unwrap_or(0) > 0;
    let bounds = policy.permissions_boundary_usage_count.unwrap_or(0) > 0;
    match request.policy_usage_filter.as_deref() {
        Some("PermissionsBoundary") => bounds,
        Some(_) => attached,
        None => attached || request.only_attached != Some(true),
    }
}
