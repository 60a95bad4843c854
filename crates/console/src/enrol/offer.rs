//! The keys that the holder of a link shows, each with its proof.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use writ_proof::roster::PersonKey;
use writ_proof::sshsig::SshSig;
use writ_service::http::Refused;

use crate::challenge;
use crate::face::Face;
use crate::limits::TOKEN_BYTES;
use crate::port::{Desk, Link, State};
use crate::webauthn::{Expected, register};

/// What the page or `writ enrol` sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    passkey: Option<Registration>,
    /// The armoured signature by the SSH key; it holds the public key.
    ssh: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Registration {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
}

/// Keys whose holder has shown that they have them.
pub(super) struct Offered {
    pub(super) keys: Vec<PersonKey>,
    /// The format of the passkey's attestation.
    pub(super) attestation: Option<String>,
}

/// Reads and checks an offer for `link`.
pub(super) fn read(
    desk: &dyn Desk,
    face: &Face,
    link: &Link,
    token: &[u8; TOKEN_BYTES],
    body: &[u8],
) -> Result<Offered, Refused> {
    match link.state {
        State::Open => {}
        State::Expired => {
            let what = "this link has ended: ask for a new one";
            return Err(Refused::new(410, "Expired", what));
        }
        State::Done(_) | State::Proposed(_) => {
            let what = "this link was used: ask for a new one to add a further key";
            return Err(Refused::new(409, "Used", what));
        }
    }
    let offer: Offer = serde_json::from_slice(body)
        .map_err(|_| Refused::new(400, "Malformed", "the body is not {\"passkey\", \"ssh\"}"))?;
    let (mut keys, mut attestation) = (Vec::new(), None);
    if let Some(registration) = &offer.passkey {
        let (key, format) = passkey(desk, face, link, token, registration)?;
        attestation = Some(format);
        keys.push(key);
    }
    if let Some(armor) = &offer.ssh {
        keys.push(ssh(desk, link, token, armor)?);
    }
    match (keys.len(), link.enrolled) {
        (0, _) => Err(Refused::new(400, "NoKey", "show a passkey, an SSH key, or both")),
        (2.., true) => {
            let what = format!(
                "{} has keys already, and a statement adds one: show one key, and open another link \
                 for the other",
                link.person
            );
            Err(Refused::new(400, "TooManyKeys", what))
        }
        _ => Ok(Offered { keys, attestation }),
    }
}

fn passkey(
    desk: &dyn Desk,
    face: &Face,
    link: &Link,
    token: &[u8; TOKEN_BYTES],
    registration: &Registration,
) -> Result<(PersonKey, String), Refused> {
    let refused = |why: String| Refused::new(400, "PasskeyRefused", why);
    if !desk.is_origin(&face.origin, &face.host) {
        let what = format!(
            "passkeys cannot be used at {}: it is no page of this installation yet, see \
             `writ roster propose set-origins`",
            face.origin
        );
        return Err(refused(what));
    }
    let decode = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.map_err(|_| refused("it is not base64url without padding".to_owned()))
    };
    let challenge = challenge::passkey(desk.site(), &link.person, token);
    let expected = Expected {
        challenge: &challenge.0,
        origins: &[&face.origin],
        rp_id: &face.host,
        any_attestation: desk.is_dev(),
    };
    let client_data = decode(&registration.client_data)?;
    let attestation = decode(&registration.attestation_object)?;
    let registered = register(&client_data, &attestation, &expected)
        .map_err(|error| refused(error.to_string()))?;
    let (key, passkey) = (registered.key, Some(registered.passkey));
    Ok((PersonKey { person: link.person.clone(), key, passkey }, registered.attestation))
}

fn ssh(
    desk: &dyn Desk,
    link: &Link,
    token: &[u8; TOKEN_BYTES],
    armor: &str,
) -> Result<PersonKey, Refused> {
    let refused = |why: String| Refused::new(400, "SshKeyRefused", why);
    let signature = SshSig::from_armor(armor).map_err(|error| {
        refused(format!(
            "this is no signature of a key that is taken ({error}); paste all that ssh-keygen printed, \
             from BEGIN to END"
        ))
    })?;
    let message = challenge::possession(desk.site(), &link.person, token);
    let signer = signature.verify(message.as_bytes(), challenge::NAMESPACE).map_err(|error| {
        refused(format!("the signature does not hold ({error}); run the command as it is shown"))
    })?;
    if signer.webauthn.is_some() {
        return Err(refused("a browser has made it; an SSH key must".to_owned()));
    }
    Ok(PersonKey { person: link.person.clone(), key: signer.key, passkey: None })
}
