//! Sizes and counts that the store refuses to exceed, each with its reason.

use std::time::Duration;

/// Transactions in one group commit. More gains little: the fsync is shared already.
pub const GROUP_MAX_TRANSACTIONS: usize = 64;

/// Transactions that may wait for the writer; more are refused as retryable.
pub const QUEUE_MAX_TRANSACTIONS: usize = 1024;

/// Objects that one transaction may write or delete.
pub const TRANSACTION_MAX_OBJECTS: usize = 256;

/// Audit records that one transaction may carry.
pub const TRANSACTION_MAX_RECORDS: usize = 16;

/// Bytes of the audit records in one group commit, so that one append request holds them all.
pub const GROUP_MAX_RECORD_BYTES: usize = 8 << 20;

/// Bytes of one audit record: what the ledger takes.
pub const RECORD_MAX_BYTES: usize = writ_proof::limits::RECORD_MAX_BYTES;

/// Bytes of one stored body: the largest policy, 150 key tokens, and room.
pub const BODY_MAX_BYTES: usize = 1 << 20;

/// Bytes of an object's id; an ARN is the longest.
pub const ID_MAX_BYTES: usize = 2048;

/// Rows of the outbox. At this many no mutation is taken until the ledger has acknowledged some.
pub const OUTBOX_MAX_ROWS: usize = 4096;

/// Changes older than this are compacted; a node further behind loads anew.
pub const CHANGE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How often changes are compacted.
pub const COMPACTION_INTERVAL: Duration = Duration::from_secs(3600);

/// How long one append to the ledger may take before it counts as failed.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The first pause before a failed append is tried again; it doubles up to [`RETRY_PAUSE_MAX`].
pub const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two tries of an append.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How often start-up tries to bring the outbox to the ledger before it gives up.
pub const OPEN_APPEND_ATTEMPTS: u32 = 8;

/// Changes that one call of an engine answers at most, but for the rest of the last revision.
pub const CHANGES_MAX: usize = 4096;

/// Polls of a node that may be unanswered; older ones are forgotten.
pub const POLLS_MAX_OUTSTANDING: usize = 16;

/// A node whose wall clock differs from the store's by more than this raises an alarm.
pub const CLOCK_SKEW_ALARM: Duration = Duration::from_millis(250);

/// A node whose wall clock differs from the store's by more than this gets no lease.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_millis(500);

/// Events that a feed's subscriber may lag behind; one that lags more loads anew.
pub const FEED_MAX_EVENTS: usize = 1024;

/// Objects in one frame of a feed's load.
pub const FEED_LOAD_OBJECTS: usize = 512;

/// Bytes of bodies at which a frame of a feed's load is full; one body may go beyond.
pub const FEED_LOAD_BYTES: usize = 1 << 20;

/// Bytes of one compare-and-swap cell.
pub const CELL_MAX_BYTES: usize = 64 * 1024;

/// The clock drift that a barrier allows for, in percent of the staleness limit.
pub const BARRIER_DRIFT_PERCENT: u32 = 1;
