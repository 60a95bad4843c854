//! Named limits of the ledger writer. Time limits that processes share are in `writ_model::limits`.

use std::time::Duration;

/// A whole event in bytes (CloudTrail, since event version 1.05).
pub const RECORD_MAX_BYTES: usize = 256 * 1024;

/// `requestParameters` and `responseElements` in bytes of JSON, each (CloudTrail).
pub const PARAMETERS_MAX_BYTES: usize = 100 * 1024;

/// `additionalEventData` in bytes of JSON (CloudTrail: 28 KB), less 2 KiB for our own members.
pub const ADDITIONAL_MAX_BYTES: usize = 26 * 1024;

/// `userAgent`, `errorCode` and `errorMessage` in bytes, each (CloudTrail).
pub const TEXT_MAX_BYTES: usize = 1024;

/// Resources that one record names. No operation touches more.
pub const RESOURCES_MAX: usize = 8;

/// Records that wait for the sequencer. A full queue refuses before anything has happened.
pub const QUEUE_MAX_RECORDS: usize = 8192;

/// Records in one frame.
pub const BATCH_MAX_RECORDS: usize = 8192;

/// Bytes of records in one frame.
pub const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Answers that are held back for keyd's own record of the use that they tell of.
pub const HELD_MAX: usize = 8192;

/// How long records of a run of keyd that is over may still be on their way to the writer.
pub const OLD_BOOT_WAIT: Duration = Duration::from_secs(1);

/// How long an answer is held back before the caller is told that the ledger is unavailable.
pub const HELD_MAX_AGE: Duration = Duration::from_secs(5);

/// A WAL segment in bytes, unless the configuration says otherwise.
pub const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;

/// The smallest segment that a configuration may ask for: tests want many.
pub const SEGMENT_MIN_BYTES: u64 = 4 * 1024;

/// Free space below which nothing more is accepted, unless the configuration says otherwise.
pub const RESERVE_BYTES: u64 = 1024 * 1024 * 1024;

/// How often the builder looks for new frames. Tiles are at most this much behind, and work.
pub const BUILD_EVERY: Duration = Duration::from_millis(250);

/// How often a checkpoint is made, when there is something new.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Bytes of WAL that the builder and the sender to watch read at once.
pub const READ_CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Batches sent to watch and not yet acknowledged.
pub const PUSH_WINDOW: usize = 64;

/// The most events on one page of LookupEvents (AWS).
pub const LOOKUP_PAGE_MAX: u64 = 50;

/// A value to look up, in bytes (AWS: 2,000 characters).
pub const LOOKUP_VALUE_MAX_BYTES: usize = 8000;

/// One event in the supervisor's spool, in bytes.
pub const SPOOL_RECORD_MAX_BYTES: usize = 64 * 1024;

/// How often the spool is drained.
pub const SPOOL_EVERY: Duration = Duration::from_millis(500);

/// An answer of a witness, head and body, in bytes.
pub const WITNESS_ANSWER_MAX_BYTES: usize = 16 * 1024;

/// How long a witness may take for one answer.
pub const WITNESS_TIMEOUT: Duration = Duration::from_millis(500);

/// Event ids that are remembered, so that a record sent again is not appended again. An outbox holds
/// far fewer.
pub const IDS_MAX: usize = 2_000_000;

/// Positions of keyd's chain that are remembered. keyd stops at 2,048 unacknowledged ones.
pub const USE_POSITIONS_MAX: usize = 65_536;

/// Requests of one channel that are not answered yet; a peer with more does not read its answers.
pub const OUTSTANDING_MAX: usize = 16_384;

/// Without a checkpoint of watch's host log for this long there is a record of it.
pub const HOST_LOG_SILENT: Duration = Duration::from_secs(15);

/// How long an orderly end waits for the last checkpoint and watch's cosignature.
pub const LAST_ROUND_MAX: Duration = Duration::from_secs(2);

/// How long an orderly end waits for the peers, which end first, to be gone with all they had sent.
pub const PEERS_GONE_MAX: Duration = Duration::from_secs(1);

/// How long a start waits for the folder: a process whose supervisor was killed may be ending.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);
