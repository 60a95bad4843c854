//! What the page of a link says.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_model::Timestamp;
use writ_proof::roster::{Change, PersonKey};

use crate::challenge;
use crate::face::Face;
use crate::html::{clock, spelled, text};
use crate::limits::TOKEN_BYTES;
use crate::port::{Desk, Link, State};

/// The page of a link that nobody has opened.
pub(super) const UNKNOWN: &str = "<h1>This link is unknown</h1>\n\
    <p>It was cut when it was copied, or it is of another installation.</p>\n\
    <h2>What to do</h2>\n<p>Copy the whole line again. If that does not help, ask whoever gave it to you \
    for a new link: <code>writ enrol PERSON</code> prints one.</p>";

/// Title (text) and content (HTML).
pub(super) fn of(
    desk: &dyn Desk,
    face: &Face,
    link: &Link,
    token: &[u8; TOKEN_BYTES],
) -> (String, String) {
    let person = link.person.as_str();
    match &link.state {
        State::Open => (format!("Enrol {person}"), open(desk, face, link, token)),
        State::Proposed(change) => (format!("Code for {person}"), proposed(link, change)),
        State::Done(change) => (format!("{person} is enrolled"), done(link, change)),
        State::Expired => ("This link has ended".to_owned(), expired(link)),
    }
}

fn open(desk: &dyn Desk, face: &Face, link: &Link, token: &[u8; TOKEN_BYTES]) -> String {
    let (site, person) = (desk.site(), &link.person);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let known: Vec<String> = link.passkeys.iter().map(|id| encode(id)).collect();
    let choose = if link.enrolled {
        "<p class=\"note\">There are keys of this person already. The link adds <strong>one</strong> \
         more: a passkey or an SSH key.</p>"
    } else {
        ""
    };
    let origin = desk.is_origin(&face.origin, &face.host);
    format!(
        "<div id=\"enrol\" data-challenge=\"{challenge}\" data-user=\"{user}\" data-person=\"{person}\" \
         data-rp=\"{rp}\" data-site=\"{site}\" data-known=\"{known}\" data-one=\"{one}\">\n\
         <h1>Enrol {person}</h1>\n\
         <p class=\"lede\">Here you choose the keys with which <strong>{person}</strong> will sign. \
         They count only after two people who are enrolled have signed for them.</p>\n\
         <dl class=\"facts\">\n<div><dt>Opened by</dt><dd>{opener}</dd></div>\n\
         <div><dt>Good until</dt><dd><time datetime=\"{until}\">{shown}</time> \
         <span class=\"left\">({left})</span></dd></div>\n\
         <div><dt>Uses</dt><dd>one</dd></div>\n</dl>\n\
         <p class=\"note\">If you are not {person}, close this page.</p>\n{choose}\n\
         <noscript><p class=\"alert\">A passkey needs JavaScript. Without it, enrol an SSH key with \
         <code>writ enrol {person} --ssh-key</code>.</p></noscript>\n{passkey}\n{ssh}\n{send}\n</div>",
        challenge = encode(&challenge::passkey(site, person, token).0),
        user = encode(&challenge::user(site, person).0),
        person = text(person.as_str()),
        rp = text(&face.host),
        site = text(site.as_str()),
        known = known.join(" "),
        one = u8::from(link.enrolled),
        opener = text(link.opened_by.as_str()),
        until = link.expires.iso(),
        shown = clock(link.expires),
        left = left(desk.now(), link.expires),
        passkey = step_passkey(face, origin),
        ssh = step_ssh(&challenge::possession(site, person, token)),
        send = SEND,
    )
}

fn step_passkey(face: &Face, origin: bool) -> String {
    let action = if origin {
        "<button type=\"button\" id=\"make\">Create a passkey</button>".to_owned()
    } else {
        format!(
            "<p class=\"alert\">Passkeys cannot be made here: <code>{}</code> is not among the pages of \
             this installation (<code>writ roster propose set-origins</code>).</p>",
            text(&face.origin)
        )
    };
    format!(
        "<section class=\"step\" aria-labelledby=\"step-1\">\n\
         <h2 id=\"step-1\"><span class=\"number\" aria-hidden=\"true\">1</span>Passkey</h2>\n\
         <p>On a security key or in this device's own hardware. It must ask for a PIN or a fingerprint, \
         and must not be copied to other devices.</p>\n{action}\n\
         <p id=\"made\" class=\"status\" role=\"status\"></p>\n</section>"
    )
}

fn step_ssh(message: &str) -> String {
    format!(
        "<section class=\"step\" aria-labelledby=\"step-2\">\n\
         <h2 id=\"step-2\"><span class=\"number\" aria-hidden=\"true\">2</span>SSH key \
         <span class=\"optional\">optional</span></h2>\n\
         <p>For signing on the command line; a key on a security key (<code>-sk</code>) where you have \
         one. Run this with your key, and paste what it prints.</p>\n\
         <div class=\"command\"><pre id=\"command\" tabindex=\"0\" aria-label=\"Command to run\">\
         <code>printf %s '{message}' |\n  ssh-keygen -Y sign -n {namespace} -f ~/.ssh/id_ed25519</code></pre>\n\
         <button type=\"button\" id=\"copy\" class=\"quiet\">Copy the command</button></div>\n\
         <label for=\"signature\">What ssh-keygen printed</label>\n\
         <textarea id=\"signature\" rows=\"6\" spellcheck=\"false\" autocomplete=\"off\" \
         autocapitalize=\"off\" maxlength=\"8192\" aria-describedby=\"signature-help\" \
         placeholder=\"-----BEGIN SSH SIGNATURE-----\"></textarea>\n\
         <p id=\"signature-help\" class=\"hint\">The signature holds the public key, so nothing else is \
         needed. The private key stays with you.</p>\n</section>",
        message = text(message),
        namespace = challenge::NAMESPACE,
    )
}

const SEND: &str = "<section class=\"step\" aria-labelledby=\"step-3\">\n\
    <h2 id=\"step-3\"><span class=\"number\" aria-hidden=\"true\">3</span>Send</h2>\n\
    <p>You get a short code to read out to the two people who sign. The link is used up by this.</p>\n\
    <button type=\"button\" id=\"send\" disabled>Send the keys</button>\n\
    <p id=\"sent\" class=\"status\" role=\"alert\"></p>\n</section>";

fn proposed(link: &Link, change: &Change) -> String {
    format!(
        "<div id=\"waiting\">\n<h1>Read this code out</h1>\n\
         <p class=\"lede\">Call the two people who sign for <strong>{person}</strong>. The code on their \
         screens must be the same.</p>\n<p class=\"code\" aria-label=\"{spelled}\">{code}</p>\n{keys}\n\
         <p class=\"status\" role=\"status\" id=\"progress\">Waiting for their signatures. You may close \
         this page; nothing is lost.</p>\n\
         <h2>If the codes differ</h2>\n<p>Nobody signs. Something has changed the keys on their way: tell \
         your security people, and begin again with a new link.</p>\n</div>",
        person = text(link.person.as_str()),
        spelled = spelled(&change.code()),
        code = change.code(),
        keys = keys(change),
    )
}

fn done(link: &Link, change: &Change) -> String {
    format!(
        "<h1>{person} is enrolled</h1>\n<p class=\"lede\">These keys are in the roster now. The link is \
         used up.</p>\n{keys}\n<p>The code was <code>{code}</code>. For a further key, ask for a new link.</p>",
        person = text(link.person.as_str()),
        keys = keys(change),
        code = change.code(),
    )
}

fn expired(link: &Link) -> String {
    format!(
        "<h1>This link has ended</h1>\n<p>It was for <strong>{person}</strong> and ended at {at}: its hour \
         was over, or a newer link was opened. Nothing was enrolled with it.</p>\n\
         <h2>What to do</h2>\n<p>Ask <strong>{opener}</strong> for a new link: \
         <code>writ enrol {person}</code> prints one.</p>",
        person = text(link.person.as_str()),
        opener = text(link.opened_by.as_str()),
        at = clock(link.expires),
    )
}

fn keys(change: &Change) -> String {
    let keys: &[PersonKey] = match change {
        Change::Enrol(enrolment) => &enrolment.keys.0,
        Change::AddKey(key) => std::slice::from_ref(key),
        _ => &[],
    };
    let mut list = String::from("<ul class=\"keys\">\n");
    for key in keys {
        writeln!(
            list,
            "<li><span class=\"kind\">{}</span> <code>{}</code></li>",
            text(key.kind().as_str()),
            text(&key.key.fingerprint())
        )
        .ok();
    }
    list.push_str("</ul>");
    list
}

fn left(now: Timestamp, end: Timestamp) -> String {
    match end.since(now).as_secs() / 60 {
        0 => "less than a minute left".to_owned(),
        1 => "1 minute left".to_owned(),
        n => format!("{n} minutes left"),
    }
}
