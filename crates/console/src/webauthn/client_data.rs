//! The browser's part of a registration.

use writ_proof::Error;
use writ_proof::client_data::{CREATE, ClientData};
use writ_proof::limits::CLIENT_DATA_MAX_BYTES;

use super::{Expected, RegistrationError};

/// Fails unless our own page asked for a new passkey with our challenge.
pub(super) fn check(json: &[u8], expected: &Expected<'_>) -> Result<(), RegistrationError> {
    let bad = |why| Err(RegistrationError::ClientData(why));
    let data = ClientData::read(json).map_err(|error| match error {
        Error::Malformed { why, .. } => RegistrationError::ClientData(why),
        _ => RegistrationError::TooLarge { what: "client data", max: CLIENT_DATA_MAX_BYTES },
    })?;
    if data.kind != CREATE {
        return bad("it is not of a new passkey");
    }
    if !data.answers(expected.challenge) {
        return bad("it answers another challenge");
    }
    if !expected.origins.contains(&data.origin.as_str()) {
        return bad("it is of another page");
    }
    Ok(())
}
