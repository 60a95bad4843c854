//! TagRole, UntagRole and ListRoleTags.

use writ_aws::generated::iam::{
    ListRoleTagsRequest, ListRoleTagsResponse, TagRoleRequest, UntagRoleRequest,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::Role;

use super::tag_user::{list, tag, untag};
use crate::page::Cut;

pub(crate) fn tag_role(call: &Call, request: &TagRoleRequest) -> Result<Outcome, ApiError> {
    tag::<Role>(call, &request.role_name, &request.tags)
}

pub(crate) fn untag_role(call: &Call, request: &UntagRoleRequest) -> Result<Outcome, ApiError> {
    untag::<Role>(call, &request.role_name, &request.tag_keys)
}

pub(crate) fn list_role_tags(
    call: &Call,
    request: &ListRoleTagsRequest,
) -> Result<Outcome, ApiError> {
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let page = list::<Role>(call, &request.role_name, &cut)?;
    let reply = ListRoleTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}
