//! What a person changes in the browser that is no statement: a ticket, a request taken back, a grant revoked.
//!
//! The passkey signs what an SSH key would sign for the command line ([`crate::caller`]): method, path, date and
//! body, in the namespace of calls. The cookie says whose page it is, and changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use writ_model::{Timestamp, Ulid};
use writ_proof::sshsig::signed_blob;
use writ_service::http::{Refused, Reply, Request};

use crate::caller::{CALL, message};
use crate::face::Face;
use crate::port::{Act, Books, SignedCall};
use crate::routes::json_reply;
use crate::signing::{answered, usable};
use crate::view::Reader;
use crate::webauthn::Posted;

/// Where the message of a call is got.
pub(crate) const MESSAGE: &str = "/call/message";
/// Where the signed call is sent.
pub(crate) const CALLED: &str = "/call";

/// What the page wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    act: String,
    id: String,
    title: Option<String>,
}

/// The same with its signature. The message is made anew from it, so it is what was signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    act: String,
    id: String,
    title: Option<String>,
    date: String,
    passkey: Posted,
}

/// A call as the API of access takes it, and in words.
struct Deed {
    target: String,
    body: String,
    /// After "to".
    does: String,
    /// What is said once it is done.
    done: &'static str,
}

impl Deed {
    fn of(act: &str, id: &str, title: Option<&str>) -> Result<Deed, Refused> {
        let bad = |what: &str| Refused::new(400, "Malformed", what);
        let request = || {
            let id: Result<Ulid, _> = id.parse();
            id.map_err(|_| Refused::new(404, "NotFound", "there is no request of this id"))
        };
        // It becomes a part of a path.
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.#".contains(&b);
        let ticket = || match !id.is_empty() && id.len() <= 64 && id.bytes().all(fits) {
            true => Ok(id),
            false => Err(bad(
                "a ticket's id has 1 to 64 letters, digits, `-`, `_`, `.` and `#`, such as OPS-17",
            )),
        };
        if title.is_some() != (act == "open-ticket") {
            return Err(bad("a new ticket has a title, and nothing else has"));
        }
        let no_body = String::new();
        Ok(match act {
            "close-ticket" => Deed {
                target: format!("/writ/v1/tickets/{}/close", ticket()?),
                body: no_body,
                does: format!("close the ticket {id}"),
                done: "Closed. What rested on it has ended.",
            },
            "open-ticket" => Deed {
                target: "/writ/v1/tickets".to_owned(),
                body: json!({ "id": ticket()?, "title": title }).to_string(),
                does: format!("open the ticket {id}"),
                done: "Opened.",
            },
            "revoke" => Deed {
                target: format!("/writ/v1/grants/{}/revoke", request()?),
                body: no_body,
                does: "end this grant".to_owned(),
                done: "Ended. Nothing rests on it any more.",
            },
            "withdraw" => Deed {
                target: format!("/writ/v1/requests/{}/withdraw", request()?),
                body: no_body,
                does: "take this request back".to_owned(),
                done: "Taken back.",
            },
            _ => return Err(bad("what is to be done is not known here")),
        })
    }

    fn message(&self, date: &str) -> String {
        message("POST", &self.target, date, self.body.as_bytes())
    }
}

/// The bytes that the reader signs for a call, and the passkeys that can.
pub(crate) async fn prepare(
    books: &dyn Books,
    face: &Face,
    (reader, now): (&Reader, Timestamp),
    request: &Request,
) -> Reply {
    let prepared = || {
        let wanted: Wanted = serde_json::from_slice(&request.body).map_err(|_| {
            Refused::new(400, "Malformed", "the body is not {\"act\", \"id\", \"title\"}")
        })?;
        let deed = Deed::of(&wanted.act, &wanted.id, wanted.title.as_deref())?;
        Ok((deed, usable(reader, face)?))
    };
    match prepared() {
        Ok((deed, passkeys)) => {
            let date = now.basic();
            let blob = signed_blob(deed.message(&date).as_bytes(), CALL);
            json_reply(
                200,
                &json!({
                    "date": date,
                    "sign": URL_SAFE_NO_PAD.encode(blob),
                    "rpId": face.host,
                    "passkeys": passkeys,
                    "does": deed.does,
                }),
            )
        }
        Err(refused) => failed(books, reader, request, refused).await,
    }
}

/// Takes a signed call.
pub(crate) async fn take(
    books: &dyn Books,
    face: &Face,
    reader: &Reader,
    request: &Request,
) -> Reply {
    let read = || {
        let offer: Offer = serde_json::from_slice(&request.body).map_err(|_| {
            let what = "the body is not {\"act\", \"id\", \"title\", \"date\", \"passkey\"}";
            Refused::new(400, "Malformed", what)
        })?;
        let deed = Deed::of(&offer.act, &offer.id, offer.title.as_deref())?;
        let signature = answered(&offer.passkey, (reader, face), CALL)?;
        Ok((deed, offer.date, signature))
    };
    let (deed, date, signature) = match read() {
        Ok(read) => read,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    let Deed { target, body, done, .. } = deed;
    let call = SignedCall { target, body, date, origin: face.origin.clone(), signature };
    match books.call(call, reader, request).await {
        Ok(()) => json_reply(200, &json!({ "said": done })),
        Err(refused) => refused.reply(),
    }
}

async fn failed(books: &dyn Books, reader: &Reader, request: &Request, refused: Refused) -> Reply {
    books.refused(Act::Call, &refused, Some(reader), request).await;
    refused.reply()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_exactly_what_the_command_line_would_sign() {
        let id = "01JD8Z3X5QJ6T4W0RZV9K2M7AB";
        let cases = [
            ("withdraw", id, None, format!("/writ/v1/requests/{id}/withdraw"), ""),
            ("revoke", id, None, format!("/writ/v1/grants/{id}/revoke"), ""),
            ("close-ticket", "OPS-17", None, "/writ/v1/tickets/OPS-17/close".to_owned(), ""),
            (
                "open-ticket",
                "OPS-17",
                Some("a \"b\""),
                "/writ/v1/tickets".to_owned(),
                r#"{"id":"OPS-17","title":"a \"b\""}"#,
            ),
        ];
        for (act, id, title, target, body) in cases {
            let deed = Deed::of(act, id, title).unwrap();
            assert_eq!((deed.target, &*deed.body), (target, body), "{act}");
        }
    }

    #[test]
    fn call_that_would_lead_elsewhere_is_refused() {
        let cases = [
            ("withdraw", "../grants/x", None),
            ("revoke", "", None),
            ("close-ticket", "a/b", None),
            ("close-ticket", "a?b", None),
            ("close-ticket", "a\nb", None),
            ("close-ticket", "", None),
            ("close-ticket", "OPS-17", Some("t")),
            ("open-ticket", "OPS-17", None),
            ("open-ticket", "a b", Some("t")),
            ("approve", "OPS-17", None),
        ];
        for (act, id, title) in cases {
            assert!(Deed::of(act, id, title).is_err(), "{act} {id}");
        }
    }
}
