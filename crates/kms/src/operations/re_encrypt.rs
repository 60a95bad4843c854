//! ReEncrypt: <https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::re_encrypt::{ReEncryptRequest, ReEncryptResponse};
use writ_keyd_client::protocol::Use;
use writ_service::call::{Call, Outcome};

use super::encrypt::dry_run;
use crate::Result;
use crate::access::{authorize_all, context, hide, on_key, usable, with_encryption_context};
use crate::metadata::resource;
use crate::resolve::{Accept, MaterialIndex, resolve};

pub(crate) async fn run(call: &Call, input: ReEncryptRequest, materials: &MaterialIndex) -> Result {
    let blob = input.ciphertext_blob.as_deref().unwrap_or_default();
    let source = match &input.source_key_id {
        Some(key_id) => resolve(call, key_id, Accept::Any)?,
        None => materials.key_of(call, blob)?,
    };
    let target = resolve(call, &input.destination_key_id, Accept::Any)?;
    let same = (source.arn() == target.arn()).to_string();
    let mut from =
        with_encryption_context(context(call, &source), input.source_encryption_context.as_ref());
    let mut to = with_encryption_context(
        context(call, &target),
        input.destination_encryption_context.as_ref(),
    );
    from.insert("kms:ReEncryptOnSameKey", same.as_str());
    to.insert("kms:ReEncryptOnSameKey", same.as_str());
    let permit = authorize_all(
        call,
        &from,
        &[
            on_key("kms:ReEncryptFrom", &source).with_context(&from),
            on_key("kms:ReEncryptTo", &target).with_context(&to),
        ],
    )
    .map_err(|denied| hide(call, &target, hide(call, &source, denied)))?;
    usable(&source)?;
    usable(&target)?;
    if input.dry_run == Some(true) {
        return Err(dry_run());
    }
    let used = call.use_keys(&permit, Use::of(vec![source.used(), target.used()])).await?;
    let algorithm = || Some("SYMMETRIC_DEFAULT".to_owned());
    let reply = ReEncryptResponse {
        ciphertext_blob: used.ciphertext,
        source_key_id: Some(source.arn().to_string()),
        key_id: Some(target.arn().to_string()),
        source_encryption_algorithm: algorithm(),
        destination_encryption_algorithm: algorithm(),
        source_key_material_id: used.material_ids.first().cloned(),
        destination_key_material_id: used.material_ids.get(1).cloned(),
    };
    Ok(Outcome::reply(reply.into_value())
        .touching(resource(source.arn()))
        .touching(resource(target.arn()))
        .recorded_at(Some(used.position)))
}
