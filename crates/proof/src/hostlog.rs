//! What a managed host reports: frames in a chain, the messages that carry them, and watch's host log.
//!
//! ```text
//! h(i) = SHA-256(h(i-1) | bytes of frame i)          before the first frame: 32 zero bytes
//! ```
//!
//! A frame is deterministic CBOR. Its order is (host, epoch, seq): `seq` rises by one with each frame of the
//! host for good, the epoch by at least one with each start of the agent. Both clocks in it are what the host
//! says and decide nothing. What could not be kept is a [`Gap`]; in the chain its place is taken by
//! [`Lost`], which carries the head behind it.
//!
//! Nothing here proves that the host was honest: who has root on it can invent frames. What holds is that a
//! frame which watch has acknowledged, or whose head a [`Beat`] has announced, cannot be changed unnoticed.

pub mod chains;
mod config;
pub mod log;
mod message;
pub mod sshd;

pub use config::SignedConfig;
pub use message::{
    AuditState, Beat, Bye, Enrol, Enrolled, Frames, FromAgent, Hello, Item, Refusal, SourceBeat,
    ToAgent, Welcome, enrolment_message,
};

use writ_model::{Timestamp, Uuid};

use crate::cbor::{self, Version};
use crate::ed25519::{PublicKey, Signer};
use crate::error::Error;
use crate::hash::{Hash, sha256_of};
use crate::limits;
use crate::roster::HostName;
use crate::{cbor_enum, cbor_map};

const WHAT: &str = "host frame";

/// The version of frames and messages that this build speaks.
pub const HOSTLOG_VERSION: u64 = 1;

/// One event of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Version 1.
    pub v: Version<HOSTLOG_VERSION>,
    /// The host, as its certificate names it.
    pub host: HostName,
    /// The boot of the host's kernel.
    pub boot: Uuid,
    /// Which start of the agent took it in.
    pub epoch: u64,
    /// Its number among all frames of the host.
    pub seq: u64,
    /// Milliseconds since the host's boot.
    pub mono_ms: u64,
    /// The host's wall clock.
    pub wall: Timestamp,
    /// The source's name in the agent's configuration; `agent` for what it says itself.
    pub source: String,
    /// How much its loss would matter.
    pub class: Class,
    /// What happened.
    pub payload: Payload,
    /// The host key's signature over all the rest, on frames that explain why others are missing or where a
    /// run begins and ends ([`Frame::must_be_signed`]).
    pub signature: Option<[u8; 64]>,
}
cbor_map!(Frame {
    1: v,
    2: host,
    3: boot,
    4: epoch,
    5: seq,
    6: mono_ms,
    7: wall,
    8: source,
    9: class,
    10: payload,
    11: opt signature,
});

/// What is given up first when an agent has no room: the highest of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Never dropped: its source waits.
    Security,
    /// Records of the kernel's audit.
    Audit,
    /// Connections.
    Flow,
    /// Numbers.
    Metric,
}
cbor_enum!(Class { 0: Security, 1: Audit, 2: Flow, 3: Metric });

impl Class {
    /// The name in configurations and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Security => "security",
            Class::Audit => "audit",
            Class::Flow => "flow",
            Class::Metric => "metric",
        }
    }
}

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The first frame of an epoch.
    Began(Began),
    /// A line of a file, or an entry of a journal.
    Line(Line),
    /// A record of the kernel's audit.
    Record(Record),
    /// Something is missing.
    Gap(Gap),
    /// The agent's own exec came back through the audit source; the text is its token.
    Canary(String),
    /// Something that the agent noticed about itself or a source.
    Note(String),
    /// The agent ends in order, for this reason.
    Ended(String),
}
cbor_enum!(Payload {
    0: Began(_),
    1: Line(_),
    2: Record(_),
    3: Gap(_),
    4: Canary(_),
    5: Note(_),
    6: Ended(_),
});

/// An agent's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Began {
    /// The agent's version.
    pub version: String,
    /// SHA-256 of its configuration.
    pub config: Hash,
    /// What became of each source.
    pub sources: Vec<SourceReport>,
}
cbor_map!(Began { 1: version, 2: config, 3: sources });

/// What an agent found when it tried a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Why it delivers nothing; `None` if it works.
    pub fault: Option<String>,
}
cbor_map!(SourceReport { 1: name, 2: opt fault });

/// Bytes of a followed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file's inode, which tells a rotated file from the next.
    pub inode: u64,
    /// Where the line ends in the file.
    pub end: u64,
    /// The line without its newline, or a journal entry's fields.
    pub text: Vec<u8>,
    /// It goes on in the next frame of this source.
    pub partial: bool,
}
cbor_map!(Line { 1: inode, 2: end, 3: text, 4: partial });

/// A record of the kernel's audit, as the kernel wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The record's type, such as 1300 for a system call (linux/audit.h).
    pub kind: u16,
    /// The event's serial number.
    pub serial: u64,
    /// The text without `audit(...):`.
    pub text: Vec<u8>,
}
cbor_map!(Record { 1: kind, 2: serial, 3: text });

/// Frames that are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first that is missing; equal to `to` if they never had a number.
    pub from: u64,
    /// The first that is there again.
    pub to: u64,
    /// How many, as far as that is known.
    pub count: u64,
    /// The highest class among them.
    pub class: Class,
    /// Why.
    pub reason: GapReason,
}
cbor_map!(Gap { 1: from, 2: to, 3: count, 4: class, 5: reason });

/// Why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The spool was full; the lowest class went.
    Full,
    /// The spool was damaged.
    Damaged,
    /// watch holds more, or something else, than the spool: the agent went on behind what watch holds.
    Rebased,
    /// The kernel lost records before the agent could read them.
    Kernel,
    /// A file was cut or replaced before it was read to its end.
    Rotated,
    /// The disk had no room.
    NoRoom,
}
cbor_enum!(GapReason { 0: Full, 1: Damaged, 2: Rebased, 3: Kernel, 4: Rotated, 5: NoRoom });

/// What stands in the chain for frames that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The number of the first.
    pub first: u64,
    /// How many, at least 1.
    pub count: u64,
    /// The highest class among them, as far as that is known.
    pub class: Class,
    /// Why.
    pub reason: GapReason,
    /// The head behind them.
    pub head: Hash,
    /// The host key's signature ([`Lost::sign`]); watch takes none without.
    pub signature: Option<[u8; 64]>,
}
cbor_map!(Lost { 1: first, 2: count, 3: class, 4: reason, 5: head, 6: opt signature });

/// A place in a host's chain, between two frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The number of the next frame.
    pub next_seq: u64,
    /// The head before it; zero at the start.
    pub head: Hash,
}
cbor_map!(Position { 1: next_seq, 2: head });

impl Position {
    /// The position behind a frame here.
    #[must_use]
    pub fn after(self, frame: &[u8]) -> Position {
        let head = sha256_of(&[self.head.as_bytes(), frame]);
        Position { next_seq: self.next_seq.saturating_add(1), head }
    }

    /// The position behind what was lost here.
    ///
    /// # Errors
    /// It is not from here, or nothing.
    pub fn behind(self, lost: &Lost) -> Result<Position, Error> {
        let next_seq = lost.first.checked_add(lost.count).filter(|_| lost.count > 0);
        match next_seq {
            Some(next_seq) if lost.first == self.next_seq => {
                Ok(Position { next_seq, head: lost.head })
            }
            _ => Err(Error::malformed(WHAT, "what is said to be lost is not what is missing")),
        }
    }
}

impl Lost {
    /// Signs it as of `host`.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(self, host: &HostName, key: &dyn Signer) -> Result<Lost, Error> {
        Ok(Lost { signature: Some(key.sign(&self.message(host))?), ..self })
    }

    /// True if one of the host's keys has signed it.
    pub fn is_signed(&self, host: &HostName, keys: &[[u8; 32]]) -> bool {
        self.signature.is_some_and(|signature| signed_by(keys, &self.message(host), &signature))
    }

    fn message(&self, host: &HostName) -> Vec<u8> {
        let mut message = b"writ agent lost v1\0".to_vec();
        message.extend_from_slice(&cbor::to_vec(host));
        message.extend_from_slice(&cbor::to_vec(&Lost { signature: None, ..*self }));
        message
    }
}

fn signed_by(keys: &[[u8; 32]], message: &[u8], signature: &[u8; 64]) -> bool {
    keys.iter().any(|key| PublicKey(*key).verifies(message, signature))
}

impl Frame {
    /// True for what explains missing frames, and for the begin and the end of a run.
    pub fn must_be_signed(&self) -> bool {
        matches!(self.payload, Payload::Began(_) | Payload::Gap(_) | Payload::Ended(_))
    }

    /// Signs it, if it must be.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(mut self, key: &dyn Signer) -> Result<Frame, Error> {
        self.signature = match self.must_be_signed() {
            true => Some(key.sign(&self.message())?),
            false => None,
        };
        Ok(self)
    }

    /// True if it need not be signed, or one of the host's keys has signed it.
    pub fn is_signed(&self, keys: &[[u8; 32]]) -> bool {
        let holds = |signature| signed_by(keys, &self.message(), signature);
        !self.must_be_signed() || self.signature.as_ref().is_some_and(holds)
    }

    fn message(&self) -> Vec<u8> {
        let mut message = b"writ agent frame v1\0".to_vec();
        message.extend_from_slice(&cbor::to_vec(&Frame { signature: None, ..self.clone() }));
        message
    }

    /// The bytes that are chained, spooled and sent.
    ///
    /// # Errors
    /// A text or the whole is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let bytes = cbor::to_vec(self);
        Error::limit("frame bytes", bytes.len(), limits::HOST_FRAME_MAX_BYTES)?;
        Ok(bytes)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// It is none, or beyond a limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Frame, Error> {
        Error::limit("frame bytes", bytes.len(), limits::HOST_FRAME_MAX_BYTES)?;
        let frame: Frame = cbor::from_slice(bytes)?;
        frame.check()?;
        Ok(frame)
    }

    fn check(&self) -> Result<(), Error> {
        if !writ_model::person::is_name(&self.source) {
            return Err(Error::malformed(WHAT, "the source's name is none"));
        }
        let text = |text: &str| Error::limit("text", text.len(), limits::HOST_TEXT_MAX_BYTES);
        let data = |data: &[u8]| Error::limit("line", data.len(), limits::HOST_PAYLOAD_MAX_BYTES);
        match &self.payload {
            Payload::Began(began) => {
                Error::limit("sources", began.sources.len(), limits::HOST_MAX_SOURCES)?;
                text(&began.version)?;
                began.sources.iter().try_for_each(|report| {
                    text(&report.name)?;
                    report.fault.as_deref().map_or(Ok(()), text)
                })
            }
            Payload::Line(line) => data(&line.text),
            Payload::Record(record) => data(&record.text),
            Payload::Canary(said) | Payload::Note(said) | Payload::Ended(said) => text(said),
            Payload::Gap(_) => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "tests/hostlog.rs"]
mod tests;
