//! Limits of the key module: each bounds what a hostile peer can make it hold or do.

use std::time::Duration;

/// Bytes of a plaintext for Encrypt, and of a random string or data key (AWS KMS API).
pub(crate) const PLAINTEXT_MAX_BYTES: usize = 4096;
/// Bytes of a ciphertext blob (AWS KMS API).
pub(crate) const BLOB_MAX_BYTES: usize = 6144;
/// Bytes of a data key or of GenerateRandom's answer (AWS KMS API, `NumberOfBytes`).
pub(crate) const RANDOM_MAX_BYTES: usize = 1024;
/// Bytes of an encryption context, keys and values together (AWS KMS, 8,192).
pub(crate) const CONTEXT_MAX_BYTES: usize = 8192;
/// Bytes of a key policy (AWS KMS documents 32 KB).
pub(crate) const KEY_POLICY_MAX_BYTES: usize = 32 * 1024;
/// Characters of a role's trust policy (IAM quota, at its raised maximum).
pub(crate) const TRUST_POLICY_MAX_CHARS: usize = 8192;
/// Bytes of one sealed descriptor.
pub(crate) const DESCRIPTOR_MAX_BYTES: usize = 64 * 1024;
/// Bytes of one wrapped credential or session token.
pub(crate) const CREDENTIAL_MAX_BYTES: usize = 16 * 1024;
/// Bytes of the root file and of each of its parts.
pub(crate) const ROOT_FILE_MAX_BYTES: usize = 64 * 1024;
/// Bytes of one record of the head file.
pub(crate) const HEAD_RECORD_MAX_BYTES: usize = 1024;

/// Secrets in locked memory: domain keys and the backing keys that are in use.
pub(crate) const ARENA_SLOTS: usize = 4096;
/// Backing keys that stay unwrapped; the least recently used one goes first.
pub(crate) const BACKING_KEYS_CACHED: usize = ARENA_SLOTS - 64;
/// Entries of the catalogue.
pub(crate) const CATALOGUE_MAX: usize = 4_000_000;
/// Sealed things that are kept in case front could not store them.
pub(crate) const UNCONFIRMED_MAX: usize = 4096;
/// Lost things that one answer to a load gives back; front loads again until none come.
pub(crate) const LOST_MAX: usize = 64;
/// Of customers' things (access keys, principals, sessions), those that have ended and are remembered.
pub(crate) const ENDED_MAX: usize = 1_000_000;
/// Of operators' things (people, grants, catalogue entries), the same: customers cannot take this room.
pub(crate) const ENDED_ACCESS_MAX: usize = 1_000_000;

/// How long a handle can be spent.
pub(crate) const HANDLE_LIFETIME: Duration = Duration::from_secs(60);
/// Handles that are unspent at one time.
pub(crate) const HANDLES_MAX: usize = 65_536;
/// Bytes of signed parameters behind unspent handles, together.
pub(crate) const HANDLES_MAX_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of signed parameters behind one handle; larger requests name nothing that keyd does.
pub(crate) const INPUT_MAX_BYTES: usize = 512 * 1024;
/// How long an upload's handle may wait for its next chunks.
pub(crate) const CHUNKS_LIFETIME: Duration = Duration::from_secs(3600);
/// Chunk signatures in one command.
pub(crate) const CHUNKS_PER_COMMAND_MAX: usize = 1024;
/// How often one signature is admitted to use keys. SigV4 dates by the second and has no nonce, so a
/// client that asks the same again and again within a second, as loops around GenerateDataKey do,
/// sends the same signature each time. Each admission is recorded; a front that replays learns
/// nothing new.
pub(crate) const ADMISSIONS_PER_SIGNATURE: u32 = 1000;
/// How often one signature changes something or makes a long-term credential: replayed, it
/// would undo what came after it, or give out further secrets. A client signs again, a second later.
pub(crate) const CHANGES_PER_SIGNATURE: u32 = 1;
/// How often one signature makes a session: what starts together and assumes one role within a second
/// signs alike. A further session gives a front no more than the first one, which it relayed.
pub(crate) const SESSIONS_PER_SIGNATURE: u32 = 8;
/// Signatures whose admissions are counted. One account may take half of this table, and of each of those
/// of handles, uploads, proofs and budgets.
pub(crate) const SIGNATURES_MAX: usize = 2_000_000;
/// Signing keys kept, of (access key, day, region, service).
pub(crate) const SIGNING_KEYS_MAX: usize = 16_384;
/// Compiled policies kept.
pub(crate) const POLICIES_CACHED: usize = 4096;

/// Proofs of possession that are remembered so that none works twice.
pub(crate) const REPLAY_SET_MAX: usize = 524_288;
/// Budgets of transactions that are counted, until no ticket of the transaction can come any more.
pub(crate) const BUDGETS_MAX: usize = 524_288;
/// Bytes of a ticket's context document.
pub(crate) const FAS_CONTEXT_MAX_BYTES: usize = 32 * 1024;

/// Role chaining ends after this, whatever was asked.
pub(crate) const CHAINED_SESSION_MAX: Duration = Duration::from_secs(3600);
/// The default and shortest lives of sessions (AWS STS API).
pub(crate) const SESSION_DEFAULT: Duration = Duration::from_secs(3600);
/// GetSessionToken's default, and its end for users.
pub(crate) const SESSION_TOKEN_DEFAULT: Duration = Duration::from_secs(12 * 3600);
/// What inline policy, managed policy ARNs and tags may take together, packed, in bytes.
pub(crate) const PACKED_POLICY_MAX_BYTES: usize = 4096;
/// Session tags (AWS STS API).
pub(crate) const SESSION_TAGS_MAX: usize = 50;
/// Tags of a user, role or key (quotas of IAM and AWS KMS).
pub(crate) const TAGS_MAX: usize = 50;
/// Managed session policies (AWS STS API).
pub(crate) const SESSION_POLICY_ARNS_MAX: usize = 10;

/// How often the head of the use-record chain is written to the head file, at most.
pub(crate) const CHAIN_HEAD_INTERVAL: Duration = Duration::from_secs(5);
/// How often expired things are forgotten and the chain's head is looked at.
pub(crate) const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(500);
/// Packets of one peer that wait for its workers.
pub(crate) const PACKETS_WAITING_MAX: usize = 1024;
/// Bytes of one peer's packets that wait for its workers: four of the largest. A packet that is larger
/// than what is left waits alone.
pub(crate) const PACKETS_WAITING_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a message that is handled before those that wait.
pub(crate) const URGENT_MAX_BYTES: usize = 512;
/// How long an answer may wait for its peer to read.
pub(crate) const ANSWER_SEND_MAX: Duration = Duration::from_secs(5);
/// How long a batch of use records may wait for trail to read.
pub(crate) const RECORD_SEND_MAX: Duration = Duration::from_millis(500);
/// Bytes of what a use record tells: a record in full is at most
/// `writ_proof::limits::USE_RECORD_MAX_BYTES`, of which version, boot, number and time take few.
pub(crate) const USE_MAX_BYTES: usize = writ_proof::limits::USE_RECORD_MAX_BYTES - 256;
/// Use records in one signed batch.
pub(crate) const USE_BATCH_RECORDS_MAX: usize = 256;

/// Operators' sessions that are remembered for [`MARKS_AFTER`], with their connections until their grants are over.
pub(crate) const SESSIONS_MAX: usize = 100_000;

/// So long after a session's grant is over, and after its last checkpoint, its recording is signed: another grant can
/// cover the session, and the mark of its end always comes after the grant's.
pub(crate) const MARKS_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Runs of runbooks that are remembered until their grants are over.
pub(crate) const RUNS_MAX: usize = 100_000;

/// Sums of bits that are remembered for a day, one for each person and customer.
pub(crate) const RUNS_TOLD_MAX: usize = 500_000;
/// What runs may tell one person of one customer, or of none, in a day, in bits: 150 disks in steps of five per cent, or
/// half a kilobyte in all.
pub(crate) const RUN_BITS_DAILY: u32 = 4096;
/// An order is signed this long before the run must have begun; what the run itself may take comes on top.
pub(crate) const RUN_ORDER_LIFETIME: Duration = Duration::from_secs(60);

/// Openings of recordings that are remembered while they could be used again: some minutes.
pub(crate) const OPENINGS_MAX: usize = 10_000;

/// Approvals that are looked at for one session.
pub(crate) const APPROVALS_MAX: usize = 64;
