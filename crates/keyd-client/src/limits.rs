//! Sizes of the channel protocol.

/// The largest packet that goes through the socket itself; a larger one goes as a sealed memfd.
/// Below the kernel's default send buffer of 208 KiB, with room for its accounting.
pub const PACKET_MAX_BYTES: usize = 96 * 1024;

/// The largest packet at all: a signed body of the query and JSON protocols with its head.
pub const LARGE_PACKET_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Messages that share one packet.
pub const BATCH_MAX: usize = 32;

/// Descriptors that one packet may carry.
pub const FDS_MAX: usize = 4;

/// Requests of one client that may wait for an answer; further callers are refused at once.
pub const PENDING_MAX: usize = 8192;

/// How long a caller waits for an answer before it gives up.
pub const CALL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
