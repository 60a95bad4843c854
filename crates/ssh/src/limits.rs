//! Named limits of the transport: what a peer may make us hold, and for how long.

use std::time::Duration;

/// A version line in bytes, its end included (RFC 4253 section 4.2).
pub const VERSION_LINE_MAX_BYTES: usize = 255;

/// Lines that a server may send before its version line; OpenSSH takes 1024, nobody sends more than a few.
pub const BANNER_LINES_MAX: usize = 16;

/// A packet in bytes, without its length field and tag: what every implementation must take (RFC 4253
/// section 6.1).
pub const PACKET_MAX_BYTES: usize = 35_000;

/// A channel's largest packet of data in bytes, in either direction.
pub const CHANNEL_PACKET_MAX_BYTES: u32 = 32 * 1024;

/// A name-list in bytes; OpenSSH's longest has about 500.
pub const NAME_LIST_MAX_BYTES: usize = 4096;

/// Names in a name-list.
pub const NAME_LIST_MAX_NAMES: usize = 128;

/// A name of an algorithm, method, request or channel type in bytes (RFC 4251 section 6).
pub const NAME_MAX_BYTES: usize = 64;

/// A text for a person in bytes: banner, description of a disconnect or of a refused channel.
pub const TEXT_MAX_BYTES: usize = 4096;

/// A command, or an environment variable's value, in bytes.
pub const COMMAND_MAX_BYTES: usize = 16 * 1024;

/// The encoded terminal modes of a pty in bytes; there are some 60 of five bytes.
pub const TERMINAL_MODES_MAX_BYTES: usize = 1024;

/// A host's key or certificate in bytes.
pub const HOST_KEY_MAX_BYTES: usize = 8 * 1024;

/// Key exchange and authentication together, from the connection's first byte.
pub const LOGIN_GRACE: Duration = Duration::from_secs(60);

/// Failed attempts to authenticate, after which the connection ends; the first `none` asks for the
/// methods and is free.
pub const AUTH_MAX_ATTEMPTS: u32 = 6;

/// Requests to authenticate, whatever becomes of them.
pub const AUTH_MAX_REQUESTS: u32 = 32;

/// Channels of a connection at one time.
pub const CHANNELS_MAX: usize = 10;

/// What a channel's peer may send that the consumer has not accepted, in bytes: as OpenSSH's own, so that a
/// transfer does not stand still while what came is made durable.
pub const CHANNEL_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// Events of one channel, or of the connection, that nobody has taken yet; with more the socket is
/// not read.
pub const EVENTS_MAX: usize = 256;

/// Requests of ours to one channel, or to the connection, that the peer has not answered.
pub const REQUESTS_MAX: usize = 64;

/// Requests of the peer to one channel, or to the connection, that the consumer has taken and not answered.
pub const ANSWERS_MAX: usize = 64;

/// Messages that wait to be sent, in bytes; with more nobody may add data, and the socket is not read.
pub const OUTBOX_MAX_BYTES: usize = 256 * 1024;

/// Encrypted bytes that wait for the socket; with more nothing is added, and the socket is not read.
pub const SENDING_MAX_BYTES: usize = 256 * 1024;

/// Bytes in one direction after which new keys are agreed on (RFC 4253 section 9).
pub const REKEY_BYTES: u64 = 1024 * 1024 * 1024;

/// Time after which new keys are agreed on (RFC 4253 section 9).
pub const REKEY_AFTER: Duration = Duration::from_secs(3600);

/// Packets in one direction after which new keys are agreed on (RFC 4344 section 3.1: well before the
/// sequence number's 2^32).
pub const REKEY_PACKETS: u64 = 1 << 28;

/// Packets in one direction under one key, at the most.
pub const KEY_MAX_PACKETS: u64 = 1 << 31;

/// A key exchange, from our first message of it.
pub const KEX_DEADLINE: Duration = Duration::from_secs(30);

/// Silence of the peer after which we ask whether it is there.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);

/// Questions whether the peer is there that may go unanswered.
pub const KEEPALIVE_MAX: u32 = 3;

/// What is left at the end of a connection, its reason above all, may take so long to go out.
pub const LINGER: Duration = Duration::from_secs(2);
