//! The key module's part in a mutation: the new sealed descriptor.

use writ_aws::ApiError;
use writ_keyd_client::protocol::{Seal, UsePosition};
use writ_model::UniqueId;
use writ_policy::Permit;
use writ_service::call::Call;
use writ_store::Blob;

/// Has the key module seal what the signed request asks for: `current` is the descriptor that it
/// changes, `new_id` the unique id of what it creates. Nothing may refuse the mutation after this:
/// the new revision is in force.
pub(crate) async fn seal(
    call: &Call,
    permit: &Permit,
    current: Option<&Blob>,
    new_id: Option<&UniqueId>,
) -> Result<(Blob, Option<UsePosition>), ApiError> {
    let seal = Seal {
        current: current.map(|blob| blob.as_slice().to_vec()),
        new_id: new_id.map(ToString::to_string),
        ..Seal::default()
    };
    let sealed = call.seal(permit, seal).await?;
    let descriptor = sealed.descriptors.into_iter().next();
    let descriptor = descriptor.ok_or_else(|| ApiError::internal(call.operation.service))?;
    Ok((descriptor.into(), sealed.position))
}
