//! EnableKey: <https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKey.html>

use writ_aws::Value;
use writ_aws::generated::kms::enable_key::EnableKeyRequest;
use writ_service::call::{Call, Outcome};

use super::reseal::reseal;
use crate::Result;
use crate::access::{authorize, context, not_pending_deletion};
use crate::metadata::resource;
use crate::resolve::own_target;

pub(crate) async fn run(call: &Call, input: EnableKeyRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    let permit = authorize(call, &target, "kms:EnableKey", &context(call, &target))?;
    not_pending_deletion(&target)?;
    let (changes, _, position) = reseal(call, &target, permit, |_| {}).await?;
    Ok(Outcome::changed(Value::empty(), changes)
        .touching(resource(target.arn()))
        .recorded_at(position))
}
