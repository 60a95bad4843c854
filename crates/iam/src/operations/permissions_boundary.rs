//! Put…PermissionsBoundary and Delete…PermissionsBoundary for users and roles.

use writ_aws::generated::iam::{
    DeleteRolePermissionsBoundaryRequest, DeleteUserPermissionsBoundaryRequest,
    PutRolePermissionsBoundaryRequest, PutUserPermissionsBoundaryRequest,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::{Role, User};

use crate::entity::{Principal, Target, edited};
use crate::policy;

pub(crate) fn put_role_permissions_boundary(
    call: &Call,
    request: &PutRolePermissionsBoundaryRequest,
) -> Result<Outcome, ApiError> {
    put::<Role>(call, &request.role_name, &request.permissions_boundary)
}

pub(crate) fn put_user_permissions_boundary(
    call: &Call,
    request: &PutUserPermissionsBoundaryRequest,
) -> Result<Outcome, ApiError> {
    put::<User>(call, &request.user_name, &request.permissions_boundary)
}

pub(crate) fn delete_role_permissions_boundary(
    call: &Call,
    request: &DeleteRolePermissionsBoundaryRequest,
) -> Result<Outcome, ApiError> {
    delete::<Role>(call, &request.role_name)
}

pub(crate) fn delete_user_permissions_boundary(
    call: &Call,
    request: &DeleteUserPermissionsBoundaryRequest,
) -> Result<Outcome, ApiError> {
    delete::<User>(call, &request.user_name)
}

/// `iam:PermissionsBoundary` is here the boundary that is set, not the one before it.
fn put<T: Principal>(call: &Call, name: &str, boundary: &str) -> Result<Outcome, ApiError> {
    let target = Target::<T>::of(call, name);
    let (permit, entity) = target.permit(target.ask().with_boundary(Some(boundary)))?;
    let (arn, policy) = policy::boundary(call, boundary)?;
    let mut changes = edited(call, permit, entity, |entity: &mut T| {
        *entity.boundary_mut() = Some(arn);
    });
    if let Some((id, expect)) = policy.precondition(call) {
        changes = changes.require(id, expect);
    }
    Ok(Outcome::changed(().into_value(), changes))
}

fn delete<T: Principal>(call: &Call, name: &str) -> Result<Outcome, ApiError> {
    let (permit, entity) = Target::<T>::of(call, name).open()?;
    let changes = edited(call, permit, entity, |entity: &mut T| {
        *entity.boundary_mut() = None;
    });
    Ok(Outcome::changed(().into_value(), changes))
}
