//! An alarm as an HTTP POST: one request a connection (RFC 9112), JSON, signed with watch's key of genesis.
//!
//! ```text
//! POST /path HTTP/1.1
//! Content-Type: application/json
//! Writ-Delivery: SITE/alarm/NUMBER           the same for each attempt: receivers take one of them
//! Writ-Signature: ed25519=BASE64             over "writ alarm v1\0" and the body
//! ```
//! Any 2xx answer counts as taken. Redirects are not followed: what was configured is where it goes.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use writ_proof::ed25519::{Signer, SoftKey};

use crate::limits::ANSWER_MAX_BYTES;
use crate::outgoing::{Wire, connect, secure};
use crate::routes::{Webhook, resolve};

/// What is signed begins with this.
pub const SIGNATURE_LABEL: &[u8] = b"writ alarm v1\0";

/// Posts `body` under the name `delivery`.
///
/// # Errors
/// Why it was not taken, as people read it. It may have been taken nevertheless.
pub(crate) async fn post(
    hook: &Webhook,
    folder: &Path,
    key: &SoftKey,
    delivery: &str,
    body: &[u8],
) -> Result<(), String> {
    let signature = key
        .sign(&[SIGNATURE_LABEL, body].concat())
        .map_err(|error| format!("it cannot be signed: {error}"))?;
    let signature = BASE64_STANDARD.encode(signature);
    let (host, default) = (&hook.host, if hook.is_tls { 443 } else { 80 });
    let name = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let place = if hook.port == default { name } else { format!("{name}:{}", hook.port) };
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: writ-watch\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nWrit-Delivery: {delivery}\r\nWrit-Signature: ed25519={signature}\r\n\
         Connection: close\r\n\r\n",
        hook.path,
        body.len(),
    );
    let stream = connect(host, hook.port).await?;
    let mut wire = if hook.is_tls {
        let ca = hook.ca.as_deref().map(|ca| resolve(folder, ca));
        Wire::Tls(Box::new(secure(stream, host, ca.as_deref()).await?))
    } else {
        Wire::Plain(stream)
    };
    let lost = |error: std::io::Error| format!("the connection to {place} broke: {error}");
    wire.write_all(&[head.as_bytes(), body].concat()).await.map_err(lost)?;
    wire.flush().await.map_err(lost)?;
    match answered(&mut wire).await.map_err(lost)? {
        Some(200..=299) => Ok(()),
        Some(status @ 300..=399) => Err(format!(
            "{place} answers {status}: redirects are not followed, give the final address"
        )),
        Some(status) => Err(format!("{place} answers {status}")),
        None => Err(format!("{place} does not speak HTTP")),
    }
}

/// The status of the final answer; interim ones (1xx) are passed over.
async fn answered(wire: &mut Wire) -> std::io::Result<Option<u16>> {
    let mut held = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            match status_of(&held) {
                Some(100..=199) => drop(held.drain(..end + 4)),
                status => return Ok(status),
            }
        }
        let count = wire.read(&mut chunk).await?;
        if count == 0 || held.len() + count > ANSWER_MAX_BYTES {
            // Some peers close after the status line.
            return Ok(held.ends_with(b"\n").then(|| status_of(&held)).flatten());
        }
        held.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    let ends = rest.get(5).is_none_or(|byte| b" \r\n".contains(byte));
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    ends.then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_strictly() {
        for (text, status) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503\r\n", Some(503)),
            ("HTTP/1.1 2000 x\r\n", None),
            ("HTTP/2 200\r\n", None),
            ("220 mail.example ESMTP\r\n", None),
            ("HTTP/1.1", None),
        ] {
            assert_eq!(status_of(text.as_bytes()), status, "{text}");
        }
    }
}
