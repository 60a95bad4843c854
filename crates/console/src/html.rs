//! HTML by hand: few pages do not pay for a template engine. Text goes through [`text`], everything
//! else is ours.

use std::fmt::{self, Write as _};

use writ_model::Timestamp;

use crate::face::Face;
use crate::view::Reader;

/// Text as it stands in an element or in a quoted attribute.
pub(crate) struct Escaped<'a>(&'a str);

/// Escapes `text`.
pub(crate) fn text(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A whole page. `main` is HTML, `title` is text; `script` is one of our files.
pub(crate) fn page(face: &Face, title: &str, script: Option<&str>, main: &str) -> Vec<u8> {
    frame(face, (title, script), "", ("", main))
}

/// The same over the whole width.
pub(crate) fn wide_page(face: &Face, title: &str, script: &str, main: &str) -> Vec<u8> {
    frame(face, (title, Some(script)), "", (" class=\"wide\"", main))
}

/// A whole page for somebody who is signed in; `here` is the path of its part of the console.
pub(crate) fn own_page(
    face: &Face,
    (reader, here): (&Reader, &str),
    (title, script): (&str, Option<&str>),
    main: &str,
) -> Vec<u8> {
    let mut links = String::new();
    for (path, name) in PARTS {
        let current = if path == here { " aria-current=\"page\"" } else { "" };
        // Writing into a string cannot fail.
        writeln!(links, "<li><a href=\"{path}\"{current}>{name}</a></li>").ok();
    }
    let bar = format!(
        "<div class=\"bar\">\n<nav aria-label=\"Console\"><ul>\n{links}</ul></nav>\n\
         <form class=\"who\" aria-label=\"Session\" method=\"post\" action=\"/sign-out\">\
         <span>Signed in as <strong>{person}</strong></span> \
         <button class=\"quiet small\">Sign out</button></form>\n</div>\n",
        person = text(reader.person.as_str()),
    );
    frame(face, (title, script), &bar, (" class=\"wide\"", main))
}

/// The parts of the console.
const PARTS: [(&str, &str); 8] = [
    ("/", "Inbox"),
    ("/requests", "Requests"),
    ("/grants", "Grants"),
    ("/sessions", "Sessions"),
    ("/tickets", "Tickets"),
    ("/alarms", "Alarms"),
    ("/groups", "Groups"),
    ("/people", "People"),
];

fn frame(
    face: &Face,
    (title, script): (&str, Option<&str>),
    bar: &str,
    (width, main): (&str, &str),
) -> Vec<u8> {
    let script = script
        .map(|path| format!("<script type=\"module\" src=\"{path}\"></script>\n"))
        .unwrap_or_default();
    let mode = if face.dev {
        "<span class=\"mode\" title=\"Software keys hold this installation together\">mode dev</span>"
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · Writ</title>\n\
         <link rel=\"stylesheet\" href=\"/static/console.css\">\n\
         <link rel=\"icon\" href=\"/static/icon.svg\" type=\"image/svg+xml\">\n{script}</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header><p class=\"brand\">Writ</p><p class=\"site\">{site}{mode}</p></header>\n{bar}\
         <main id=\"main\"{width} tabindex=\"-1\">\n{main}\n</main>\n</body>\n</html>\n",
        title = text(title),
        site = text(face.site.as_str()),
    )
    .into_bytes()
}

/// Letter by letter, for those who hear the page.
pub(crate) fn spelled(code: &str) -> String {
    let letters: Vec<String> =
        code.chars().map(|c| if c == '-' { "dash".to_owned() } else { c.to_string() }).collect();
    letters.join(" ")
}

/// `2026-11-22 10:15 UTC`.
pub(crate) fn clock(at: Timestamp) -> String {
    let iso = at.iso();
    let (day, rest) = iso.split_once('T').unwrap_or((&iso, ""));
    format!("{day} {} UTC", rest.get(..5).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_with_markup_is_escaped() {
        let shown = super::text("<a href=\"x\" id='y'>&amp;").to_string();
        assert_eq!(shown, "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
    }
}
