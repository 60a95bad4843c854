//! Approving and denying: the exact bytes go out, their signature comes back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use writ_model::Ulid;
use writ_proof::access::{Approval, Decision};
use writ_proof::cbor;
use writ_proof::roster::PersonKey;
use writ_proof::sshsig::{SshSig, signed_blob};
use writ_proof::statement::{Namespace, Signed};
use writ_service::http::{Refused, Reply, Request};

use crate::face::Face;
use crate::port::{Act, Books, Wish};
use crate::routes::json_reply;
use crate::view::Reader;
use crate::webauthn::{Assertion, AssertionError, Posted};

/// What the page of a request asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    decision: String,
    slot: Option<String>,
    minutes: Option<u32>,
}

/// What it sends back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    statement: String,
    passkey: Posted,
}

/// The bytes that the reader signs to decide on a request, and the passkeys that can.
pub(crate) async fn statement(
    books: &dyn Books,
    face: &Face,
    (id, reader): (&str, &Reader),
    request: &Request,
) -> Reply {
    let wish = match wish(id, request) {
        Ok(wish) => wish,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    let passkeys = match usable(reader, face) {
        Ok(passkeys) => passkeys,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    let approval = match books.statement(wish, reader, request).await {
        Ok(approval) => approval,
        Err(refused) => return refused.reply(),
    };
    let code = match Signed::new(&approval) {
        Ok(signed) => signed.code(),
        Err(error) => return Refused::new(400, "TooLarge", error.to_string()).reply(),
    };
    let bytes = cbor::to_vec(&approval);
    let blob = signed_blob(&bytes, Namespace::Approval.as_str());
    json_reply(
        200,
        &json!({
            "statement": URL_SAFE_NO_PAD.encode(&bytes),
            "sign": URL_SAFE_NO_PAD.encode(blob),
            "rpId": face.host,
            "passkeys": passkeys,
            "code": code,
        }),
    )
}

/// Takes a signed decision.
pub(crate) async fn decide(
    books: &dyn Books,
    face: &Face,
    (id, reader): (&str, &Reader),
    request: &Request,
) -> Reply {
    let (said, signature) = match offered(face, id, reader, request) {
        Ok(offered) => offered,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    match books.decide(said, signature, reader, request).await {
        Ok(decided) => {
            let missing: Vec<String> = decided.missing.iter().map(ToString::to_string).collect();
            json_reply(200, &json!({ "state": decided.state, "missing": missing }))
        }
        Err(refused) => refused.reply(),
    }
}

fn wish(id: &str, request: &Request) -> Result<Wish, Refused> {
    let bad = |what: &str| Refused::new(400, "Malformed", what);
    let wanted: Wanted = serde_json::from_slice(&request.body)
        .map_err(|_| bad("the body is not {\"decision\", \"slot\", \"minutes\"}"))?;
    let decisions = [Decision::Approve, Decision::Deny];
    let decision = decisions.into_iter().find(|known| known.as_str() == wanted.decision);
    let slot = wanted.slot.filter(|slot| !slot.is_empty()).map(|slot| slot.parse()).transpose();
    if wanted.minutes == Some(0) {
        return Err(bad("agree for a minute at least"));
    }
    Ok(Wish {
        id: ulid(id)?,
        decision: decision.ok_or_else(|| bad("the decision is `approve` or `deny`"))?,
        slot: slot.map_err(|_| bad("the slot has no such name"))?,
        minutes: wanted.minutes,
    })
}

/// What was said and its signature, with the key of the roster that the passkey names.
fn offered(
    face: &Face,
    id: &str,
    reader: &Reader,
    request: &Request,
) -> Result<(Approval, SshSig), Refused> {
    let bad = |what: String| Refused::new(400, "Malformed", what);
    let offer: Offer = serde_json::from_slice(&request.body)
        .map_err(|_| bad("the body is not {\"statement\", \"passkey\"}".to_owned()))?;
    let bytes = URL_SAFE_NO_PAD.decode(&offer.statement);
    let said = bytes.ok().and_then(|bytes| cbor::from_slice::<Approval>(&bytes).ok());
    let said = said.ok_or_else(|| bad("the statement is no decision".to_owned()))?;
    if said.request != ulid(id)? {
        return Err(Refused::new(403, "AccessDenied", "it is a decision on another request"));
    }
    if said.approver != reader.person {
        let what = format!(
            "it is a decision of `{}`, and `{}` is signed in",
            said.approver, reader.person
        );
        return Err(Refused::new(403, "AccessDenied", what));
    }
    let signature = answered(&offer.passkey, (reader, face), Namespace::Approval.as_str())?;
    Ok((said, signature))
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

async fn failed(books: &dyn Books, reader: &Reader, request: &Request, refused: Refused) -> Reply {
    books.refused(Act::Decide, &refused, Some(reader), request).await;
    refused.reply()
}

fn ulid(id: &str) -> Result<Ulid, Refused> {
    id.parse().map_err(|_| Refused::new(404, "NotFound", "there is no request of this id"))
}
