//! The browser's part of a registration (WebAuthn level 2, section 5.8.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use writ_proof::limits::CLIENT_DATA_MAX_BYTES;

use super::{Expected, RegistrationError};

/// What is judged. A member that is there twice is an error; others may be there.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin")]
    cross_origin: Option<bool>,
    #[serde(rename = "topOrigin")]
    top_origin: Option<IgnoredAny>,
}

/// Fails unless our own page asked for a new passkey with our challenge.
pub(super) fn check(json: &[u8], expected: &Expected<'_>) -> Result<(), RegistrationError> {
    let bad = |why| Err(RegistrationError::ClientData(why));
    if json.len() > CLIENT_DATA_MAX_BYTES {
        let max = CLIENT_DATA_MAX_BYTES;
        return Err(RegistrationError::TooLarge { what: "client data", max });
    }
    let Ok(data) = serde_json::from_slice::<ClientData>(json) else {
        return bad("it is no JSON, or says something twice");
    };
    if data.r#type != "webauthn.create" {
        return bad("it is not of a new passkey");
    }
    if data.challenge != URL_SAFE_NO_PAD.encode(expected.challenge) {
        return bad("it answers another challenge");
    }
    if !expected.origins.contains(&data.origin.as_str()) {
        return bad("it is of another page");
    }
    if data.cross_origin == Some(true) || data.top_origin.is_some() {
        return bad("a page within another page asked for it");
    }
    Ok(())
}
