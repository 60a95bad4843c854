//! Named limits on sizes and counts. Time limits that processes share are in `writ_model::limits`.

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
