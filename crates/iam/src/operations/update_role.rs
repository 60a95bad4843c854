//! UpdateRole: description and longest session. What is not given stays as it is.

use writ_aws::generated::iam::{UpdateRoleRequest, UpdateRoleResponse};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::Role;

use crate::entity::{Target, edited};
use crate::seal::seal;

pub(crate) async fn update_role(
    call: &Call,
    request: &UpdateRoleRequest,
) -> Result<Outcome, ApiError> {
    let (permit, role) = Target::<Role>::of(call, &request.role_name).open()?;
    let (descriptor, position) = seal(call, &permit, Some(&role.descriptor), None).await?;
    let seconds = request.max_session_duration.and_then(|seconds| u32::try_from(seconds).ok());
    let changes = edited(call, permit, role, |role: &mut Role| {
        role.descriptor = descriptor;
        role.max_session_secs = seconds.unwrap_or(role.max_session_secs);
        if let Some(description) = &request.description {
            role.description = Some(description.clone());
        }
    });
    Ok(Outcome::changed(UpdateRoleResponse {}.into_value(), changes).recorded_at(position))
}
