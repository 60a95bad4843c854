//! The operations of STS.
//!
//! A credential of GetSessionToken may call IAM only with MFA, and of STS only AssumeRole and
//! GetCallerIdentity (STS API reference, "GetSessionToken").

mod assume_role;
mod decode_authorization_message;
mod get_access_key_info;
mod get_caller_identity;
mod get_session_token;
mod session;

use writ_aws::ApiError;
use writ_keyd_client::caller::Caller;
use writ_service::call::Call;

use crate::{Handler, direct, error, keyd};

/// Every operation of the manifest, sorted by name.
pub(crate) const TABLE: &[(&str, Handler)] = &[
    ("AssumeRole", keyd!(assume_role::assume_role)),
    (
        "DecodeAuthorizationMessage",
        direct!(decode_authorization_message::decode_authorization_message),
    ),
    ("GetAccessKeyInfo", direct!(get_access_key_info::get_access_key_info)),
    ("GetCallerIdentity", direct!(get_caller_identity::get_caller_identity)),
    ("GetSessionToken", keyd!(get_session_token::get_session_token)),
];

/// True for a credential of GetSessionToken that was made without MFA.
pub(crate) fn is_plain_session_token(caller: &Caller) -> bool {
    is_session_token(caller)
        && caller.session.as_ref().is_some_and(|session| session.mfa_at.is_none())
}

fn is_session_token(caller: &Caller) -> bool {
    caller.session.as_ref().is_some_and(|session| session.role.is_none())
}

/// Refuses the credentials of GetSessionToken.
fn refuse_session_tokens(call: &Call) -> Result<(), ApiError> {
    if is_session_token(&call.caller) {
        let name = call.operation.name;
        return Err(error::sts_denied(format!("Cannot call {name} with session credentials")));
    }
    Ok(())
}
