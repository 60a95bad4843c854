//! The supervisor's own events: appended to a file and fsynced, for trail to take into the ledger.
//!
//! The supervisor outlives trail and must be able to tell of trail's own death, so it cannot append
//! through a channel. Format: `length u32 BE | JSON record`, repeated; trail remembers how far it read.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};
use writ_model::{Env, Uuid};

use super::data::open_private;

/// The file's name in the folder of trail's link.
pub const FILE: &str = "supervisor.spool";

/// The open spool.
pub struct Spool {
    file: File,
}

impl Spool {
    /// Opens the spool in the folder of trail's link.
    pub fn open(folder: &Path) -> Result<Spool> {
        Ok(Spool { file: open_private(&folder.join(FILE))? })
    }

    /// Records that something happened to a process. Durable when this returns.
    pub fn record(&mut self, env: &dyn Env, name: &str, facts: &[(&str, String)]) -> Result<()> {
        let mut record = Map::new();
        record.insert("eventID".to_owned(), Uuid::random(env).to_string().into());
        record.insert("eventTime".to_owned(), env.now().iso_millis().into());
        record.insert("eventSource".to_owned(), "supervisor.writ.internal".into());
        record.insert("eventName".to_owned(), name.into());
        let facts: Map<String, Value> =
            facts.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        record.insert("serviceEventDetails".to_owned(), Value::Object(facts));
        let body = serde_json::to_vec(&record)?;
        let mut entry = u32::try_from(body.len())?.to_be_bytes().to_vec();
        entry.extend_from_slice(&body);
        self.file.write_all(&entry)?;
        self.file.sync_data()?;
        Ok(())
    }
}
