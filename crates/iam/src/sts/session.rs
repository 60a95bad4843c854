//! A session credential as replies and records show it.

use serde_json::{Map, Value, json};
use writ_aws::generated::sts::Credentials;
use writ_aws::{ApiError, Service};
use writ_keyd_client::protocol::Credential;

/// The credential for the reply: the one place where its secret is.
pub(super) fn credentials(made: &Credential) -> Result<Credentials, ApiError> {
    let internal = || ApiError::internal(Service::Sts);
    let secret = std::str::from_utf8(made.secret.expose()).map_err(|_| internal())?;
    Ok(Credentials {
        access_key_id: made.access_key_id.to_string(),
        secret_access_key: secret.to_owned(),
        session_token: made.session_token.clone().ok_or_else(internal)?,
        expiration: made.expires.ok_or_else(internal)?,
    })
}

/// `responseElements` of the record. CloudTrail shows the session token as well; here it stays out,
/// like every secret.
pub(super) fn recorded(credentials: &Credentials) -> Map<String, Value> {
    let shown = json!({
        "accessKeyId": credentials.access_key_id,
        "expiration": credentials.expiration.iso(),
    });
    Map::from_iter([("credentials".to_owned(), shown)])
}
