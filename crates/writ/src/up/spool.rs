//! The supervisor's own events: appended to a file and fsynced, for trail to take into the ledger.
//!
//! The supervisor outlives trail and must be able to tell of trail's own death, so it cannot append
//! through a channel. Format: `length u32 BE | JSON record`, repeated; trail remembers how far it read.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};
use writ_model::{Env, Uuid};
use writ_trail::limits::SPOOL_RECORD_MAX_BYTES;

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
        let file = open_private(&folder.join(FILE))?;
        let (length, whole) = (file.metadata()?.len(), whole(&file)?);
        if whole < length {
            // A crash or a full disk in the middle of an event; what followed it could not be told from it.
            tracing::warn!(
                bytes = length - whole,
                "the last event of the supervisor is incomplete; it is cut off"
            );
            file.set_len(whole)?;
            file.sync_data()?;
        }
        Ok(Spool { file })
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
        let length = self.file.metadata()?.len();
        let written = self.file.write_all(&entry).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(length)?;
        }
        Ok(written?)
    }
}

/// Where the last whole event ends. trail reads no further.
fn whole(file: &File) -> Result<u64> {
    let mut at = 0;
    loop {
        let mut head = [0; 4];
        if file.read_at(&mut head, at)? < head.len() {
            return Ok(at);
        }
        let size = usize::try_from(u32::from_be_bytes(head))?;
        if size == 0 || size > SPOOL_RECORD_MAX_BYTES {
            return Ok(at);
        }
        let mut record = vec![0; size];
        let next = at + 4;
        if file.read_exact_at(&mut record, next).is_err()
            || serde_json::from_slice::<Map<String, Value>>(&record).is_err()
        {
            return Ok(at);
        }
        at = next + size as u64;
    }
}

#[cfg(test)]
mod tests {
    use writ_model::SystemEnv;

    use super::*;

    #[test]
    fn event_cut_by_a_crash_does_not_swallow_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let record = |name: &str| {
            Spool::open(folder.path()).unwrap().record(&SystemEnv, name, &[]).unwrap();
            std::fs::metadata(&path).unwrap().len()
        };
        let first = record("First");
        let second = record("Second");
        let bytes = std::fs::read(&path).unwrap();
        let append = |bytes: &[u8]| open_private(&path).unwrap().write_all(bytes).unwrap();
        for torn in
            [&bytes[..3], &bytes[..20], &bytes[..usize::try_from(first).unwrap() - 1], &[0; 300]]
        {
            append(torn);
            let end = record("Next");
            assert!(whole(&open_private(&path).unwrap()).unwrap() == end && end > second);
            open_private(&path).unwrap().set_len(second).unwrap();
        }
    }
}
