//! Signing in and out with a passkey.
//!
//! What is signed is a message in a namespace of its own, in the same form as statements: one verifier judges
//! both, and the signature of a sign-in is worth nothing on a statement.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use writ_proof::origin::SiteId;
use writ_proof::sshsig::signed_blob;
use writ_service::http::{Refused, Reply, Request};

use crate::face::Face;
use crate::html::{self, text};
use crate::limits::{COOKIE_BYTES, SESSION_LIFETIME};
use crate::port::{Act, Books};
use crate::routes::{json_reply, page};
use crate::session::Token;
use crate::webauthn::{Assertion, Posted};

/// The namespace in which a passkey signs in.
pub const NAMESPACE: &str = "sign-in@writ";
/// Where a challenge is got, and the answer is sent.
pub(crate) const PATH: &str = "/sign-in";
/// Where a session is ended.
pub(crate) const OUT: &str = "/sign-out";

/// What a passkey signs to sign in at the page of `origin`.
pub fn message(site: &SiteId, origin: &str, challenge: &str) -> String {
    format!("sign in to {site} at {origin}\n{challenge}")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    challenge: String,
    passkey: Posted,
}

/// What a browser needs to sign in. It costs nothing here, so anybody may ask.
pub(crate) fn challenge(books: &dyn Books, face: &Face) -> Reply {
    let challenge = books.challenge();
    let message = message(&face.site, &face.origin, &challenge);
    let blob = URL_SAFE_NO_PAD.encode(signed_blob(message.as_bytes(), NAMESPACE));
    json_reply(200, &json!({ "challenge": challenge, "sign": blob, "rpId": face.host }))
}

/// Takes a passkey's answer.
pub(crate) async fn sign_in(books: &dyn Books, face: &Face, request: &Request) -> Reply {
    let offer = match read(request) {
        Ok(offer) => offer,
        Err(refused) => {
            books.refused(Act::SignIn, &refused, None, request).await;
            return refused.reply();
        }
    };
    let (challenge, answer) = offer;
    match books.sign_in(&challenge, &answer, &face.origin, request).await {
        Ok(token) => {
            let value = URL_SAFE_NO_PAD.encode(token);
            let cookie = cookie(request, face, &value, SESSION_LIFETIME.as_secs());
            json_reply(200, &json!({ "signedIn": true })).with("set-cookie", cookie)
        }
        Err(refused) => refused.reply(),
    }
}

fn read(request: &Request) -> Result<(String, Assertion), Refused> {
    let offer: Offer = serde_json::from_slice(&request.body).map_err(|_| {
        Refused::new(400, "Malformed", "the body is not {\"challenge\", \"passkey\"}")
    })?;
    let answer = Assertion::read(&offer.passkey);
    let answer = answer.map_err(|error| Refused::new(400, "Malformed", error.to_string()))?;
    Ok((offer.challenge, answer))
}

/// Ends the session of a request.
pub(crate) async fn sign_out(books: &dyn Books, face: &Face, request: &Request) -> Reply {
    if let Some(token) = token(request, face)
        && let Err(refused) = books.sign_out(&token, request).await
    {
        return refused.reply();
    }
    Reply::new(303, "text/plain; charset=utf-8", b"You are signed out.\n".to_vec())
        .with("location", "/")
        .with("set-cookie", cookie(request, face, "", 0))
}

/// The session that a request claims.
pub(crate) fn token(request: &Request, face: &Face) -> Option<Token> {
    let name = name(request, face);
    let mut values = request
        .headers
        .iter()
        .filter(|(field, _)| field == "cookie")
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    let (Some((_, value)), None) = (values.next(), values.next()) else { return None };
    let bytes: [u8; COOKIE_BYTES] = URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()?;
    Some(bytes)
}

/// The cookie's name. Cookies know no ports, so the name does; with TLS no other host can set it (RFC 6265bis,
/// section 4.1.3.2).
fn name(request: &Request, face: &Face) -> String {
    let port = face.origin.rsplit_once(':').map_or("", |(_, port)| port.trim_start_matches('/'));
    let port: String = port.chars().filter(char::is_ascii_digit).collect();
    match request.network.tls {
        Some(_) => format!("__Host-writ{port}"),
        None => format!("writ{port}"),
    }
}

fn cookie(request: &Request, face: &Face, value: &str, seconds: u64) -> String {
    let secure = if request.network.tls.is_some() { "; Secure" } else { "" };
    let name = name(request, face);
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// The page for who is not signed in. `again` is where they wanted to go.
pub(crate) fn show(face: &Face, status: u16, again: &str) -> Reply {
    let main = format!(
        "<div id=\"sign-in\" class=\"narrow\">\n<h1>Sign in</h1>\n\
         <p class=\"lede\">With the passkey that you enrolled. Signing in lets you <strong>read</strong>. \
         Whatever you decide later you sign with the passkey, each time anew.</p>\n\
         <noscript><p class=\"alert\">A passkey needs JavaScript. Without it use <code>writ requests</code> and \
         <code>writ approve</code>.</p></noscript>\n\
         <button type=\"button\" id=\"go\">Sign in with a passkey</button>\n\
         <p id=\"said\" class=\"status\" role=\"alert\"></p>\n\
         <p class=\"hint\">You came by a link and are signed in already? \
         <a href=\"{again}\">Go on to the page</a>.</p>\n\
         <h2>No passkey yet?</h2>\n<p>Ask somebody who is enrolled for a link: \
         <code>writ enrol PERSON</code> prints one. A security key that has no room to remember passkeys cannot sign in here: use the \
         command line.</p>\n\
         <h2>Are you a customer?</h2>\n<p><a href=\"/customer\">See who of the provider touched your account</a>, and \
         decide who may.</p>\n</div>",
        again = text(again),
    );
    page(status, html::page(face, "Sign in", Some("/static/sign.js"), &main))
}

#[cfg(test)]
mod tests {
    use writ_keyd_client::protocol::Network;

    use super::*;

    fn request(tls: bool, cookies: &[&str]) -> Request {
        let fields = cookies.iter().map(|text| ("cookie".to_owned(), text.as_bytes().to_vec()));
        Request {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: fields.collect(),
            body: Vec::new(),
            network: Network {
                source_ip: "127.0.0.1".to_owned(),
                tls: tls.then(|| "TLSv1.3".to_owned()),
                vpce: None,
            },
        }
    }

    fn face(origin: &str) -> Face {
        let (host, origin) = ("localhost".to_owned(), origin.to_owned());
        Face { host, origin, site: "site".parse().unwrap(), dev: true }
    }

    #[test]
    fn cookie_counts_once_and_of_this_console_alone() {
        let value = URL_SAFE_NO_PAD.encode([7; COOKIE_BYTES]);
        let good = format!("writ8441={value}");
        let face = face("http://localhost:8441");
        let read = |tls, cookies: &[&str]| token(&request(tls, cookies), &face);
        assert_eq!(read(false, &[&good]), Some([7; COOKIE_BYTES]));
        assert_eq!(read(false, &[&format!("a=b; {good}")]), Some([7; COOKIE_BYTES]));
        assert_eq!(read(true, &[&format!("__Host-{good}")]), Some([7; COOKIE_BYTES]));
        let twice = format!("{good}; {good}");
        let longer = format!("{good}AA");
        let other = format!("writ8442={value}");
        let cases: [(bool, &[&str]); 7] = [
            (false, &[]),
            (false, &["writ8441"]),
            (false, &[&twice]),
            (false, &[&good, &good]),
            (false, &[&longer]),
            (false, &[&other]),
            (true, &[&good]),
        ];
        for (tls, cookies) in cases {
            assert_eq!(read(tls, cookies), None, "{cookies:?}");
        }
    }

    #[test]
    fn cookie_is_kept_from_scripts_and_from_other_sites() {
        let face = face("https://writ.example");
        let set = cookie(&request(true, &[]), &face, "x", 60);
        assert_eq!(set, "__Host-writ=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
    }
}
