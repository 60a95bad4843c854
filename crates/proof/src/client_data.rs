//! The JSON that a browser makes when a page asks its authenticator for something (WebAuthn level 2,
//! section 5.8.1): the same for a new passkey and for a signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::Error;
use crate::limits;

/// The type of client data that was made for a new passkey.
pub const CREATE: &str = "webauthn.create";
/// The type of client data that was made for a signature.
pub const GET: &str = "webauthn.get";

/// What a browser says of who asked it, and for what. It was not asked by a page within another page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientData {
    /// What was asked for: [`CREATE`] or [`GET`].
    pub kind: String,
    /// The page that asked: `https://console.example`.
    pub origin: String,
    challenge: String,
}

/// What is judged. A member that is there twice is an error; others may be there.
#[derive(Deserialize)]
struct Wire {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin")]
    cross_origin: Option<bool>,
    #[serde(rename = "topOrigin")]
    top_origin: Option<IgnoredAny>,
}

impl ClientData {
    /// Reads what a page asked for that was not within another one.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or [`Error::Malformed`] for everything else.
    pub fn read(json: &[u8]) -> Result<ClientData, Error> {
        const WHAT: &str = "client data";
        Error::limit("client data bytes", json.len(), limits::CLIENT_DATA_MAX_BYTES)?;
        let Ok(data) = serde_json::from_slice::<Wire>(json) else {
            return Err(Error::malformed(WHAT, "it is no JSON, or says something twice"));
        };
        if data.cross_origin == Some(true) || data.top_origin.is_some() {
            return Err(Error::malformed(WHAT, "a page within another page asked for it"));
        }
        Ok(ClientData { kind: data.r#type, origin: data.origin, challenge: data.challenge })
    }

    /// True if it answers exactly these bytes.
    pub fn answers(&self, challenge: &[u8]) -> bool {
        self.challenge == URL_SAFE_NO_PAD.encode(challenge)
    }
}
