//! Listings of requests, grants and tickets.

use std::fmt::Write as _;

use writ_proof::access::Scope;

use crate::html::text;
use crate::view::{GrantView, Page, Reader, RequestView, TicketView};
use crate::words::reaches;

use super::words::{badge, length, marked, time, wanted};
use super::{Made, call_form, more, nothing};

/// The way to the form of a request.
pub(super) const ASK: &str =
    "<p><a class=\"button\" href=\"/requests/new\">Ask for access</a></p>\n";

pub(super) fn requests(page: &Page<RequestView>) -> Made {
    let mut main = format!("<h1>Requests</h1>\n{ASK}");
    if page.items.is_empty() {
        main.push_str(&nothing("Nobody has asked for anything."));
    } else {
        main.push_str(&request_table("Requests, the newest first", &page.items, true));
    }
    main.push_str(&more("/requests", page.next.as_ref()));
    Made { here: "/requests", title: "Requests".to_owned(), script: None, main }
}

pub(super) fn grants(page: &Page<GrantView>, reader: &Reader) -> Made {
    let live = page.items.iter().filter(|grant| grant.state == "live").count();
    let mut main = format!(
        "<h1>Grants</h1>\n<p class=\"lede\">Access at this moment ({}) is what is <strong>live</strong>: {live} \
         on this page. Anybody who is enrolled may end one.</p>\n",
        time(reader.now)
    );
    if page.items.is_empty() {
        main.push_str(&nothing("Nothing was ever granted."));
    } else {
        main.push_str(&grant_table("Grants, the newest first", &page.items, true));
    }
    main.push_str(&more("/grants", page.next.as_ref()));
    let script = main.contains("class=\"call\"").then_some("/static/sign.js");
    Made { here: "/grants", title: "Grants".to_owned(), script, main }
}

pub(super) fn tickets(page: &Page<TicketView>) -> Made {
    let mut main = String::from(
        "<h1>Tickets</h1>\n<p class=\"lede\">Work that requests rest on. Closing a ticket ends every request and grant \
         that names it, at once. You sign both with your passkey.</p>\n",
    );
    main.push_str(OPEN_TICKET);
    if page.items.is_empty() {
        main.push_str(&nothing("There are no tickets yet."));
    } else {
        main.push_str(&table("Tickets", &["Ticket", "About", "Opened", "State"]));
        for ticket in &page.items {
            let state = match &ticket.closed {
                None => {
                    let label = format!("Close the ticket {}", ticket.id);
                    let form =
                        call_form(("close-ticket", &ticket.id), "quiet small", "Close", &label);
                    format!("{} {form}", badge("open"))
                }
                Some((by, at)) => {
                    format!("{} by {} {}", badge("closed"), text(by.as_str()), time(*at))
                }
            };
            row(
                &mut main,
                &[
                    ("Ticket", format!("<code>{}</code>", text(&ticket.id))),
                    ("About", text(&ticket.title).to_string()),
                    (
                        "Opened",
                        format!("{} by {}", time(ticket.opened), text(ticket.opened_by.as_str())),
                    ),
                    ("State", state),
                ],
            );
        }
        main.push_str("</tbody></table>\n");
    }
    main.push_str(&more("/tickets", page.next.as_ref()));
    let script = Some("/static/sign.js");
    Made { here: "/tickets", title: "Tickets".to_owned(), script, main }
}

const OPEN_TICKET: &str = "<form class=\"call step\" data-act=\"open-ticket\" novalidate aria-labelledby=\"open-ticket\">\n\
    <h2 id=\"open-ticket\">Open a ticket</h2>\n<div class=\"fields\">\n\
    <div class=\"field\"><label for=\"id\">Id</label>\n<input type=\"text\" id=\"id\" name=\"id\" maxlength=\"64\" required \
    autocapitalize=\"off\" spellcheck=\"false\" placeholder=\"OPS-17\"></div>\n\
    <div class=\"field grows\"><label for=\"title\">What it is about</label>\n<input type=\"text\" id=\"title\" name=\"title\" \
    maxlength=\"200\" required></div>\n<button>Open it</button>\n</div>\n\
    <p class=\"status\" role=\"alert\"></p>\n</form>\n";

/// Requests that wait, one card each.
pub(super) fn cards(views: &[RequestView], reader: &Reader) -> String {
    let mut html = String::from("<ul class=\"cards\">\n");
    for view in views {
        let request = &view.request;
        let slots: Vec<&str> = view.slots.iter().map(|slot| slot.as_str()).collect();
        // Writing into a string cannot fail.
        writeln!(
            html,
            "<li class=\"card\"><h3><a href=\"/requests/{id}\">{who} wants {wanted}</a></h3>\n\
             <p class=\"reason\">{reason}</p>\n<p class=\"meta\">Reaches <strong>{reaches}</strong> · for {length} · \
             ticket <code>{ticket}</code> · your slot: {slots} · waits until {until}</p></li>",
            id = request.id,
            who = text(request.requester.as_str()),
            wanted = wanted(request),
            reason = text(&first_line(&request.reason)),
            reaches = text(&reaches(&request.touches(&reader.roster))),
            length = length(request.not_before, request.not_after),
            ticket = text(&request.ticket.id),
            slots = text(&slots.join(", ")),
            until = time(view.pending_until),
        )
        .ok();
    }
    html.push_str("</ul>\n");
    html
}

pub(super) fn request_table(caption: &str, views: &[RequestView], whose: bool) -> String {
    let mut html = table(caption, &["Request", "State", "Missing, or why", "Filed"]);
    for view in views {
        let request = &view.request;
        let who =
            if whose { format!("{}: ", text(request.requester.as_str())) } else { String::new() };
        let missing: Vec<String> = view.missing.iter().map(ToString::to_string).collect();
        let missing = match (missing.is_empty(), &view.why) {
            (false, _) => missing.join("; "),
            (true, Some(why)) => why.clone(),
            (true, None) => "–".to_owned(),
        };
        row(
            &mut html,
            &[
                (
                    "Request",
                    format!("<a href=\"/requests/{}\">{who}{}</a>", request.id, wanted(request)),
                ),
                ("State", badge(view.state)),
                ("Missing, or why", marked(&missing)),
                ("Filed", time(view.filed)),
            ],
        );
    }
    html.push_str("</tbody></table>\n");
    html
}

pub(super) fn grant_table(caption: &str, grants: &[GrantView], whose: bool) -> String {
    let mut html = table(caption, &["Grant", "State", "From", "Until"]);
    for grant in grants {
        let who = if whose { format!("{}: ", text(grant.person.as_str())) } else { String::new() };
        let what = match grant.request.as_deref() {
            Some(request) => {
                let hosts = request.scope.hosts().iter().map(|host| host.as_str());
                let hosts: Vec<&str> = hosts.collect();
                let what = match &request.scope {
                    Scope::Playback(_) => "recording",
                    Scope::Runbook(run) => run.runbook.as_str(),
                    Scope::Ssh(ssh) => &ssh.login,
                };
                format!("<code>{}</code> on <code>{}</code>", text(what), text(&hosts.join(", ")))
            }
            None => grant.id.to_string(),
        };
        let state = match &grant.end {
            None if matches!(grant.state, "live" | "scheduled") => {
                let label = format!("End the grant of {} now", grant.person);
                let id = grant.id.to_string();
                let form = call_form(("revoke", &id), "danger small", "End it now", &label);
                format!("{} {form}", badge(grant.state))
            }
            None => badge(grant.state),
            Some((why, at, by)) => {
                let by = by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
                format!("{} {} {}{}", badge("ended"), text(why), time(*at), text(&by))
            }
        };
        row(
            &mut html,
            &[
                ("Grant", format!("<a href=\"/requests/{}\">{who}{what}</a>", grant.id)),
                ("State", state),
                ("From", time(grant.not_before)),
                ("Until", time(grant.not_after)),
            ],
        );
    }
    html.push_str("</tbody></table>\n");
    html
}

/// The beginning of a table, up to its rows. The roles are its own: narrow screens lay it out as a list, and some
/// browsers then forget that it is a table.
pub(super) fn table(caption: &str, columns: &[&str]) -> String {
    let mut html = format!(
        "<table role=\"table\">\n<caption>{}</caption>\n<thead role=\"rowgroup\"><tr role=\"row\">",
        text(caption)
    );
    for column in columns {
        write!(html, "<th scope=\"col\" role=\"columnheader\">{column}</th>").ok();
    }
    html.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    html
}

/// A row: each column's name, which narrow screens show, and its HTML.
pub(super) fn row(html: &mut String, cells: &[(&str, String)]) {
    html.push_str("<tr role=\"row\">");
    for (name, value) in cells {
        write!(html, "<td role=\"cell\" data-name=\"{name}\"><div>{value}</div></td>").ok();
    }
    html.push_str("</tr>\n");
}

fn first_line(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(200).collect();
    if cut.len() < reason.len() { format!("{cut}…") } else { cut }
}
