//! Named limits of the bastion. Time limits that processes share are in `writ_model::limits`.

use std::time::Duration;

/// Bytes that wait for the recorder's thread, of all sessions. SSH windows are far smaller.
pub const QUEUE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that are written before one fsync.
pub const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long the recorder may stand still before its sessions end, unless the configuration says otherwise.
pub const STALL_MAX: Duration = Duration::from_millis(500);

/// How often somebody looks whether the recorder stands still.
pub const STALL_LOOK_EVERY: Duration = Duration::from_millis(25);

/// How many such looks the recorder's threads get to end when it is dropped.
pub const STOP_LOOKS: usize = 20;

/// How often a recording is checkpointed when there is something new.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Frames after which it is checkpointed at once.
pub const CHECKPOINT_FRAMES: u64 = 256;

/// Stored bytes after which it is checkpointed at once: a segment.
pub const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// Free space below which no session begins, unless the configuration says otherwise.
pub const REFUSE_BELOW_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Free space below which running sessions are closed, unless the configuration says otherwise.
pub const CLOSE_BELOW_BYTES: u64 = 512 * 1024 * 1024;

/// How often the recorder looks at the free space, and closes a session where there is too little.
pub const FLOOR_EVERY: Duration = Duration::from_millis(250);

/// How long the recorder sleeps when nothing comes.
pub const TICK: Duration = Duration::from_millis(50);

/// Files of one batch that get an fsync each, side by side; of more, the file system gets one for all, which
/// waits for what others have written there too.
pub const SYNC_EACH_MAX: usize = 16;

/// Bytes that recovery reads at once.
pub const READ_CHUNK_BYTES: usize = 1024 * 1024;

/// An SFTP packet in bytes, without its length (OpenSSH: 256 KiB).
pub const SFTP_PACKET_MAX_BYTES: usize = 256 * 1024;

/// Requests of one SFTP channel that are not answered yet.
pub const SFTP_MAX_PENDING: usize = 1024;

/// Files and folders that one SFTP channel holds open.
pub const SFTP_MAX_HANDLES: usize = 256;

/// A handle in bytes (draft-ietf-secsh-filexfer-02, section 6.2).
pub const SFTP_HANDLE_MAX_BYTES: usize = 256;

/// A path in bytes (Linux: `PATH_MAX`).
pub const SFTP_PATH_MAX_BYTES: usize = 4096;

/// Attributes that are not known, in one packet.
pub const SFTP_MAX_EXTENDED: u32 = 16;

/// Globs of one right.
pub const SFTP_MAX_GLOBS: usize = 64;

/// Requests of the operator that wait for the host to be asked, in bytes: above SSH's window, which is given back
/// only for what was handled.
pub const SFTP_HELD_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Requests of the operator that are handled at once: what they led to is durable before the next ones are.
pub const SFTP_STEP_MAX_PACKETS: usize = 1024;

/// The last status code of version 3 (draft-ietf-secsh-filexfer-02, section 7).
pub const SFTP_MAX_STATUS: u32 = 8;

/// Bytes of a sequence that an asciicast holds back for the rest of a character.
pub const CAST_HELD_MAX_BYTES: usize = 3;

/// Columns of an asciicast whose session had no terminal.
pub const CAST_COLS: u32 = 80;

/// Its rows.
pub const CAST_ROWS: u32 = 24;

/// Sessions of operators at one time.
pub const SESSIONS_MAX: usize = 512;

/// Connections at one time that have not logged in (OpenSSH's `MaxStartups`: 100).
pub const LOBBY_MAX: usize = 256;

/// Of those from one IPv4 address or IPv6 network: many people may sit behind one, and log in at once.
pub const LOBBY_SOURCE_MAX: usize = 64;

/// Recordings in one page of a listing.
pub const SHELF_PAGE_MAX: usize = 50;

/// Bytes of a recording that are lent at once: a segment.
pub const SHELF_PIECE_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The file of a recording's signed end, in bytes.
pub const END_FILE_MAX_BYTES: u64 = 4096;

/// Things that are refused in one session before it ends.
pub const REFUSALS_MAX: u32 = 64;

/// Variables of one channel's environment.
pub const VARIABLES_MAX: usize = 32;

/// Marks of recordings that wait for the ledger.
pub const MARKS_MAX: usize = 4096;

/// Events in one append.
pub const APPEND_TOGETHER: usize = 256;

/// The file of what a session owes the ledger, in bytes: it may name every customer.
pub const OWED_FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How long keyd or the ledger may take to answer. No session goes on without.
pub const PEER_WAIT: Duration = Duration::from_secs(2);

/// After this long a session's end that the ledger did not take is told again.
pub const TELL_AGAIN: Duration = Duration::from_secs(1);

/// How long a host may take to answer a connection.
pub const HOST_WAIT: Duration = Duration::from_secs(5);

/// How often a session is judged when nothing changes.
pub const JUDGE_EVERY: Duration = Duration::from_millis(100);

/// What is left for both ends of a session that ended: its reason above all.
pub const PART_WAIT: Duration = Duration::from_millis(300);

/// How long the sessions, and then the ledger, may take when the bastion stops.
pub const STOP_WAIT: Duration = Duration::from_secs(2);

/// Bytes of one file, in each direction.
pub const SFTP_FILE_MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// Bytes of all files of one channel, both directions together.
pub const SFTP_SESSION_MAX_BYTES: u64 = 256 * 1024 * 1024 * 1024;

/// Files that one channel opens.
pub const SFTP_FILES_MAX: u64 = 1_000_000;

/// Addresses whose failed logins are counted one by one until they are told.
pub const STRANGERS_MAX: usize = 64;

/// How often failed logins of strangers are told, and how often the wall clock is looked at.
pub const TELL_STRANGERS_EVERY: Duration = Duration::from_secs(2);

/// A change of the wall clock against the monotonic one that is told.
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(2);

/// How long a session on a host goes on after watch last said that it is watched (watch says so every 2 s).
pub const WATCH_LEASE: Duration = Duration::from_secs(10);

/// How long a login that no grant covers waits for news of front, which come each 250 ms: two of them.
pub const NEWS_WAIT: Duration = Duration::from_millis(600);

/// How long a start waits for the folder of the recordings: a bastion whose supervisor was killed may be ending.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);
