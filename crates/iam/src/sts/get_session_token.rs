//! GetSessionToken: no permission is needed and policies cannot deny it, but a long-term credential.

use writ_aws::generated::sts::{GetSessionTokenRequest, GetSessionTokenResponse};
use writ_aws::{ApiError, Output};
use writ_policy::{Access, Mode};
use writ_service::call::{Call, Outcome};

use super::session::{credentials, recorded};
use crate::error;

pub(crate) async fn get_session_token(
    call: &Call,
    request: &GetSessionTokenRequest,
) -> Result<Outcome, ApiError> {
    if call.caller.session.is_some() {
        return Err(error::sts_denied("Cannot call GetSessionToken with session credentials"));
    }
    refuse_mfa(request.serial_number.as_deref(), request.token_code.as_deref())?;
    let access = Access { mode: Mode::Unconditional, ..Access::new("sts:GetSessionToken", "*") };
    let permit = call.authorize(&call.context(), &[access])?;
    let made = call.issue(&permit, None).await?;
    let credentials = credentials(&made)?;
    let elements = recorded(&credentials);
    let reply = GetSessionTokenResponse {
        credentials: Some(credentials),
        ..GetSessionTokenResponse::default()
    };
    let mut outcome = Outcome::reply(reply.into_value()).recorded_at(made.position);
    outcome.audit.response_elements = Some(elements);
    Ok(outcome)
}

/// There are no MFA devices yet, so no code can be a right one.
pub(super) fn refuse_mfa(serial: Option<&str>, code: Option<&str>) -> Result<(), ApiError> {
    match (serial, code) {
        (None, None) => Ok(()),
        _ => {
            let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
            Err(error::sts_denied(message))
        }
    }
}
