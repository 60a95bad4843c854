//! What answers which request.

use std::sync::Arc;

use serde_json::Value;
use writ_service::http::{Refused, Reply, Request};

use crate::ask;
use crate::assets;
use crate::call;
use crate::customer;
use crate::enrol;
use crate::face::{Asked, Face, Names};
use crate::html;
use crate::limits::PATH_MAX_BYTES;
use crate::pages;
use crate::playback;
use crate::port::{Act, Books, Desk};
use crate::sign_in;
use crate::{decide, view::Reader};

/// Nothing comes from elsewhere, nothing runs that is not a file of ours, and no page holds another or
/// is held by one.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
                      object-src 'none'";

/// Answers requests for one listener.
#[derive(Clone)]
pub struct Console {
    desk: Arc<dyn Desk>,
    books: Arc<dyn Books>,
    names: Arc<Names>,
}

impl Console {
    /// The console of the listener on `port`. It answers to `localhost` and to `names`, DNS names that
    /// lead to it.
    pub fn new(
        desk: Arc<dyn Desk>,
        books: Arc<dyn Books>,
        port: u16,
        names: Vec<String>,
    ) -> Console {
        Console { desk, books, names: Arc::new(Names { port, names }) }
    }

    /// Answers a request, whose body is within [`crate::limits::BODY_MAX_BYTES`].
    pub async fn answer(&self, request: Request) -> Reply {
        let head = request.method == "HEAD";
        let mut reply = guarded(self.routed(&request).await);
        if head {
            reply.body.clear();
        }
        reply
    }

    /// True for a call of AWS form that the customer's page has signed, or somebody else for this console's name:
    /// front's own pipeline answers it, and judges it as any other. A page of another site gets nowhere.
    pub fn is_call(&self, request: &Request) -> bool {
        customer::is_call(request)
            && match self.names.asked(request) {
                Asked::Ours(_, origin) => {
                    request.header("origin").is_none_or(|from| from == origin)
                }
                Asked::Redirect(_) | Asked::Unknown => false,
            }
    }

    /// The same of a reply that the pipeline has made.
    pub fn guarded(&self, reply: Reply) -> Reply {
        guarded(reply)
    }

    /// The answer to a request whose body was not read.
    pub fn unread(&self, status: u16, message: &str) -> Reply {
        let refused = Refused::new(status, "BodyRefused", message);
        guarded(refused.reply()).with("connection", "close")
    }

    async fn routed(&self, request: &Request) -> Reply {
        if request.path.len() > PATH_MAX_BYTES {
            return plain(414, "The path is too long.");
        }
        let face = match self.names.asked(request) {
            Asked::Ours(host, origin) => {
                Face { host, origin, site: self.desk.site().clone(), dev: self.desk.is_dev() }
            }
            Asked::Redirect(to) if matches!(request.method.as_str(), "GET" | "HEAD") => {
                return plain(307, "The console is at its name.").with("location", to);
            }
            Asked::Redirect(_) => return plain(421, "Ask the console by its name, localhost."),
            Asked::Unknown => {
                return plain(
                    421,
                    "This console has another name. Use the link as it was printed.",
                );
            }
        };
        match request.method.as_str() {
            "GET" | "HEAD" => self.get(request, &face).await,
            "POST" => self.post(request, &face).await,
            _ => {
                plain(405, "Only GET and POST are answered here.").with("allow", "GET, HEAD, POST")
            }
        }
    }

    async fn get(&self, request: &Request, face: &Face) -> Reply {
        let path = request.path.as_str();
        if let Some(file) = assets::file(path) {
            return file;
        }
        match (path, path.strip_prefix(enrol::PAGE)) {
            (enrol::OPEN, _) => plain(405, "Only POST is answered here.").with("allow", "POST"),
            (customer::PATH, _) => customer::show(face, self.desk.region(), self.desk.now()),
            (sign_in::PATH, _) => sign_in::challenge(&*self.books, face),
            (_, Some(rest)) => match rest.strip_suffix("/state") {
                Some(token) => enrol::state(&*self.desk, token),
                None => enrol::show(&*self.desk, face, rest),
            },
            _ => self.own(request, face).await,
        }
    }

    /// A page for who is signed in.
    async fn own(&self, request: &Request, face: &Face) -> Reply {
        let Some(what) = pages::What::of(&request.path) else { return missing(face) };
        if let Some(reader) = self.reader(request, face) {
            return pages::show(&*self.books, face, (&what, &reader), request).await;
        }
        if what == pages::What::Inbox {
            return sign_in::show(face, 200, "/");
        }
        let refused = Refused::new(401, "NotSignedIn", "nobody is signed in");
        self.books.refused(what.act(), &refused, None, request).await;
        sign_in::show(face, 401, &request.path)
    }

    fn reader(&self, request: &Request, face: &Face) -> Option<Reader> {
        self.books.reader(&sign_in::token(request, face)?)
    }

    async fn post(&self, request: &Request, face: &Face) -> Reply {
        let json =
            request.header("content-type").is_some_and(|k| k.starts_with("application/json"));
        // Another site's page has no business here; programs send no origin.
        if request.header("origin").is_some_and(|origin| origin != face.origin) {
            let what = "this came from another site's page";
            return Refused::new(403, "OtherOrigin", what).reply();
        }
        if request.path == sign_in::OUT {
            return match request.header("origin") {
                Some(_) => sign_in::sign_out(&*self.books, face, request).await,
                None => self.no_origin(Act::SignOut, None, request).await,
            };
        }
        if !json {
            return Refused::new(415, "UnsupportedMediaType", "send application/json").reply();
        }
        if request.path == sign_in::PATH {
            return match request.header("origin") {
                Some(_) => sign_in::sign_in(&*self.books, face, request).await,
                None => self.no_origin(Act::SignIn, None, request).await,
            };
        }
        if matches!(request.path.as_str(), "/requests/check" | "/requests/file") {
            return match self.poster(Act::Ask, request, face).await {
                Ok(reader) if request.path == "/requests/check" => {
                    ask::check(&*self.books, face, &reader, request).await
                }
                Ok(reader) => ask::file(&*self.books, face, &reader, request).await,
                Err(reply) => reply,
            };
        }
        if let Some(rest) = request.path.strip_prefix(pages::SESSION) {
            return self.recording(rest, request, face).await;
        }
        if let Some(rest) = request.path.strip_prefix(pages::REQUEST) {
            return self.decision(rest, request, face).await;
        }
        if matches!(request.path.as_str(), call::MESSAGE | call::CALLED) {
            return match self.poster(Act::Call, request, face).await {
                Ok(reader) if request.path == call::MESSAGE => {
                    let at = (&reader, self.desk.now());
                    call::prepare(&*self.books, face, at, request).await
                }
                Ok(reader) => call::take(&*self.books, face, &reader, request).await,
                Err(reply) => reply,
            };
        }
        let answered = match request.path.strip_prefix(enrol::PAGE) {
            Some(token) => enrol::propose(&*self.desk, face, token, request).await,
            None if request.path == enrol::OPEN => enrol::open(&*self.desk, face, request).await,
            None => Err(("Unknown", Refused::new(404, "NotFound", "there is nothing here"))),
        };
        match answered {
            Ok(reply) => reply,
            Err((event, refused)) => {
                self.desk.refused(event, &refused, request).await;
                refused.reply()
            }
        }
    }

    /// What the page of a session posts.
    async fn recording(&self, rest: &str, request: &Request, face: &Face) -> Reply {
        let reader = match self.poster(Act::OpenRecording, request, face).await {
            Ok(reader) => reader,
            Err(reply) => return reply,
        };
        match rest.split_once('/') {
            Some((id, "statement")) => {
                playback::statement(&*self.books, face, (id, &reader), request).await
            }
            Some((id, "open")) => playback::open(&*self.books, face, (id, &reader), request).await,
            _ => {
                let refused = Refused::new(404, "NotFound", "there is nothing here");
                self.books.refused(Act::OpenRecording, &refused, Some(&reader), request).await;
                refused.reply()
            }
        }
    }

    /// What the page of a request posts. A cookie counts only with the origin of our own page.
    async fn decision(&self, rest: &str, request: &Request, face: &Face) -> Reply {
        let reader = match self.poster(Act::Decide, request, face).await {
            Ok(reader) => reader,
            Err(reply) => return reply,
        };
        match rest.split_once('/') {
            Some((id, "statement")) => {
                decide::statement(&*self.books, face, (id, &reader), request).await
            }
            Some((id, "decision")) => {
                decide::decide(&*self.books, face, (id, &reader), request).await
            }
            _ => {
                let refused = Refused::new(404, "NotFound", "there is nothing here");
                self.books.refused(Act::Decide, &refused, Some(&reader), request).await;
                refused.reply()
            }
        }
    }

    /// Who posts from a page of ours.
    async fn poster(&self, act: Act, request: &Request, face: &Face) -> Result<Reader, Reply> {
        let reader = self.reader(request, face);
        if request.header("origin").is_none() {
            return Err(self.no_origin(act, reader.as_ref(), request).await);
        }
        if let Some(reader) = reader {
            return Ok(reader);
        }
        let what = "nobody is signed in any more: load the page again";
        let refused = Refused::new(401, "NotSignedIn", what);
        self.books.refused(act, &refused, None, request).await;
        Err(refused.reply())
    }

    async fn no_origin(&self, act: Act, reader: Option<&Reader>, request: &Request) -> Reply {
        let what = "a browser says which page asks; programs use /writ/v1";
        let refused = Refused::new(403, "NoOrigin", what);
        self.books.refused(act, &refused, reader, request).await;
        refused.reply()
    }
}

/// What every reply says of itself.
fn guarded(reply: Reply) -> Reply {
    let kept = reply.headers.iter().any(|(name, _)| name == "cache-control");
    let reply = if kept { reply } else { reply.with("cache-control", "no-store") };
    reply
        .with("content-security-policy", POLICY)
        .with("x-content-type-options", "nosniff")
        .with("x-frame-options", "DENY")
        // A link to enrol must not travel with a click to another site, and a form must tell its origin.
        .with("referrer-policy", "same-origin")
        .with("cross-origin-opener-policy", "same-origin")
        .with("cross-origin-resource-policy", "same-origin")
        .with(
            "permissions-policy",
            "publickey-credentials-create=(self), publickey-credentials-get=(self)",
        )
}

fn missing(face: &Face) -> Reply {
    let main = "<h1>There is nothing here</h1>\n<p>Use the link that was printed, whole, or begin at the \
                <a href=\"/\">inbox</a>.</p>";
    page(404, html::page(face, "Not found", None, main))
}

/// A page.
pub(crate) fn page(status: u16, html: Vec<u8>) -> Reply {
    Reply::new(status, "text/html; charset=utf-8", html)
}

/// A reply to a program.
pub(crate) fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", format!("{body}\n").into_bytes())
}

fn plain(status: u16, text: &str) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
}
