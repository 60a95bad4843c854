//! A summary as text and as HTML: the same facts in the same order, what is open and unusual first.

use std::fmt::Write as _;

use writ_model::Timestamp;

use super::Page;
use super::day::{Person, Session};
use crate::mime::escape;

const STYLE: &str = "body{margin:0;background:#f4f5f7;color:#16181d;font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}\
main{max-width:52rem;margin:0 auto;padding:1.25rem 1rem 3rem}\
h1{font-size:1.45rem;line-height:1.25;margin:.5rem 0 .25rem}\
h2{font-size:1.15rem;margin:2rem 0 .5rem}\
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}\
p{margin:.35rem 0}\
.sub{color:#4a5060}\
.figures{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0;padding:0;list-style:none}\
.figures li{background:#fff;border:1px solid #d5d9e0;border-radius:.5rem;padding:.5rem .85rem;min-width:6.5rem}\
.figures b{display:block;font-size:1.4rem;line-height:1.2}\
.figures .bad{border-color:#b3261e;color:#8c1d18}\
.card{background:#fff;border:1px solid #d5d9e0;border-radius:.5rem;padding:.75rem 1rem;margin:.5rem 0;overflow-wrap:anywhere}\
.alarm{border-left:.35rem solid #b3261e}\
.odd{border-left:.35rem solid #9a6700}\
.meta{color:#4a5060;font-size:.9rem}\
ul{margin:.35rem 0;padding-left:1.2rem}\
code{font:.9em ui-monospace,Menlo,Consolas,monospace;background:#eef0f3;border-radius:.25rem;padding:.05rem .3rem;overflow-wrap:anywhere}\
.refused{color:#8c1d18}";

/// The mail's subject.
pub(super) fn subject(page: &Page) -> String {
    let open = page.alarms.len();
    let alarms = if open == 0 { String::new() } else { format!(", {open} alarms open") };
    let sessions = sessions(page);
    match &page.manager {
        Some(_) => {
            format!("[writ {}] Your people on {}: {sessions} sessions{alarms}", page.site, page.day)
        }
        None => {
            format!("[writ {}] Operators on {}: {sessions} sessions{alarms}", page.site, page.day)
        }
    }
}

fn sessions(page: &Page) -> usize {
    page.day_of.people.values().map(|person| person.sessions.len()).sum()
}

fn refused(page: &Page) -> u64 {
    let of = |person: &Person| {
        let sessions: u64 = person.sessions.values().map(|session| session.refused).sum();
        sessions + person.refused.len() as u64
    };
    page.day_of.people.values().map(of).sum()
}

/// People, the unusual ones first.
fn people(page: &Page) -> Vec<(&String, &Person)> {
    let mut people: Vec<_> = page.day_of.people.iter().collect();
    people.sort_by_key(|(name, person)| (!person.is_unusual(), (*name).clone()));
    people
}

fn title(page: &Page) -> String {
    match &page.manager {
        Some(manager) => format!("Access of {manager}'s people on {}", page.day),
        None => format!("Operators' access on {}", page.day),
    }
}

fn clock(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "…".to_owned(), |time| time.iso().get(11..16).unwrap_or("…").to_owned())
}

fn when(session: &Session) -> String {
    let end = match session.end {
        Some(end) => clock(Some(end)),
        None => "not ended".to_owned(),
    };
    format!("{} to {end}", clock(session.start))
}

fn did(session: &Session) -> String {
    let mut parts = Vec::new();
    if session.commands > 0 {
        parts.push(format!("{} commands", session.commands));
    }
    if session.files > 0 {
        parts.push(format!(
            "{} files ({} bytes read, {} written)",
            session.files, session.read_bytes, session.written_bytes
        ));
    }
    if session.refused > 0 {
        parts.push(format!("{} refused", session.refused));
    }
    if !session.reason.is_empty() {
        parts.push(format!("ended: {}", session.reason));
    }
    parts.join(", ")
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As text.
pub(super) fn text(page: &Page) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(&plain(text));
        out.push_str("\r\n");
    };
    line(&title(page));
    line(&format!("site {}, all times in UTC, from watch's own copy of the ledger", page.site));
    line("");
    line(&format!(
        "{} sessions, {} refused, {} alarms open",
        sessions(page),
        refused(page),
        page.alarms.len()
    ));
    if !page.alarms.is_empty() {
        line("");
        line("ALARMS THAT NOBODY HAS TAKEN NOTE OF");
    }
    for alarm in &page.alarms {
        let host = alarm.host.as_deref().unwrap_or("-");
        line(&format!(
            "  {}  {}  {host}  ({} more times)",
            alarm.time.iso(),
            alarm.kind,
            alarm.again
        ));
        line(&format!("    {}", alarm.what));
        line(&format!("    do first: {}", alarm.todo));
        line(&format!("    writ watch ack {} --by NAME", alarm.number));
    }
    for (name, person) in people(page) {
        line("");
        let odd = if person.is_unusual() { "  (LOOK AT THIS FIRST)" } else { "" };
        line(&format!("{name}{odd}"));
        for request in &person.requests {
            let refused = request.refused.as_ref().map(|why| format!("; REFUSED: {why}"));
            line(&format!(
                "  asked for {} ({}, {}), {}{}",
                request.hosts,
                request.ticket,
                request.basis,
                request.window,
                refused.unwrap_or_default()
            ));
        }
        for (id, session) in &person.sessions {
            line(&format!(
                "  {}  {}@{}  from {}",
                when(session),
                session.login,
                session.host,
                session.source
            ));
            line(&format!("    {}", did(session)));
            for deed in &session.deeds {
                line(&format!("    {deed}"));
            }
            line(&format!("    session {id}, request {}", session.request));
        }
        for decision in &person.decisions {
            line(&format!("  {decision}"));
        }
        for refused in &person.refused {
            line(&format!("  REFUSED {refused}"));
        }
    }
    line("");
    if page.day_of.people.is_empty() {
        line("Nobody asked for access, and nobody was on a host.");
    }
    if !page.quiet.is_empty() {
        line(&format!("Nothing of: {}", page.quiet.join(", ")));
    }
    for (kind, count) in &page.raised {
        line(&format!("{count} alarms {kind} were raised that day"));
    }
    out
}

/// As HTML that needs nothing from elsewhere.
pub(super) fn html(page: &Page) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{0}</title>\
         <style>{STYLE}</style></head><body><main><h1>{0}</h1>\
         <p class=\"sub\">Site {1}. All times in UTC, from watch's own copy of the ledger.</p>",
        escape(&title(page)),
        escape(&page.site),
    );
    figures(&mut out, page);
    if !page.alarms.is_empty() {
        out.push_str("<h2>Alarms that nobody has taken note of</h2>");
    }
    for alarm in &page.alarms {
        let host = alarm.host.as_deref().map(|host| format!(" on {}", escape(host)));
        let again = match alarm.again {
            0 => String::new(),
            times => format!(", again {times} times"),
        };
        // Writing into a text cannot fail.
        write!(
            out,
            "<section class=\"card alarm\"><h3>{}{}</h3><p class=\"meta\">{}{again}</p><p>{}</p>\
             <p><b>Do first:</b> {}</p><p><code>writ watch ack {} --by NAME</code></p></section>",
            escape(&alarm.kind),
            host.unwrap_or_default(),
            alarm.time.iso(),
            escape(&alarm.what),
            escape(alarm.todo),
            alarm.number,
        )
        .ok();
    }
    for (name, person) in people(page) {
        one(&mut out, name, person);
    }
    if page.day_of.people.is_empty() {
        out.push_str("<h2>People</h2><p>Nobody asked for access, and nobody was on a host.</p>");
    }
    if !page.quiet.is_empty() {
        write!(out, "<p class=\"sub\">Nothing of: {}</p>", escape(&page.quiet.join(", "))).ok();
    }
    if !page.raised.is_empty() {
        out.push_str("<h2>Alarms raised that day</h2><ul>");
        for (kind, count) in &page.raised {
            write!(out, "<li>{count} &times; {}</li>", escape(kind)).ok();
        }
        out.push_str("</ul>");
    }
    out.push_str("</main></body></html>\n");
    out
}

fn figures(out: &mut String, page: &Page) {
    out.push_str("<ul class=\"figures\">");
    let (refused, open) = (refused(page), page.alarms.len());
    for (label, value, bad) in [
        ("people", page.day_of.people.len().to_string(), false),
        ("sessions", sessions(page).to_string(), false),
        ("hosts", page.day_of.hosts().len().to_string(), false),
        ("refused", refused.to_string(), refused > 0),
        ("alarms open", open.to_string(), open > 0),
    ] {
        let class = if bad { " class=\"bad\"" } else { "" };
        write!(out, "<li{class}><b>{value}</b>{label}</li>").ok();
    }
    out.push_str("</ul>");
}

fn one(out: &mut String, name: &str, person: &Person) {
    let odd = if person.is_unusual() {
        " &middot; <span class=\"refused\">look at this first</span>"
    } else {
        ""
    };
    write!(out, "<h2>{}{odd}</h2>", escape(name)).ok();
    for request in &person.requests {
        let refused = request
            .refused
            .as_ref()
            .map(|why| format!("<p class=\"refused\">Refused: {}</p>", escape(why)));
        write!(
            out,
            "<section class=\"card\"><h3>Asked for {}</h3><p class=\"meta\">{} &middot; {} &middot; {}<br>request {}</p>{}</section>",
            escape(&request.hosts),
            escape(&request.ticket),
            escape(&request.basis),
            escape(&request.window),
            escape(&request.id),
            refused.unwrap_or_default(),
        )
        .ok();
    }
    for (id, session) in &person.sessions {
        let class = if session.refused > 0 { "card odd" } else { "card" };
        write!(
            out,
            "<section class=\"{class}\"><h3>{}@{} &middot; {}</h3><p class=\"meta\">from {} &middot; session {}<br>request {}</p><p>{}</p>",
            escape(&session.login),
            escape(&session.host),
            when(session),
            escape(&session.source),
            escape(id),
            escape(&session.request),
            escape(&did(session)),
        )
        .ok();
        list(out, &session.deeds);
        out.push_str("</section>");
    }
    if !person.decisions.is_empty() {
        out.push_str("<section class=\"card\"><h3>Decisions</h3>");
        list(out, &person.decisions);
        out.push_str("</section>");
    }
    if !person.refused.is_empty() {
        out.push_str("<section class=\"card odd\"><h3>Refused at the door</h3>");
        list(out, &person.refused);
        out.push_str("</section>");
    }
}

fn list(out: &mut String, items: &[String]) {
    if items.is_empty() {
        return;
    }
    out.push_str("<ul>");
    for item in items {
        let class = if item.starts_with("REFUSED") { " class=\"refused\"" } else { "" };
        write!(out, "<li{class}><code>{}</code></li>", escape(&plain(item))).ok();
    }
    out.push_str("</ul>");
}
