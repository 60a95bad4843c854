//! UpdateUser: a new name or path. The unique id, keys, policies and groups stay.

use writ_aws::ApiError;
use writ_aws::generated::iam::UpdateUserRequest;
use writ_aws::{Output, Value};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::{AccessKey, User, folded};
use writ_store::{Object, ObjectId, Stored};

use crate::entity::{Entity, Target, arn};
use crate::error;
use crate::seal::seal;

pub(crate) async fn update_user(
    call: &Call,
    request: &UpdateUserRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let target = Target::<User>::of(call, &request.user_name);
    let old = target.found().ok();
    let name = request.new_user_name.as_ref().or(old.map(|user| &user.name));
    let name = name.unwrap_or(&request.user_name).clone();
    let path = request.new_path.as_ref().or(old.map(|user| &user.path));
    let path = path.map_or("/", String::as_str).to_owned();
    // A rename needs the right on the old and on the new name ("Renaming an IAM user").
    let new_arn = arn(User::NOUN, account, &path, &name);
    let permit = target.ask().permit_all(&[target.arn.as_str(), new_arn.as_str()])?;
    let old = target.found()?;
    let renamed = folded(&name) != old.id();
    if renamed && call.snapshot.user(account, &name).is_some() {
        return Err(error::exists(User::TITLE, &name));
    }
    let (descriptor, position) = seal(call, &permit, Some(&old.descriptor), None).await?;
    let new = User { name, path, descriptor, ..User::clone(&old.value) };
    let changes = Changes::permitted(permit);
    let changes = match renamed {
        true => moved(call, changes, old.revision, &old.name, new),
        false => changes.update(Object::new(account, new), old.revision),
    };
    Ok(Outcome::changed(reply(), changes).recorded_at(position))
}

/// A user's id is its name in lower case: a new one is another object, to which the keys go over.
fn moved(
    call: &Call,
    changes: Changes,
    revision: writ_model::Revision,
    old_name: &str,
    new: User,
) -> Changes {
    let account = call.account();
    let id = new.id();
    let changes = changes
        .delete(ObjectId::of::<User>(account, old_name), revision)
        .create(Object::new(account, new));
    let keys = call.snapshot.state(account).map(|state| state.access_keys_of(Some(old_name)));
    keys.into_iter().flatten().fold(changes, |changes, key| {
        let moved = AccessKey { user: Some(id.clone()), ..AccessKey::clone(&key.value) };
        changes.update(Object::new(account, moved), key.revision)
    })
}

fn reply() -> Value {
    ().into_value()
}
