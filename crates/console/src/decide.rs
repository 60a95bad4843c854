//! Approving and denying: the exact bytes go out, their signature comes back.

use serde::Deserialize;
use serde_json::json;
use writ_model::Ulid;
use writ_proof::access::{Approval, Decision};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Namespace;
use writ_service::http::{Refused, Reply, Request};

use crate::face::Face;
use crate::port::{Act, Books, Wish};
use crate::routes::json_reply;
use crate::signing::{answered, offered_statement, to_sign, usable};
use crate::view::Reader;

/// What the page of a request asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    decision: String,
    slot: Option<String>,
    minutes: Option<u32>,
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
    match to_sign(&approval, face, &passkeys) {
        Ok(reply) => json_reply(200, &reply),
        Err(refused) => refused.reply(),
    }
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
    let (said, passkey) = offered_statement::<Approval>(request, "decision")?;
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
    let signature = answered(&passkey, (reader, face), Namespace::Approval.as_str())?;
    Ok((said, signature))
}

async fn failed(books: &dyn Books, reader: &Reader, request: &Request, refused: Refused) -> Reply {
    books.refused(Act::Decide, &refused, Some(reader), request).await;
    refused.reply()
}

fn ulid(id: &str) -> Result<Ulid, Refused> {
    id.parse().map_err(|_| Refused::new(404, "NotFound", "there is no request of this id"))
}
