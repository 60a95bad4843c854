//! The ledger's record files, read without the ledger's own code.
//!
//! `logs/<origin>/records.dat` holds the records one after the other, each as `length u32 BE |
//! CRC-32C u32 | bytes`. They are at most some hundred milliseconds behind the write-ahead log.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::wait::until;

/// The ledger of a site.
#[derive(Debug, Clone)]
pub struct Ledger {
    dir: PathBuf,
}

/// An event with the log that it lies in: an account's number, or `operator`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The log.
    pub log: String,
    /// The record.
    pub record: Value,
}

impl Event {
    /// A text of the record by JSON pointer; empty when there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// `service.Operation`, such as `kms.Encrypt`.
    pub fn operation(&self) -> String {
        let source = self.text("/eventSource").trim_end_matches(".amazonaws.com");
        format!("{source}.{}", self.text("/eventName"))
    }

    /// The error code; empty for a success.
    pub fn error(&self) -> &str {
        self.text("/errorCode")
    }
}

impl Ledger {
    /// The ledger in `dir`, such as `DIR/trail`.
    pub fn new(dir: &Path) -> Ledger {
        Ledger { dir: dir.to_owned() }
    }

    /// All events of all logs, log by log in order.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut folders = vec![self.dir.join("logs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && path.file_name().is_some_and(|name| name != "tile") {
                    folders.push(path);
                } else if path.file_name().is_some_and(|name| name == "records.dat") {
                    read(&path, &mut events);
                }
            }
        }
        events
    }

    /// Waits for an event that `fits`.
    pub fn wait(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        until(&format!("the ledger to tell of {what}"), || self.events().into_iter().find(&fits))
    }

    /// Waits for the event of the call with this request id.
    pub fn of_request(&self, id: &str) -> Event {
        self.wait(&format!("request {id}"), |event| event.text("/requestID") == id)
    }

    /// Waits until every one of these request ids has its event; gives the ones that never came.
    pub fn missing(&self, ids: &BTreeSet<String>) -> BTreeSet<String> {
        let look = || {
            let there: BTreeSet<String> =
                self.events().iter().map(|event| event.text("/requestID").to_owned()).collect();
            ids.difference(&there).cloned().collect::<BTreeSet<String>>()
        };
        let all = || look().is_empty().then_some(());
        crate::wait::within(std::time::Duration::from_secs(10), all);
        look()
    }

    /// The operations that succeeded with a client whose user agent begins with `agent`.
    pub fn succeeded(&self, agent: &str) -> BTreeSet<String> {
        let events = self.events();
        let of_client = |event: &&Event| {
            event.error().is_empty() && event.text("/userAgent").starts_with(agent)
        };
        events.iter().filter(of_client).map(Event::operation).collect()
    }
}

fn read(path: &Path, events: &mut Vec<Event>) {
    let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let bytes = fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u32::from_be_bytes(*head.first_chunk().unwrap())).unwrap();
        // The writer may be in the middle of the last one.
        let Some(record) = after.get(..length) else { return };
        if let Ok(record) = serde_json::from_slice(record) {
            events.push(Event { log: folder.clone(), record });
        }
        rest = &after[length..];
    }
}
