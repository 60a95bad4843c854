//! GetRole and ListRoles.

use writ_aws::generated::iam::{
    GetRoleRequest, GetRoleResponse, ListRolesRequest, ListRolesResponse,
};
use writ_aws::{ApiError, Output};
use writ_model::Arn;
use writ_service::call::{Call, Outcome};
use writ_store::Stored;
use writ_store::state::Role;

use crate::access::Ask;
use crate::entity::Target;
use crate::page::Cut;
use crate::view::{self, Detail};

pub(crate) fn get_role(call: &Call, request: &GetRoleRequest) -> Result<Outcome, ApiError> {
    let (_, role) = Target::<Role>::of(call, &request.role_name).open()?;
    let reply = GetRoleResponse { role: view::role(role, call, Detail::Full) };
    Ok(Outcome::reply(reply.into_value()))
}

pub(crate) fn list_roles(call: &Call, request: &ListRolesRequest) -> Result<Outcome, ApiError> {
    let account = call.account();
    let prefix = request.path_prefix.as_deref().unwrap_or("/");
    Ask::of(call).permit(Arn::iam(account, &format!("role{prefix}")).as_str())?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let roles = call.snapshot.list::<Role>(account, cut.after());
    let roles = roles.filter(|role| role.path.starts_with(prefix));
    let page = cut.page(roles.map(|role| (role.id(), view::role(role, call, Detail::Listed))));
    let reply = ListRolesResponse {
        roles: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}
