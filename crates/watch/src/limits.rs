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

/// Handshakes with trail at one time; of more, the oldest of the address that has most of them gives way.
pub const HANDSHAKES_MAX: usize = 16;

/// How long an answer may take to go out before the connection is given up.
pub const SEND_MAX: Duration = Duration::from_secs(5);

/// How often watch looks at the time.
pub const TICK: Duration = Duration::from_millis(100);

/// Roots of the checkpoint log that are remembered: a checkpoint is compared with watch's own.
pub const ROOTS_MAX: usize = 65_536;

/// A commit that is not complete after this long is an alarm. Its records are sent again within seconds.
pub const COMMIT_OPEN_MAX: Duration = Duration::from_secs(10);

/// Without a checkpoint to cosign for this long there is an alarm, while the stream is alive. One of unchanged size comes
/// every 60 s.
pub const CHECKPOINT_LATE: Duration = Duration::from_secs(75);

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

/// Alarms of one kind about one host, each of a cause of its own, that are open at one time. Further causes are counted at
/// one alarm more: whoever can write a host's log can make as many as they like.
pub const SAME_OPEN_MAX: usize = 32;

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

/// Connections of agents at one time, where the process may have so many descriptors open.
pub const AGENTS_MAX: usize = 4096;

/// Connections at one time of peers that have not shown the key of an enrolled host: hosts that enrol, and strangers.
pub const STRANGERS_MAX: usize = 256;

/// Connections at one time with the key of one host, before they say more: one that lives, and a few that replace it.
pub const KEY_CONNECTIONS_MAX: usize = 4;

/// Descriptors of watch that no agent's connection may take: its logs and what it writes beside them, the stream with
/// [`HANDSHAKES_MAX`] handshakes, [`CONTROLS_MAX`] administrators, and for each of [`CHANNELS_MAX`] channels what resolving
/// a name and a delivery open.
pub const DESCRIPTORS_RESERVED: usize = 128;

/// How long a peer may take to say who it is.
pub const HELLO_MAX: Duration = Duration::from_secs(5);

/// At most one alarm of peers that could not prove to be agents in this time; the others are counted.
pub const REFUSED_EVERY: Duration = Duration::from_secs(10);

/// Connections to the control socket at one time.
pub const CONTROLS_MAX: usize = 16;

/// One request at the control socket, in bytes.
pub const CONTROL_MAX_BYTES: usize = 64 * 1024;

/// One answer of the control socket, in bytes.
pub const CONTROL_ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Alarms in one answer of the control socket.
pub const CONTROL_MAX_ALARMS: usize = 1000;

/// How long the control socket waits for a request or to be rid of its answer.
pub const CONTROL_WAIT: Duration = Duration::from_secs(5);

/// Channels by which alarms go out.
pub const CHANNELS_MAX: usize = 8;

/// Managers who get a summary.
pub const MANAGERS_MAX: usize = 500;

/// Persons whom one manager's summary is about.
pub const REPORTS_MAX: usize = 1000;

/// Mail addresses of one channel.
pub const RECIPIENTS_MAX: usize = 20;

/// The file `watch.toml`, in bytes.
pub const ROUTES_MAX_BYTES: u64 = 1024 * 1024;

/// How often watch looks whether `watch.toml` was changed.
pub const ROUTES_EVERY: Duration = Duration::from_secs(5);

/// How often a channel looks whether it owes something.
pub const DELIVERY_LOOK_EVERY: Duration = Duration::from_millis(100);

/// One delivery, from the name's resolution to the peer's answer.
pub const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// The pause after a delivery that failed; each further failure doubles it.
pub const DELIVERY_AGAIN: Duration = Duration::from_secs(1);

/// The longest such pause.
pub const DELIVERY_AGAIN_MAX: Duration = Duration::from_secs(60);

/// A channel that takes nothing for this long is an alarm by itself, for the other channels.
pub const DELIVERY_FAILING: Duration = Duration::from_secs(60);

/// Alarms in one mail; the others come in the next.
pub const MAIL_MAX_ALARMS: usize = 50;

/// A peer's answer to a delivery, in bytes.
pub const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// How often the word for the control side is written anew.
pub const WORD_EVERY: Duration = Duration::from_secs(2);

/// Alarms in the word.
pub const WORD_MAX_ALARMS: usize = 200;

/// The file of the word, in bytes.
pub const WORD_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How long the ledger may take to explain a login on a host.
pub const LOGIN_EXPLAINED: Duration = Duration::from_secs(5);

/// Logins on one host that wait to be explained; further ones are found at once.
pub const LOGINS_WAITING_MAX: usize = 256;

/// A login may follow the end of its session by this much: both clocks are read when the news comes.
pub const LOGIN_AFTER_END: Duration = Duration::from_secs(1);

/// Logins before the newest entry of the host log that a start looks at again.
pub const LOGINS_AGAIN: Duration = Duration::from_secs(3600);

/// How long the event of a key use may take. A restart right after it excuses its absence.
pub const USE_UNTOLD_MAX: Duration = Duration::from_secs(10);

/// How long a customer's own request may go on after what a service did for it.
pub const PARENT_MAX: Duration = Duration::from_secs(3600);

/// A use this long before a recorded restart may be unanswered by it.
pub const CRASH_WINDOW: Duration = Duration::from_secs(10);

/// How long marks of a recording may stay away while something happens in its session.
pub const MARKS_LATE: Duration = Duration::from_secs(10);

/// A mark this long before an act covers it: both are told at their own pace.
pub const MARK_BEFORE: Duration = Duration::from_secs(2);

/// How long after its last moment a session may be without an end in the ledger.
pub const SESSION_END_LATE: Duration = Duration::from_secs(60);

/// How long sessions and grants are remembered after their end: logins are compared with them.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Uses, events and sessions that are remembered at one time; what is older is `writ verify`'s matter.
pub const REMEMBERED_MAX: usize = 200_000;

/// Marks of one session that are compared with each other.
pub const MARKS_MAX: usize = 1000;

/// Rows of one table of a summary; the others are counted.
pub const SUMMARY_MAX_ROWS: usize = 500;

/// Days that a summary may lie back.
pub const SUMMARY_MAX_DAYS: u64 = 400;

/// Summaries that are remembered until they are delivered: two days of all managers.
pub const SUMMARIES_MAX: usize = 2 * (MANAGERS_MAX + 1);
