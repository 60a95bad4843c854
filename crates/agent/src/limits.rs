//! Named limits of the agent. Those on frames and messages are in `writ_proof::limits`.

use std::time::Duration;

/// How much room the spool takes unless the configuration says otherwise, in MiB.
pub const SPOOL_DEFAULT_MIB: u64 = 2048;

/// A segment of the spool is closed at this size unless the configuration says otherwise, in MiB.
pub const SEGMENT_DEFAULT_MIB: u64 = 64;

/// What is kept back on the disk so that the agent can write down its place when the disk is full, in bytes.
pub const RESERVE_BYTES: usize = 64 * 1024;

/// How long a starting agent waits for its folder before it says that another one has it.
pub const LOCK_WAIT: Duration = Duration::from_millis(500);

/// How often files are looked at. With it, an event is at watch within a quarter of a second.
pub const POLL: Duration = Duration::from_millis(50);

/// Events that are taken in before they are written together.
pub const BATCH_MAX_EVENTS: usize = 512;

/// How much is read of one file at once, in bytes.
pub const READ_BYTES: usize = 256 * 1024;

/// How often, [`READ_BYTES`] each, a journal's file is read at one look while no entry of it is told.
pub const JOURNAL_READS: usize = 16;

/// One value of a journal in bytes: systemd takes 768 MiB (`DATA_SIZE_MAX`).
pub const JOURNAL_FIELD_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// The name of a journal's field in bytes, as systemd takes it.
pub const JOURNAL_NAME_MAX_BYTES: usize = 64;

/// How long a TLS handshake, a connection or an answer may take.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// An agent that hears nothing from watch for this long, which answers each beat, connects again.
pub const WATCH_SILENT_MAX: Duration = Duration::from_secs(5);

/// How long sending may take before the connection is given up.
pub const SEND_MAX: Duration = Duration::from_secs(5);

/// The first pause before connecting again. It doubles.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest pause before connecting again: below the second after which watch raises an alarm.
pub const BACKOFF_MAX: Duration = Duration::from_millis(800);

/// While watch is away, the log says so at most this often.
pub const OUTAGE_AGAIN: Duration = Duration::from_secs(60);

/// Bytes that are sent and not acknowledged yet.
pub const UNACKNOWLEDGED_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How often the places of sources and of watch are written down; after a crash the spool tells the rest.
pub const STATE_EVERY: Duration = Duration::from_secs(1);

/// How often the kernel's audit is asked for its state.
pub const AUDIT_LOOK: Duration = Duration::from_secs(1);

/// How long the kernel may take to answer.
pub const AUDIT_WAIT: Duration = Duration::from_millis(500);

/// Messages of the kernel in one answer: rules, and the end.
pub const AUDIT_MAX_MESSAGES: usize = 20_000;

/// The receive buffer that is asked for on the audit socket, in bytes.
pub const AUDIT_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// One packet of the kernel in bytes: the longest audit message is 8,970.
pub const AUDIT_PACKET_BYTES: usize = 16 * 1024;

/// How long the agent waits for watch to take everything when it ends in order.
pub const BYE_MAX: Duration = Duration::from_secs(5);

/// Directory entries that are looked at to find a rotated file again.
pub const ROTATED_MAX_FILES: usize = 4096;

/// How often processes are looked at. A session's first process is in its group by then.
pub const SESSION_LOOK: Duration = Duration::from_millis(25);

/// Names of killed processes that are told.
pub const SESSION_NAMES_MAX: usize = 20;

/// What `sshd` says of a login, in bytes.
pub const AUTH_FILE_MAX_BYTES: u64 = 64 * 1024;

/// Directory entries that are looked at to find what `sshd` says of a login.
pub const AUTH_FOLDER_MAX_FILES: usize = 16 * 1024;

/// What is read of a process's environment, in bytes: the kernel takes 6 MiB of arguments and environment.
pub const ENVIRONMENT_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// How long a connection that somebody works in may take to show how it was opened. A line of sshd's log is here by then.
pub const SESSION_IDENTIFY_MAX: Duration = Duration::from_secs(2);

/// How long it shows, at least, that a connection did not say how it was opened: watch raises an alarm after 5 s.
pub const SESSION_FAULT_LEAST: Duration = Duration::from_secs(10);

/// Sessions are not followed any more if their thread has not looked for so long.
pub const SESSION_SILENT_MAX: Duration = Duration::from_secs(2);

/// Logins of sshd's log that wait for the thread that follows sessions.
pub const LOGINS_MAX: usize = 4096;

/// How often, [`POLL`] apart, the agent looks whether its reader has ended.
pub const READER_END_TRIES: u32 = 20;

/// What the reader finds at once, in bytes.
pub const READER_MESSAGE_MAX_BYTES: usize = 64 * 1024 * 1024;
