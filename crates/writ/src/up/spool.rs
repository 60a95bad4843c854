//! The supervisor's own events: appended to a file and fsynced, for trail to take into the ledger.
//!
//! The supervisor outlives trail and must be able to tell of trail's own death, so it cannot append
//! through a channel. Format: `length u32 BE | CBOR Event`, repeated; trail remembers how far it read.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use writ_model::{Env, Timestamp, Uuid};
use writ_proof::cbor;
use writ_trail::spool::{SPOOL_FILE, SpoolEvent};

use super::data::open_private;

/// The open spool.
pub struct Spool {
    file: File,
}

impl Spool {
    /// Opens the spool in trail's folder.
    pub fn open(trail_folder: &Path) -> Result<Spool> {
        Ok(Spool { file: open_private(&trail_folder.join(SPOOL_FILE))? })
    }

    /// Records that something happened to a process. Durable when this returns.
    pub fn record(&mut self, env: &dyn Env, name: &str, facts: &[(&str, String)]) -> Result<()> {
        let event = SpoolEvent {
            event_id: Uuid::random(env),
            time: Timestamp::from_millis(env.now().millis()),
            name: name.to_owned(),
            facts: facts.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect(),
        };
        let body = cbor::to_vec(&event);
        let length = u32::try_from(body.len())?;
        let mut entry = length.to_be_bytes().to_vec();
        entry.extend_from_slice(&body);
        self.file.write_all(&entry)?;
        self.file.sync_data()?;
        Ok(())
    }
}
