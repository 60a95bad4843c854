//! Opening a recording: the exact bytes go out, their signature comes back, and the key goes to the page sealed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use writ_model::Ulid;
use writ_proof::access::Opening;
use writ_proof::statement::{Namespace, Signed};
use writ_service::http::{Refused, Reply, Request};

use crate::face::Face;
use crate::port::{Act, Books};
use crate::routes::json_reply;
use crate::signing::{answered, offered_statement, to_sign, usable};
use crate::view::Reader;

/// What the page of a session asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    recipient: String,
}

/// The bytes that the reader signs to open a recording, and the passkeys that can.
pub(crate) async fn statement(
    books: &dyn Books,
    face: &Face,
    (id, reader): (&str, &Reader),
    request: &Request,
) -> Reply {
    let wanted = wanted(id, request).and_then(|wanted| Ok((wanted, usable(reader, face)?)));
    let ((session, recipient), passkeys) = match wanted {
        Ok(wanted) => wanted,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    let said = match books.opening(session, recipient, reader, request).await {
        Ok(said) => said,
        Err(refused) => return refused.reply(),
    };
    match to_sign(&said, face, &passkeys) {
        Ok(reply) => json_reply(200, &reply),
        Err(refused) => refused.reply(),
    }
}

/// Takes a signed opening.
pub(crate) async fn open(
    books: &dyn Books,
    face: &Face,
    (id, reader): (&str, &Reader),
    request: &Request,
) -> Reply {
    let signed = match offered(face, id, reader, request) {
        Ok(signed) => signed,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    match books.open_recording(signed, reader, request).await {
        Ok(opened) => json_reply(
            200,
            &json!({
                "sealed": URL_SAFE_NO_PAD.encode(&opened.sealed),
                "token": opened.token,
                "bytes": opened.bytes,
                "end": opened.end.map(|end| json!({
                    "signed": end.signed,
                    "signature": end.signature,
                    "key": end.key,
                })),
            }),
        ),
        Err(refused) => refused.reply(),
    }
}

fn wanted(id: &str, request: &Request) -> Result<(Ulid, [u8; 32]), Refused> {
    let bad = || Refused::new(400, "Malformed", "the body is not {\"recipient\"}, an X25519 key");
    let wanted: Wanted = serde_json::from_slice(&request.body).map_err(|_| bad())?;
    let key = URL_SAFE_NO_PAD.decode(&wanted.recipient).map_err(|_| bad())?;
    Ok((ulid(id)?, key.try_into().map_err(|_| bad())?))
}

fn offered(face: &Face, id: &str, reader: &Reader, request: &Request) -> Result<Signed, Refused> {
    let bad = |what: String| Refused::new(400, "Malformed", what);
    let denied = |what: String| Refused::new(403, "AccessDenied", what);
    let (said, passkey) = offered_statement::<Opening>(request, "opening")?;
    if said.session != ulid(id)? {
        return Err(denied("it opens another recording".to_owned()));
    }
    if said.person != reader.person {
        let what = format!("`{}` opens it, and `{}` is signed in", said.person, reader.person);
        return Err(denied(what));
    }
    let signature = answered(&passkey, (reader, face), Namespace::Playback.as_str())?;
    let mut signed = Signed::new(&said).map_err(|error| bad(error.to_string()))?;
    signed.add(&signature).map_err(|error| {
        let what = format!("the signature is not of this statement: {error}");
        Refused::new(403, "BadSignature", what)
    })?;
    Ok(signed)
}

async fn failed(books: &dyn Books, reader: &Reader, request: &Request, refused: Refused) -> Reply {
    books.refused(Act::OpenRecording, &refused, Some(reader), request).await;
    refused.reply()
}

fn ulid(id: &str) -> Result<Ulid, Refused> {
    id.parse().map_err(|_| Refused::new(404, "NotFound", "there is no session of this id"))
}
