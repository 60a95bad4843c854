//! GenerateDataKey: <https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::generate_data_key::{
    GenerateDataKeyRequest, GenerateDataKeyResponse,
};
use writ_keyd_client::protocol::Use;
use writ_service::call::{Call, Outcome};

use super::decrypt::no_recipient;
use super::encrypt::dry_run;
use crate::access::{authorize, context, usable, with_encryption_context};
use crate::metadata::resource;
use crate::resolve::{Accept, resolve};
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: GenerateDataKeyRequest) -> Result {
    no_recipient(input.recipient.is_some())?;
    one_size(input.key_spec.as_deref(), input.number_of_bytes)?;
    let target = resolve(call, &input.key_id, Accept::Any)?;
    let context =
        with_encryption_context(context(call, &target), input.encryption_context.as_ref());
    let permit = authorize(call, &target, "kms:GenerateDataKey", &context)?;
    usable(&target)?;
    if input.dry_run == Some(true) {
        return Err(dry_run());
    }
    let used = call.use_keys(&permit, Use::of(vec![target.used()])).await?;
    let reply = GenerateDataKeyResponse {
        ciphertext_blob: used.ciphertext,
        plaintext: used.plaintext.as_ref().map(|secret| secret.expose().to_vec()),
        key_id: Some(target.arn().to_string()),
        key_material_id: used.material_ids.first().cloned(),
        ..GenerateDataKeyResponse::default()
    };
    let mut outcome = Outcome::reply(reply.into_value())
        .touching(resource(target.arn()))
        .recorded_at(Some(used.position));
    outcome.sealed = used.sealed.map(|sealed| (used.handle, sealed));
    Ok(outcome)
}

/// Exactly one of `KeySpec` and `NumberOfBytes` says how long the data key is.
pub(crate) fn one_size(spec: Option<&str>, bytes: Option<i64>) -> Result<()> {
    match (spec, bytes) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => {
            Err(error("ValidationException", "Please specify either number of bytes or key spec."))
        }
    }
}
