//! Stored objects as the API shows them. Lists leave out tags and boundaries, as AWS's do.

use writ_aws::generated::iam as wire;
use writ_model::{AccountId, Arn};
use writ_service::call::Call;
use writ_store::state::{Group, PolicyVersion, Role, User};

use crate::document::{encoded, shown_trust};
use crate::entity::Entity;
use crate::policy::{FIRST_VERSION, Managed, Usage};
use crate::tags::shown_if_any;

/// How much of an object a reply shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All of it: Create and Get.
    Full,
    /// What a list shows.
    Listed,
}

pub(crate) fn user(user: &User, account: AccountId, detail: Detail) -> wire::User {
    let full = detail == Detail::Full;
    wire::User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.unique_id.to_string(),
        arn: user.arn(account).to_string(),
        create_date: user.created,
        password_last_used: None,
        permissions_boundary: user.boundary.as_ref().filter(|_| full).map(boundary),
        tags: shown_if_any(&user.tags).filter(|_| full),
    }
}

pub(crate) fn role(role: &Role, call: &Call, detail: Detail) -> wire::Role {
    let full = detail == Detail::Full;
    wire::Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.unique_id.to_string(),
        arn: role.arn(call.account()).to_string(),
        create_date: role.created,
        assume_role_policy_document: Some(shown_trust(role, &call.snapshot)),
        description: role.description.clone(),
        max_session_duration: Some(i64::from(role.max_session_secs)),
        permissions_boundary: role.boundary.as_ref().filter(|_| full).map(boundary),
        tags: shown_if_any(&role.tags).filter(|_| full),
        role_last_used: full.then(wire::RoleLastUsed::default),
        source_role_template: None,
    }
}

pub(crate) fn group(group: &Group, account: AccountId) -> wire::Group {
    wire::Group {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.unique_id.to_string(),
        arn: group.arn(account).to_string(),
        create_date: group.created,
    }
}

pub(crate) fn policy(policy: &Managed<'_>, usage: &Usage, detail: Detail) -> wire::Policy {
    let (name, path) = policy.name_and_path();
    let full = detail == Detail::Full;
    let mut shown = match policy {
        Managed::Aws(policy) => wire::Policy {
            policy_id: Some(policy.unique_id.to_owned()),
            arn: Some(policy.arn()),
            default_version_id: Some(FIRST_VERSION.to_owned()),
            description: full.then(|| policy.description.to_owned()),
            create_date: Some(policy.created),
            update_date: Some(policy.created),
            ..wire::Policy::default()
        },
        Managed::Local(policy) => wire::Policy {
            policy_id: Some(policy.unique_id.to_string()),
            arn: Some(policy.arn.to_string()),
            default_version_id: Some(policy.default_version.clone()),
            description: policy.description.clone().filter(|_| full),
            create_date: Some(policy.created),
            update_date: Some(policy.updated),
            tags: shown_if_any(&policy.tags).filter(|_| full),
            ..wire::Policy::default()
        },
    };
    let (attached, boundaries) = usage.count(shown.arn.as_deref().unwrap_or_default());
    shown.policy_name = Some(name.to_owned());
    shown.path = Some(path);
    shown.attachment_count = Some(attached);
    shown.permissions_boundary_usage_count = Some(boundaries);
    shown.is_attachable = Some(true);
    shown
}

/// One version; its document only where the operation shows it.
pub(crate) fn version(
    version: &PolicyVersion,
    default: &str,
    with_document: bool,
) -> wire::PolicyVersion {
    wire::PolicyVersion {
        document: with_document.then(|| encoded(&version.document)),
        version_id: Some(version.id.clone()),
        is_default_version: Some(version.id == default),
        create_date: Some(version.created),
    }
}

fn boundary(arn: &Arn) -> wire::AttachedPermissionsBoundary {
    wire::AttachedPermissionsBoundary {
        // The model says `PermissionsBoundaryPolicy`; AWS sends what its reference says in prose.
        permissions_boundary_type: Some("Policy".to_owned()),
        permissions_boundary_arn: Some(arn.to_string()),
    }
}
