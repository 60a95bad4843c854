//! What a recording tells in words: who ran what, which files went where, how it ended. For sessions without a
//! terminal, and for those who look for one thing in a long one.

use std::collections::BTreeMap;
use std::io::Read;

use writ_proof::cbor;
use writ_proof::recording::event::{Exit, Opened, SftpEvent, Terminal};
use writ_proof::recording::{Direction, Header, Kind, RecordingKey, Stored, Verifier};

use crate::error::Error;
use crate::limits::READ_CHUNK_BYTES;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the session's start, in milliseconds.
    pub ms: u64,
    /// The channel; 0 for the connection.
    pub channel: u32,
    /// What happened.
    pub text: String,
}

/// A recording in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What happened, in its order.
    pub lines: Vec<Line>,
    /// The first channel with a terminal: what there is to play.
    pub terminal: Option<u32>,
}

/// Reads and verifies a recording, and tells what it holds.
///
/// # Errors
/// It does not verify, or the key is not its own.
pub fn tell(recording: &mut impl Read, key: &RecordingKey) -> Result<Told, Error> {
    let mut verifier = Verifier::new();
    let mut teller = Teller::default();
    let mut chunk = vec![0; READ_CHUNK_BYTES];
    loop {
        let read = recording.read(&mut chunk).map_err(Error::io("read", "the recording"))?;
        if read == 0 {
            break;
        }
        let mut failure = None;
        let each = &mut |_: &Header, frame: &Stored<'_>| {
            if failure.is_none() {
                failure = teller.frame(frame, key).err();
            }
            Ok(())
        };
        verifier.push(chunk.get(..read).unwrap_or_default(), each)?;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    verifier.finish()?;
    Ok(teller.told)
}

#[derive(Default)]
struct Teller {
    told: Told,
    /// Bytes to and from the host, by channel.
    moved: BTreeMap<u32, (u64, u64)>,
}

impl Teller {
    fn frame(&mut self, frame: &Stored<'_>, key: &RecordingKey) -> Result<(), Error> {
        let text = match frame.kind {
            Kind::Checkpoint | Kind::End | Kind::Truncated => return Ok(()),
            Kind::Data => {
                let (to, from) = self.moved.entry(frame.channel).or_default();
                let count = if frame.direction == Direction::ToHost { to } else { from };
                *count += frame.content_len() as u64;
                return Ok(());
            }
            kind => {
                let content = frame.open(key)?;
                match self.event(frame.channel, kind, &content)? {
                    Some(text) => text,
                    None => return Ok(()),
                }
            }
        };
        let ms = frame.monotonic_ns / 1_000_000;
        self.told.lines.push(Line { ms, channel: frame.channel, text });
        Ok(())
    }

    fn event(&mut self, channel: u32, kind: Kind, content: &[u8]) -> Result<Option<String>, Error> {
        Ok(match kind {
            Kind::Open => match read(content)? {
                Opened::Session => None,
                Opened::Terminal(Terminal { name, window }) => {
                    self.told.terminal.get_or_insert(channel);
                    Some(match window.cols {
                        0 => format!("terminal {name}"),
                        cols => format!("terminal {name} of {cols}x{}", window.rows),
                    })
                }
                Opened::Shell => Some("shell".to_owned()),
                Opened::Exec(command) => Some(format!("command: {command}")),
                Opened::Subsystem(name) => Some(format!("subsystem {name}")),
                Opened::Forward(to) => Some(format!("connection to {to}")),
                Opened::Refused((what, why)) => Some(format!("refused: {what}: {why}")),
            },
            Kind::Exit => {
                let moved = self.moved.remove(&channel).map_or(String::new(), |(to, from)| {
                    format!("; {to} bytes in, {from} bytes out")
                });
                Some(match read(content)? {
                    Exit::Status(status) => format!("ended with status {status}{moved}"),
                    Exit::Signal(name) => format!("ended by signal {name}{moved}"),
                })
            }
            Kind::Sftp => told(&read(content)?),
            Kind::Gap => Some("gap: the host's agent is silent".to_owned()),
            _ => None,
        })
    }
}

fn told(event: &SftpEvent) -> Option<String> {
    match event {
        // Each packet of a file would be a line; its end says what moved.
        SftpEvent::Asked(asked) if matches!(asked.operation.as_str(), "read" | "write") => None,
        SftpEvent::Asked(asked) => Some(format!("{} {}", asked.operation, asked.paths.join(" "))),
        SftpEvent::Denied(denial) => Some(format!(
            "refused: {} {}: {}",
            denial.asked.operation,
            denial.asked.paths.join(" "),
            denial.reason
        )),
        SftpEvent::Transferred(file) => {
            let mut text = String::new();
            let sides = [
                ("got", file.read_bytes, file.read_digest),
                ("put", file.written_bytes, file.written_digest),
            ];
            for (verb, bytes, digest) in sides {
                if bytes == 0 && !(verb == "got" && file.written_bytes == 0) {
                    continue;
                }
                let digest = digest.filter(|_| !file.scattered);
                let digest = digest.map_or(String::new(), |hash| format!(", SHA-256 {hash}"));
                let comma = if text.is_empty() { "" } else { "; " };
                text.push_str(&format!("{comma}{verb} {} ({bytes} bytes{digest})", file.path));
            }
            let partial = if file.partial { ", cut off" } else { "" };
            Some(format!("{text}{partial}"))
        }
    }
}

fn read<T: cbor::Decode>(content: &[u8]) -> Result<T, Error> {
    cbor::from_slice(content).map_err(|error| Error::Format(error.into()))
}
