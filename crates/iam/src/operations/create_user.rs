//! CreateUser.

use std::collections::{BTreeMap, BTreeSet};

use writ_aws::generated::iam::{CreateUserRequest, CreateUserResponse};
use writ_aws::{ApiError, Output};
use writ_model::{UniqueId, UniqueIdKind};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;
use writ_store::state::User;

use crate::access::Ask;
use crate::entity::{Entity, arn};
use crate::limits::USERS_MAX;
use crate::seal::seal;
use crate::view::Detail;
use crate::{error, policy, tags, view};

pub(crate) async fn create_user(
    call: &Call,
    request: &CreateUserRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let path = request.path.as_deref().unwrap_or("/");
    let tags = tags::read(request.tags.as_deref().unwrap_or_default())?;
    let permit = Ask::of(call)
        .with_boundary(request.permissions_boundary.as_deref())
        .with_tags(&tags, Some("iam:TagUser"))
        .permit(arn(User::NOUN, account, path, &request.user_name).as_str())?;
    if call.snapshot.user(account, &request.user_name).is_some() {
        return Err(error::exists(User::TITLE, &request.user_name));
    }
    if call.snapshot.state(account).is_some_and(|state| state.count::<User>() >= USERS_MAX) {
        return Err(error::over_quota("UsersPerAccount", USERS_MAX));
    }
    let boundary = request.permissions_boundary.as_deref();
    let boundary = boundary.map(|arn| policy::boundary(call, arn)).transpose()?;
    let required = boundary.as_ref().and_then(|(_, policy)| policy.precondition(call));
    let unique_id = UniqueId::random(UniqueIdKind::User, &*call.env);
    let (descriptor, position) = seal(call, &permit, None, Some(&unique_id)).await?;
    let user = User {
        name: request.user_name.clone(),
        path: path.to_owned(),
        unique_id,
        created: call.now,
        descriptor,
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        groups: BTreeSet::new(),
        boundary: boundary.map(|(arn, _)| arn),
        tags,
    };
    let shown = view::user(&user, account, Detail::Full);
    let mut changes = Changes::permitted(permit).create(Object::new(account, user));
    if let Some((id, expect)) = required {
        changes = changes.require(id, expect);
    }
    let reply = CreateUserResponse { user: Some(shown) };
    Ok(Outcome::changed(reply.into_value(), changes).recorded_at(position))
}
