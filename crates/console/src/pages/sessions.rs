//! Sessions and their recordings: which there were, and one to be played by who may read it.

use std::fmt::Write as _;

use crate::html::text;
use crate::view::{Page, Reader, SessionView};

use super::lists::{row, table};
use super::words::{badge, fact, time};
use super::{Made, more, nothing};

/// What the path of a session's page begins with; its id follows.
pub(crate) const SESSION: &str = "/sessions/";

pub(super) fn list(page: &Page<SessionView>) -> Made {
    let mut main = String::from(
        "<h1>Sessions</h1>\n<p class=\"lede\">Everything that operators did on hosts is recorded, and sealed: to read a \
         recording is access like any other, and others must approve it.</p>\n",
    );
    if page.items.is_empty() {
        main.push_str(&nothing("There were no sessions."));
    } else {
        main.push_str(&table(
            "Sessions, the newest first",
            &["Session", "Began", "State", "Request", "Recording"],
        ));
        for session in &page.items {
            let who = text(session.person.as_str());
            let place = format!(
                "<a href=\"{SESSION}{}\">{who} on <code>{}</code></a>",
                session.id,
                text(&session.host)
            );
            let recording = match session.right {
                Some(_) => format!("{} <strong>you may read it</strong>", size(session.bytes)),
                None => size(session.bytes),
            };
            row(
                &mut main,
                &[
                    ("Session", place),
                    ("Began", time(session.start)),
                    ("State", state(session)),
                    ("Request", request(session)),
                    ("Recording", recording),
                ],
            );
        }
        main.push_str("</tbody></table>\n");
    }
    main.push_str(&more("/sessions", page.next.as_ref()));
    Made { here: "/sessions", title: "Sessions".to_owned(), script: None, main }
}

pub(super) fn one(session: &SessionView, reader: &Reader) -> Made {
    let who = text(session.person.as_str()).to_string();
    let mut main = format!("<h1>{who} on <code>{}</code></h1>\n", text(&session.host));
    main.push_str("<dl class=\"rows\">\n");
    fact(&mut main, "Session", &format!("<code>{}</code>", session.id));
    fact(&mut main, "Began", &time(session.start));
    fact(&mut main, "State", &state(session));
    let link = format!("<a href=\"/requests/{0}\"><code>{0}</code></a>", session.request);
    fact(&mut main, "On the request", &link);
    fact(&mut main, "Can show", &shows(session));
    fact(&mut main, "Recording", &format!("{}, sealed", size(session.bytes)));
    main.push_str("</dl>\n");
    let opens = session.ended && session.right.is_some();
    main.push_str(&if opens { player(session, reader) } else { how(session) });
    Made {
        here: "/sessions",
        title: format!("Session of {}", session.person),
        script: opens.then_some("/static/play.js"),
        main,
    }
}

/// Its last characters are those by which people know an id.
fn request(session: &SessionView) -> String {
    let id = session.request.to_string();
    let end = id.get(id.len().saturating_sub(8)..).unwrap_or_default();
    format!("<a href=\"/requests/{id}\">request <code>…{end}</code></a>")
}

fn state(session: &SessionView) -> String {
    match (&session.reason, session.ended) {
        (_, false) => badge("live"),
        (None, true) => badge("ended"),
        (Some(why), true) => format!("{} {}", badge("ended"), text(why)),
    }
}

fn shows(session: &SessionView) -> String {
    match session.accounts.as_deref() {
        None => "<strong>data of EVERY customer, as far as the roster said</strong>".to_owned(),
        Some([]) => "no customer's data".to_owned(),
        Some(accounts) => {
            let all: Vec<String> = accounts.iter().map(ToString::to_string).collect();
            format!("<strong>data of {}</strong>", all.join(", "))
        }
    }
}

/// What to do for who may not read it.
fn how(session: &SessionView) -> String {
    if !session.ended {
        return "<p class=\"note\">It goes on: there is no whole recording yet.</p>\n".to_owned();
    }
    format!(
        "<section aria-labelledby=\"ask\">\n<h2 id=\"ask\">Read the recording</h2>\n\
         <p class=\"note\">It is sealed. No grant lets you read it now: ask for one, and others decide.</p>\n\
         <pre>writ request --group GROUP --playback {0} --ticket ID --basis review --reason 'WHY' --key KEY</pre>\n\
         <p class=\"hint\">GROUP is a group whose members may ask for <code>playback</code>. The customers whose data it \
         can show are told when it is opened.</p>\n</section>\n",
        session.id
    )
}

fn player(session: &SessionView, reader: &Reader) -> String {
    let mut html = String::new();
    let until = session.right.map_or(reader.now, |(_, until)| until);
    // Writing into a string cannot fail.
    write!(
        html,
        "<section aria-labelledby=\"read\">\n<h2 id=\"read\">Read the recording</h2>\n<div id=\"closed\">\n\
         <p>You may read it until {until}. It is opened in this browser, for a key that is made here; that you open it \
         is told in the ledger, and to the customers whose data it can show.</p>\n\
         <p class=\"buttons\"><button id=\"open-recording\" data-session=\"{id}\">Open with your passkey</button></p>\n\
         <p class=\"hint\">In a terminal: <code>writ play {id} --key KEY</code></p>\n</div>\n\
         <p id=\"play-said\" class=\"status\" role=\"status\"></p>\n\
         <div id=\"opened\" hidden>\n<div id=\"player\">\n\
         <div class=\"terminal\" role=\"region\" aria-label=\"What the terminal showed\" tabindex=\"0\">\
         <pre id=\"screen\"></pre></div>\n\
         <div class=\"fields\">\n\
         <p class=\"buttons\"><button id=\"toggle\">Play</button> \
         <button id=\"restart\" class=\"quiet\">From the beginning</button></p>\n\
         <p><label for=\"speed\">Speed</label><select id=\"speed\"><option value=\"1\">as it was</option>\
         <option value=\"2\">2 times</option><option value=\"4\">4 times</option>\
         <option value=\"16\">16 times</option></select></p>\n\
         <p><label for=\"skip\"><input type=\"checkbox\" id=\"skip\" checked> Shorten pauses</label></p>\n</div>\n\
         <p class=\"place\"><label for=\"place\">Moment</label>\
         <input type=\"range\" id=\"place\" min=\"0\" max=\"1\" step=\"100\" value=\"0\"> \
         <span id=\"clock\"></span></p>\n\
         <details><summary>As text</summary><pre id=\"transcript\"></pre></details>\n</div>\n\
         <h3>What happened</h3>\n<ul id=\"told\" class=\"plain\" tabindex=\"-1\"></ul>\n</div>\n</section>\n",
        until = time(until),
        id = session.id,
    )
    .ok();
    html
}

/// `12 KiB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}
