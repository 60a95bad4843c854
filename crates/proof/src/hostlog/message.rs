//! What an agent and watch say to each other, over TLS 1.3 with certificates of watch's own authority.

use writ_model::{Nonce, Timestamp, Uuid};

use super::{HOSTLOG_VERSION, Lost, Position, SignedConfig, SourceReport, signed_by};
use crate::cbor::{self, Version};
use crate::ed25519::Signer;
use crate::error::Error;
use crate::hash::{Hash, sha256_of};
use crate::limits;
use crate::roster::HostName;
use crate::{cbor_enum, cbor_map};

/// From an agent to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// The only message of a connection without a certificate.
    Enrol(Enrol),
    /// The first message of every other connection.
    Hello(Hello),
    /// Frames from one position on.
    Frames(Frames),
    /// The agent is alive; each second.
    Beat(Beat),
    /// The agent ends in order.
    Bye(Bye),
}
cbor_enum!(FromAgent { 0: Enrol(_), 1: Hello(_), 2: Frames(_), 3: Beat(_), 4: Bye(_) });

/// From watch to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    /// The answer to [`FromAgent::Enrol`].
    Enrolled(Enrolled),
    /// The answer to [`FromAgent::Hello`].
    Welcome(Welcome),
    /// Everything before this position is durable at watch. The answer to frames and to each beat.
    Ack(Position),
    /// watch takes nothing more on this connection.
    Refuse(Refusal),
    /// The host's next certificate in PEM, for the key that it has; for connections from now on.
    Certificate(String),
    /// What the host is to report from its agent's next start on.
    Configure(SignedConfig),
}
cbor_enum!(ToAgent {
    0: Enrolled(_),
    1: Welcome(_),
    2: Ack(_),
    3: Refuse(_),
    4: Certificate(_),
    5: Configure(_),
});

/// A host asks for its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrol {
    /// Version 1.
    pub v: Version<HOSTLOG_VERSION>,
    /// The secret of the one-time token.
    pub token: [u8; 32],
    /// The Ed25519 key that the certificate is to be for.
    pub key: [u8; 32],
    /// Its signature over [`enrolment_message`].
    pub proof: [u8; 64],
    /// What the host would report; it counts if watch has signed nothing for this host yet.
    pub config: String,
}
cbor_map!(Enrol { 1: v, 2: token, 3: key, 4: proof, 5: config });

/// What a host signs to show that the key is its own.
pub fn enrolment_message(token: &[u8; 32], key: &[u8; 32]) -> Hash {
    sha256_of(&[b"writ agent enrolment v1\0", token, key])
}

/// A host is enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Under this name.
    pub host: HostName,
    /// Its certificate in PEM.
    pub certificate: String,
    /// watch's authority in PEM.
    pub authority: String,
    /// The key that signs the host log, and agents' configurations.
    pub key: [u8; 32],
    /// What the host is to report.
    pub config: SignedConfig,
}
cbor_map!(Enrolled { 1: host, 2: certificate, 3: authority, 4: key, 5: config });

/// Who connects, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version 1.
    pub v: Version<HOSTLOG_VERSION>,
    /// The host; the certificate must name the same.
    pub host: HostName,
    /// The boot of its kernel.
    pub boot: Uuid,
    /// This start of the agent.
    pub epoch: u64,
    /// Drawn at the agent's start: two agents with one name are told apart by it.
    pub instance: Nonce,
    /// SHA-256 of the agent's configuration.
    pub config: Hash,
    /// Where its chain ends.
    pub end: Position,
    /// What watch has acknowledged, as the agent remembers it.
    pub acked: Position,
    /// The serial of the configuration that it reads at its next start.
    pub kept: u64,
    /// What the agent's processes gave up, and why not where they did not.
    pub hardening: Vec<SourceReport>,
}
cbor_map!(Hello {
    1: v,
    2: host,
    3: boot,
    4: epoch,
    5: instance,
    6: config,
    7: end,
    8: acked,
    9: kept,
    10: hardening,
});

/// What watch holds of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The highest epoch.
    pub epoch: u64,
    /// Where the next frame goes.
    pub held: Position,
    /// How often the agent is to send a beat, in milliseconds.
    pub beat_ms: u64,
}
cbor_map!(Welcome { 1: epoch, 2: held, 3: beat_ms });

/// Frames that lie one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// The position of the first.
    pub from: Position,
    /// The frames.
    pub items: Vec<Item>,
}
cbor_map!(Frames { 1: from, 2: items });

/// One place, or several, in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame's bytes ([`super::Frame`]).
    Frame(Vec<u8>),
    /// Frames that are lost.
    Lost(Lost),
}
cbor_enum!(Item { 0: Frame(_), 1: Lost(_) });

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Where the chain ends, durably at the host.
    pub end: Position,
    /// Milliseconds since the host's boot.
    pub mono_ms: u64,
    /// The host's wall clock.
    pub wall: Timestamp,
    /// How long ago the agent last looked at its sources, in milliseconds.
    pub looked_ms: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// At how many bytes the spool is full.
    pub spool_max_bytes: u64,
    /// Frames that had to be given up since the agent's start.
    pub dropped: u64,
    /// Each source.
    pub sources: Vec<SourceBeat>,
    /// The kernel's audit, if the agent may ask for it.
    pub audit: Option<AuditState>,
}
cbor_map!(Beat {
    1: end,
    2: mono_ms,
    3: wall,
    4: looked_ms,
    5: spool_bytes,
    6: spool_max_bytes,
    7: dropped,
    8: sources,
    9: opt audit,
});

impl Hello {
    /// Limits that the codec does not hold.
    ///
    /// # Errors
    /// Too many reports, or too long a text.
    pub fn check(&self) -> Result<(), Error> {
        Error::limit("reports", self.hardening.len(), limits::HOST_MAX_SOURCES)?;
        self.hardening.iter().try_for_each(|report| {
            let fault = report.fault.as_deref().unwrap_or_default();
            Error::limit("name", report.name.len(), limits::HOST_TEXT_MAX_BYTES)?;
            Error::limit("fault", fault.len(), limits::HOST_TEXT_MAX_BYTES)
        })
    }
}

impl Beat {
    /// Limits that the codec does not hold.
    ///
    /// # Errors
    /// Too many sources, or too long a text.
    pub fn check(&self) -> Result<(), Error> {
        Error::limit("sources", self.sources.len(), limits::HOST_MAX_SOURCES)?;
        self.sources.iter().try_for_each(|source| {
            let fault = source.fault.as_deref().unwrap_or_default();
            Error::limit("source name", source.name.len(), limits::HOST_TEXT_MAX_BYTES)?;
            Error::limit("source fault", fault.len(), limits::HOST_TEXT_MAX_BYTES)
        })
    }
}

/// A source, as a beat tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceBeat {
    /// Its name.
    pub name: String,
    /// Frames of it since the agent's start.
    pub frames: u64,
    /// Why it delivers nothing now.
    pub fault: Option<String>,
}
cbor_map!(SourceBeat { 1: name, 2: frames, 3: opt fault });

/// What `AUDIT_GET` and the list of rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditState {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// The process that the kernel sends its records to, 0 for none.
    pub pid: u32,
    /// Records that the kernel lost since its boot.
    pub lost: u32,
    /// SHA-256 over the rules as the kernel lists them.
    pub rules: Hash,
}
cbor_map!(AuditState { 1: enabled, 2: pid, 3: lost, 4: rules });

/// The agent's last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bye {
    /// Where its chain ends; watch must hold all of it.
    pub end: Position,
    /// Why: "stop", "upgrade", "reboot".
    pub reason: String,
    /// The host key's signature ([`Bye::sign`]).
    pub signature: [u8; 64],
}
cbor_map!(Bye { 1: end, 2: reason, 3: signature });

impl Bye {
    /// A signed end of `host`'s agent.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(
        host: &HostName,
        end: Position,
        reason: String,
        key: &dyn Signer,
    ) -> Result<Bye, Error> {
        let signature = key.sign(&bye_message(host, end, &reason))?;
        Ok(Bye { end, reason, signature })
    }

    /// True if one of the host's keys has signed it.
    pub fn is_signed(&self, host: &HostName, keys: &[[u8; 32]]) -> bool {
        signed_by(keys, &bye_message(host, self.end, &self.reason), &self.signature)
    }
}

fn bye_message(host: &HostName, end: Position, reason: &str) -> Vec<u8> {
    let mut message = b"writ agent bye v1\0".to_vec();
    message.extend_from_slice(&cbor::to_vec(host));
    message.extend_from_slice(&cbor::to_vec(&end));
    message.extend_from_slice(reason.as_bytes());
    message
}

/// Why watch takes nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The agent's chain is not what watch holds: begin a new epoch behind what the welcome said.
    Rebase(Welcome),
    /// For the text's reason.
    Other(String),
}
cbor_enum!(Refusal { 0: Rebase(_), 1: Other(_) });
