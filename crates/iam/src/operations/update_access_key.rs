//! UpdateAccessKey: the status is sealed, so an inactive key ends in the key module at once.

use writ_aws::generated::iam::UpdateAccessKeyRequest;
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;
use writ_store::state::AccessKey;

use super::access_keys::Keys;
use crate::error;
use crate::seal::seal;

pub(crate) async fn update_access_key(
    call: &Call,
    request: &UpdateAccessKeyRequest,
) -> Result<Outcome, ApiError> {
    let keys = Keys::open(call, request.user_name.as_deref())?;
    let active = match request.status.as_str() {
        "Active" => true,
        "Inactive" => false,
        // The model lists `Expired`, which only AWS sets.
        other => {
            return Err(error::validation(format!(
                "1 validation error detected: Value '{other}' at 'status' failed to satisfy \
                 constraint: Member must satisfy enum value set: [Active, Inactive]"
            )));
        }
    };
    let key = keys.find(call, &request.access_key_id)?;
    let (descriptor, position) = seal(call, &keys.permit, Some(&key.descriptor), None).await?;
    let changed = AccessKey { active, descriptor, ..AccessKey::clone(&key.value) };
    let changes =
        Changes::permitted(keys.permit).update(Object::new(call.account(), changed), key.revision);
    Ok(Outcome::changed(().into_value(), changes).recorded_at(position))
}
