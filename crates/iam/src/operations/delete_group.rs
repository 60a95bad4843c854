//! DeleteGroup.

use writ_aws::generated::iam::DeleteGroupRequest;
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::state::Group;

use crate::entity::Target;
use crate::error;

pub(crate) fn delete_group(call: &Call, request: &DeleteGroupRequest) -> Result<Outcome, ApiError> {
    let account = call.account();
    let (permit, group) = Target::<Group>::of(call, &request.group_name).open()?;
    let members = call.snapshot.state(account).map(|state| state.members_of(&group.name));
    let conflicts = [
        (members.into_iter().flatten().next().is_some(), "remove users from group"),
        (!group.inline_policies.is_empty(), "delete policies"),
        (!group.attached_policies.is_empty(), "detach all policies"),
    ];
    if let Some((_, what)) = conflicts.iter().find(|(there, _)| *there) {
        return Err(error::must_first(what));
    }
    let id = ObjectId::of::<Group>(account, &group.name);
    let changes = Changes::permitted(permit).delete(id, group.revision);
    Ok(Outcome::changed(().into_value(), changes))
}
