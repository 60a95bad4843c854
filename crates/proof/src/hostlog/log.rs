//! The host log: what watch writes down of the hosts and of its own alarms, in one order.
//!
//! Each entry is deterministic CBOR and a leaf of a Merkle log (RFC 6962) whose checkpoints watch signs as
//! `writ/SITE/host`.

use writ_model::{Nonce, Timestamp, Uuid};

use super::{Bye, Lost, Position, SignedConfig};
use crate::cbor::{self, Version};
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::roster::HostName;
use crate::{cbor_enum, cbor_map};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version 1.
    pub v: Version<1>,
    /// When, by watch's clock.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}
cbor_map!(Entry { 1: v, 2: at, 3: event });

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A frame came; the bytes are [`super::Frame`]'s.
    Frame(Vec<u8>),
    /// Frames of a host are lost.
    Lost(HostLost),
    /// Somebody may enrol a host.
    Token(Token),
    /// A host was enrolled.
    Enrolled(Enrolment),
    /// A host may connect no more.
    Removed(Removed),
    /// An agent connected.
    Hello(Connected),
    /// An agent ended in order.
    Left(Left),
    /// A stop of an agent is expected.
    Window(Window),
    /// Something is wrong.
    Alarm(Alarm),
    /// The same again, while the alarm was open.
    Again(Again),
    /// Somebody has taken note of an alarm.
    Acknowledged(Acknowledged),
    /// A host got its next certificate.
    Renewed(Renewed),
    /// A channel has taken an alarm or a summary.
    Delivered(Delivered),
    /// Whom alarms go to was set.
    Routes(Routes),
    /// A summary was made.
    Summary(Summary),
    /// What a host is to report was signed.
    Configured(Configured),
}
cbor_enum!(Event {
    0: Frame(_),
    1: Lost(_),
    2: Token(_),
    3: Enrolled(_),
    4: Removed(_),
    5: Hello(_),
    6: Left(_),
    7: Window(_),
    8: Alarm(_),
    9: Again(_),
    10: Acknowledged(_),
    11: Delivered(_),
    12: Routes(_),
    13: Summary(_),
    14: Configured(_),
    20: Renewed(_),
});

/// Lost frames of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLost {
    /// The host.
    pub host: HostName,
    /// What the agent says of them.
    pub lost: Lost,
}
cbor_map!(HostLost { 1: host, 2: lost });

/// A one-time token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The host that it enrols.
    pub host: HostName,
    /// SHA-256 of its secret.
    pub hash: Hash,
    /// Until when.
    pub expires: Timestamp,
}
cbor_map!(Token { 1: host, 2: hash, 3: expires });

/// A host with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The host.
    pub host: HostName,
    /// Its Ed25519 key, which replaces an earlier one.
    pub key: [u8; 32],
    /// SHA-256 of the token's secret: it is used up.
    pub token: Hash,
    /// Until when the certificate is valid.
    pub until: Timestamp,
}
cbor_map!(Enrolment { 1: host, 2: key, 3: token, 4: until });

/// A host's next certificate, for the key that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The host.
    pub host: HostName,
    /// SHA-256 of the certificate in DER.
    pub certificate: Hash,
    /// Until when it is valid.
    pub until: Timestamp,
}
cbor_map!(Renewed { 1: host, 2: certificate, 3: until });

/// A host that is managed no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The host.
    pub host: HostName,
    /// Who said so.
    pub by: String,
}
cbor_map!(Removed { 1: host, 2: by });

/// A connection of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The host.
    pub host: HostName,
    /// The boot of its kernel.
    pub boot: Uuid,
    /// The start of the agent.
    pub epoch: u64,
    /// The process that connected.
    pub instance: Nonce,
    /// SHA-256 of its configuration.
    pub config: Hash,
    /// Where its chain ended.
    pub end: Position,
}
cbor_map!(Connected { 1: host, 2: boot, 3: epoch, 4: instance, 5: config, 6: end });

/// An agent's end in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The host.
    pub host: HostName,
    /// The agent's own word, signed.
    pub bye: Bye,
}
cbor_map!(Left { 1: host, 2: bye });

/// A time in which an agent may stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The host.
    pub host: HostName,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who said so.
    pub by: String,
}
cbor_map!(Window { 1: host, 2: from, 3: until, 4: by });

/// An alarm; its number is the index of its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about, such as `agent-killed`.
    pub kind: String,
    /// The host, if it is about one.
    pub host: Option<HostName>,
    /// What was seen.
    pub what: String,
    /// What it follows from, if that stays as it is for good: there is no second alarm with the same.
    pub key: Option<String>,
}
cbor_map!(Alarm { 1: kind, 2: opt host, 3: what, 4: opt key });

/// An open alarm's cause came again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The alarm's number.
    pub alarm: u64,
    /// What was seen this time.
    pub what: String,
}
cbor_map!(Again { 1: alarm, 2: what });

/// A named human took note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The alarm's number.
    pub alarm: u64,
    /// Who.
    pub by: String,
}
cbor_map!(Acknowledged { 1: alarm, 2: by });

/// A channel has taken what was to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The index of the alarm's or the summary's entry.
    pub entry: u64,
    /// The channel's name.
    pub channel: String,
}
cbor_map!(Delivered { 1: entry, 2: channel });

/// Whom alarms go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// SHA-256 of the file that says so; `None` if there is none.
    pub file: Option<Hash>,
    /// The names of the channels that came of it.
    pub channels: Vec<String>,
}
cbor_map!(Routes { 1: opt file, 2: channels });

/// A summary of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The day, `2026-11-22`, in UTC.
    pub day: String,
    /// The manager whose people it is about; `None` for the security organisation's.
    pub manager: Option<String>,
    /// SHA-256 of the message as it is sent.
    pub message: Hash,
}
cbor_map!(Summary { 1: day, 2: opt manager, 3: message });

/// A configuration of a host's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// What was signed.
    pub config: SignedConfig,
    /// Who said so; nobody of watch for what the host proposed at its enrolment.
    pub by: Option<String>,
}
cbor_map!(Configured { 1: config, 2: opt by });

impl Entry {
    /// The leaf's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let bytes = cbor::to_vec(self);
        Error::limit("host log entry bytes", bytes.len(), limits::HOST_ENTRY_MAX_BYTES)?;
        Ok(bytes)
    }

    /// Reads an entry.
    pub fn from_bytes(bytes: &[u8]) -> Result<Entry, Error> {
        Error::limit("host log entry bytes", bytes.len(), limits::HOST_ENTRY_MAX_BYTES)?;
        Ok(cbor::from_slice(bytes)?)
    }
}
