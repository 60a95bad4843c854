//! AddUserToGroup, RemoveUserFromGroup and ListGroupsForUser.

use writ_aws::generated::iam::{
    AddUserToGroupRequest, ListGroupsForUserRequest, ListGroupsForUserResponse,
    RemoveUserFromGroupRequest,
};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};
use writ_store::state::{Group, User};
use writ_store::{Expect, ObjectId, Stored};

use crate::entity::{Entity, Target, edited};
use crate::limits::GROUPS_PER_USER_MAX;
use crate::page::Cut;
use crate::{error, view};

/// The permission is asked on the group; the user is only found.
pub(crate) fn add_user_to_group(
    call: &Call,
    request: &AddUserToGroupRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let (permit, group) = Target::<Group>::of(call, &request.group_name).open()?;
    let user = Target::<User>::of(call, &request.user_name).found()?;
    if user.groups.contains(&group.id()) {
        return Ok(Outcome::reply(().into_value()));
    }
    if user.groups.len() >= GROUPS_PER_USER_MAX {
        return Err(error::over_quota("GroupsPerUser", GROUPS_PER_USER_MAX));
    }
    let changes = edited(call, permit, user, |user: &mut User| {
        user.groups.insert(group.id());
    });
    let group = ObjectId::of::<Group>(account, &group.name);
    let changes = changes.require(group, Expect::Unchanged);
    Ok(Outcome::changed(().into_value(), changes))
}

pub(crate) fn remove_user_from_group(
    call: &Call,
    request: &RemoveUserFromGroupRequest,
) -> Result<Outcome, ApiError> {
    let (permit, group) = Target::<Group>::of(call, &request.group_name).open()?;
    let user = Target::<User>::of(call, &request.user_name).found()?;
    if !user.groups.contains(&group.id()) {
        return Err(error::no_such(User::NOUN, &request.user_name));
    }
    let changes = edited(call, permit, user, |user: &mut User| {
        user.groups.remove(&group.id());
    });
    Ok(Outcome::changed(().into_value(), changes))
}

pub(crate) fn list_groups_for_user(
    call: &Call,
    request: &ListGroupsForUserRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let (_, user) = Target::<User>::of(call, &request.user_name).open()?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let groups = user.groups.iter().filter_map(|name| call.snapshot.group(account, name));
    let page = cut.page(groups.map(|group| (group.id(), view::group(group, account))));
    let reply = ListGroupsForUserResponse {
        groups: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}
