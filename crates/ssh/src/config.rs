//! What may be set, for both sides.

use std::time::Duration;

use crate::limits;
use crate::negotiate::Algorithms;

/// When new keys are agreed on; never later than the limits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rekey {
    /// After so many bytes in one direction.
    pub bytes: u64,
    /// After so long.
    pub after: Duration,
}

/// The settings of a connection. The defaults are the limits of [`limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What we offer.
    pub algorithms: Algorithms,
    /// How long key exchange and authentication may take together, the user's touch and the decision
    /// included.
    pub login_grace: Duration,
    /// Failed attempts to authenticate.
    pub auth_max_attempts: u32,
    /// Channels at one time.
    pub channels_max: usize,
    /// What a channel's peer may send before anything is accepted, in bytes.
    pub window_bytes: u32,
    /// When new keys are agreed on.
    pub rekey: Rekey,
    /// Silence after which we ask whether the peer is there.
    pub keepalive_after: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            algorithms: Algorithms::default(),
            login_grace: limits::LOGIN_GRACE,
            auth_max_attempts: limits::AUTH_MAX_ATTEMPTS,
            channels_max: limits::CHANNELS_MAX,
            window_bytes: limits::CHANNEL_WINDOW_BYTES,
            rekey: Rekey { bytes: limits::REKEY_BYTES, after: limits::REKEY_AFTER },
            keepalive_after: limits::KEEPALIVE_AFTER,
        }
    }
}
