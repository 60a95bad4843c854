//! Decrypt: <https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::decrypt::{DecryptRequest, DecryptResponse};
use writ_keyd_client::protocol::Use;
use writ_service::call::{Call, Outcome};

use super::encrypt::dry_run;
use crate::access::{authorize, context, usable, with_encryption_context};
use crate::metadata::resource;
use crate::resolve::{Accept, MaterialIndex, resolve};
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: DecryptRequest, materials: &MaterialIndex) -> Result {
    no_recipient(input.recipient.is_some())?;
    let blob = input.ciphertext_blob.as_deref().unwrap_or_default();
    let target = match &input.key_id {
        Some(key_id) => resolve(call, key_id, Accept::Any)?,
        None => materials.key_of(call, blob)?,
    };
    let context =
        with_encryption_context(context(call, &target), input.encryption_context.as_ref());
    let permit = authorize(call, &target, "kms:Decrypt", &context)?;
    usable(&target)?;
    if input.dry_run == Some(true) {
        return Err(dry_run());
    }
    let used = call.use_keys(&permit, Use::of(vec![target.used()])).await?;
    let reply = DecryptResponse {
        key_id: Some(target.arn().to_string()),
        plaintext: used.plaintext.as_ref().map(|secret| secret.expose().to_vec()),
        encryption_algorithm: Some("SYMMETRIC_DEFAULT".to_owned()),
        key_material_id: used.material_ids.first().cloned(),
        ..DecryptResponse::default()
    };
    let mut outcome = Outcome::reply(reply.into_value())
        .touching(resource(target.arn()))
        .recorded_at(Some(used.position));
    outcome.sealed = used.sealed.map(|sealed| (used.handle, sealed));
    Ok(outcome)
}

/// Attested recipients come with attested hosts; until then a request that wants one is refused
/// rather than answered with a plaintext that its sender did not want to cross this process.
pub(crate) fn no_recipient(wanted: bool) -> Result<()> {
    match wanted {
        true => Err(error("UnsupportedOperationException", "Recipient is not supported.")),
        false => Ok(()),
    }
}
