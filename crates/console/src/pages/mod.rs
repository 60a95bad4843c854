//! Pages for people who are signed in. They read; what a person signs goes through [`crate::decide`].

mod alarms;
mod ask;
mod inbox;
mod lists;
mod people;
mod request;
mod sessions;
mod words;

use writ_service::http::{Refused, Reply, Request};

use crate::face::Face;
use crate::html::{self, text};
use crate::port::{Act, Books};
use crate::routes::page;
use crate::view::Reader;

pub(crate) use ask::draft;
pub(crate) use sessions::SESSION;

/// What the path of a request's page begins with; its id follows.
pub(crate) const REQUEST: &str = "/requests/";

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Alarms,
    Grants,
    Groups,
    Inbox,
    NewRequest,
    People,
    Request(String),
    Requests,
    Session(String),
    Sessions,
    Tickets,
}

/// A page: the path of its part, its title as text, a script of ours, and its content as HTML.
struct Made {
    here: &'static str,
    title: String,
    script: Option<&'static str>,
    main: String,
}

impl What {
    /// The page at a path.
    pub(crate) fn of(path: &str) -> Option<What> {
        match path {
            "/" => Some(What::Inbox),
            "/alarms" => Some(What::Alarms),
            "/grants" => Some(What::Grants),
            "/groups" => Some(What::Groups),
            "/people" => Some(What::People),
            "/requests" => Some(What::Requests),
            "/requests/new" => Some(What::NewRequest),
            "/sessions" => Some(What::Sessions),
            "/tickets" => Some(What::Tickets),
            _ => {
                let one = |id: &&str| !id.is_empty() && !id.contains('/');
                if let Some(id) = path.strip_prefix(SESSION).filter(one) {
                    return Some(What::Session(id.to_owned()));
                }
                path.strip_prefix(REQUEST).filter(one).map(|id| What::Request(id.to_owned()))
            }
        }
    }

    /// What whoever asks for it does.
    pub(crate) const fn act(&self) -> Act {
        match self {
            What::Alarms => Act::ReadAlarms,
            What::Grants => Act::ReadGrants,
            What::Groups => Act::ReadGroups,
            What::People => Act::ReadPeople,
            What::Inbox | What::NewRequest | What::Request(_) | What::Requests => Act::ReadRequests,
            What::Session(_) | What::Sessions => Act::ReadSessions,
            What::Tickets => Act::ReadTickets,
        }
    }
}

/// Answers with a page, or says why not.
pub(crate) async fn show(
    books: &dyn Books,
    face: &Face,
    (what, reader): (&What, &Reader),
    request: &Request,
) -> Reply {
    match make(books, (what, reader), request).await {
        Ok(Made { here, title, script, main }) => {
            page(200, html::own_page(face, (reader, here), (&title, script), &main))
        }
        Err(refused) => {
            let main = format!(
                "<h1>This cannot be shown</h1>\n<p class=\"alert\">{}.</p>\n\
                 <p><a href=\"/\">To the inbox</a></p>",
                text(&refused.message)
            );
            page(refused.status, html::own_page(face, (reader, ""), ("Refused", None), &main))
        }
    }
}

async fn make(
    books: &dyn Books,
    (what, reader): (&What, &Reader),
    request: &Request,
) -> Result<Made, Refused> {
    let name = if *what == What::NewRequest { "group" } else { "from" };
    let place = match parameter(&request.query, name) {
        Ok(place) => place,
        Err(refused) => {
            books.refused(what.act(), &refused, Some(reader), request).await;
            return Err(refused);
        }
    };
    Ok(match what {
        What::Alarms => alarms::make(&books.alarms(reader, request).await?, reader),
        What::NewRequest => {
            // The newest state of tickets is enough; what is not among them can be typed.
            ask::make(place, &books.tickets(None, reader, request).await?, reader)
        }
        What::Inbox => inbox::make(&books.inbox(reader, request).await?, reader),
        What::Request(id) => {
            let Ok(id) = id.parse() else {
                let refused = Refused::new(404, "NotFound", "there is no request of this id");
                books.refused(what.act(), &refused, Some(reader), request).await;
                return Err(refused);
            };
            request::make(&books.request(id, reader, request).await?, reader)
        }
        What::Requests => lists::requests(&books.requests(place, reader, request).await?),
        What::Grants => lists::grants(&books.grants(place, reader, request).await?, reader),
        What::Sessions => sessions::list(&books.sessions(place, reader, request).await?),
        What::Session(id) => sessions::one(&books.session(id, reader, request).await?, reader),
        What::Tickets => lists::tickets(&books.tickets(place, reader, request).await?),
        What::People => people::people(&books.people(place, reader, request).await?, reader),
        What::Groups => {
            books.groups(reader, request).await?;
            people::groups(reader)
        }
    })
}

/// The one parameter of a page: where a listing goes on (`from`), or which group is asked as (`group`).
fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<&'a str>, Refused> {
    if query.is_empty() {
        return Ok(None);
    }
    let value = query.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    let place = value.filter(|id| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !id.is_empty() && id.len() <= 64 && id.bytes().all(fits)
    });
    place.map(Some).ok_or_else(|| {
        let what = format!("the one parameter of this page is `{name}`, as its links have it");
        Refused::new(400, "BadQuery", what)
    })
}

/// The link to the rest of a listing.
fn more(path: &str, next: Option<&String>) -> String {
    next.map_or(String::new(), |next| {
        format!("<p class=\"more\"><a href=\"{path}?from={}\">Show more</a></p>\n", text(next))
    })
}

/// What stands where a list has nothing.
fn nothing(what: &str) -> String {
    format!("<p class=\"empty\">{what}</p>\n")
}

/// A form that has one thing done by a call that the passkey signs. `label` is what those hear who do not see what
/// stands around it; both texts are ours or escaped here.
fn call_form((act, id): (&str, &str), kind: &str, shown: &str, label: &str) -> String {
    format!(
        "<form class=\"call\" data-act=\"{act}\" data-id=\"{id}\"><button type=\"button\" class=\"{kind}\" \
         aria-label=\"{label}\">{shown}</button>\n<p class=\"status\" role=\"alert\"></p></form>",
        id = text(id),
        label = text(label),
    )
}
