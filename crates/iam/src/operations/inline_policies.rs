//! Put…Policy, Get…Policy, Delete…Policy and List…Policies for users, roles and groups.

use writ_aws::generated::iam::{
    DeleteGroupPolicyRequest, DeleteRolePolicyRequest, DeleteUserPolicyRequest,
    GetGroupPolicyRequest, GetGroupPolicyResponse, GetRolePolicyRequest, GetRolePolicyResponse,
    GetUserPolicyRequest, GetUserPolicyResponse, ListGroupPoliciesRequest,
    ListGroupPoliciesResponse, ListRolePoliciesRequest, ListRolePoliciesResponse,
    ListUserPoliciesRequest, ListUserPoliciesResponse, PutGroupPolicyRequest, PutRolePolicyRequest,
    PutUserPolicyRequest,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::{Group, Role, User};

use crate::document::{self, encoded};
use crate::entity::{Entity, Target, edited};
use crate::error;
use crate::page::{Cut, Page};

macro_rules! operations {
    ($type:ident, $name:ident:
     $put:ident($put_request:ident), $delete:ident($delete_request:ident),
     $get:ident($get_request:ident) -> $get_response:ident,
     $list:ident($list_request:ident) -> $list_response:ident) => {
        pub(crate) fn $put(call: &Call, request: &$put_request) -> Result<Outcome, ApiError> {
            put::<$type>(call, &request.$name, &request.policy_name, &request.policy_document)
        }

        pub(crate) fn $delete(call: &Call, request: &$delete_request) -> Result<Outcome, ApiError> {
            delete::<$type>(call, &request.$name, &request.policy_name)
        }

        pub(crate) fn $get(call: &Call, request: &$get_request) -> Result<Outcome, ApiError> {
            let (name, text) = get::<$type>(call, &request.$name, &request.policy_name)?;
            let reply = $get_response {
                $name: name,
                policy_name: request.policy_name.clone(),
                policy_document: encoded(&text),
            };
            Ok(Outcome::reply(reply.into_value()))
        }

        pub(crate) fn $list(call: &Call, request: &$list_request) -> Result<Outcome, ApiError> {
            let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
            let page = list::<$type>(call, &request.$name, &cut)?;
            let reply = $list_response {
                policy_names: page.items,
                is_truncated: page.is_truncated,
                marker: page.marker,
            };
            Ok(Outcome::reply(reply.into_value()))
        }
    };
}

operations!(Group, group_name:
    put_group_policy(PutGroupPolicyRequest), delete_group_policy(DeleteGroupPolicyRequest),
    get_group_policy(GetGroupPolicyRequest) -> GetGroupPolicyResponse,
    list_group_policies(ListGroupPoliciesRequest) -> ListGroupPoliciesResponse);
operations!(Role, role_name:
    put_role_policy(PutRolePolicyRequest), delete_role_policy(DeleteRolePolicyRequest),
    get_role_policy(GetRolePolicyRequest) -> GetRolePolicyResponse,
    list_role_policies(ListRolePoliciesRequest) -> ListRolePoliciesResponse);
operations!(User, user_name:
    put_user_policy(PutUserPolicyRequest), delete_user_policy(DeleteUserPolicyRequest),
    get_user_policy(GetUserPolicyRequest) -> GetUserPolicyResponse,
    list_user_policies(ListUserPoliciesRequest) -> ListUserPoliciesResponse);

fn put<T: Entity>(call: &Call, name: &str, policy: &str, text: &str) -> Result<Outcome, ApiError> {
    let (permit, entity) = Target::<T>::of(call, name).open()?;
    document::check_inline(&*entity.value, policy, text)?;
    let changes = edited(call, permit, entity, |entity: &mut T| {
        entity.inline_mut().insert(policy.to_owned(), text.to_owned());
    });
    Ok(Outcome::changed(().into_value(), changes))
}

fn delete<T: Entity>(call: &Call, name: &str, policy: &str) -> Result<Outcome, ApiError> {
    let (permit, entity) = Target::<T>::of(call, name).open()?;
    if !entity.inline().contains_key(policy) {
        return Err(no_such_policy::<T>(policy));
    }
    let changes = edited(call, permit, entity, |entity: &mut T| {
        entity.inline_mut().remove(policy);
    });
    Ok(Outcome::changed(().into_value(), changes))
}

fn get<T: Entity>(call: &Call, name: &str, policy: &str) -> Result<(String, String), ApiError> {
    let (_, entity) = Target::<T>::of(call, name).open()?;
    let text = entity.inline().get(policy).ok_or_else(|| no_such_policy::<T>(policy))?;
    Ok((entity.name().to_owned(), text.clone()))
}

fn list<T: Entity>(call: &Call, name: &str, cut: &Cut) -> Result<Page<String>, ApiError> {
    let (_, entity) = Target::<T>::of(call, name).open()?;
    Ok(cut.page(entity.inline().keys().map(|name| (name.clone(), name.clone()))))
}

fn no_such_policy<T: Entity>(policy: &str) -> ApiError {
    error::no_such(&format!("{} policy", T::NOUN), policy)
}
