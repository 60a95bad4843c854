//! The agent on a managed host: it takes in what the host's sources say, keeps it in a spool, and ships it to
//! watch.
//!
//! A frame is on the disk before it is sent, a source's place moves only behind what is on the disk, and a frame
//! leaves the disk only after watch has acknowledged it. What cannot be kept becomes a gap that watch sees; there
//! are no silent losses. Each second the agent says that it lives, and where its chain ends.
//!
//! [`runbook`] is the third of its processes: it runs what keyd has ordered and people have signed, and nothing else.
//!
//! Not here: any means to change or hide what was shipped, any command that watch could send, and anything of the
//! control side. Whoever has root on the host can lie to it and stop it; what was shipped before stays, and that it
//! stopped shows at watch.

mod config;
mod confine;
mod enrol;
mod error;
mod identity;
pub mod limits;
mod readable;
mod reader;
mod run;
pub mod runbook;
mod session;
mod ship;
pub mod source;
mod spool;
mod state;
mod tls;

use writ_durable as disk;

pub use config::{AuditConfig, Config, FileConfig, SessionsConfig};
pub use enrol::{EnrolArgs, enrol};
pub use error::AgentError;
pub use reader::read;
pub use run::run;
pub use state::{Status, status};

/// What a host proposes to report when it is enrolled, in the agent's folder. What counts is what watch has signed.
pub const CONFIG_FILE: &str = "agent.toml";
