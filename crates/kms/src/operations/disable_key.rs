//! DisableKey: <https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html>

use writ_aws::Value;
use writ_aws::generated::kms::disable_key::DisableKeyRequest;
use writ_service::call::{Call, Outcome};

use super::reseal::reseal;
use crate::Result;
use crate::access::{authorize, context, not_pending_deletion};
use crate::metadata::resource;
use crate::resolve::own_target;

pub(crate) async fn run(call: &Call, input: DisableKeyRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    let permit = authorize(call, &target, "kms:DisableKey", &context(call, &target))?;
    not_pending_deletion(&target)?;
    // keyd refuses uses from this moment on, before the ledger has acknowledged: an ending.
    let (changes, _, position) = reseal(call, &target, permit, |_| {}).await?;
    Ok(Outcome::changed(Value::empty(), changes)
        .touching(resource(target.arn()))
        .recorded_at(position))
}
