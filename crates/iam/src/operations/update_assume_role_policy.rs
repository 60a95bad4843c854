//! UpdateAssumeRolePolicy.

use writ_aws::generated::iam::UpdateAssumeRolePolicyRequest;
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::Role;

use crate::document;
use crate::entity::{Target, edited};
use crate::seal::seal;

pub(crate) async fn update_assume_role_policy(
    call: &Call,
    request: &UpdateAssumeRolePolicyRequest,
) -> Result<Outcome, ApiError> {
    let (permit, role) = Target::<Role>::of(call, &request.role_name).open()?;
    let principals = document::check_trust(&request.policy_document, &call.snapshot)?;
    let (descriptor, position) = seal(call, &permit, Some(&role.descriptor), None).await?;
    let changes = edited(call, permit, role, |role: &mut Role| {
        role.descriptor = descriptor;
        role.trust_policy = request.policy_document.clone();
        role.principals = principals;
    });
    Ok(Outcome::changed(().into_value(), changes).recorded_at(position))
}
