//! Limits of the gateway on sizes, counts and times, each with its unit.

use std::time::Duration;

/// log2 of the plaintext bytes in a frame, as written.
pub const FRAME_LOG2: u64 = 16;
/// Plaintext bytes in a frame, as written: 64 KiB.
pub const FRAME_BYTES: usize = 1 << FRAME_LOG2;
/// Smallest and largest log2 frame size that a reader accepts.
pub const FRAME_LOG2_RANGE: std::ops::RangeInclusive<u64> = 12..=20;
/// Longest segment header, in bytes.
pub const SEGMENT_HEADER_MAX_BYTES: usize = 8 * 1024;
/// Longest wrapped data key, in bytes.
pub const WRAPPED_KEY_MAX_BYTES: usize = 6_144;
/// Longest sealed manifest, in bytes: 10,000 parts of at most 200 bytes each.
pub const MANIFEST_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Frames that one step of crypto and file I/O handles: 1 MiB.
pub const BATCH_FRAMES: u64 = 16;

/// Longest object key, in bytes of UTF-8.
pub const KEY_MAX_BYTES: usize = 1_024;
/// PutObject, a part and CopyObject: 5 GiB.
pub const PUT_MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// The largest object that the default quota admits: 5 TiB.
pub const OBJECT_MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// The smallest part that is not the last: 5 MiB.
pub const PART_MIN_BYTES: u64 = 5 * 1024 * 1024;
/// The highest part number.
pub const PARTS_MAX: u32 = 10_000;
/// Entries in one page of any list.
pub const LIST_PAGE_MAX: usize = 1_000;
/// Keys in one DeleteObjects.
pub const DELETE_KEYS_MAX: usize = 1_000;
/// User metadata, names and values together, in bytes.
pub const USER_METADATA_MAX_BYTES: usize = 2 * 1024;
/// Bucket policy, in bytes.
pub const BUCKET_POLICY_MAX_BYTES: usize = 20 * 1024;
/// Buckets of one account.
pub const BUCKETS_PER_ACCOUNT_MAX: usize = 10_000;
/// Open uploads of one bucket.
pub const UPLOADS_PER_BUCKET_MAX: u64 = 10_000;
/// How long a repeated CompleteMultipartUpload waits for the one before it.
pub const COMPLETE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long the answer of a completed upload is kept for a retry.
pub const COMPLETED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Request line and header fields, in bytes.
pub const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Header fields of one request.
pub const HEADERS_MAX: usize = 100;
/// The XML body of DeleteObjects.
pub const DELETE_BODY_MAX_BYTES: usize = 2 * 1024 * 1024;
/// The XML body of CompleteMultipartUpload.
pub const COMPLETE_BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Every other XML or JSON body.
pub const SMALL_BODY_MAX_BYTES: usize = 64 * 1024;
/// Elements inside each other in an XML body.
pub const XML_DEPTH_MAX: usize = 8;
/// XML bodies in memory at once; an account gets half of them.
pub const XML_BODIES_MAX: usize = 8;
/// Streams with bodies at once; an account gets half of them.
pub const STREAMS_MAX: usize = 256;
/// How long a request waits for a stream before it is told to slow down.
pub const STREAM_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a body may send less than [`BODY_MIN_BYTES`], and a reader take nothing.
pub const BODY_WINDOW: Duration = Duration::from_secs(30);
/// What a body must send within [`BODY_WINDOW`], in bytes.
pub const BODY_MIN_BYTES: u64 = 30 * 1024;
/// How often a running stream asks whether it may go on.
pub const STREAM_CHECK: Duration = Duration::from_millis(100);
/// Feed silence after which running streams end.
pub const STREAM_SILENCE_MAX: Duration = Duration::from_secs(1);

/// Mutations in one transaction of the index.
pub const GROUP_COMMIT_MAX: usize = 64;
/// Mutations that wait for the index's writer.
pub const WRITER_QUEUE_MAX: usize = 1_024;
/// Read connections of the index.
pub const READERS: usize = 4;
/// Page cache of the index over all its connections, in KiB.
pub const INDEX_CACHE_KIB: i64 = 64 * 1024;
/// Rows that one cleaning step removes.
pub const CLEAN_BATCH: usize = 256;
/// Commits whose records the ledger has not acknowledged; no more mutations are taken beyond it.
pub const OUTBOX_MAX: u64 = 4_096;
/// Records of one commit: DeleteObjects has one for the call and one a key, each in up to two
/// accounts.
pub const COMMIT_RECORDS_MAX: usize = 2 * (DELETE_KEYS_MAX + 1);
/// Bytes of the records of one commit: what DeleteObjects can come to, and room.
pub const COMMIT_RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Records of one append to the ledger, an eighth of what its queue takes.
pub const APPEND_PIECE_RECORDS: usize = 1_024;
/// Bytes of records in one append to the ledger, half of what one takes.
pub const APPEND_PIECE_BYTES: usize = 4 * 1024 * 1024;
/// Segments without a row are swept when they are older than this.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// Space that a file takes at once as its bytes come: 4 MiB.
pub const RESERVE_STEP_BYTES: u64 = 4 * 1024 * 1024;
/// Free space below which no body is taken, unless the configuration says otherwise: 1 GiB.
pub const FREE_FLOOR_BYTES: u64 = 1024 * 1024 * 1024;
