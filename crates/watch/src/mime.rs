//! A mail as text and HTML side by side (RFC 2046 section 5.1.4), all of it in ASCII lines.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use writ_model::Timestamp;

/// Characters of base64 in one line (RFC 2045 section 6.8).
const LINE_CHARS: usize = 76;

/// What a mail is made of. Subject and addresses are shown as ASCII: what else is in them becomes `?`.
pub(crate) struct Message<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a [String],
    pub(crate) subject: &'a str,
    /// Names the mail: the same for each attempt.
    pub(crate) id: &'a str,
    pub(crate) time: Timestamp,
    pub(crate) text: &'a str,
    pub(crate) html: &'a str,
}

impl Message<'_> {
    /// The mail's bytes, lines ended by CR LF.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Base64 has no `=_`, so no part can hold it.
        let boundary = "=_writ_watch_part";
        let mut mail = String::new();
        for (name, value) in [
            ("From", self.from.to_owned()),
            ("To", self.to.join(", ")),
            ("Subject", self.subject.to_owned()),
            ("Date", date(self.time)),
            ("Message-ID", format!("<{}@writ.internal>", self.id.replace('/', "."))),
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", format!("multipart/alternative; boundary=\"{boundary}\"")),
        ] {
            mail.push_str(&format!("{name}: {}\r\n", ascii(&value)));
        }
        for (kind, body) in [("plain", self.text), ("html", self.html)] {
            mail.push_str(&format!(
                "\r\n--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\n"
            ));
            let encoded = BASE64_STANDARD.encode(body);
            let mut rest = encoded.as_str();
            while !rest.is_empty() {
                let (line, more) = rest.split_at(rest.len().min(LINE_CHARS));
                mail.push_str(line);
                mail.push_str("\r\n");
                rest = more;
            }
        }
        mail.push_str(&format!("\r\n--{boundary}--\r\n"));
        mail.into_bytes()
    }
}

fn ascii(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().map(plain).collect()
}

/// The time in the form of RFC 5322 section 3.3.
fn date(time: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let iso = time.iso();
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1);
    let month = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or("Jan");
    format!("{} {month} {} {} +0000", part(8, 10), part(0, 4), part(11, 19))
}

/// Text for HTML: nothing in it is markup.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_has_both_forms_and_no_line_that_is_not_ours() {
        let to = vec!["a@example.com".to_owned()];
        let message = Message {
            from: "writ@example.com",
            to: &to,
            subject: "grüße\r\nBcc: evil@example.com",
            id: "site/alarm/7",
            time: Timestamp::from_secs(1_800_000_000),
            text: &"wörter ".repeat(40),
            html: "<p>x</p>",
        };
        let text = String::from_utf8(message.to_bytes()).unwrap();
        assert!(text.contains("Subject: gr??e??Bcc: evil@example.com\r\n"), "{text}");
        assert!(text.contains("Date: 15 Jan 2027 08:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("Message-ID: <site.alarm.7@writ.internal>\r\n"));
        assert!(text.lines().all(|line| line.len() <= 998 && line.is_ascii()));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        assert_eq!(text.matches("--=_writ_watch_part").count(), 3);
    }

    #[test]
    fn text_in_html_is_no_markup() {
        assert_eq!(escape("<a href='x'>&\u{1b}"), "&lt;a href=&#39;x&#39;&gt;&amp;\u{fffd}");
    }
}
