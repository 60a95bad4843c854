//! GetGroup, with its users, and ListGroups.

use writ_aws::generated::iam::{
    GetGroupRequest, GetGroupResponse, ListGroupsRequest, ListGroupsResponse,
};
use writ_aws::{ApiError, Output};
use writ_model::Arn;
use writ_service::call::{Call, Outcome};
use writ_store::Stored;
use writ_store::state::Group;

use crate::access::Ask;
use crate::entity::Target;
use crate::page::Cut;
use crate::view::{self, Detail};

pub(crate) fn get_group(call: &Call, request: &GetGroupRequest) -> Result<Outcome, ApiError> {
    let account = call.account();
    let (_, group) = Target::<Group>::of(call, &request.group_name).open()?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let members = call.snapshot.state(account).map(|state| state.members_of(&group.name));
    let members = members.into_iter().flatten();
    let page = cut.page(members.map(|user| (user.id(), view::user(user, account, Detail::Listed))));
    let reply = GetGroupResponse {
        group: view::group(group, account),
        users: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

pub(crate) fn list_groups(call: &Call, request: &ListGroupsRequest) -> Result<Outcome, ApiError> {
    let account = call.account();
    let prefix = request.path_prefix.as_deref().unwrap_or("/");
    Ask::of(call).permit(Arn::iam(account, &format!("group{prefix}")).as_str())?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let groups = call.snapshot.list::<Group>(account, cut.after());
    let groups = groups.filter(|group| group.path.starts_with(prefix));
    let page = cut.page(groups.map(|group| (group.id(), view::group(group, account))));
    let reply = ListGroupsResponse {
        groups: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}
