//! GetKeyRotationStatus:
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html>
//!
//! Rotation is not offered: keys answer as those on which it was never enabled.

use writ_aws::Output as _;
use writ_aws::generated::kms::get_key_rotation_status::{
    GetKeyRotationStatusRequest, GetKeyRotationStatusResponse,
};
use writ_service::call::{Call, Outcome};

use crate::Result;
use crate::access::{authorize, context};
use crate::metadata::resource;
use crate::resolve::{Accept, resolve};

pub(crate) fn run(call: &Call, input: &GetKeyRotationStatusRequest) -> Result {
    // "Cross-account use: Yes."
    let target = resolve(call, &input.key_id, Accept::KeyOnly)?;
    authorize(call, &target, "kms:GetKeyRotationStatus", &context(call, &target))?;
    let reply = GetKeyRotationStatusResponse {
        key_rotation_enabled: Some(false),
        key_id: Some(target.arn().to_string()),
        ..GetKeyRotationStatusResponse::default()
    };
    Ok(Outcome::reply(reply.into_value()).touching(resource(target.arn())))
}
