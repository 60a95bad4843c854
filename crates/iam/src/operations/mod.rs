//! The operations of IAM, one file for each that changes something.

mod access_keys;
mod account;
mod attached_policies;
mod create_access_key;
mod create_group;
mod create_policy;
mod create_role;
mod create_user;
mod delete_access_key;
mod delete_group;
mod delete_policy;
mod delete_role;
mod delete_user;
mod get_group;
mod get_policy;
mod get_role;
mod get_user;
mod group_membership;
mod inline_policies;
mod list_entities_for_policy;
mod list_instance_profiles_for_role;
mod permissions_boundary;
mod policy_versions;
mod tag_role;
mod tag_user;
mod update_access_key;
mod update_assume_role_policy;
mod update_role;
mod update_user;

use crate::{Handler, direct, keyd};

/// Every operation of the manifest, sorted by name.
pub(crate) const TABLE: &[(&str, Handler)] = &[
    ("AddUserToGroup", direct!(group_membership::add_user_to_group)),
    ("AttachGroupPolicy", direct!(attached_policies::attach_group_policy)),
    ("AttachRolePolicy", direct!(attached_policies::attach_role_policy)),
    ("AttachUserPolicy", direct!(attached_policies::attach_user_policy)),
    ("CreateAccessKey", keyd!(create_access_key::create_access_key)),
    ("CreateGroup", direct!(create_group::create_group)),
    ("CreatePolicy", direct!(create_policy::create_policy)),
    ("CreatePolicyVersion", direct!(policy_versions::create_policy_version)),
    ("CreateRole", keyd!(create_role::create_role)),
    ("CreateUser", keyd!(create_user::create_user)),
    ("DeleteAccessKey", keyd!(delete_access_key::delete_access_key)),
    ("DeleteGroup", direct!(delete_group::delete_group)),
    ("DeleteGroupPolicy", direct!(inline_policies::delete_group_policy)),
    ("DeletePolicy", direct!(delete_policy::delete_policy)),
    ("DeletePolicyVersion", direct!(policy_versions::delete_policy_version)),
    ("DeleteRole", keyd!(delete_role::delete_role)),
    (
        "DeleteRolePermissionsBoundary",
        direct!(permissions_boundary::delete_role_permissions_boundary),
    ),
    ("DeleteRolePolicy", direct!(inline_policies::delete_role_policy)),
    ("DeleteUser", keyd!(delete_user::delete_user)),
    (
        "DeleteUserPermissionsBoundary",
        direct!(permissions_boundary::delete_user_permissions_boundary),
    ),
    ("DeleteUserPolicy", direct!(inline_policies::delete_user_policy)),
    ("DetachGroupPolicy", direct!(attached_policies::detach_group_policy)),
    ("DetachRolePolicy", direct!(attached_policies::detach_role_policy)),
    ("DetachUserPolicy", direct!(attached_policies::detach_user_policy)),
    ("GetAccessKeyLastUsed", direct!(access_keys::get_access_key_last_used)),
    ("GetAccountSummary", direct!(account::get_account_summary)),
    ("GetGroup", direct!(get_group::get_group)),
    ("GetGroupPolicy", direct!(inline_policies::get_group_policy)),
    ("GetPolicy", direct!(get_policy::get_policy)),
    ("GetPolicyVersion", direct!(policy_versions::get_policy_version)),
    ("GetRole", direct!(get_role::get_role)),
    ("GetRolePolicy", direct!(inline_policies::get_role_policy)),
    ("GetUser", direct!(get_user::get_user)),
    ("GetUserPolicy", direct!(inline_policies::get_user_policy)),
    ("ListAccessKeys", direct!(access_keys::list_access_keys)),
    ("ListAccountAliases", direct!(account::list_account_aliases)),
    ("ListAttachedGroupPolicies", direct!(attached_policies::list_attached_group_policies)),
    ("ListAttachedRolePolicies", direct!(attached_policies::list_attached_role_policies)),
    ("ListAttachedUserPolicies", direct!(attached_policies::list_attached_user_policies)),
    ("ListEntitiesForPolicy", direct!(list_entities_for_policy::list_entities_for_policy)),
    ("ListGroupPolicies", direct!(inline_policies::list_group_policies)),
    ("ListGroups", direct!(get_group::list_groups)),
    ("ListGroupsForUser", direct!(group_membership::list_groups_for_user)),
    (
        "ListInstanceProfilesForRole",
        direct!(list_instance_profiles_for_role::list_instance_profiles_for_role),
    ),
    ("ListPolicies", direct!(get_policy::list_policies)),
    ("ListPolicyVersions", direct!(policy_versions::list_policy_versions)),
    ("ListRolePolicies", direct!(inline_policies::list_role_policies)),
    ("ListRoleTags", direct!(tag_role::list_role_tags)),
    ("ListRoles", direct!(get_role::list_roles)),
    ("ListUserPolicies", direct!(inline_policies::list_user_policies)),
    ("ListUserTags", direct!(tag_user::list_user_tags)),
    ("ListUsers", direct!(get_user::list_users)),
    ("PutGroupPolicy", direct!(inline_policies::put_group_policy)),
    ("PutRolePermissionsBoundary", direct!(permissions_boundary::put_role_permissions_boundary)),
    ("PutRolePolicy", direct!(inline_policies::put_role_policy)),
    ("PutUserPermissionsBoundary", direct!(permissions_boundary::put_user_permissions_boundary)),
    ("PutUserPolicy", direct!(inline_policies::put_user_policy)),
    ("RemoveUserFromGroup", direct!(group_membership::remove_user_from_group)),
    ("SetDefaultPolicyVersion", direct!(policy_versions::set_default_policy_version)),
    ("TagRole", direct!(tag_role::tag_role)),
    ("TagUser", direct!(tag_user::tag_user)),
    ("UntagRole", direct!(tag_role::untag_role)),
    ("UntagUser", direct!(tag_user::untag_user)),
    ("UpdateAccessKey", keyd!(update_access_key::update_access_key)),
    ("UpdateAssumeRolePolicy", keyd!(update_assume_role_policy::update_assume_role_policy)),
    ("UpdateRole", keyd!(update_role::update_role)),
    ("UpdateUser", keyd!(update_user::update_user)),
];
