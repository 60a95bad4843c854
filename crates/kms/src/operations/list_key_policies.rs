//! ListKeyPolicies: <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeyPolicies.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::list_key_policies::{
    ListKeyPoliciesRequest, ListKeyPoliciesResponse,
};
use writ_service::call::{Call, Outcome};

use crate::Result;
use crate::access::{authorize, context};
use crate::metadata::resource;
use crate::resolve::own_target;

pub(crate) fn run(call: &Call, input: &ListKeyPoliciesRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    authorize(call, &target, "kms:ListKeyPolicies", &context(call, &target))?;
    let reply = ListKeyPoliciesResponse {
        policy_names: Some(vec!["default".to_owned()]),
        truncated: Some(false),
        ..ListKeyPoliciesResponse::default()
    };
    Ok(Outcome::reply(reply.into_value()).touching(resource(target.arn())))
}
