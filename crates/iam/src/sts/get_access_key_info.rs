//! GetAccessKeyInfo: the account that an access key id names, whether or not the key exists.

use writ_aws::generated::sts::{GetAccessKeyInfoRequest, GetAccessKeyInfoResponse};
use writ_aws::{ApiError, Output};
use writ_model::AccessKeyId;
use writ_policy::Access;
use writ_service::call::{Call, Outcome};

use super::refuse_session_tokens;
use crate::error;

pub(crate) fn get_access_key_info(
    call: &Call,
    request: &GetAccessKeyInfoRequest,
) -> Result<Outcome, ApiError> {
    refuse_session_tokens(call)?;
    call.authorize(&call.context(), &[Access::new("sts:GetAccessKeyInfo", "*")])?;
    let id: Option<AccessKeyId> = request.access_key_id.parse().ok();
    let known = |id: &AccessKeyId| ["AKIA", "ASIA"].iter().any(|p| id.as_str().starts_with(p));
    let account = id.filter(known).and_then(|id| id.account());
    let account = account.ok_or_else(|| {
        error::sts_validation(format!("{} is not a valid access key id", request.access_key_id))
    })?;
    let reply = GetAccessKeyInfoResponse { account: Some(account.to_string()) };
    Ok(Outcome::reply(reply.into_value()))
}
