//! Named limits on sizes and counts. Time limits that processes share are in `writ_model::limits`.

use std::time::Duration;

/// A ledger leaf in bytes: what an entry bundle's 16-bit length can hold (C2SP tlog-tiles).
pub const LEAF_MAX_BYTES: usize = 65_535;

/// Everything of a WAL frame after its length and checksum, in bytes.
pub const FRAME_MAX_BYTES: usize = 32 * 1024 * 1024;

/// A record in bytes: CloudTrail's cap on a whole event.
pub const RECORD_MAX_BYTES: usize = 256 * 1024;

/// Items in one append request.
pub const APPEND_MAX_ITEMS: usize = 8192;

/// Depth of JSON that is canonicalised.
pub const JSON_MAX_DEPTH: usize = 128;

/// A signed note in bytes.
pub const NOTE_MAX_BYTES: usize = 64 * 1024;

/// Signature lines of a note; a verifier must accept at least 16 (C2SP signed-note).
pub const NOTE_MAX_SIGNATURES: usize = 100;

/// Hashes in a consistency proof of an add-checkpoint request (C2SP tlog-witness).
pub const CONSISTENCY_MAX_HASHES: usize = 63;

/// Hashes in an inclusion proof: the height of a tree of 2^63 leaves.
pub const INCLUSION_MAX_HASHES: usize = 63;

/// A tlog-policy file in bytes.
pub const POLICY_MAX_BYTES: usize = 64 * 1024;

/// A FAS ticket in bytes.
pub const TICKET_MAX_BYTES: usize = 4096;

/// Caveats of a FAS ticket.
pub const TICKET_MAX_CAVEATS: usize = 16;

/// Hops of a FAS ticket.
pub const TICKET_MAX_DEPTH: usize = 8;

/// Skew that is tolerated between processes of one cluster, in milliseconds.
pub const TICKET_SKEW_MS: u64 = 5_000;

/// A signed statement's body in bytes.
pub const STATEMENT_MAX_BYTES: usize = 16 * 1024;

/// Signatures under one statement.
pub const STATEMENT_MAX_SIGNATURES: usize = 32;

/// An SSHSIG blob in bytes.
pub const SSHSIG_MAX_BYTES: usize = 16 * 1024;

/// What a client signs to log in with a key, in bytes (RFC 4252 section 7).
pub const SSH_AUTH_MAX_BYTES: usize = 4096;

/// A signature blob of SSH in bytes; the largest is of a key in hardware, of about 130.
pub const SSH_SIGNATURE_MAX_BYTES: usize = 512;

/// A login name at the bastion in bytes.
pub const SSH_USER_MAX_BYTES: usize = 256;

/// A use record in bytes.
pub const USE_RECORD_MAX_BYTES: usize = 8 * 1024;

/// Use records in one batch.
pub const USE_BATCH_MAX_RECORDS: usize = 2048;

/// A site id in characters.
pub const SITE_ID_MAX_CHARS: usize = 64;

/// One part of an account bundle in bytes: the lines of a full entry bundle, each a leaf and an event
/// of the largest size, and some room for their heads.
pub const EXPORT_PART_MAX_BYTES: usize =
    EXPORT_PART_MAX_NODES * (LEAF_MAX_BYTES + RECORD_MAX_BYTES + 64);

/// Leaves in one part of an account bundle: those of a full entry bundle.
pub const EXPORT_PART_MAX_NODES: usize = 256;

/// The origin in a browser's signature, in bytes.
pub const ORIGIN_MAX_BYTES: usize = 256;

/// The client data in a browser's signature, in bytes.
pub const CLIENT_DATA_MAX_BYTES: usize = 8 * 1024;

/// A signed roster statement in bytes; it must fit into one record of the ledger.
pub const ROSTER_STATEMENT_MAX_BYTES: usize = 64 * 1024;

/// Statements of one roster: bounds what a start replays, and the keys that are remembered for good.
pub const ROSTER_MAX_STATEMENTS: u64 = 100_000;

/// People who are enrolled at one time.
pub const ROSTER_MAX_PEOPLE: usize = 10_000;

/// Keys of one person.
pub const PERSON_MAX_KEYS: usize = 8;

/// A passkey's credential id in bytes (WebAuthn level 2, section 4).
pub const CREDENTIAL_ID_MAX_BYTES: usize = 1023;

/// Groups of one roster.
pub const ROSTER_MAX_GROUPS: usize = 512;

/// Members of one group.
pub const GROUP_MAX_MEMBERS: usize = 1000;

/// A group's title in bytes.
pub const GROUP_TITLE_MAX_BYTES: usize = 200;

/// Owners of one group.
pub const GROUP_MAX_OWNERS: usize = 16;

/// The fewest owners of a group.
pub const GROUP_MIN_OWNERS: usize = 2;

/// Slots of a group's rule.
pub const GROUP_MAX_SLOTS: usize = 8;

/// People whom one slot may ask for.
pub const SLOT_MAX_COUNT: u32 = 8;

/// Human approvers of a group that reaches customers' data, at the least.
pub const CUSTOMER_DATA_MIN_APPROVERS: u32 = 2;

/// The longest grant that a group may give, in hours.
pub const GRANT_MAX_HOURS: u32 = 8;

/// Host patterns, login roles and kinds of request in a group's rights, of each.
pub const RIGHTS_MAX_ITEMS: usize = 64;

/// Attributes in a rule that admits people by what the HR feed says.
pub const ADMITS_MAX_ATTRIBUTES: usize = 8;

/// Values of one such attribute.
pub const ADMITS_MAX_VALUES: usize = 32;

/// One such value in bytes.
pub const ADMITS_VALUE_MAX_BYTES: usize = 128;

/// Hosts of one roster.
pub const ROSTER_MAX_HOSTS: usize = 10_000;

/// Accounts that one host is mapped to; one with more is left unmapped, which means all.
pub const HOST_MAX_ACCOUNTS: usize = 256;

/// A host's address in bytes: a DNS name with a port.
pub const HOST_ADDRESS_MAX_BYTES: usize = 260;

/// Origins at which a browser may sign.
pub const ROSTER_MAX_ORIGINS: usize = 16;

/// A request's reason in characters.
pub const REASON_MAX_CHARS: usize = 2000;

/// A ticket's system and its id in bytes, each.
pub const TICKET_ID_MAX_BYTES: usize = 64;

/// Hosts of one request.
pub const SCOPE_MAX_HOSTS: usize = 16;

/// Commands of one request, and rules for files, of each.
pub const SCOPE_MAX_ITEMS: usize = 16;

/// One command of a request in bytes.
pub const SCOPE_COMMAND_MAX_BYTES: usize = 1024;

/// One path of a request in bytes.
pub const SCOPE_PATH_MAX_BYTES: usize = 1024;

/// Customers that a recording names as those whose data it can show; of more it is taken to show anybody's.
pub const RECORDING_MAX_ACCOUNTS: usize = 256;

/// How old the signature may be with which a recording is opened, and how far it may be ahead.
pub const OPENING_AGE_MAX: Duration = Duration::from_secs(300);

/// How far a request may be dated ahead of the clock of who checks it.
pub const REQUEST_AHEAD_MAX: Duration = Duration::from_secs(300);

/// How long after it was made a request's window may begin.
pub const REQUEST_FUTURE_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
/// An SSH certificate in bytes.
pub const SSH_CERT_MAX_BYTES: usize = 16 * 1024;

/// A certificate's key id in bytes: sshd logs it whole.
pub const SSH_CERT_KEY_ID_MAX_BYTES: usize = 1024;

/// Principals of a certificate (OpenSSH: 256).
pub const SSH_CERT_MAX_PRINCIPALS: usize = 256;

/// Networks of a certificate's source address.
pub const SSH_CERT_MAX_SOURCES: usize = 64;

/// A key revocation list in bytes: sshd reads it at each login.
pub const KRL_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A revocation list's comment in bytes.
pub const KRL_COMMENT_MAX_BYTES: usize = 1024;

/// Runs of serial numbers of one authority in a revocation list.
pub const KRL_MAX_RANGES: usize = 200_000;

/// One bitmap of a revocation list in bytes (OpenSSH: 2^24 bits).
pub const KRL_BITMAP_MAX_BYTES: usize = 2 * 1024 * 1024 + 1;

/// A recording's header in bytes.
pub const RECORDING_HEADER_MAX_BYTES: usize = 64 * 1024;

/// What one frame of a recording holds, in bytes before it is sealed. SSH packets are far smaller.
pub const RECORDING_CONTENT_MAX_BYTES: usize = 1024 * 1024;

/// Why a recording ended, in bytes.
pub const RECORDING_REASON_MAX_BYTES: usize = 1024;

/// One frame of a managed host in bytes: the longest record of the kernel's audit (8,970 bytes) and some
/// room. A longer line is cut.
pub const HOST_FRAME_MAX_BYTES: usize = 16 * 1024;

/// One line or record in such a frame, in bytes.
pub const HOST_PAYLOAD_MAX_BYTES: usize = 12 * 1024;

/// An agent's configuration in bytes: it is an entry of the host log.
pub const HOST_CONFIG_MAX_BYTES: usize = 12 * 1024;

/// Frames in one message of an agent, in bytes: the sum at which no further frame is added.
pub const HOST_BATCH_BYTES: usize = 64 * 1024;

/// One message between an agent and watch, in bytes.
pub const HOST_MESSAGE_MAX_BYTES: usize = HOST_BATCH_BYTES + 4 * HOST_FRAME_MAX_BYTES;

/// Sources of one agent.
pub const HOST_MAX_SOURCES: usize = 32;

/// A text in a frame or a message that people read, in bytes.
pub const HOST_TEXT_MAX_BYTES: usize = 1024;

/// One entry of the host log in bytes: a frame and what watch says of it.
pub const HOST_ENTRY_MAX_BYTES: usize = HOST_FRAME_MAX_BYTES + 1024;

/// Parameters of one runbook.
pub const RUNBOOK_MAX_PARAMETERS: usize = 16;

/// Arguments of a runbook's program.
pub const RUNBOOK_MAX_ARGUMENTS: usize = 32;

/// One such argument in bytes.
pub const RUNBOOK_ARGUMENT_MAX_BYTES: usize = 256;

/// Words of a parameter or of a field.
pub const RUNBOOK_MAX_WORDS: usize = 64;

/// Fields of a runbook's output.
pub const RUNBOOK_MAX_FIELDS: usize = 32;

/// What the output of one run can tell, in bits.
pub const RUNBOOK_MAX_OUTPUT_BITS: u32 = 256;

/// What the way in which a run ends can tell beside its output, in bits: outcomes, causes, and which field was wrong.
pub const RUNBOOK_END_BITS: u32 = 6;

/// What a program may write as its output, in bytes.
pub const RUNBOOK_OUTPUT_MAX_BYTES: usize = 64 * 1024;

/// What an entry says for the customers, in bytes.
pub const RUNBOOK_DESCRIPTION_MAX_BYTES: usize = 2000;

/// How long a run may take, in seconds.
pub const RUNBOOK_MAX_SECONDS: u32 = 3600;

/// A message of sshd that is as long as this may have been cut: at 1,023 bytes, and up to 3 before where a character is
/// written as several (OpenSSH, log.c: MSGBUFSIZ).
pub const SSHD_LINE_MAX_BYTES: usize = 1000;
