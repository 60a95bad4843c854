//! ListInstanceProfilesForRole: there are no instance profiles, so no role is in one.

use writ_aws::generated::iam::{
    ListInstanceProfilesForRoleRequest, ListInstanceProfilesForRoleResponse,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::Role;

use crate::entity::Target;
use crate::page::Cut;

pub(crate) fn list_instance_profiles_for_role(
    call: &Call,
    request: &ListInstanceProfilesForRoleRequest,
) -> Result<Outcome, ApiError> {
    Target::<Role>::of(call, &request.role_name).open()?;
    Cut::new(request.marker.as_deref(), request.max_items)?;
    let reply = ListInstanceProfilesForRoleResponse {
        instance_profiles: Vec::new(),
        is_truncated: Some(false),
        marker: None,
    };
    Ok(Outcome::reply(reply.into_value()))
}
