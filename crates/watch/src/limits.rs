//! Named limits of watch. Time limits that processes share are in `writ_model::limits`.

use std::time::Duration;

use writ_proof::limits::FRAME_MAX_BYTES;

/// One message of the stream, in bytes: a frame with its own prefix and the message around it.
pub const MESSAGE_MAX_BYTES: usize = FRAME_MAX_BYTES + 1024;

/// How much is read from the connection at once, in bytes.
pub const READ_BYTES: usize = 256 * 1024;

/// A segment of the mirror is closed at this size, in bytes. It is read whole at a start.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// How long a TLS handshake may take.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Handshakes at one time; more connections wait in the listener's queue.
pub const HANDSHAKES_MAX: usize = 16;

/// How long an answer may take to go out before the connection is given up.
pub const SEND_MAX: Duration = Duration::from_secs(5);

/// How often watch looks at the time.
pub const TICK: Duration = Duration::from_millis(100);

/// Roots of the checkpoint log that are remembered: a checkpoint is compared with watch's own.
pub const ROOTS_MAX: usize = 65_536;

/// A commit that is not complete after this long is an alarm. Its records are sent again within seconds.
pub const COMMIT_OPEN_MAX: Duration = Duration::from_secs(10);

/// Without a checkpoint to cosign for this long there is an alarm, while the stream is alive.
pub const CHECKPOINT_LATE: Duration = Duration::from_secs(120);

/// One alarm's text, in characters.
pub const ALARM_MAX_CHARS: usize = 1000;
