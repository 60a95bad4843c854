//! The sending half of SMTP (RFC 5321), as far as a mail to one's own server needs it.
//!
//! Without TLS it speaks to this machine alone; a password never goes out otherwise. What a peer sends before TLS is
//! forgotten when TLS begins (RFC 3207 section 4.2), and anything that it sent ahead of it ends the attempt.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::limits::ANSWER_MAX_BYTES;
use crate::outgoing::{Wire, connect, secure};
use crate::routes::{Mail, MailTls, resolve};

/// The name by which this side greets; it names no machine of the security organisation.
const GREETING: &str = "writ-watch";

/// A reply: its code, and its lines without it.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn first(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }
}

struct Session {
    wire: Wire,
    held: Vec<u8>,
    server: String,
}

/// Sends one message to `to`. Answers those of them whom the server refused, with its reason.
///
/// # Errors
/// Why nobody got it, as people read it.
pub(crate) async fn send(
    mail: &Mail,
    folder: &Path,
    to: &[String],
    message: &[u8],
) -> Result<Vec<String>, String> {
    let mut session = open(mail, folder).await?;
    session.expect(&format!("MAIL FROM:<{}>", mail.from), 250).await?;
    let mut refused = Vec::new();
    for one in to {
        let reply = session.ask(&format!("RCPT TO:<{one}>")).await?;
        if !matches!(reply.code, 250 | 251) {
            refused.push(format!("{one}: {} {}", reply.code, reply.first()));
        }
    }
    if refused.len() == to.len() {
        return Err(format!("{} takes mail for nobody: {}", session.server, refused.join("; ")));
    }
    session.expect("DATA", 354).await?;
    session.write(&stuffed(message)).await?;
    session.replied(250).await?;
    // It is taken; how the peer says good-bye changes nothing.
    session.ask("QUIT").await.ok();
    Ok(refused)
}

async fn open(mail: &Mail, folder: &Path) -> Result<Session, String> {
    let ca = mail.ca.as_deref().map(|ca| resolve(folder, ca));
    let server = format!("{}:{}", mail.host, mail.port);
    let stream = connect(&mail.host, mail.port).await?;
    let begin = |wire| Session { wire, held: Vec::new(), server: server.clone() };
    let mut session = match mail.tls {
        MailTls::Implicit => {
            begin(Wire::Tls(Box::new(secure(stream, &mail.host, ca.as_deref()).await?)))
        }
        MailTls::None | MailTls::Starttls => begin(Wire::Plain(stream)),
    };
    session.replied(220).await?;
    let mut greeted = session.expect(&format!("EHLO {GREETING}"), 250).await?;
    if mail.tls == MailTls::Starttls {
        if !greeted.lines.iter().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
            return Err(format!("{server} offers no STARTTLS: nothing is sent without it"));
        }
        session.expect("STARTTLS", 220).await?;
        if !session.held.is_empty() {
            return Err(format!("{server} sent more than its answer before TLS"));
        }
        let Wire::Plain(stream) = session.wire else {
            return Err("TLS within TLS".to_owned());
        };
        session = begin(Wire::Tls(Box::new(secure(stream, &mail.host, ca.as_deref()).await?)));
        greeted = session.expect(&format!("EHLO {GREETING}"), 250).await?;
    }
    if let (Some(user), Some(file)) = (&mail.user, &mail.password_file) {
        let path = resolve(folder, file);
        let password = std::fs::read_to_string(&path).map_err(|error| {
            format!("the password in `{}` cannot be read: {error}", path.display())
        })?;
        let plain = |line: &String| {
            let mut words = line.split_ascii_whitespace().map(str::to_ascii_uppercase);
            words.next().as_deref() == Some("AUTH") && words.any(|word| word == "PLAIN")
        };
        if !greeted.lines.iter().any(|line| plain(line)) {
            return Err(format!("{server} does not take a password in the form PLAIN"));
        }
        let password = password.trim_end_matches(['\r', '\n']);
        let proof = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        let reply = session.ask(&format!("AUTH PLAIN {proof}")).await?;
        if reply.code != 235 {
            return Err(format!("{server} refuses the password: {} {}", reply.code, reply.first()));
        }
    }
    Ok(session)
}

impl Session {
    async fn ask(&mut self, line: &str) -> Result<Reply, String> {
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn expect(&mut self, line: &str, code: u16) -> Result<Reply, String> {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
        let reply = self.ask(line).await?;
        self.check(reply, code, &verb)
    }

    async fn replied(&mut self, code: u16) -> Result<Reply, String> {
        let reply = self.reply().await?;
        self.check(reply, code, "it")
    }

    fn check(&self, reply: Reply, code: u16, what: &str) -> Result<Reply, String> {
        if reply.code == code {
            return Ok(reply);
        }
        Err(format!("{} answers {what} with {} {}", self.server, reply.code, reply.first()))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let lost = |error| format!("the connection to {} broke: {error}", self.server);
        self.wire.write_all(bytes).await.map_err(lost)?;
        self.wire.flush().await.map_err(lost)
    }

    async fn reply(&mut self) -> Result<Reply, String> {
        let mut lines = Vec::new();
        let mut seen = 0;
        loop {
            let line = self.line().await?;
            seen += line.len();
            let none = || format!("{} does not speak SMTP", self.server);
            let code: u16 = line.get(..3).and_then(|c| c.parse().ok()).ok_or_else(none)?;
            if seen > ANSWER_MAX_BYTES || !(200..=599).contains(&code) {
                return Err(none());
            }
            let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
            lines.push(line.get(4..).unwrap_or_default().chars().map(shown).collect());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut chunk = [0; 1024];
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let read = self.wire.read(&mut chunk).await;
            let count =
                read.map_err(|error| format!("the connection to {} broke: {error}", self.server))?;
            if count == 0 || self.held.len() + count > ANSWER_MAX_BYTES {
                return Err(format!("{} ended the conversation", self.server));
            }
            self.held.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }
}

/// The message as it goes over the wire: lines end in CR LF, a leading dot is doubled, the end is marked
/// (RFC 5321 section 4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 64);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            bytes.push(b'.');
        }
        // A lone carriage return would be an end of line to some.
        bytes.extend(line.iter().filter(|byte| **byte != b'\r'));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b".\r\n");
    bytes
}

#[cfg(test)]
#[path = "tests/smtp.rs"]
mod tests;
