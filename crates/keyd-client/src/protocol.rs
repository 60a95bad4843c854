//! Every message that keyd understands; nothing else exists.
//!
//! A request is a [`Command`], its answer an [`Answer`]. Both travel as [`crate::channel::Message`]s.
//! keyd pushes use records to trail as [`Push`] messages of their own.

use writ_model::{AccessKeyId, AccountId, Arn, Nonce, Region, StoreEpoch, Timestamp, Ulid, Uuid};
use writ_proof::cbor_enum;
use writ_proof::cbor_map;
use writ_proof::hash::Hash;
use writ_proof::recording;
use writ_proof::roster::EnrolmentId;
use writ_proof::stream::WitnessReply;
pub use writ_proof::use_record::UsePosition;

use crate::caller::Caller;
use crate::operator::{
    OpenRecording, OpenedRecording, OrderRun, OrderedRun, RecordingKey, SignedKrl, SshCertificate,
    SshSign,
};
use crate::secret::SecretBytes;

/// The version of this protocol; both ends must speak the same.
pub const PROTOCOL: u32 = 1;

/// What a descriptor is for. keyd and trail know it from the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The gate through which operators come in.
    Bastion,
    /// IAM, STS, KMS, CloudTrail and the Writ API.
    Front,
    /// The key module.
    Keyd,
    /// The object gateway.
    S3,
    /// The process that starts the others.
    Supervisor,
    /// The ledger writer.
    Trail,
    /// The security organisation's mirror and witness.
    Watch,
}
cbor_enum!(Role { 0: Front, 1: Keyd, 2: S3, 3: Supervisor, 4: Trail, 5: Watch, 6: Bastion });

impl Role {
    /// The name in file names, logs and ledger leaves.
    pub fn name(self) -> &'static str {
        match self {
            Role::Bastion => "bastion",
            Role::Front => "front",
            Role::Keyd => "keyd",
            Role::S3 => "s3",
            Role::Supervisor => "supervisor",
            Role::Trail => "trail",
            Role::Watch => "watch",
        }
    }
}

/// A request to keyd.
pub enum Command {
    /// Opens a channel. All peers.
    Hello(Hello),
    /// What mode and hardening keyd runs with. All peers.
    Status,
    /// Verifies a signature. front, s3.
    Authenticate(Box<Authenticate>),
    /// Makes a credential from a verified request. front.
    IssueCredential(Box<IssueCredential>),
    /// Makes the first credential of an account. front; in mode `dev` without a quorum.
    CreateAccount(CreateAccount),
    /// Seals the descriptors that a verified mutation asks for. front.
    Seal(Box<Seal>),
    /// Verifies a forward-access ticket and the request that it accompanies. front.
    Present(Box<Present>),
    /// Uses keys for a verified request. front.
    Use(Box<Use>),
    /// Ends a thing for good or by revision. front.
    End(End),
    /// Verifies chunk signatures of an aws-chunked upload. s3.
    Chunks(Chunks),
    /// Streams the sealed descriptors and the roster at start. front.
    Load(Load),
    /// Proves that front's revocation feed is current. front, every 250 ms.
    Beat(Beat),
    /// Does what the sealed schedule says: due deletions. front.
    Tick,
    /// Signs a checkpoint that extends the last one signed for its log. trail.
    Checkpoint(Checkpoint),
    /// Cosigns a checkpoint of watch's host log that extends the last one: the body of an add-checkpoint
    /// request ([`writ_proof::witness::AddCheckpoint`]). trail.
    Cosign(Vec<u8>),
    /// Acknowledges use records as durable. trail.
    Ack(Ack),
    /// The next statement of the roster, signed. front.
    Roster(Vec<u8>),
    /// Signs the certificate of one session. bastion.
    SshSign(Box<SshSign>),
    /// Makes the key of a session's recording. bastion.
    NewRecording(Ulid),
    /// Signs how far a session's recording is. bastion.
    SignRecording(Box<recording::Mark>),
    /// Seals the key of a recording to who reads it. front.
    OpenRecording(Box<OpenRecording>),
    /// Signs the list of the certificates that opened what has ended. front.
    SignKrl,
    /// Signs the order of one run of a runbook. front.
    RunOrder(Box<OrderRun>),
}
cbor_enum!(Command {
    0: Hello(_),
    1: Status,
    2: Authenticate(_),
    3: IssueCredential(_),
    4: CreateAccount(_),
    5: Seal(_),
    6: Present(_),
    7: Use(_),
    8: End(_),
    9: Chunks(_),
    10: Load(_),
    11: Beat(_),
    12: Tick,
    13: Checkpoint(_),
    14: Ack(_),
    15: Roster(_),
    16: SshSign(_),
    17: NewRecording(_),
    18: SignRecording(_),
    19: Cosign(_),
    20: OpenRecording(_),
    21: RunOrder(_),
    24: SignKrl,
});

/// keyd's answer to a command that it carried out.
pub enum Reply {
    /// Nothing more to say.
    Done,
    /// To `Hello`.
    Hello(HelloReply),
    /// To `Status`.
    Status(KeydStatus),
    /// To `Authenticate` and `Present`.
    Authenticated(Box<Authenticated>),
    /// To `IssueCredential` and `CreateAccount`.
    Credential(Box<Credential>),
    /// To `Seal` and `Tick`: the new sealed descriptors and key tokens.
    Sealed(Sealed),
    /// To `Use`.
    Used(Box<Used>),
    /// To `Checkpoint`: the signed note.
    Note(String),
    /// To `Chunks`: nothing but that they are right.
    ChunksVerified,
    /// To `SshSign`.
    Certificate(Box<SshCertificate>),
    /// To `NewRecording`.
    Recording(Box<RecordingKey>),
    /// To `SignRecording`: an Ed25519 signature.
    Signature([u8; 64]),
    /// To `Cosign`: what a witness answers.
    Cosigned(WitnessReply),
    /// To `OpenRecording`.
    OpenedRecording(Box<OpenedRecording>),
    /// To `SignKrl`.
    Krl(Box<SignedKrl>),
    /// To `RunOrder`.
    Ordered(Box<OrderedRun>),
}
cbor_enum!(Reply {
    0: Done,
    1: Hello(_),
    2: Status(_),
    3: Authenticated(_),
    4: Credential(_),
    5: Sealed(_),
    6: Used(_),
    7: Note(_),
    8: ChunksVerified,
    9: Certificate(_),
    10: Recording(_),
    11: Signature(_),
    12: Cosigned(_),
    13: OpenedRecording(_),
    14: Ordered(_),
    16: Krl(_),
});

/// Why keyd did not carry out a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An answer for the client in AWS's words.
    Aws(Box<AwsRefusal>),
    /// Retryable: keyd just started, its records are unacknowledged, its revocation feed is old.
    Unavailable(String),
    /// The peer may not ask this, or asked it wrongly. Recorded where the role may not send the command
    /// or a customer's request is bent; what names nothing that keyd knows leaves no record, or a
    /// hostile peer could fill the chain with it.
    Forbidden(String),
    /// The signature is this caller's, but was admitted before and changes nothing twice. Retryable:
    /// SigV4 dates by the second, so a request that is signed again a second later has another one.
    Repeated(Box<Caller>),
}
cbor_enum!(Refusal { 0: Aws(_), 1: Unavailable(_), 2: Forbidden(_), 3: Repeated(_) });

/// An error code, message and HTTP status as the protocol of the request wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRefusal {
    /// For example `SignatureDoesNotMatch`.
    pub code: String,
    /// AWS's text.
    pub message: String,
    /// HTTP status.
    pub status: u16,
    /// Facts about the caller where the signature itself was right (expired token, disabled key).
    pub caller: Option<Caller>,
}
cbor_map!(AwsRefusal { 1: code, 2: message, 3: status, 4: opt caller });

/// Opens a channel.
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// s3's ephemeral X25519 key: results for it are sealed under the agreed key.
    pub x25519: Option<[u8; 32]>,
}
cbor_map!(Hello { 1: protocol, 2: opt x25519 });

/// keyd's side of the opening.
pub struct HelloReply {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The role that keyd knows this channel by.
    pub role: Role,
    /// Names this run of keyd.
    pub boot: Uuid,
    /// keyd's ephemeral X25519 key, if the peer sent one. The channel's keys are
    /// HKDF-SHA256(shared secret, salt = peer key ‖ keyd key, info = label): label
    /// `writ-channel-seal-v1` for sealed results, `writ-channel-proof-v1` for proofs of possession.
    pub x25519: Option<[u8; 32]>,
}
cbor_map!(HelloReply { 1: protocol, 2: role, 3: boot, 4: opt x25519 });

/// What keyd says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeydStatus {
    /// `dev` or `software`.
    pub mode: String,
    /// Names this run.
    pub boot: Uuid,
    /// One line for each measure: its name and "on", or why this machine refuses it.
    pub hardening: Vec<(String, String)>,
    /// Use records that trail has not yet acknowledged.
    pub unacknowledged: u64,
    /// Entries in the catalogue.
    pub catalogue: u64,
    /// True once front has loaded the catalogue.
    pub loaded: bool,
    /// How far its roster is.
    pub roster: RosterStatus,
    /// Grants whose end it remembers.
    pub ended_grants: u64,
}
cbor_map!(KeydStatus {
    1: mode,
    2: boot,
    3: hardening,
    4: unacknowledged,
    5: catalogue,
    6: loaded,
    7: roster,
    8: ended_grants,
});

/// What keyd says of its roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterStatus {
    /// The newest statement that it has ever taken.
    pub head: RosterHead,
    /// People who are enrolled, without those whose enrolment it was told has ended.
    pub people: u64,
    /// Why it has no roster; absent when all is well.
    pub fault: Option<String>,
}
cbor_map!(RosterStatus { 1: head, 2: people, 3: opt fault });

/// A statement of the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RosterHead {
    /// Its number; genesis is 0.
    pub seq: u64,
    /// SHA-256 of its signed bytes.
    pub digest: [u8; 32],
}
cbor_map!(RosterHead { 1: seq, 2: digest });

/// What the listener saw of the network. keyd cannot check it; it seals it so that no hop changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The peer's address, without port.
    pub source_ip: String,
    /// `TLSv1.3`, or absent for plain HTTP on loopback.
    pub tls: Option<String>,
    /// The VPC endpoint, where there is one.
    pub vpce: Option<String>,
}
cbor_map!(Network { 1: source_ip, 2: opt tls, 3: opt vpce });

/// The body that a signature must cover.
pub enum Payload {
    /// The whole body: query and JSON protocols. keyd hashes and parses it.
    Body(Vec<u8>),
    /// The literal of `x-amz-content-sha256`: S3. The gateway checks the bytes against it.
    Declared(String),
}
cbor_enum!(Payload { 0: Body(_), 1: Declared(_) });

/// Asks keyd to verify a request. Bytes as received, not the listener's parse of them.
pub struct Authenticate {
    /// HTTP method.
    pub method: String,
    /// Path as on the request line, before any `?`.
    pub path: String,
    /// Raw query string, without the `?`.
    pub query: String,
    /// Header fields as received, in order; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What the signature must cover.
    pub payload: Payload,
    /// The wrapped credential that the store holds for the access key id, or the bytes of the
    /// session token. Absent when there is none: keyd then answers as for an unknown key.
    pub credential: Option<Vec<u8>>,
    /// Observed by the listener.
    pub network: Network,
    /// `x-amzn-requestid` of the reply.
    pub request_id: Uuid,
    /// The ledger event that this request will have.
    pub event_id: Uuid,
    /// The region of the listener.
    pub region: Region,
}
cbor_map!(Authenticate {
    1: method, 2: path, 3: query, 4: headers, 5: payload, 6: opt credential, 7: network,
    8: request_id, 9: event_id, 10: region,
});

/// A one-time right to exactly the use or mutation that was signed. Dies after 60 s.
pub type Handle = Nonce;

/// What a right signature proves.
pub struct Authenticated {
    /// Who signed.
    pub caller: Caller,
    /// The one-time handle for `Use`, `Seal` or `IssueCredential`.
    pub handle: Handle,
    /// Service of the credential scope, such as `kms`.
    pub service: String,
    /// The operation that keyd itself found in the signed bytes, such as `Encrypt`.
    pub operation: String,
    /// SHA-256 of the string to sign.
    pub request_digest: [u8; 32],
    /// SHA-256 of the signature.
    pub signature_digest: [u8; 32],
    /// True for a presigned URL.
    pub presigned: bool,
    /// s3 only: the root ticket for downstream uses, with its context document.
    pub ticket: Option<Ticket>,
    /// `Present` only: the chain that led here.
    pub forwarded: Option<Forwarded>,
}
cbor_map!(Authenticated {
    1: caller, 2: handle, 3: service, 4: operation, 5: request_digest, 6: signature_digest,
    7: presigned, 8: opt ticket, 9: opt forwarded,
});

/// A forward-access ticket and the context that it commits to. Bearer of authority: never logged.
pub struct Ticket {
    /// The ticket's encoding (`writ_proof::fas`).
    pub ticket: SecretBytes,
    /// The context document whose digest the ticket holds.
    pub context: Vec<u8>,
}
cbor_map!(Ticket { 1: ticket, 2: context });

/// Where a forwarded request came from; it becomes `aws:CalledVia` and `additionalEventData.fas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The transaction: one customer request and all that follows from it.
    pub transaction: Nonce,
    /// The ticket's own id.
    pub ticket_id: Nonce,
    /// Service principals so far, first to last, such as `s3.amazonaws.com`.
    pub via: Vec<String>,
    /// The event of the request that the customer signed.
    pub parent_event: Uuid,
    /// And its request id.
    pub parent_request: Uuid,
    /// SHA-256 of the ticket.
    pub ticket_digest: [u8; 32],
    /// SHA-256 of the string that the customer signed.
    pub request_digest: [u8; 32],
    /// SHA-256 of the customer's signature.
    pub signature_digest: [u8; 32],
    /// The customer's network, as first observed.
    pub network: Network,
    /// The customer's user agent.
    pub user_agent: Option<String>,
    /// The customer's referer.
    pub referer: Option<String>,
}
cbor_map!(Forwarded {
    1: transaction,
    2: ticket_id,
    3: via,
    4: parent_event,
    5: parent_request,
    6: ticket_digest,
    7: request_digest,
    8: signature_digest,
    9: network,
    10: opt user_agent,
    11: opt referer,
});

/// Asks for the credential that a verified CreateAccessKey, AssumeRole or GetSessionToken makes.
pub struct IssueCredential {
    /// From `Authenticate`.
    pub handle: Handle,
    /// The sealed descriptor of the user (CreateAccessKey) or role (AssumeRole) that it is for.
    pub subject: Option<Vec<u8>>,
    /// True where front's identity policies had to allow it: keyd stamps the credential with it,
    /// and checks for itself where the role's sealed trust policy decides.
    pub delegated: bool,
    /// Tags of the user or role that signs: front's word, see [`UsedKey::tags`].
    pub principal_tags: Vec<(String, String)>,
}
cbor_map!(IssueCredential { 1: handle, 2: opt subject, 3: delegated, 4: principal_tags });

/// Makes an account's first credential, a long-term key of its root. Once for each account id.
pub struct CreateAccount {
    /// The account.
    pub account: AccountId,
}
cbor_map!(CreateAccount { 1: account });

/// A new credential. The secret is in no other message, ever.
pub struct Credential {
    /// Its id.
    pub access_key_id: AccessKeyId,
    /// The secret access key: 40 characters, once.
    pub secret: SecretBytes,
    /// Long-term: the wrapped credential, for the store.
    pub wrapped: Option<Vec<u8>>,
    /// Long-term: its sealed status descriptor.
    pub descriptor: Option<Vec<u8>>,
    /// Session: the token that the client sends along.
    pub session_token: Option<String>,
    /// Session: when it ends.
    pub expires: Option<Timestamp>,
    /// Session: the caller that requests signed with it will have.
    pub caller: Option<Caller>,
    /// Session: per cent of the size limit that policies and tags take.
    pub packed_policy_size: Option<u64>,
    /// keyd's record of the issue.
    pub position: Option<UsePosition>,
}
cbor_map!(Credential {
    1: access_key_id, 2: secret, 3: opt wrapped, 4: opt descriptor, 5: opt session_token,
    6: opt expires, 7: opt caller, 8: opt packed_policy_size, 9: opt position,
});

/// Asks for the descriptors that a verified mutation changes.
///
/// keyd builds the new descriptor itself from the current one and the signed request; front says only
/// what the request cannot: the unique id of a new user or role, the id of a new key, and (for
/// UpdateUser-like changes) which sealed thing a name means now.
pub struct Seal {
    /// From `Authenticate` (or from `Present` for a service's managed key).
    pub handle: Handle,
    /// The current sealed descriptor of what is changed; absent for a creation.
    pub current: Option<Vec<u8>>,
    /// The new user's or role's unique id, or the new key's id.
    pub new_id: Option<String>,
    /// The keys whose policies must allow the change: the key itself, with the tokens that a changed
    /// descriptor seals anew, or the keys that an alias shall mean and means.
    pub keys: Vec<UsedKey>,
    /// Tags of the user or role that signs: front's word, see [`UsedKey::tags`].
    pub principal_tags: Vec<(String, String)>,
}
cbor_map!(Seal { 1: handle, 2: opt current, 3: opt new_id, 4: keys, 5: principal_tags });

/// A change that needs nothing but the signed request; the caller's side of the channel adds the handle
/// and the tags.
impl Default for Seal {
    fn default() -> Seal {
        let (handle, current, new_id) = (Nonce([0; 16]), None, None);
        Seal { handle, current, new_id, keys: Vec::new(), principal_tags: Vec::new() }
    }
}

/// What a mutation sealed; in the answer to `Load`, the newest of what front holds an old revision of.
pub struct Sealed {
    /// New sealed descriptors, in the order of the changes.
    pub descriptors: Vec<Vec<u8>>,
    /// New exported tokens of backing keys, in the order of the key's backing keys.
    pub tokens: Vec<Vec<u8>>,
    /// keyd's record of the change.
    pub position: Option<UsePosition>,
    /// In the answer to `Load` alone: the text of each key's policy, in the order of those
    /// descriptors that are keys', since a descriptor holds only its digest.
    pub policies: Vec<String>,
}
cbor_map!(Sealed { 1: descriptors, 2: tokens, 3: opt position, 4: policies });

/// A request that a service makes on a customer's behalf.
pub struct Present {
    /// The ticket.
    pub ticket: SecretBytes,
    /// The context document that the ticket commits to.
    pub context: Vec<u8>,
    /// MAC under the holder's channel key over the request (`writ_proof::fas`).
    pub proof: [u8; 32],
    /// When the proof was made.
    pub proof_time: Timestamp,
    /// Makes the proof unique.
    pub proof_nonce: Nonce,
    /// The role of the channel over which front got the request.
    pub holder: Role,
    /// HTTP method, path, query of the inner request.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query.
    pub query: String,
    /// `X-Amz-Target` of the inner request.
    pub target: String,
    /// The inner request's JSON body.
    pub body: Vec<u8>,
    /// Of the inner request.
    pub request_id: Uuid,
    /// Of the inner request.
    pub event_id: Uuid,
    /// The region of the callee.
    pub region: Region,
}
cbor_map!(Present {
    1: ticket,
    2: context,
    3: proof,
    4: proof_time,
    5: proof_nonce,
    6: holder,
    7: method,
    8: path,
    9: query,
    10: target,
    11: body,
    12: request_id,
    13: event_id,
    14: region,
});

/// Spends a handle on the key use that was signed. What is asked (operation, key, plaintext,
/// encryption context) keyd reads from the signed body; front adds only what it stores.
pub struct Use {
    /// From `Authenticate` or `Present`.
    pub handle: Handle,
    /// The keys in the order in which the operation names them: one, or source and destination
    /// for ReEncrypt. None for GenerateRandom.
    pub keys: Vec<UsedKey>,
    /// True if front's identity policies allowed the use where a key policy delegates to the account.
    pub delegated: bool,
    /// Tags of the user or role that signs: front's word, see [`UsedKey::tags`].
    pub principal_tags: Vec<(String, String)>,
}
cbor_map!(Use { 1: handle, 2: keys, 3: delegated, 4: principal_tags });

impl Use {
    /// A use of `keys`; the caller's side of the channel adds handle, delegation and tags.
    pub fn of(keys: Vec<UsedKey>) -> Use {
        Use { handle: Nonce([0; 16]), keys, delegated: false, principal_tags: Vec::new() }
    }
}

/// A key as front stores it.
pub struct UsedKey {
    /// Its sealed descriptor.
    pub descriptor: Vec<u8>,
    /// Tokens of its backing keys, in the descriptor's order.
    pub tokens: Vec<Vec<u8>>,
    /// The text of its policy.
    pub policy: String,
    /// Its tags (`aws:ResourceTag`). Tags are not sealed, so they are front's word: what a policy that
    /// speaks of tags allows rests on it, and is recorded as `delegated`.
    pub tags: Vec<(String, String)>,
}
cbor_map!(UsedKey { 1: descriptor, 2: tokens, 3: policy, 4: tags });

/// What a use gave. For a FAS holder the secrets are in `sealed` and nowhere else.
pub struct Used {
    /// Decrypt, GenerateDataKey, GenerateRandom: the plaintext for a direct caller.
    pub plaintext: Option<SecretBytes>,
    /// Encrypt, ReEncrypt, GenerateDataKey: the ciphertext blob.
    pub ciphertext: Option<Vec<u8>>,
    /// The keys used, as ARNs, in the order of the operation.
    pub keys: Vec<Arn>,
    /// KeyMaterialId of each key, 64 hexadecimal digits.
    pub material_ids: Vec<String>,
    /// For a FAS holder: the plaintext sealed to its channel, `nonce 12 | ciphertext | tag 16`,
    /// AES-256-GCM with the handle's 16 bytes as associated data.
    pub sealed: Option<Vec<u8>>,
    /// The handle, which the holder needs to open `sealed`.
    pub handle: Handle,
    /// `policy`, `grant` or `delegated`, for each key.
    pub basis: Vec<String>,
    /// keyd's record of the use.
    pub position: UsePosition,
}
cbor_map!(Used {
    1: opt plaintext, 2: opt ciphertext, 3: keys, 4: material_ids, 5: opt sealed, 6: handle,
    7: basis, 8: position,
});

/// Ends something; nothing un-ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// An access key: gone for good.
    AccessKey(AccessKeyId),
    /// Every session of this principal (unique id) issued before the time.
    Sessions((String, Timestamp)),
    /// A user or role, by unique id, with all its credentials and sessions.
    Principal(String),
    /// An enrolment of a person: gone for good. A re-hire gets another one.
    Person(EnrolmentId),
    /// A grant, named by the digest of its signed request. Whatever rests on it is refused from now on.
    Grant(Hash),
    /// An entry of the catalogue of runbooks, by its digest: nothing is ordered from it any more.
    Entry(Hash),
}
cbor_enum!(End {
    0: AccessKey(_),
    1: Sessions(_),
    2: Principal(_),
    3: Person(_),
    4: Grant(_),
    5: Entry(_),
});

/// Chunk signatures of one upload, in order.
pub struct Chunks {
    /// The handle of the upload's `Authenticate`; stays valid for further chunks of the upload.
    pub handle: Handle,
    /// Signature and SHA-256 of the data of each chunk.
    pub chunks: Vec<([u8; 32], [u8; 32])>,
    /// Signature and SHA-256 of the canonical trailer, at the end of a signed-trailer upload.
    pub trailer: Option<([u8; 32], [u8; 32])>,
}
cbor_map!(Chunks { 1: handle, 2: chunks, 3: opt trailer });

/// A batch of what front stores, at start. keyd refuses uses until the last batch is in.
pub struct Load {
    /// Sealed descriptors.
    pub descriptors: Vec<Vec<u8>>,
    /// Things that have ended and can still be named by a live credential.
    pub ended: Vec<End>,
    /// True in the last batch.
    pub last: bool,
    /// The store's life, for the first record of the boot.
    pub epoch: StoreEpoch,
    /// Signed statements of the roster, in order and over all batches without a gap from the first.
    pub roster: Vec<Vec<u8>>,
}
cbor_map!(Load { 1: descriptors, 2: ended, 3: last, 4: epoch, 5: roster });

/// Proves that front's view of revocations is current.
pub struct Beat {
    /// Position of the revocation feed; it only grows.
    pub feed: u64,
}
cbor_map!(Beat { 1: feed });

/// Asks for the signature on a checkpoint.
pub struct Checkpoint {
    /// The log's origin.
    pub origin: String,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: [u8; 32],
    /// Consistency proof from the last checkpoint that keyd signed for this log.
    pub proof: Vec<[u8; 32]>,
}
cbor_map!(Checkpoint { 1: origin, 2: size, 3: root, 4: proof });

/// Says that use records are in the write-ahead log.
pub struct Ack {
    /// The run of keyd.
    pub boot: Uuid,
    /// All records of that run up to and with this one.
    pub seq: u64,
}
cbor_map!(Ack { 1: boot, 2: seq });

/// What keyd sends unasked, to trail alone.
pub enum Push {
    /// New use records (`writ_proof::append::UseBatch`, encoded).
    UseRecords(Vec<u8>),
}
cbor_enum!(Push { 0: UseRecords(_) });

/// What comes back for a command.
pub enum Answer {
    /// It was carried out.
    Carried(Reply),
    /// It was not.
    Refused(Refusal),
}
cbor_enum!(Answer { 0: Carried(_), 1: Refused(_) });
