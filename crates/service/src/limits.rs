//! Limits of the request path.

use std::time::Duration;

/// Connections that are open at once to one listener; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1024;

/// How long the head of a request may take, and a TLS handshake before it.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request's body may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long open requests may take to end once the process shall stop.
pub const DRAIN: Duration = Duration::from_secs(4);

/// The largest body of the query and JSON protocols, in bytes. The longest legal input, a policy
/// document of 131,072 characters in percent-encoding, is 393,216 bytes.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// Records of unauthenticated calls that are written in each second; more are counted, not written,
/// so that a stranger cannot fill the ledger.
pub const UNAUTHENTICATED_RECORDS_PER_SECOND: u64 = 200;

/// Requests in work at once; more are told to slow down.
pub const IN_FLIGHT_MAX: usize = 1024;

/// How long one request may take before it is given up with a retryable error.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Records of key uses that wait for the ledger to take them. keyd refuses uses a second after the ledger
/// stops acknowledging, so more cannot come together.
pub const OWED_RECORDS_MAX: usize = 4096;

/// The resolution of a signature's date (AWS, "Signature Version 4"): equal requests within it have one
/// signature. A repeat of one that keyd admits once is answered when the next second has begun.
pub const SIGNATURE_STEP: Duration = Duration::from_secs(1);
