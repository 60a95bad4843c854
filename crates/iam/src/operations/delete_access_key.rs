//! DeleteAccessKey.

use writ_aws::generated::iam::DeleteAccessKeyRequest;
use writ_aws::{ApiError, Output};
use writ_keyd_client::protocol::End;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::state::AccessKey;

use super::access_keys::Keys;
use crate::seal::seal;

pub(crate) async fn delete_access_key(
    call: &Call,
    request: &DeleteAccessKeyRequest,
) -> Result<Outcome, ApiError> {
    let keys = Keys::open(call, request.user_name.as_deref())?;
    let key = keys.find(call, &request.access_key_id)?;
    let (_, position) = seal(call, &keys.permit, Some(&key.descriptor), None).await?;
    let changes = Changes::permitted(keys.permit)
        .delete(ObjectId::of::<AccessKey>(call.account(), key.id.as_str()), key.revision)
        .ending(End::AccessKey(key.id.clone()));
    Ok(Outcome::changed(().into_value(), changes).recorded_at(position))
}
