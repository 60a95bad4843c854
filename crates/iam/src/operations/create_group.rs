//! CreateGroup.

use std::collections::{BTreeMap, BTreeSet};

use writ_aws::generated::iam::{CreateGroupRequest, CreateGroupResponse};
use writ_aws::{ApiError, Output};
use writ_model::{UniqueId, UniqueIdKind};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;
use writ_store::state::Group;

use crate::access::Ask;
use crate::entity::{Entity, arn};
use crate::limits::GROUPS_MAX;
use crate::{error, view};

pub(crate) fn create_group(call: &Call, request: &CreateGroupRequest) -> Result<Outcome, ApiError> {
    let account = call.account();
    let path = request.path.as_deref().unwrap_or("/");
    let arn = arn(Group::NOUN, account, path, &request.group_name);
    let permit = Ask::of(call).permit(arn.as_str())?;
    if call.snapshot.group(account, &request.group_name).is_some() {
        return Err(error::exists(Group::TITLE, &request.group_name));
    }
    if call.snapshot.state(account).is_some_and(|state| state.count::<Group>() >= GROUPS_MAX) {
        return Err(error::over_quota("GroupsPerAccount", GROUPS_MAX));
    }
    let group = Group {
        name: request.group_name.clone(),
        path: path.to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::Group, &*call.env),
        created: call.now,
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
    };
    let reply = CreateGroupResponse { group: view::group(&group, account) };
    let changes = Changes::permitted(permit).create(Object::new(account, group));
    Ok(Outcome::changed(reply.into_value(), changes))
}
