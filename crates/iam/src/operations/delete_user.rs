//! DeleteUser.

use writ_aws::generated::iam::DeleteUserRequest;
use writ_aws::{ApiError, Output};
use writ_keyd_client::protocol::End;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::state::User;

use crate::entity::Target;
use crate::error;
use crate::seal::seal;

pub(crate) async fn delete_user(
    call: &Call,
    request: &DeleteUserRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let (permit, user) = Target::<User>::of(call, &request.user_name).open()?;
    let keys = call.snapshot.state(account).map(|state| state.access_keys_of(Some(&user.name)));
    let conflicts = [
        (!user.groups.is_empty(), "remove users from group"),
        (keys.into_iter().flatten().next().is_some(), "delete access keys"),
        (!user.inline_policies.is_empty(), "delete policies"),
        (!user.attached_policies.is_empty(), "detach all policies"),
    ];
    if let Some((_, what)) = conflicts.iter().find(|(there, _)| *there) {
        return Err(error::must_first(what));
    }
    let (_, position) = seal(call, &permit, Some(&user.descriptor), None).await?;
    let changes = Changes::permitted(permit)
        .delete(ObjectId::of::<User>(account, &user.name), user.revision)
        .ending(End::Principal(user.unique_id.to_string()));
    Ok(Outcome::changed(().into_value(), changes).recorded_at(position))
}
