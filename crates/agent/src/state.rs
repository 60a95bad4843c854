//! What the agent remembers beside the spool: watch's last word and each source's place.

use std::path::Path;

use writ_proof::cbor::{self, Version};
use writ_proof::cbor_map;
use writ_proof::hostlog::Position;
use writ_proof::roster::HostName;

use crate::config::Config;
use crate::disk;
use crate::error::AgentError;
use crate::identity::{self, KEPT_FOLDER};

/// The file in the agent's folder of what it keeps.
const STATE_FILE: &str = "state";

/// The file beside it of how the connection to watch stands.
const CONNECTION_FILE: &str = "connection";

/// The folder of the spool in the agent's folder.
pub(crate) const SPOOL_FOLDER: &str = "spool";

/// The whole file. It may be behind the spool, never ahead of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) v: Version<1>,
    pub(crate) acked: Position,
    pub(crate) cursors: Vec<Cursor>,
    /// The epoch, and the number of the first frame that may be ahead of `cursors`.
    pub(crate) written: Option<Written>,
}
cbor_map!(State { 1: v, 2: acked, 3: cursors, 4: opt written });

/// A place in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    pub(crate) epoch: u64,
    pub(crate) next_seq: u64,
}
cbor_map!(Written { 1: epoch, 2: next_seq });

/// How far a file has been taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) source: String,
    pub(crate) inode: u64,
    pub(crate) offset: u64,
    /// Where the configuration says that the file is; `None` if only frames are left to tell of it. A source of the
    /// same name with another path is another file, which this cursor says nothing of.
    pub(crate) path: Option<String>,
}
cbor_map!(Cursor { 1: source, 2: inode, 3: offset, 4: opt path });

impl State {
    /// Reads it; what is missing or damaged is as at the first start, and watch notices.
    pub(crate) fn load(dir: &Path) -> Result<State, AgentError> {
        let bytes = disk::read_if_there(&dir.join(KEPT_FOLDER).join(STATE_FILE))?;
        Ok(bytes.and_then(|bytes| cbor::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Writes it durably.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), AgentError> {
        Ok(disk::replace(&dir.join(KEPT_FOLDER).join(STATE_FILE), &cbor::to_vec(self), 0o600)?)
    }
}

/// Keeps for [`status`] how the connection to watch stands. Nothing rests on it: a disk that fails does not end it.
pub(crate) fn keep_connection(dir: &Path, text: &str) {
    let path = dir.join(KEPT_FOLDER).join(CONNECTION_FILE);
    if let Err(error) = disk::replace(&path, text.as_bytes(), 0o600) {
        tracing::warn!(%error, "`writ agent status` will show an old connection");
    }
}

/// What can be said of an agent's folder without its process.
#[derive(Debug, Clone)]
pub struct Status {
    /// The host's name.
    pub host: HostName,
    /// Where watch is.
    pub watch: String,
    /// The serial of the configuration that counts at the next start.
    pub configuration: u64,
    /// Whether an agent holds the folder now.
    pub runs: bool,
    /// How its connection to watch stands, as the agent wrote down last; of an agent that does not run it says nothing.
    pub connection: Option<String>,
    /// How many frames watch has acknowledged, as the agent wrote down last.
    pub acknowledged: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
}

/// Looks at an agent's folder.
///
/// # Errors
/// It is not the folder of an enrolled agent.
pub fn status(dir: &Path) -> Result<Status, AgentError> {
    let host = identity::host(dir)?;
    let (config, signed) = Config::load(dir)?;
    let runs = disk::DirLock::take(dir).is_err();
    let spool = std::fs::read_dir(dir.join(SPOOL_FOLDER)).into_iter().flatten().flatten();
    let spool_bytes = spool.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    let connection = disk::read_if_there(&dir.join(KEPT_FOLDER).join(CONNECTION_FILE))?
        .filter(|_| runs)
        .map(|text| String::from_utf8_lossy(&text).into_owned());
    let acknowledged = State::load(dir)?.acked.next_seq;
    let configuration = signed.serial;
    let watch = config.watch;
    Ok(Status { host, watch, configuration, runs, connection, acknowledged, spool_bytes })
}
