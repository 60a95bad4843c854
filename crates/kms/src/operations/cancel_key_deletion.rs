//! CancelKeyDeletion:
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_CancelKeyDeletion.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::cancel_key_deletion::{
    CancelKeyDeletionRequest, CancelKeyDeletionResponse,
};
use writ_keyd_client::descriptor::KeyState;
use writ_service::call::{Call, Outcome};

use super::reseal::reseal;
use crate::access::{authorize, context};
use crate::metadata::resource;
use crate::resolve::own_target;
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: CancelKeyDeletionRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    let permit = authorize(call, &target, "kms:CancelKeyDeletion", &context(call, &target))?;
    if target.descriptor.state != KeyState::PendingDeletion {
        let message = format!("{} is not pending deletion.", target.arn());
        return Err(error("KMSInvalidStateException", message));
    }
    let (changes, _, position) = reseal(call, &target, permit, |_| {}).await?;
    let reply = CancelKeyDeletionResponse { key_id: Some(target.arn().to_string()) };
    Ok(Outcome::changed(reply.into_value(), changes)
        .touching(resource(target.arn()))
        .recorded_at(position))
}
