//! The form of a request, and what would come of it before anybody signs.

use std::fmt::Write as _;

use writ_proof::access::{Basis, SshRights};
use writ_proof::roster::{Group, Host, RequestKind};

use crate::html::{spelled, text};
use crate::view::{DraftView, Page, Reader, TicketView};
use crate::words::holds;

use super::request::lets;
use super::words::{badge, fact, list, marked};
use super::{Made, nothing};

/// Hosts that the form offers; of more, the command line names one.
const HOSTS_SHOWN: usize = 100;
/// Lengths that can be asked for, in minutes.
const LENGTHS: [u32; 7] = [15, 30, 60, 120, 240, 360, 480];

/// The form for the group that is named, or the choice of one.
pub(super) fn make(group: Option<&str>, tickets: &Page<TicketView>, reader: &Reader) -> Made {
    let groups: Vec<&Group> = reader
        .roster
        .groups_of(&reader.person, reader.now)
        .map(|(group, _)| group)
        .filter(|group| {
            let rights = group.rights.as_ref();
            rights.is_some_and(|rights| rights.kinds.0.contains(&RequestKind::Ssh))
        })
        .collect();
    let chosen = match (group, groups.as_slice()) {
        (Some(name), _) => groups.iter().find(|group| group.name.as_str() == name).copied(),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    let main = match chosen {
        Some(group) => form(group, groups.len() > 1, tickets, reader),
        None => choose(&groups),
    };
    let script = chosen.is_some().then_some("/static/ask.js");
    Made { here: "/requests", title: "Ask for access".to_owned(), script, main }
}

fn choose(groups: &[&Group]) -> String {
    let mut html = String::from("<h1>Ask for access</h1>\n");
    if groups.is_empty() {
        html.push_str(&nothing(
            "You are a member of no group that may ask for anything. The owners of a group take people in: see \
             <a href=\"/groups\">Groups</a>.",
        ));
        return html;
    }
    html.push_str("<p class=\"lede\">As a member of which group?</p>\n<ul class=\"cards\">\n");
    for group in groups {
        writeln!(
            html,
            "<li class=\"card\"><h2><a href=\"/requests/new?group={name}\">{title}</a></h2>\n<p class=\"meta\">\
             <code>{name}</code> {tier}</p></li>",
            name = text(group.name.as_str()),
            title = text(&group.title),
            tier = badge(group.tier.as_str()),
        )
        .ok();
    }
    html.push_str("</ul>\n");
    html
}

fn form(group: &Group, others: bool, tickets: &Page<TicketView>, reader: &Reader) -> String {
    let other = if others { " <a href=\"/requests/new\">Ask as another</a>." } else { "" };
    let mut html = format!(
        "<h1>Ask for access</h1>\n<p class=\"lede\">As a member of <strong>{title}</strong> (<code>{name}</code>).{other} \
         Ask for as little as the work needs: people will read it one by one.</p>\n\
         <noscript><p class=\"alert\">Signing needs JavaScript. Without it: <code>writ request</code>.</p></noscript>\n\
         <form id=\"ask\" class=\"narrow\" data-group=\"{name}\">\n",
        title = text(&group.title),
        name = text(group.name.as_str()),
    );
    html.push_str(&hosts(group, reader));
    html.push_str(&rights(group));
    html.push_str(&work(tickets));
    html.push_str(&window(group));
    html.push_str(
        "<div class=\"buttons\"><button id=\"check\">Check it</button></div>\n\
         <p class=\"hint\">Nothing is filed yet: you see what would come of it, and then sign.</p>\n\
         <p id=\"said\" class=\"status\" role=\"alert\"></p>\n</form>\n\
         <section id=\"draft\" aria-live=\"polite\" tabindex=\"-1\"></section>\n",
    );
    html
}

fn hosts(group: &Group, reader: &Reader) -> String {
    let roster = &reader.roster;
    let reached = |host: &&Host| {
        let rights = group.rights.as_ref();
        rights.is_some_and(|rights| rights.hosts.0.iter().any(|known| known.matches(&host.name)))
    };
    let mut html = String::from("<fieldset class=\"step\">\n<legend>Where</legend>\n");
    let all: Vec<&Host> = roster.hosts().filter(reached).collect();
    if all.is_empty() {
        html.push_str(&nothing("The roster has no host that this group reaches."));
    }
    for host in all.iter().take(HOSTS_SHOWN) {
        let (held, _) = holds(roster, &host.name);
        writeln!(
            html,
            "<label class=\"check\"><input type=\"checkbox\" name=\"host\" value=\"{name}\"> <span><code>{name}</code> \
             <span class=\"soft\">holds {held}</span></span></label>",
            name = text(host.name.as_str()),
            held = text(&held),
        )
        .ok();
    }
    if all.len() > HOSTS_SHOWN {
        write!(
            html,
            "<p class=\"hint\">And {} more, for which there is <code>writ request</code>.</p>",
            all.len() - HOSTS_SHOWN
        )
        .ok();
    }
    html.push_str(
        "<div class=\"field\"><label for=\"login\">Log in as</label>\n<select id=\"login\">\n",
    );
    for login in group.rights.iter().flat_map(|rights| &rights.logins.0) {
        writeln!(html, "<option>{}</option>", text(login)).ok();
    }
    html.push_str("</select></div>\n</fieldset>\n");
    html
}

fn rights(group: &Group) -> String {
    let shell = SshRights::shell();
    let given = group.rights.as_ref().and_then(|rights| rights.ssh.as_ref()).unwrap_or(&shell);
    let mut html = String::from("<fieldset class=\"step\">\n<legend>What</legend>\n");
    let (commands, files) = (&given.commands.0, &given.files.0);
    html.push_str(&area(
        ("commands", "Commands, one a line"),
        "Each exactly as it will be run.",
        commands.is_empty() && !given.interactive,
        commands.iter().map(|known| text(known).to_string()),
    ));
    html.push_str(&area(
        ("files", "Files over SFTP, one rule a line"),
        "Such as <code>ro:/var/log/</code> or <code>read,write:/srv/app.conf</code>.",
        files.is_empty(),
        files.iter().map(|known| text(&known.to_string()).to_string()),
    ));
    if given.interactive {
        html.push_str(
            "<label class=\"check\"><input type=\"checkbox\" id=\"shell\"> <span>A shell <span class=\"soft\">and with it any \
             command: what remains when nothing smaller will do</span></span></label>\n",
        );
    }
    html.push_str("</fieldset>\n");
    html
}

fn area(
    (id, label): (&str, &str),
    hint: &str,
    none: bool,
    given: impl Iterator<Item = String>,
) -> String {
    if none {
        return String::new();
    }
    let given: Vec<String> = given.map(|one| format!("<code>{one}</code>")).collect();
    let given = match given.is_empty() {
        true => String::new(),
        false => format!(" The group gives {}.", given.join(", ")),
    };
    format!(
        "<div class=\"field\"><label for=\"{id}\">{label}</label>\n<textarea id=\"{id}\" rows=\"2\" spellcheck=\"false\" \
         autocapitalize=\"off\" aria-describedby=\"{id}-hint\"></textarea>\n\
         <p class=\"hint\" id=\"{id}-hint\">{hint}{given}</p></div>\n"
    )
}

fn work(tickets: &Page<TicketView>) -> String {
    let mut html = String::from(
        "<fieldset class=\"step\">\n<legend>Why</legend>\n<div class=\"field\"><label for=\"reason\">Reason</label>\n\
         <textarea id=\"reason\" class=\"prose\" rows=\"3\" maxlength=\"2000\" aria-describedby=\"reason-hint\"></textarea>\n\
         <p class=\"hint\" id=\"reason-hint\">In words that the approvers read. Customers see the kind alone.</p></div>\n\
         <div class=\"fields\">\n<div class=\"field\"><label for=\"basis\">Kind of reason</label>\n<select id=\"basis\">\n",
    );
    for (basis, shown) in [
        (Basis::Service, "our own operation"),
        (Basis::CustomerSupport, "a customer asked for support"),
        (Basis::Review, "a review"),
        (Basis::LegalOrder, "a legal order"),
    ] {
        writeln!(html, "<option value=\"{}\">{shown}</option>", basis.as_str()).ok();
    }
    html.push_str(
        "</select></div>\n<div class=\"field\"><label for=\"ticket\">Ticket</label>\n\
         <input type=\"text\" id=\"ticket\" list=\"tickets\" maxlength=\"129\" autocapitalize=\"off\" spellcheck=\"false\">\n\
         <datalist id=\"tickets\">\n",
    );
    for ticket in tickets.items.iter().filter(|ticket| ticket.closed.is_none()) {
        writeln!(html, "<option value=\"{}\">{}</option>", text(&ticket.id), text(&ticket.title))
            .ok();
    }
    html.push_str(
        "</datalist></div>\n<div class=\"field\"><label for=\"account\">Customer's account <span class=\"optional\">if it is for \
         one</span></label>\n<input type=\"text\" id=\"account\" inputmode=\"numeric\" maxlength=\"12\"></div>\n</div>\n\
         <p class=\"hint\">It needs an open ticket: <a href=\"/tickets\">Tickets</a>.</p>\n</fieldset>\n",
    );
    html
}

fn window(group: &Group) -> String {
    let most = group.rights.as_ref().map_or(0, |rights| rights.max_hours).saturating_mul(60);
    let mut html = String::from(
        "<fieldset class=\"step\">\n<legend>When</legend>\n<div class=\"fields\">\n<div class=\"field\">\
         <label for=\"minutes\">For how long</label>\n<select id=\"minutes\">\n",
    );
    for minutes in LENGTHS.into_iter().filter(|minutes| *minutes <= most) {
        let shown = match (minutes / 60, minutes % 60) {
            (0, m) => format!("{m} minutes"),
            (1, _) => "1 hour".to_owned(),
            (h, _) => format!("{h} hours"),
        };
        let first = if minutes == 60 { " selected" } else { "" };
        writeln!(html, "<option value=\"{minutes}\"{first}>{shown}</option>").ok();
    }
    html.push_str(
        "</select></div>\n<div class=\"field\"><label for=\"start\">From <span class=\"optional\">UTC; empty for now\
         </span></label>\n<input type=\"datetime-local\" id=\"start\"></div>\n</div>\n</fieldset>\n",
    );
    html
}

/// What would come of it: what one would get, who must agree and can, and where to sign.
pub(crate) fn draft(draft: &DraftView, code: &str, reader: &Reader) -> String {
    let request = &draft.request;
    let mut html = String::from("<h2>Check before you sign</h2>\n<div class=\"columns\">\n<div>\n");
    html.push_str(&lets("What you would get", request, reader));
    html.push_str(
        "</div>\n<div>\n<section aria-labelledby=\"must\">\n<h2 id=\"must\">Who must agree</h2>\n",
    );
    let mut rows = String::from("<dl class=\"rows\">\n");
    for slot in &draft.slots {
        let can: Vec<&str> = slot.people.iter().map(|person| person.as_str()).collect();
        let can = match can.len() {
            0 => "<strong class=\"bad\">nobody can now</strong>".to_owned(),
            n if n < usize::try_from(slot.count).unwrap_or(usize::MAX) => {
                format!("{}: <strong class=\"bad\">too few people</strong>", text(&can.join(", ")))
            }
            _ => text(&can.join(", ")).to_string(),
        };
        fact(&mut rows, &marked(&slot.rule), &format!("can now: {can}"));
    }
    rows.push_str("</dl>\n");
    html.push_str(&rows);
    let mut more = Vec::new();
    if draft.two {
        more.push("Two people in any case, since it can lead to customers' data.".to_owned());
    }
    for account in &draft.lockboxes {
        more.push(format!(
            "The customer {account}, who has a lockbox: they approve it themselves."
        ));
    }
    if !more.is_empty() {
        html.push_str(&list(&more));
    }
    write!(
        html,
        "<p class=\"hint\">It waits an hour at most. Nobody agrees to their own.</p>\n</section>\n\
         <section class=\"step\" aria-labelledby=\"sign-head\">\n<h2 id=\"sign-head\">Sign it</h2>\n\
         <p>Read this code out to whoever approves; theirs must be the same.</p>\n\
         <p class=\"code small\" aria-label=\"{spelled}\">{code}</p>\n\
         <form id=\"file\"><div class=\"buttons\"><button type=\"button\">Sign and file it</button></div>\n\
         <p class=\"status\" role=\"alert\"></p></form>\n</section>\n</div>\n</div>\n",
        spelled = spelled(code),
        code = text(code),
    )
    .ok();
    html
}
