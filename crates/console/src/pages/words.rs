//! Requests, times and people's data in words.

use std::fmt::Write as _;

use writ_model::Timestamp;
use writ_proof::access::{Request, Scope};

use crate::html::{clock, text};

/// A time as HTML: `22 Nov, 10:15 UTC` with the exact one in `datetime`.
pub(super) fn time(at: Timestamp) -> String {
    format!("<time datetime=\"{}\">{}</time>", at.iso(), clock(at))
}

/// A window as HTML: the day stands once where it is one.
pub(super) fn window(from: Timestamp, to: Timestamp) -> String {
    let same = from.iso().get(..10) == to.iso().get(..10);
    let (begin, end) = (clock(from), clock(to));
    let begin = if same { begin.trim_end_matches(" UTC") } else { &begin };
    let end = if same { end.get(11..).unwrap_or(&end) } else { &end };
    format!(
        "<time datetime=\"{}\">{begin}</time> to <time datetime=\"{}\">{end}</time> \
         <span class=\"soft\">({})</span>",
        from.iso(),
        to.iso(),
        length(from, to)
    )
}

/// Text as HTML; what stands in backticks is code.
pub(super) fn marked(plain: &str) -> String {
    let parts = plain.split('`');
    if plain.matches('`').count() % 2 == 1 {
        return text(plain).to_string();
    }
    let mut html = String::new();
    for (n, part) in parts.enumerate() {
        let part = text(part);
        // Writing into a string cannot fail.
        if n % 2 == 1 { write!(html, "<code>{part}</code>") } else { write!(html, "{part}") }.ok();
    }
    html
}

/// `1 h 30 min`.
pub(super) fn length(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.since(from).as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if shown.is_empty() { "no time".to_owned() } else { shown.join(" ") }
}

/// What is wanted, in one line, as HTML.
pub(super) fn wanted(request: &Request) -> String {
    let hosts = match request.scope.hosts() {
        [one] => format!("<code>{}</code>", text(one.as_str())),
        [first, rest @ ..] => {
            format!("<code>{}</code> and {} more", text(first.as_str()), rest.len())
        }
        [] => "no host".to_owned(),
    };
    let ssh = match &request.scope {
        Scope::Playback(scope) => {
            return format!("to read a recording of <code>{}</code>", text(scope.host.as_str()));
        }
        Scope::Runbook(run) => {
            return format!("to run <code>{}</code> on {hosts}", text(run.runbook.as_str()));
        }
        Scope::Ssh(ssh) => ssh,
    };
    let what = match (ssh.interactive, ssh.commands.0.len(), ssh.files.0.len()) {
        (true, _, 0) => "a shell".to_owned(),
        (true, _, _) => "a shell and files".to_owned(),
        (false, 0, _) => "files".to_owned(),
        (false, 1, 0) => "one command".to_owned(),
        (false, n, 0) => format!("{n} commands"),
        (false, 1, _) => "one command and files".to_owned(),
        (false, n, _) => format!("{n} commands and files"),
    };
    format!("{what} on {hosts} as <code>{}</code>", text(&ssh.login))
}

/// A badge for a state.
pub(super) fn badge(state: &str) -> String {
    format!("<span class=\"badge {0}\">{0}</span>", text(state))
}

/// A list of texts as HTML, each [`marked`].
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let mut html = String::from("<ul>\n");
    for item in items {
        // Writing into a string cannot fail.
        writeln!(html, "<li>{}</li>", marked(item.as_ref())).ok();
    }
    html.push_str("</ul>\n");
    html
}

/// A row of facts: name as text, value as HTML.
pub(super) fn fact(html: &mut String, name: &str, value: &str) {
    // Writing into a string cannot fail.
    writeln!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_backticks_is_text() {
        assert_eq!(marked("`<b>` & `x`"), "<code>&lt;b&gt;</code> &amp; <code>x</code>");
        assert_eq!(marked("one ` only <i>"), "one ` only &lt;i&gt;");
    }

    #[test]
    fn window_of_one_day_names_it_once() {
        let from = Timestamp::parse_iso("2026-11-22T10:00:00Z").unwrap();
        let to = Timestamp::parse_iso("2026-11-22T11:30:00Z").unwrap();
        let shown = window(from, to);
        assert!(shown.contains(">2026-11-22 10:00</time>"), "{shown}");
        assert!(shown.contains(">11:30 UTC</time>"), "{shown}");
        assert!(shown.contains("(1 h 30 min)"), "{shown}");
        let next = Timestamp::parse_iso("2026-11-23T00:00:00Z").unwrap();
        assert!(window(from, next).contains(">2026-11-23 00:00 UTC</time>"));
    }
}
