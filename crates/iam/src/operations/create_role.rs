//! CreateRole.

use std::collections::{BTreeMap, BTreeSet};

use writ_aws::generated::iam::{CreateRoleRequest, CreateRoleResponse};
use writ_aws::{ApiError, Output};
use writ_model::{SUPPORT_PATH, SUPPORT_ROLE, UniqueId, UniqueIdKind};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;
use writ_store::state::Role;

use crate::access::Ask;
use crate::entity::{Entity, arn};
use crate::limits::{ROLE_SESSION_DEFAULT_SECS, ROLES_MAX};
use crate::seal::seal;
use crate::view::Detail;
use crate::{document, error, policy, tags, view};

/// Roles under this path are linked to services; policies that bound others do not apply to them.
const SERVICE_LINKED_PATH: &str = "/aws-service-role/";

pub(crate) async fn create_role(
    call: &Call,
    request: &CreateRoleRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let (name, boundary) = (&request.role_name, request.permissions_boundary.as_deref());
    let path = request.path.as_deref().unwrap_or("/");
    let tags = tags::read(request.tags.as_deref().unwrap_or_default())?;
    let permit = Ask::of(call)
        .with_boundary(boundary)
        .with_tags(&tags, Some("iam:TagRole"))
        .permit(arn(Role::NOUN, account, path, name).as_str())?;
    if path.starts_with(SERVICE_LINKED_PATH) {
        let message = format!("The path {path} is reserved for roles that are linked to services.");
        return Err(error::invalid_input(message));
    }
    if path.starts_with(SUPPORT_PATH) || name.eq_ignore_ascii_case(SUPPORT_ROLE) {
        let message = format!("The path {SUPPORT_PATH} and the name {SUPPORT_ROLE} are reserved.");
        return Err(error::invalid_input(message));
    }
    if call.snapshot.role(account, name).is_some() {
        return Err(error::exists(Role::TITLE, name));
    }
    if call.snapshot.state(account).is_some_and(|state| state.count::<Role>() >= ROLES_MAX) {
        return Err(error::over_quota("RolesPerAccount", ROLES_MAX));
    }
    let principals = document::check_trust(&request.assume_role_policy_document, &call.snapshot)?;
    let boundary = boundary.map(|arn| policy::boundary(call, arn)).transpose()?;
    let required = boundary.as_ref().and_then(|(_, policy)| policy.precondition(call));
    let unique_id = UniqueId::random(UniqueIdKind::Role, &*call.env);
    let (descriptor, position) = seal(call, &permit, None, Some(&unique_id)).await?;
    let seconds = request.max_session_duration.and_then(|seconds| u32::try_from(seconds).ok());
    let role = Role {
        name: name.clone(),
        path: path.to_owned(),
        unique_id,
        created: call.now,
        description: request.description.clone(),
        trust_policy: request.assume_role_policy_document.clone(),
        principals,
        max_session_secs: seconds.unwrap_or(ROLE_SESSION_DEFAULT_SECS),
        descriptor,
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        boundary: boundary.map(|(arn, _)| arn),
        tags,
    };
    let shown = view::role(&role, call, Detail::Full);
    let mut changes = Changes::permitted(permit).create(Object::new(account, role));
    if let Some((id, expect)) = required {
        changes = changes.require(id, expect);
    }
    let reply = CreateRoleResponse { role: shown };
    Ok(Outcome::changed(reply.into_value(), changes).recorded_at(position))
}
