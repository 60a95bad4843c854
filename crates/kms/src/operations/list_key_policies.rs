//! ListKeyPolicies: <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeyPolicies.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::list_key_policies::{
    ListKeyPoliciesRequest, ListKeyPoliciesResponse,
};
use writ_service::call::{Call, Outcome};

use crate::Result;
use crate::access::{authorize, context};
use crate::metadata::resource;
use crate::resolve::{Accept, resolve};

pub(crate) fn run(call: &Call, input: &ListKeyPoliciesRequest) -> Result {
    let target = resolve(call, &input.key_id, Accept::KeyOnly)?;
    authorize(call, &target, "kms:ListKeyPolicies", &context(call, &target))?;
    let reply = ListKeyPoliciesResponse {
        policy_names: Some(vec!["default".to_owned()]),
        truncated: Some(false),
        ..ListKeyPoliciesResponse::default()
    };
    Ok(Outcome::reply(reply.into_value()).touching(resource(target.arn())))
}
