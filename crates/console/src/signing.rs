//! What all pages on which a passkey signs have in common: the exact bytes go out, their signature comes back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use writ_proof::cbor;
use writ_proof::roster::PersonKey;
use writ_proof::sshsig::{SshSig, signed_blob};
use writ_proof::statement::{Signed, Statement};
use writ_service::http::{Refused, Request};

use crate::face::Face;
use crate::view::Reader;
use crate::webauthn::{Assertion, AssertionError, Posted};

/// What a page sends back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    statement: String,
    passkey: Posted,
}

/// A statement for a page: its bytes, what the passkey signs, the passkeys that can, and the code that people compare.
pub(crate) fn to_sign<T: Statement>(
    statement: &T,
    face: &Face,
    passkeys: &[String],
) -> Result<Value, Refused> {
    let code = Signed::new(statement)
        .map_err(|error| Refused::new(400, "TooLarge", error.to_string()))?
        .code();
    let bytes = cbor::to_vec(statement);
    let blob = signed_blob(&bytes, T::NAMESPACE.as_str());
    Ok(json!({
        "statement": URL_SAFE_NO_PAD.encode(&bytes),
        "sign": URL_SAFE_NO_PAD.encode(blob),
        "rpId": face.host,
        "passkeys": passkeys,
        "code": code,
    }))
}

/// The statement that a page sends back, which `what` calls by name, and what the passkey answered.
pub(crate) fn offered_statement<T: Statement>(
    request: &Request,
    what: &str,
) -> Result<(T, Posted), Refused> {
    let bad = |why: String| Refused::new(400, "Malformed", why);
    let offer: Offer = serde_json::from_slice(&request.body)
        .map_err(|_| bad("the body is not {\"statement\", \"passkey\"}".to_owned()))?;
    let bytes = URL_SAFE_NO_PAD.decode(&offer.statement);
    let said = bytes.ok().and_then(|bytes| cbor::from_slice::<T>(&bytes).ok());
    Ok((said.ok_or_else(|| bad(format!("the statement is no {what}")))?, offer.passkey))
}

/// What a passkey of the reader answered, as a signature in a namespace. Whether it holds is not known yet.
pub(crate) fn answered(
    passkey: &Posted,
    (reader, face): (&Reader, &Face),
    namespace: &str,
) -> Result<SshSig, Refused> {
    let bad = |error: AssertionError| Refused::new(400, "Malformed", error.to_string());
    let answer = Assertion::read(passkey).map_err(bad)?;
    let known = |key: &&PersonKey| {
        key.passkey.as_ref().is_some_and(|own| own.credential_id == answer.credential_id)
    };
    let key = passkeys(reader, face).find(known);
    let key = key.ok_or_else(|| {
        let what = format!("the passkey is none of `{}`", reader.person);
        Refused::new(403, "AccessDenied", what)
    })?;
    answer.signature(&key.key, namespace).map_err(bad)
}

/// The ids of the reader's passkeys that this page can use, as a page takes them.
pub(crate) fn usable(reader: &Reader, face: &Face) -> Result<Vec<String>, Refused> {
    let ids: Vec<String> = passkeys(reader, face)
        .filter_map(|key| key.passkey.as_ref())
        .map(|passkey| URL_SAFE_NO_PAD.encode(&passkey.credential_id))
        .collect();
    if ids.is_empty() {
        let what = format!("you have no passkey for {}: use the command line", face.host);
        return Err(Refused::new(409, "NoPasskey", what));
    }
    Ok(ids)
}

/// The reader's passkeys that this page can use.
fn passkeys<'a>(reader: &'a Reader, face: &'a Face) -> impl Iterator<Item = &'a PersonKey> {
    let own = reader.roster.keys(&reader.person).iter();
    own.filter(|key| key.passkey.as_ref().is_some_and(|passkey| passkey.rp_id == face.host))
}
