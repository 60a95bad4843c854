//! GetKeyPolicy: <https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::get_key_policy::{GetKeyPolicyRequest, GetKeyPolicyResponse};
use writ_service::call::{Call, Outcome};

use super::put_key_policy::policy_name;
use crate::Result;
use crate::access::{authorize, context};
use crate::metadata::resource;
use crate::resolve::own_target;

pub(crate) fn run(call: &Call, input: &GetKeyPolicyRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    authorize(call, &target, "kms:GetKeyPolicy", &context(call, &target))?;
    policy_name(input.policy_name.as_deref())?;
    let reply = GetKeyPolicyResponse {
        policy: Some(target.entry.policy.clone()),
        policy_name: Some("default".to_owned()),
    };
    Ok(Outcome::reply(reply.into_value()).touching(resource(target.arn())))
}
