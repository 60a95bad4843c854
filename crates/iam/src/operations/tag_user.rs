//! TagUser, UntagUser and ListUserTags; and what roles share with them.

use writ_aws::generated::iam::{
    ListUserTagsRequest, ListUserTagsResponse, Tag, TagUserRequest, UntagUserRequest,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::User;

use crate::entity::{Principal, Target, edited};
use crate::page::{Cut, Page, numbered};
use crate::tags;

pub(crate) fn tag_user(call: &Call, request: &TagUserRequest) -> Result<Outcome, ApiError> {
    tag::<User>(call, &request.user_name, &request.tags)
}

pub(crate) fn untag_user(call: &Call, request: &UntagUserRequest) -> Result<Outcome, ApiError> {
    untag::<User>(call, &request.user_name, &request.tag_keys)
}

pub(crate) fn list_user_tags(
    call: &Call,
    request: &ListUserTagsRequest,
) -> Result<Outcome, ApiError> {
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let page = list::<User>(call, &request.user_name, &cut)?;
    let reply = ListUserTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

pub(super) fn tag<T: Principal>(call: &Call, name: &str, new: &[Tag]) -> Result<Outcome, ApiError> {
    let new = tags::read(new)?;
    let target = Target::<T>::of(call, name);
    let (permit, entity) = target.permit(target.ask().with_tags(&new, None))?;
    let old = entity.tags().cloned().unwrap_or_default();
    let merged = tags::merged(&old, &new)?;
    let changes = edited(call, permit, entity, |entity: &mut T| *entity.tags_mut() = merged);
    Ok(Outcome::changed(().into_value(), changes))
}

pub(super) fn untag<T: Principal>(
    call: &Call,
    name: &str,
    keys: &[String],
) -> Result<Outcome, ApiError> {
    let target = Target::<T>::of(call, name);
    let ask = target.ask().with_tag_keys(keys.iter().map(String::as_str));
    let (permit, entity) = target.permit(ask)?;
    let changes = edited(call, permit, entity, |entity: &mut T| {
        *entity.tags_mut() = tags::without(entity.tags_mut(), keys);
    });
    Ok(Outcome::changed(().into_value(), changes))
}

pub(super) fn list<T: Principal>(
    call: &Call,
    name: &str,
    cut: &Cut,
) -> Result<Page<Tag>, ApiError> {
    let (_, entity) = Target::<T>::of(call, name).open()?;
    let tags = entity.tags().map(tags::shown).unwrap_or_default();
    Ok(cut.page(numbered(tags.into_iter())))
}
