//! Enrolment: a link that is good once, and what its holder shows.

mod offer;
mod page;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use writ_model::PersonId;
use writ_proof::cbor;
use writ_proof::hash::sha256;
use writ_service::http::{Refused, Reply, Request};

use crate::caller::{READ, caller};
use crate::face::Face;
use crate::html;
use crate::limits::TOKEN_BYTES;
use crate::port::{Desk, State};
use crate::routes::{json_reply, page};

/// What a link's path begins with; its token follows.
pub(crate) const PAGE: &str = "/enrol/";
/// Where links are opened.
pub(crate) const OPEN: &str = "/writ/v1/enrolments";

const OPENING: &str = "OpenEnrolment";
const PROPOSING: &str = "ProposeEnrolment";

/// An event's name with the refusal that it tells of.
type Failed = (&'static str, Refused);

/// What opens a link. The nonce makes two openings two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    person: PersonId,
    nonce: String,
}

/// Opens a link, for whoever is enrolled.
pub(crate) async fn open(desk: &dyn Desk, face: &Face, request: &Request) -> Result<Reply, Failed> {
    let refuse = |status, code, why: &str| Err((OPENING, Refused::new(status, code, why)));
    let caller = match caller(request, READ, desk.now()) {
        Ok(caller) => caller,
        Err(why) => return refuse(403, "AccessDenied", why),
    };
    let opening: Opening = match serde_json::from_slice(&request.body) {
        Ok(opening) => opening,
        Err(_) => return refuse(400, "Malformed", "the body is not {\"person\", \"nonce\"}"),
    };
    if opening.nonce.len() < 16 || opening.nonce.len() > 64 {
        return refuse(400, "Malformed", "a nonce has 16 to 64 characters");
    }
    let opened = desk.open(&caller, &opening.person, request).await;
    let opened = opened.map_err(|refused| (OPENING, refused))?;
    let token = URL_SAFE_NO_PAD.encode(opened.token);
    Ok(json_reply(
        200,
        &json!({
            "id": opened.id,
            "person": opening.person.as_str(),
            "link": format!("{}{PAGE}{token}", face.origin),
            "token": token,
            "expires": opened.expires.iso(),
        }),
    ))
}

/// The page of a link.
pub(crate) fn show(desk: &dyn Desk, face: &Face, token: &str) -> Reply {
    let Some(bytes) = token_bytes(token) else { return unknown(face) };
    let Some(link) = desk.look(&sha256(&bytes)) else { return unknown(face) };
    let (title, main) = page::of(desk, face, &link, &bytes);
    let script = match link.state {
        State::Open | State::Proposed(_) => Some("/static/enrol.js"),
        State::Done(_) | State::Expired => None,
    };
    let status = if matches!(link.state, State::Expired) { 410 } else { 200 };
    page(status, html::page(face, &title, script, &main))
}

/// What programs ask while they wait.
pub(crate) fn state(desk: &dyn Desk, token: &str) -> Reply {
    let link = token_bytes(token).and_then(|bytes| desk.look(&sha256(&bytes)));
    let Some(link) = link else {
        return Refused::new(404, "NotFound", "no such link").reply();
    };
    let change = link.state.change();
    json_reply(
        200,
        &json!({
            "person": link.person.as_str(),
            "state": link.state.as_str(),
            "expires": link.expires.iso(),
            "change": change.map(|change| STANDARD.encode(cbor::to_vec(change))),
            "code": change.map(writ_proof::roster::Change::code),
        }),
    )
}

/// Takes the keys that the holder of a link shows.
pub(crate) async fn propose(
    desk: &dyn Desk,
    face: &Face,
    token: &str,
    request: &Request,
) -> Result<Reply, Failed> {
    let bytes = token_bytes(token);
    let link = bytes.and_then(|bytes| Some((bytes, desk.look(&sha256(&bytes))?)));
    let Some((bytes, link)) = link else {
        let what = "this link is unknown: it was cut, or is of another installation";
        return Err((PROPOSING, Refused::new(404, "NotFound", what)));
    };
    let offered = offer::read(desk, face, &link, &bytes, &request.body)
        .map_err(|refused| (PROPOSING, refused))?;
    desk.propose(&sha256(&bytes), offered.keys, offered.attestation, request)
        .await
        .map_err(|refused| (PROPOSING, refused))?;
    Ok(state(desk, token))
}

fn unknown(face: &Face) -> Reply {
    page(404, html::page(face, "Unknown link", None, page::UNKNOWN))
}

fn token_bytes(token: &str) -> Option<[u8; TOKEN_BYTES]> {
    URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()
}
