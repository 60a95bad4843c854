//! GetSupportRole, DisableSupportRole and EnableSupportRole.

use writ_aws::generated::writ::{
    DisableSupportRoleResponse, EnableSupportRoleResponse, GetSupportRoleResponse, SupportRole,
};
use writ_aws::{ApiError, Output as _};
use writ_model::{Arn, SUPPORT_PATH, SUPPORT_ROLE};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::{Role, Support};
use writ_store::{Blob, Object};

use super::super::access::{Access, Change};
use super::{SUPPORT, end_unwanted, newest, permit, revision, role, seal};

const THING: &str = "support-role";

pub(super) fn get(call: &Call) -> Result<Outcome, ApiError> {
    permit(call, THING)?;
    let stored = call.snapshot.get::<Support>(call.account(), SUPPORT);
    let support_role = Some(show(call, stored.map(|entry| &*entry.value)));
    Ok(Outcome::reply(GetSupportRoleResponse { support_role }.into_value()))
}

pub(super) async fn switch(
    access: &Access,
    call: &Call,
    enabled: bool,
) -> Result<Outcome, ApiError> {
    let permit = permit(call, THING)?;
    let _turn = access.turn().await;
    let snapshot = newest(access).await?;
    let (descriptor, position) = seal(call, &permit).await?;
    let change = Change::Support(call.account(), enabled);
    let ended_access = end_unwanted(access, change, &snapshot).await?;
    let (support, changes) = switched(call, enabled, descriptor, Changes::permitted(permit));
    let support_role = Some(show(call, Some(&support)));
    let reply = if enabled {
        EnableSupportRoleResponse { support_role }.into_value()
    } else {
        DisableSupportRoleResponse { support_role, ended_access }.into_value()
    };
    Ok(Outcome::changed(reply, changes).recorded_at(position))
}

/// Adds the switch to `changes`. A role that was deleted is there again once it is enabled.
pub(super) fn switched(
    call: &Call,
    enabled: bool,
    descriptor: Blob,
    changes: Changes,
) -> (Support, Changes) {
    let account = call.account();
    let support = Support { enabled, updated: call.now, by: call.caller.arn.clone(), descriptor };
    let object = Object::new(account, support.clone());
    let changes = match call.snapshot.get::<Support>(account, SUPPORT) {
        Some(old) => changes.update(object, old.revision),
        None => changes.create(object),
    };
    let missing = call.snapshot.role(account, SUPPORT_ROLE).is_none();
    let changes = match enabled && missing {
        true => changes.create(Object::new(account, role::new(&*call.env))),
        false => changes,
    };
    (support, changes)
}

fn show(call: &Call, support: Option<&Support>) -> SupportRole {
    let arn = Arn::iam(call.account(), &format!("role{SUPPORT_PATH}{SUPPORT_ROLE}"));
    let stored: Option<&Role> =
        call.snapshot.role(call.account(), SUPPORT_ROLE).map(|entry| &*entry.value);
    let policy = stored.and_then(|role| role.inline_policies.get(role::POLICY_NAME));
    SupportRole {
        arn: Some(arn.to_string()),
        enabled: Some(support.is_none_or(|support| support.enabled)),
        revision: Some(revision(support.map(|support| &support.descriptor))),
        last_modified_date: support.map(|support| support.updated),
        last_modified_by: support.map(|support| support.by.to_string()),
        policy_document: Some(policy.map_or(role::POLICY, String::as_str).to_owned()),
        assume_role_policy_document: Some(role::TRUST.to_owned()),
    }
}
