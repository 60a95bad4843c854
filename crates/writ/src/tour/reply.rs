//! A reply as the tour reads it: status, fields, body, and AWS's error in any of its three forms.

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// What an error reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code, such as `AccessDenied`; empty where there is none.
    pub code: String,
    /// The message.
    pub message: String,
}

impl Reply {
    /// Reads everything that came on a connection until its end.
    pub fn parse(raw: &[u8]) -> Result<Reply> {
        let at = find(raw, b"\r\n\r\n").context("the reply's head is cut")?;
        let head = raw.get(..at).unwrap_or_default();
        let body = raw.get(at + 4..).unwrap_or_default();
        let head = std::str::from_utf8(head).context("the reply's head is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|s| s.parse().ok()).context("the reply has no status")?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        reply.body = match (reply.header("content-length"), reply.header("transfer-encoding")) {
            (Some(length), _) => {
                let length: usize = length.parse().context("the reply has a strange length")?;
                body.get(..length).context("the reply's body is cut")?.to_vec()
            }
            (None, Some(_)) => unchunk(body).context("the reply's last chunk is missing")?,
            (None, None) => body.to_vec(),
        };
        Ok(reply)
    }

    /// The value of a field, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// This reply if it is no error.
    pub fn success(self) -> Result<Reply> {
        // S3 may send an error after a 200 that it had to send early.
        if (200..300).contains(&self.status) && !self.body.starts_with(b"<Error>") {
            return Ok(self);
        }
        Err(anyhow!("{}", self.told()))
    }

    /// How this reply refuses, if it does so with `code`.
    pub fn refused(&self, code: &str) -> Result<String> {
        if (200..300).contains(&self.status) {
            bail!("IT WAS ANSWERED with {}", self.status);
        }
        if self.refusal().code != code {
            bail!("refused, but not with {code}: {}", self.told());
        }
        Ok(self.told())
    }

    /// As [`Reply::refused`]; the message must also contain `part`.
    pub fn refused_saying(&self, code: &str, part: &str) -> Result<String> {
        let told = self.refused(code)?;
        if !self.refusal().message.contains(part) {
            bail!("refused, but without the words `{part}`: {told}");
        }
        Ok(told)
    }

    /// The error's code and message.
    pub fn refusal(&self) -> Refusal {
        if let Ok(Value::Object(body)) = serde_json::from_slice(&self.body) {
            let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
            return Refusal {
                code: text("__type").unwrap_or_default(),
                message: text("message").or_else(|| text("Message")).unwrap_or_default(),
            };
        }
        let text = |name: &str| self.element(name).unwrap_or_default();
        Refusal { code: text("Code"), message: text("Message") }
    }

    /// The text of the first XML element called `name`.
    pub fn element(&self, name: &str) -> Result<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        text.split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close))
            .map(|(inner, _)| unescape(inner))
            .with_context(|| format!("the reply has no <{name}>"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the reply is no JSON")
    }

    /// A text of the body's JSON, by its pointer.
    pub fn text(&self, pointer: &str) -> Result<String> {
        let found = self.json()?.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.with_context(|| format!("the reply has no `{pointer}`"))
    }

    fn told(&self) -> String {
        let Refusal { code, message } = self.refusal();
        let mark = if message.is_empty() { "" } else { ": " };
        // What follows a first line is the canonical request, for whoever debugs a signature.
        let line = message.lines().next().unwrap_or_default();
        // Who was refused is in the line's beginning; why is at the end of a long sentence.
        let why = line.find(" because ").filter(|_| line.starts_with("User: "));
        match why.and_then(|at| line.get(at..)) {
            Some(why) => format!("{} {code}: …{why}", self.status),
            None => format!("{} {code}{mark}{line}", self.status),
        }
    }
}

/// Where `needle` begins in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(rest) = bytes.get(from..) {
        let at = from + rest.iter().position(|b| *b == first)?;
        if bytes.get(at..).is_some_and(|rest| rest.starts_with(needle)) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let at = find(rest, b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..at)?).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let data = rest.get(at + 2..)?;
        body.extend_from_slice(data.get(..size)?);
        rest = data.get(size + 2..)?;
    }
}

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn bodies_are_read_by_length_by_chunks_or_to_the_end() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nabc",
        ] {
            assert_eq!(reply(text).body, b"abc", "{text}");
        }
        for text in ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", "HTTP/1.1 200 OK\r\n"] {
            Reply::parse(text.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn errors_are_read_in_each_protocol() {
        let json = "HTTP/1.1 400 x\r\n\r\n{\"__type\":\"DisabledException\",\"message\":\"m\"}";
        let query = "HTTP/1.1 403 x\r\n\r\n<ErrorResponse><Error><Type>Sender</Type>\
            <Code>AccessDenied</Code><Message>a &lt;b&gt;</Message></Error></ErrorResponse>";
        let refusal = |text| reply(text).refusal();
        let made = |code: &str, message: &str| Refusal {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(refusal(json), made("DisabledException", "m"));
        assert_eq!(refusal(query), made("AccessDenied", "a <b>"));
        reply(json).refused("DisabledException").unwrap();
        reply(json).refused("AccessDenied").unwrap_err();
        reply("HTTP/1.1 200 OK\r\n\r\n{}").refused("").unwrap_err();
        reply(query).success().unwrap_err();
    }

    #[test]
    fn needle_is_found_where_it_begins() {
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"aaa", b"ab"), None);
        assert_eq!(find(b"", b"ab"), None);
    }
}
