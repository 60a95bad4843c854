//! CreateAccessKey. The secret is made by the key module and is in this reply alone.

use writ_aws::generated::iam::{
    AccessKey as Shown, CreateAccessKeyRequest, CreateAccessKeyResponse,
};
use writ_aws::{ApiError, Output, Value};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::{AccessKey, User};
use writ_store::{Expect, Object, ObjectId, Stored};

use super::access_keys::{Keys, status};
use crate::error;
use crate::limits::ACCESS_KEYS_MAX;

pub(crate) async fn create_access_key(
    call: &Call,
    request: &CreateAccessKeyRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let keys = Keys::open(call, request.user_name.as_deref())?;
    if keys.all(call).count() >= ACCESS_KEYS_MAX {
        return Err(error::over_quota("AccessKeysPerUser", ACCESS_KEYS_MAX));
    }
    let Keys { permit, user } = keys;
    let subject = user.map(|user| user.descriptor.as_slice().to_vec());
    let made = call.issue(&permit, subject).await?;
    let internal = || ApiError::internal(call.operation.service);
    let (wrapped, descriptor) = made.wrapped.zip(made.descriptor).ok_or_else(internal)?;
    let secret = std::str::from_utf8(made.secret.expose()).map_err(|_| internal())?;
    let shown = Shown {
        user_name: user.map(|user| user.name.clone()).unwrap_or_default(),
        access_key_id: made.access_key_id.to_string(),
        status: status(true),
        secret_access_key: secret.to_owned(),
        create_date: Some(call.now),
    };
    let key = AccessKey {
        id: made.access_key_id,
        user: user.map(|user| user.id()),
        active: true,
        created: call.now,
        wrapped: wrapped.into(),
        descriptor: descriptor.into(),
    };
    let mut changes = Changes::permitted(permit).create(Object::new(account, key));
    if let Some(user) = user {
        let id = ObjectId::of::<User>(account, &user.name);
        changes = changes.require(id, Expect::At(user.revision));
    }
    let reply = CreateAccessKeyResponse { access_key: shown }.into_value();
    Ok(Outcome::changed(without_empty_name(reply), changes).recorded_at(made.position))
}

/// The key of the account's root has no user name.
fn without_empty_name(mut reply: Value) -> Value {
    if let Value::Map(members) = &mut reply
        && let Some(Value::Map(key)) = members.get_mut("AccessKey")
    {
        key.retain(|_, value| *value != Value::Text(String::new()));
    }
    reply
}
