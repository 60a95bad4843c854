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

/// How often keyd is asked to cosign a host log that has grown.
pub const HOST_COSIGN_EVERY: Duration = Duration::from_secs(1);

/// How often it is asked again when nothing has come, and when it has not answered: trail counts on it.
pub const HOST_COSIGN_AGAIN: Duration = Duration::from_secs(5);

/// A host log without keyd's cosignature for this long is an alarm, while trail's stream is alive.
pub const HOST_COSIGN_LATE: Duration = Duration::from_secs(60);

/// One alarm's text, in characters.
pub const ALARM_MAX_CHARS: usize = 1000;

/// How long a token to enrol a host is good.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Tokens that are open at one time; the oldest goes first.
pub const TOKENS_MAX: usize = 1000;

/// Windows in which stops are expected, at one time.
pub const WINDOWS_MAX: usize = 1000;

/// The longest such window.
pub const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long an agent's certificate is valid: 397 days. A connected agent gets the next one before.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(397 * 24 * 3600);

/// The next certificate is sent when this part of the lifetime is left: half.
pub const RENEW_PART: u32 = 2;

/// How long before its end a certificate is an alarm: 30 days.
pub const CERTIFICATE_ENDS: Duration = Duration::from_secs(30 * 24 * 3600);

/// An open alarm's cause is written down again at most this often.
pub const AGAIN_EVERY: Duration = Duration::from_secs(10);

/// An open alarm's cause is written down again with another text at most this often.
pub const OTHER_EVERY: Duration = Duration::from_millis(500);

/// How often the host log's checkpoint is signed, if something came.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Beats that an agent may miss before its host counts as unwatched.
pub const BEATS_MISSED: u32 = 3;

/// How long an agent whose connection has ended may take to come back.
pub const AGENT_GRACE: Duration = Duration::from_secs(1);

/// An agent that is silent for this long is an alarm; it lies below `AGENT_FROZEN_ALARM`.
pub const AGENT_SILENT: Duration = Duration::from_secs(8);

/// How much later than it is due an agent's canary may come back.
pub const CANARY_LATE: Duration = Duration::from_secs(4);

/// How long a source may be faulty before it is an alarm: a rotation takes a moment.
pub const SOURCE_GRACE: Duration = Duration::from_secs(5);

/// How long ago an agent may have looked at its sources.
pub const LOOKED_MAX: Duration = Duration::from_secs(5);

/// How far a host's wall clock may go against its own monotonic clock between two beats.
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(2);

/// Places in an agent's chain that are remembered until frames lead there.
pub const ANNOUNCED_MAX: usize = 128;

/// Connections of agents at one time.
pub const AGENTS_MAX: usize = 4096;

/// How long a peer may take to say who it is.
pub const HELLO_MAX: Duration = Duration::from_secs(5);

/// At most one alarm of peers that could not prove to be agents in this time; the others are counted.
pub const REFUSED_EVERY: Duration = Duration::from_secs(10);

/// Connections to the control socket at one time.
pub const CONTROLS_MAX: usize = 16;

/// One request at the control socket, in bytes.
pub const CONTROL_MAX_BYTES: usize = 16 * 1024;

/// One answer of the control socket, in bytes.
pub const CONTROL_ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Alarms in one answer of the control socket.
pub const CONTROL_MAX_ALARMS: usize = 1000;

/// How long the control socket waits for a request or to be rid of its answer.
pub const CONTROL_WAIT: Duration = Duration::from_secs(5);
