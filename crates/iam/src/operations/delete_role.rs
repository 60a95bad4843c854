//! DeleteRole.

use writ_aws::generated::iam::DeleteRoleRequest;
use writ_aws::{ApiError, Output};
use writ_keyd_client::protocol::End;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::state::Role;

use crate::entity::Target;
use crate::error;
use crate::seal::seal;

pub(crate) async fn delete_role(
    call: &Call,
    request: &DeleteRoleRequest,
) -> Result<Outcome, ApiError> {
    let (permit, role) = Target::<Role>::of(call, &request.role_name).open()?;
    if !role.attached_policies.is_empty() {
        return Err(error::must_first("detach all policies"));
    }
    if !role.inline_policies.is_empty() {
        return Err(error::must_first("delete policies"));
    }
    let (_, position) = seal(call, &permit, Some(&role.descriptor), None).await?;
    let changes = Changes::permitted(permit)
        .delete(ObjectId::of::<Role>(call.account(), &role.name), role.revision)
        .ending(End::Principal(role.unique_id.to_string()));
    Ok(Outcome::changed(().into_value(), changes).recorded_at(position))
}
