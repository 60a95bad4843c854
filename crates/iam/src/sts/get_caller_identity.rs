//! GetCallerIdentity, which needs no permission and cannot be denied.

use writ_aws::generated::sts::{GetCallerIdentityRequest, GetCallerIdentityResponse};
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Outcome};

pub(crate) fn get_caller_identity(
    call: &Call,
    _request: &GetCallerIdentityRequest,
) -> Result<Outcome, ApiError> {
    let reply = GetCallerIdentityResponse {
        user_id: Some(call.caller.unique_id.clone()),
        account: Some(call.account().to_string()),
        arn: Some(call.caller.arn.to_string()),
    };
    Ok(Outcome::reply(reply.into_value()))
}
