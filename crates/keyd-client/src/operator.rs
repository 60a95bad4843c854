//! Commands that operators' work needs: the certificate of a session and the keys of its recording, and the order of
//! a runbook's run.

use writ_model::{PersonId, Timestamp, Ulid, Uuid};
use writ_proof::access::RecordedAccounts;
use writ_proof::hash::Hash;
use writ_proof::roster::HostName;
use writ_proof::runbook::SignedOrder;
use writ_proof::{cbor_enum, cbor_map};

use crate::protocol::UsePosition;
use crate::secret::SecretBytes;

/// What people have signed so that somebody may come in. What customers say of it, keyd knows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The signed request.
    pub request: Vec<u8>,
    /// The signed approvals.
    pub approvals: Vec<Vec<u8>>,
}
cbor_map!(Evidence { 1: request, 2: approvals });

/// Asks for the certificate with which the bastion opens one session on one host.
pub struct SshSign {
    /// Why.
    pub evidence: Evidence,
    /// What the person's SSH client signed to log in at the bastion (`writ_proof::ssh_auth`).
    pub login: Vec<u8>,
    /// Its signature.
    pub login_signature: Vec<u8>,
    /// Names the session.
    pub session: Ulid,
    /// Where to.
    pub host: HostName,
    /// What for.
    pub purpose: Purpose,
    /// The Ed25519 key that the certificate is for; the bastion has just made it.
    pub key: [u8; 32],
    /// From which address the bastion will come.
    pub source: String,
    /// The event that will tell of it.
    pub event_id: Uuid,
}
cbor_map!(SshSign {
    1: evidence,
    2: login,
    3: login_signature,
    4: session,
    5: host,
    6: purpose,
    7: key,
    8: source,
    9: event_id,
});

/// What a session on a host is for; its certificate allows no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// One command, which the certificate forces.
    Command(String),
    /// Files: the certificate forces `internal-sftp`.
    Files,
    /// A shell, and commands and files as its scope says.
    Shell,
}
cbor_enum!(Purpose { 0: Shell, 1: Command(_), 2: Files });

/// A certificate for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshCertificate {
    /// The certificate in OpenSSH's wire form.
    pub certificate: Vec<u8>,
    /// Its serial number.
    pub serial: u64,
    /// Who comes in.
    pub person: PersonId,
    /// SHA-256 of the signed request: names the grant.
    pub grant: Hash,
    /// When the session ends, whatever the certificate's own time.
    pub not_after: Timestamp,
    /// keyd's record of it.
    pub position: UsePosition,
}
cbor_map!(SshCertificate {
    1: certificate,
    2: serial,
    3: person,
    4: grant,
    5: not_after,
    6: position,
});

/// Asks for the order with which an agent runs one runbook on one host, once.
pub struct OrderRun {
    /// Why.
    pub evidence: Evidence,
    /// The signed entry of the catalogue.
    pub entry: Vec<u8>,
    /// Names the run.
    pub run: Ulid,
    /// Where.
    pub host: HostName,
    /// The event that will tell of it.
    pub event_id: Uuid,
}
cbor_map!(OrderRun { 1: evidence, 2: entry, 3: run, 4: host, 5: event_id });

/// An order for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedRun {
    /// The order, signed.
    pub order: SignedOrder,
    /// What the run can tell at most, in bits.
    pub bits: u32,
    /// keyd's record of it.
    pub position: UsePosition,
}
cbor_map!(OrderedRun { 1: order, 2: bits, 3: position });

/// A list of revoked certificates, signed beside the file, since OpenSSH takes none that is signed within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedKrl {
    /// The list in OpenSSH's form (PROTOCOL.krl).
    pub list: Vec<u8>,
    /// SSHSIG in the namespace `krl@writ` by the key that genesis names for it.
    pub signature: Vec<u8>,
}
cbor_map!(SignedKrl { 1: list, 2: signature });

/// What a recording's key is sealed with: who was where, on which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFacts {
    /// The session.
    pub session: Ulid,
    /// SHA-256 of its signed request.
    pub grant: Hash,
    /// Who came in.
    pub person: PersonId,
    /// Where.
    pub host: HostName,
    /// The customers whose data the session could lead to; absent if that is anybody's.
    pub accounts: Option<RecordedAccounts>,
}
cbor_map!(RecordingFacts { 1: session, 2: grant, 3: person, 4: host, 5: opt accounts });

/// The key of a recording.
pub struct RecordingKey {
    /// The key: 32 bytes, for the bastion while it records.
    pub key: SecretBytes,
    /// The same, sealed: `"WRR1" | dk id u32 BE | nonce 12 | ciphertext 32 | tag 16`, with the facts as
    /// associated data.
    pub sealed: Vec<u8>,
    /// What it is sealed with.
    pub facts: RecordingFacts,
}
cbor_map!(RecordingKey { 1: key, 2: sealed, 3: facts });

/// Asks for the key of a recording, sealed to who reads it.
pub struct OpenRecording {
    /// Why: a request of kind playback, and its approvals.
    pub evidence: Evidence,
    /// What the reader has signed for this time (`writ_proof::access::Opening`).
    pub opening: Vec<u8>,
    /// The recording's key as [`RecordingKey::sealed`].
    pub sealed: Vec<u8>,
    /// What it is sealed with, by the recording's own word.
    pub facts: RecordingFacts,
    /// The event that will tell of it.
    pub event_id: Uuid,
}
cbor_map!(OpenRecording { 1: evidence, 2: opening, 3: sealed, 4: facts, 5: event_id });

/// The key of a recording, for its reader alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRecording {
    /// The 32 bytes of the key, sealed to the reader's own (`writ_proof::hpke`, `access::seal_info`).
    pub sealed: Vec<u8>,
    /// Who reads.
    pub person: PersonId,
    /// SHA-256 of the signed request: names the grant.
    pub grant: Hash,
    /// keyd's record of it.
    pub position: UsePosition,
}
cbor_map!(OpenedRecording { 1: sealed, 2: person, 3: grant, 4: position });
