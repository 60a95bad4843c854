//! A request: everything that an approver must know, on one page, and where they sign.

use std::fmt::Write as _;

use writ_model::Timestamp;
use writ_proof::access::{Decision, Request, Scope, SshScope, Touches};
use writ_proof::runbook::RunScope;

use crate::html::{spelled, text};
use crate::view::{DecisionView, GrantView, Reader, RequestPage, RequestView};
use crate::words::{holds, reaches, rule};

use super::words::{badge, fact, list, marked, time, wanted, window};
use super::{Made, call_form};

/// Windows that an approver may choose instead of the whole one, in minutes.
const SHORTER: [u32; 5] = [15, 30, 60, 120, 240];

pub(super) fn make(page: &RequestPage, reader: &Reader) -> Made {
    let request = &page.view.request;
    let who = text(request.requester.as_str()).to_string();
    let mut main = format!("<h1>{who} wants {}</h1>\n", wanted(request));
    main.push_str(&standing(page));
    main.push_str("<div class=\"columns\">\n<div>\n");
    main.push_str(&lets("What it would let them do", request, reader));
    main.push_str(&why(page, reader));
    main.push_str("</div>\n<div>\n");
    main.push_str(&ran(page));
    main.push_str(&decided(page));
    main.push_str(&code(&page.view, reader));
    if page.view.state == "pending" {
        main.push_str(&decide(page, reader));
    }
    let end = end(page, reader);
    main.push_str(&end);
    main.push_str("</div>\n</div>\n");
    let signs = !page.view.slots.is_empty() || !end.is_empty();
    let script = signs.then_some("/static/sign.js");
    let title = format!("Request of {}", request.requester);
    Made { here: "/requests", title, script, main }
}

/// Whether anybody can get in by it now, first of all.
fn standing(page: &RequestPage) -> String {
    let view = &page.view;
    let (kind, what) = match (view.state, &page.grant) {
        ("pending", _) => {
            let missing: Vec<String> = view.missing.iter().map(ToString::to_string).collect();
            let missing = if missing.is_empty() {
                "it does not hold any more, or waits to be looked at again".to_owned()
            } else {
                missing.join("; ")
            };
            let text = format!(
                "<strong>Locked.</strong> Nobody gets in by it yet: {}. It waits until {}.",
                marked(&missing),
                time(view.pending_until)
            );
            ("locked", text)
        }
        ("approved", Some(grant)) => granted(grant),
        (state, _) => {
            let why = view.why.as_ref().map_or(String::new(), |why| format!(" {}", marked(why)));
            let became = match state {
                "expired" => "has expired",
                "withdrawn" => "was withdrawn",
                "denied" => "was denied",
                other => other,
            };
            let text = format!(
                "<strong>Locked.</strong> The request {became}{why}, {}. What is asked for again is a new \
                 request.",
                time(view.since)
            );
            ("over", text)
        }
    };
    format!("<p class=\"standing {kind}\">{what}</p>\n")
}

fn granted(grant: &GrantView) -> (&'static str, String) {
    let who = text(grant.person.as_str()).to_string();
    match (&grant.end, grant.state) {
        (Some((why, at, by)), _) => {
            let by = by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
            let text = format!(
                "<strong>Locked.</strong> The grant ended {}: {}{}.",
                time(*at),
                text(why),
                text(&by)
            );
            ("over", text)
        }
        (None, "live") => {
            let until = time(grant.not_after);
            ("open", format!("<strong>Open.</strong> {who} may get in until {until}."))
        }
        (None, "scheduled") => {
            let from = time(grant.not_before);
            (
                "locked",
                format!("<strong>Locked until it begins.</strong> {who} may get in from {from}."),
            )
        }
        (None, _) => ("over", "<strong>Locked.</strong> Its window is over.".to_owned()),
    }
}

/// What it would let them do.
pub(super) fn lets(title: &str, request: &Request, reader: &Reader) -> String {
    let touches = request.touches(&reader.roster);
    let kind = if touches == Touches::Everybody { "alert" } else { "reach" };
    let mut html = format!(
        "<section aria-labelledby=\"lets\">\n<h2 id=\"lets\">{title}</h2>\n\
         <p class=\"{kind}\">It can lead to <strong>{}</strong>.</p>\n<dl class=\"rows\">\n",
        text(&reaches(&touches))
    );
    let mut hosts = String::from("<ul class=\"plain\">\n");
    for host in request.scope.hosts() {
        let (held, data) = holds(&reader.roster, host);
        let address =
            reader.roster.host(host).map_or("not in the roster", |known| known.address.as_str());
        let held = text(&held);
        let held = if data { format!("<strong>{held}</strong>") } else { held.to_string() };
        writeln!(
            hosts,
            "<li><code>{}</code> <span class=\"soft\">({})</span>: holds {held}</li>",
            text(host.as_str()),
            text(address)
        )
        .ok();
    }
    hosts.push_str("</ul>");
    fact(&mut html, "Hosts", &hosts);
    match &request.scope {
        Scope::Playback(scope) => {
            let id = scope.session.to_string();
            let link = format!("<a href=\"/sessions/{id}\"><code>{id}</code></a>");
            fact(&mut html, "Recording of session", &link);
        }
        Scope::Runbook(run) => lets_run(&mut html, run),
        Scope::Ssh(ssh) => lets_log_in(&mut html, ssh),
    }
    fact(&mut html, "Window", &window(request.not_before, request.not_after));
    html.push_str("</dl>\n");
    if request.scope.ssh().is_some() {
        html.push_str(
            "<p class=\"hint\">Forwarding of ports, of agents and of X11 is never given.</p>\n",
        );
    }
    if request.scope.runbook().is_some() {
        html.push_str(
            "<p class=\"hint\">Nobody comes in: its agent runs the program that the catalogue names, and only typed \
             values come back.</p>\n",
        );
    }
    html.push_str("</section>\n");
    html
}

/// A runbook, with what it is told.
fn lets_run(html: &mut String, run: &RunScope) {
    let name = format!("<code>{}</code>, version {}", text(run.runbook.as_str()), run.version);
    fact(html, "Runbook", &name);
    fact(html, "Catalogue entry", &format!("<code>{}</code>", run.entry));
    fact(html, "Reach", &text(run.class.describe()).to_string());
    let told: Vec<String> =
        run.settings.0.iter().map(|one| format!("{} = {}", one.name, one.value)).collect();
    fact(html, "Told", &if told.is_empty() { "nothing".to_owned() } else { codes(&told) });
}

fn lets_log_in(html: &mut String, ssh: &SshScope) {
    fact(html, "Logs in as", &format!("<code>{}</code>", text(&ssh.login)));
    let shell = if ssh.interactive {
        "<strong>yes: any command that the login can run</strong>"
    } else {
        "no"
    };
    fact(html, "Shell", shell);
    if !ssh.commands.0.is_empty() {
        fact(html, "Commands", &codes(&ssh.commands.0));
    }
    let files: Vec<String> = ssh.files.0.iter().map(ToString::to_string).collect();
    fact(html, "Files", &if files.is_empty() { "none".to_owned() } else { codes(&files) });
}

fn codes(items: &[String]) -> String {
    let mut html = String::from("<ul class=\"plain\">\n");
    for item in items {
        writeln!(html, "<li><code>{}</code></li>", text(item)).ok();
    }
    html.push_str("</ul>");
    html
}

fn why(page: &RequestPage, reader: &Reader) -> String {
    let request = &page.view.request;
    let mut html = format!(
        "<section aria-labelledby=\"why\">\n<h2 id=\"why\">Who asks, and why</h2>\n\
         <blockquote class=\"reason\">{}</blockquote>\n<dl class=\"rows\">\n",
        text(&request.reason)
    );
    let group = reader.roster.group(&request.group);
    let title = group.map_or("not in the roster any more", |group| group.title.as_str());
    fact(&mut html, "Asks", &format!("<strong>{}</strong>", text(request.requester.as_str())));
    fact(
        &mut html,
        "As a member of",
        &format!(
            "<a href=\"/groups#group-{0}\"><code>{0}</code></a> <span class=\"soft\">({1})</span>",
            text(request.group.as_str()),
            text(title)
        ),
    );
    let agree = group.map(rule).unwrap_or_default();
    fact(&mut html, "Must agree", &marked(&agree.join("; ")));
    fact(&mut html, "Kind of reason", request.basis.as_str());
    let name =
        format!("<code>{}/{}</code>", text(&request.ticket.system), text(&request.ticket.id));
    let ticket = match &page.ticket {
        None => format!("{name} <strong class=\"bad\">which nobody knows here</strong>"),
        Some(ticket) => {
            let state = match &ticket.closed {
                None => badge("open"),
                Some((by, at)) => {
                    format!("{} by {} {}", badge("closed"), text(by.as_str()), time(*at))
                }
            };
            format!("{name} {state}<br>{}", text(&ticket.title))
        }
    };
    fact(&mut html, "Ticket", &ticket);
    if let Some(account) = request.account {
        fact(&mut html, "For the customer", &account.to_string());
    }
    fact(&mut html, "Filed", &time(page.view.filed));
    html.push_str("</dl>\n</section>\n");
    html
}

fn code(view: &RequestView, reader: &Reader) -> String {
    let request = &view.request;
    let how = if request.requester == reader.person {
        "Read it out to whoever approves, in another way than the link came by: theirs must be the same.".to_owned()
    } else {
        format!(
            "A security key shows nothing of what it signs, and a page can lie. Ask {who} in another way for the code \
             of the request as it was signed: it must be this one. <code>writ approve {id} --check</code> shows it too.",
            who = text(request.requester.as_str()),
            id = request.id,
        )
    };
    format!(
        "<section class=\"step\" aria-labelledby=\"compare\">\n<h2 id=\"compare\">Compare this code</h2>\n\
         <p class=\"code small\" aria-label=\"{spelled}\">{code}</p>\n<p class=\"hint\">{how}</p>\n\
         <details><summary>Digest of the signed request</summary><p><code>{digest}</code></p></details>\n</section>\n",
        spelled = spelled(&view.code),
        code = text(&view.code),
        digest = text(&view.digest),
    )
}

/// What became of a runbook on its hosts.
fn ran(page: &RequestPage) -> String {
    if page.view.request.scope.runbook().is_none() {
        return String::new();
    }
    let mut html =
        String::from("<section aria-labelledby=\"ran\">\n<h2 id=\"ran\">What was run</h2>\n");
    if page.runs.is_empty() {
        html.push_str("<p class=\"empty\">Nothing yet.</p>\n");
    }
    for run in &page.runs {
        let why = run.why.as_ref().map_or(String::new(), |why| format!(": {}", marked(why)));
        let when = run.ended.map_or_else(
            || format!("ordered {}", time(run.ordered)),
            |ended| format!("ended {}", time(ended)),
        );
        writeln!(
            html,
            "<h3><code>{}</code> {}</h3>\n<p class=\"hint\">{when}{why}</p>",
            text(&run.host),
            badge(&run.state),
        )
        .ok();
        if !run.answer.is_empty() {
            html.push_str("<dl class=\"rows\">\n");
            for (name, value) in &run.answer {
                let name = format!("<code>{}</code>", text(name));
                fact(&mut html, &name, &text(value).to_string());
            }
            html.push_str("</dl>\n");
        }
    }
    html.push_str("</section>\n");
    html
}

fn decided(page: &RequestPage) -> String {
    let mut html = String::from(
        "<section aria-labelledby=\"decided\">\n<h2 id=\"decided\">Who has decided</h2>\n",
    );
    if page.decisions.is_empty() {
        html.push_str("<p class=\"empty\">Nobody yet.</p>\n");
    } else {
        html.push_str("<ul class=\"people\">\n");
        for decision in &page.decisions {
            html.push_str(&decision_line(decision, &page.view.request));
        }
        html.push_str("</ul>\n");
    }
    if page.view.state == "pending" && !page.view.missing.is_empty() {
        let missing: Vec<String> = page.view.missing.iter().map(ToString::to_string).collect();
        write!(html, "<h3>Still missing</h3>\n{}", list(&missing)).ok();
    }
    html.push_str("</section>\n");
    html
}

fn decision_line(decision: &DecisionView, request: &Request) -> String {
    let said = &decision.said;
    let how = if decision.browser { "with a passkey" } else { "on the command line" };
    let shorter = match said.decision {
        Decision::Approve if said.not_after < request.not_after => {
            format!(", until {} at most", time(said.not_after))
        }
        _ => String::new(),
    };
    let verb = match said.decision {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
    };
    format!(
        "<li>{badge} <strong>{who}</strong> in the slot <code>{slot}</code> {how}, {at}{shorter}</li>\n",
        badge = badge(verb),
        who = text(said.approver.as_str()),
        slot = text(said.slot.as_str()),
        at = time(decision.at),
    )
}

/// The form, or why there is none.
fn decide(page: &RequestPage, reader: &Reader) -> String {
    let view = &page.view;
    let head = "<section class=\"step decide\" aria-labelledby=\"decide-head\">\n\
                <h2 id=\"decide-head\">Your decision</h2>\n";
    if view.slots.is_empty() {
        let bar = page.bar.as_deref().unwrap_or("there is nothing to decide for you");
        return format!(
            "{head}<p class=\"note\" id=\"bar\">You cannot decide: {}.</p>\n</section>\n",
            marked(bar)
        );
    }
    let slot = match view.slots.as_slice() {
        [one] => format!(
            "<p>You fill the slot <code>{0}</code>.</p><input type=\"hidden\" id=\"slot\" value=\"{0}\">",
            text(one.as_str())
        ),
        several => {
            let mut html = String::from(
                "<div class=\"field\"><label for=\"slot\">Slot that you fill</label>\n<select id=\"slot\">\n",
            );
            for one in several {
                writeln!(html, "<option>{}</option>", text(one.as_str())).ok();
            }
            html.push_str("</select></div>");
            html
        }
    };
    format!(
        "{head}{again}<p>You are <strong>{me}</strong>. Your passkey signs a statement over exactly this request.</p>\n\
         <noscript><p class=\"alert\">Signing needs JavaScript. Without it: <code>writ approve {id}</code>.</p></noscript>\n\
         <form id=\"decide\" data-request=\"{id}\">\n<div class=\"fields\">\n{slot}\n{window}</div>\n\
         <div class=\"buttons\"><button type=\"button\" id=\"approve\" data-decision=\"approve\">Approve\
         </button>\n<button type=\"button\" id=\"deny\" class=\"danger\" data-decision=\"deny\">Deny\
         </button></div>\n<p class=\"hint\">Your security key signs it. One denial is final for this request.</p>\n\
         <p id=\"said\" class=\"status\" role=\"alert\"></p>\n</form>\n</section>\n",
        again = again(page),
        me = text(reader.person.as_str()),
        id = view.request.id,
        window = shorter(&view.request, reader.now),
    )
}

/// Taking one's own request back, or ending what was granted.
fn end(page: &RequestPage, reader: &Reader) -> String {
    let id = page.view.request.id.to_string();
    let section = |title: &str, what: &str, form: &str| {
        format!(
            "<section class=\"step\" aria-labelledby=\"end\">\n<h2 id=\"end\">{title}</h2>\n<p>{what}</p>\n{form}\n\
             </section>\n"
        )
    };
    if page.view.state == "pending" && page.view.request.requester == reader.person {
        let form = call_form(("withdraw", &id), "danger", "Take it back", "Take the request back");
        return section("Take it back", "Nobody has to decide any more then.", &form);
    }
    match &page.grant {
        Some(grant) if matches!(grant.state, "live" | "scheduled") => {
            let form = call_form(("revoke", &id), "danger", "End it now", "End the grant now");
            let what = "Anybody who is enrolled may. Sessions that rest on it are cut within a second, and what has \
                        ended stays ended.";
            section("End the access", what, &form)
        }
        _ => String::new(),
    }
}

/// Says so to who has decided already.
fn again(page: &RequestPage) -> String {
    let Some(own) = page.own else { return String::new() };
    let did = match own {
        Decision::Approve => "approved",
        Decision::Deny => "denied",
    };
    format!(
        "<p class=\"note\" id=\"again\">You have {did} it. Another decision replaces that one.</p>\n"
    )
}

/// The choice of a shorter window.
fn shorter(request: &Request, now: Timestamp) -> String {
    let from = request.not_before.max(now);
    let left = request.not_after.since(from).as_secs() / 60;
    let mut html = String::from(
        "<div class=\"field\"><label for=\"minutes\">For how long, if you approve</label>\n<select id=\"minutes\">\n\
         <option value=\"\">As asked for</option>\n",
    );
    for minutes in SHORTER.into_iter().filter(|minutes| u64::from(*minutes) < left) {
        let shown = match (minutes / 60, minutes % 60) {
            (0, m) => format!("{m} minutes"),
            (1, 0) => "1 hour".to_owned(),
            (h, _) => format!("{h} hours"),
        };
        writeln!(html, "<option value=\"{minutes}\">{shown} at most</option>").ok();
    }
    html.push_str("</select></div>");
    html
}
