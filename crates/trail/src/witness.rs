//! Witnesses beside watch, spoken to in tlog-witness (C2SP) over plain HTTP/1.1 on loopback.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use writ_model::Env;
use writ_model::limits::RECOSIGN_AFTER;
use writ_proof::merkle::consistency_proof;
use writ_proof::note::VerifierKey;
use writ_proof::origin::LogName;
use writ_proof::witness::AddCheckpoint;

use crate::build::notes::{Notes, SignedCheckpoint};
use crate::error::TrailError;
use crate::limits::{CHECKPOINT_EVERY, WITNESS_ANSWER_MAX_BYTES, WITNESS_TIMEOUT};
use crate::logs::LogFiles;
use crate::writer::shared::Shared;

/// One witness.
#[derive(Debug, Clone)]
pub struct WitnessConfig {
    /// `http://HOST:PORT[/PREFIX]`.
    pub url: String,
    /// The key that its cosignatures must verify under.
    pub key: VerifierKey,
}

/// What threads that speak to witnesses need.
#[derive(Clone)]
pub(crate) struct Context {
    /// The checkpoint log.
    pub(crate) files: LogFiles,
    pub(crate) notes: Arc<Notes>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) env: Arc<dyn Env>,
}

impl Context {
    /// The request that takes a witness from `old` to the checkpoint `signed`.
    pub(crate) fn request(
        &self,
        old: u64,
        signed: &SignedCheckpoint,
    ) -> Result<AddCheckpoint, TrailError> {
        let proof = consistency_proof(&self.files, old, signed.size)?;
        Ok(AddCheckpoint { old, proof, checkpoint: signed.note.clone() })
    }

    /// Takes over cosignature lines that came back.
    pub(crate) fn cosigned(
        &self,
        signed: &SignedCheckpoint,
        lines: &str,
        key: &VerifierKey,
    ) -> Result<(), TrailError> {
        if let Some(count) = self.notes.cosigned(&self.files, signed, lines, key)? {
            self.shared.signed(signed.size, signed.time, count);
        }
        Ok(())
    }
}

/// One thread for each witness.
pub(crate) fn start(witnesses: Vec<WitnessConfig>, context: &Context) -> Result<(), TrailError> {
    for witness in witnesses {
        let context = context.clone();
        crate::writer::spawn("witness", move || follow(&witness, &context))?;
    }
    Ok(())
}

/// What a witness has cosigned last.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    size: u64,
    at: Duration,
}

fn follow(witness: &WitnessConfig, context: &Context) {
    let mut held = Held::default();
    while !context.shared.is_stopping() {
        if let Some(signed) = context.notes.latest(LogName::Checkpoint) {
            let age = context.env.monotonic().saturating_sub(held.at);
            if signed.size != held.size || age >= RECOSIGN_AFTER {
                match submit(witness, context, &mut held, &signed) {
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, "a checkpoint is not cosigned"),
                }
            }
        }
        context.shared.pause(CHECKPOINT_EVERY);
    }
}

fn submit(
    witness: &WitnessConfig,
    context: &Context,
    held: &mut Held,
    signed: &SignedCheckpoint,
) -> Result<(), TrailError> {
    let fault = |why: String| TrailError::Witness { url: witness.url.clone(), why };
    // A 409 tells which size the witness has; then one more request suffices.
    for _ in 0..2 {
        let body = context.request(held.size.min(signed.size), signed)?.to_bytes();
        let (status, answer) = post(&witness.url, &body).map_err(|e| fault(e.to_string()))?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        match status {
            200 => {
                context.cosigned(signed, &text, &witness.key)?;
                *held = Held { size: signed.size, at: context.env.monotonic() };
                return Ok(());
            }
            409 => {
                let size: u64 =
                    text.trim().parse().map_err(|_| fault("409 without size".into()))?;
                if size > signed.size {
                    return Err(fault(format!(
                        "it holds size {size}, above our {}: this ledger was rolled back, or the \
                         witness is wrong",
                        signed.size
                    )));
                }
                held.size = size;
            }
            422 => return Err(fault("it holds another tree of this log: a fork".to_owned())),
            other => return Err(fault(format!("status {other}: {}", text.trim()))),
        }
    }
    Err(fault("it does not say twice which size it holds".to_owned()))
}

/// `POST {url}/add-checkpoint`; answers status and body.
fn post(url: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let invalid = |why: &'static str| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("the address is not http://"))?;
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let path = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    let address = host.to_socket_addrs()?.next().ok_or_else(|| invalid("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&address, WITNESS_TIMEOUT)?;
    stream.set_read_timeout(Some(WITNESS_TIMEOUT))?;
    stream.set_write_timeout(Some(WITNESS_TIMEOUT))?;
    let head = format!(
        "POST {path}/add-checkpoint HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(WITNESS_ANSWER_MAX_BYTES as u64).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| invalid("the answer is not HTTP"))
}

/// Status and body of an answer that ended with its connection.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..at)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let body = answer.get(at + 4..)?;
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => Some((status, body.get(..length)?.to_vec())),
        None => Some((status, body.to_vec())),
    }
}

#[cfg(test)]
#[path = "tests/witness.rs"]
mod tests;
