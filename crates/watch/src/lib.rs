//! watch: the security organisation's second copy of the ledger, and its first witness.
//!
//! trail pushes every frame of its write-ahead log over mutually authenticated TLS. watch checks each
//! with [`writ_proof::replay`], writes it into a mirror of its own, fsyncs, and only then acknowledges.
//! It cosigns the checkpoint log (C2SP tlog-witness), and never two trees of one size. What looks like
//! a fork, a rollback or silence becomes a line in `alarms.jsonl`.
//!
//! Agents on managed hosts connect to a listener of their own, with certificates of watch's own authority
//! (`hosts`). Their frames go into the host log before they are acknowledged; alarms of all kinds are entries of
//! it, open until a named human takes note ([`control`]).
//!
//! Alarms go to people by webhooks and mail, as the security organisation's own `watch.toml` says (`delivery`); a
//! summary of each day goes to managers and to the security organisation (`summary`). What the control side may
//! see of all this is one signed file ([`word`]).
//!
//! watch opens nothing of the control side but what trail pushes, and depends on no service. It can refuse and
//! raise alarms; it can grant nothing.
//!
//! `writ witness` and both ends of the connection share [`witness`], [`tls`] and [`writ_link::wire`].

mod advice;
mod alarm;
pub mod client;
pub mod control;
mod delivery;
mod detect;
mod error;
mod hosts;
mod keeper;
pub mod limits;
mod mime;
mod mirror;
mod outgoing;
mod routes;
mod serve;
mod smtp;
mod summary;
pub mod tls;
pub mod webhook;
pub mod witness;
pub mod word;

use writ_durable as disk;

pub use error::WatchError;
pub use hosts::Health;
pub use hosts::cosigned::COSIGNED_FILE;
pub use hosts::log::{CHECKPOINT_FILE, read_entries};
pub use mirror::{Each, Mirror, segment_path};
pub use routes::FILE as ROUTES_FILE;
pub use serve::{Listeners, WatchConfig, run};

/// The file of watch's Ed25519 seed, 32 bytes, in its folder.
pub const SEED_FILE: &str = "signing.seed";

/// The folder of the mirror in watch's folder: segments of frames as trail writes them.
pub const MIRROR_FOLDER: &str = "mirror";

/// The folder of what watch has cosigned, in watch's folder.
pub const WITNESS_FOLDER: &str = "witness";

/// The file of alarms in watch's folder, one JSON object a line.
pub const ALARMS_FILE: &str = "alarms.jsonl";

/// The folder of the host log in watch's folder.
pub const HOST_LOG_FOLDER: &str = "hostlog";

/// The socket of watch's administrators, in watch's folder.
pub const CONTROL_FILE: &str = "control.sock";

#[cfg(test)]
#[path = "tests/world.rs"]
mod world;
