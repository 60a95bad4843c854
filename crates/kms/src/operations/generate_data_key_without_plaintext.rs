//! GenerateDataKeyWithoutPlaintext:
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKeyWithoutPlaintext.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::generate_data_key_without_plaintext::{
    GenerateDataKeyWithoutPlaintextRequest, GenerateDataKeyWithoutPlaintextResponse,
};
use writ_keyd_client::protocol::Use;
use writ_service::call::{Call, Outcome};

use super::encrypt::dry_run;
use super::generate_data_key::one_size;
use crate::Result;
use crate::access::{authorize, context, usable, with_encryption_context};
use crate::metadata::resource;
use crate::resolve::{Accept, resolve};

pub(crate) async fn run(call: &Call, input: GenerateDataKeyWithoutPlaintextRequest) -> Result {
    one_size(input.key_spec.as_deref(), input.number_of_bytes)?;
    let target = resolve(call, &input.key_id, Accept::Any)?;
    let context =
        with_encryption_context(context(call, &target), input.encryption_context.as_ref());
    let permit = authorize(call, &target, "kms:GenerateDataKeyWithoutPlaintext", &context)?;
    usable(&target)?;
    if input.dry_run == Some(true) {
        return Err(dry_run());
    }
    let used = call.use_keys(&permit, Use::of(vec![target.used()])).await?;
    let reply = GenerateDataKeyWithoutPlaintextResponse {
        ciphertext_blob: used.ciphertext,
        key_id: Some(target.arn().to_string()),
        key_material_id: used.material_ids.first().cloned(),
    };
    Ok(Outcome::reply(reply.into_value())
        .touching(resource(target.arn()))
        .recorded_at(Some(used.position)))
}
