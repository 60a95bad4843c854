//! DecodeAuthorizationMessage. No service here answers with an encoded message (EC2 does at AWS), so
//! no message can be a right one.

use writ_aws::generated::sts::DecodeAuthorizationMessageRequest;
use writ_aws::{ApiError, Service};
use writ_policy::Access;
use writ_service::call::{Call, Outcome};

use super::refuse_session_tokens;

pub(crate) fn decode_authorization_message(
    call: &Call,
    _request: &DecodeAuthorizationMessageRequest,
) -> Result<Outcome, ApiError> {
    refuse_session_tokens(call)?;
    call.authorize(&call.context(), &[Access::new("sts:DecodeAuthorizationMessage", "*")])?;
    let code = "InvalidAuthorizationMessageException";
    Err(ApiError::modelled(Service::Sts, code, "Message is not valid"))
}
