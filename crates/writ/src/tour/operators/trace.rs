//! What the ledger tells of a step: looked up in its files, as anybody can who has them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use writ_model::{Env as _, SystemEnv};
use writ_proof::leaf::Kind;
use writ_proof::origin::LogName;
use writ_trail::reader::Reader;

/// How long the files may be behind the write-ahead log.
const BEHIND_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(30);

/// The operator log, from a place on.
pub struct Trace {
    trail: PathBuf,
    /// How much of the log was there when the step began.
    from: Cell<u64>,
}

impl Trace {
    /// Of a data directory; from its beginning.
    pub fn new(data: &Path) -> Trace {
        Trace { trail: data.join("trail"), from: Cell::new(0) }
    }

    /// Lets only what comes from now on count.
    pub fn begin(&self) -> Result<()> {
        let reader = Reader::open(&self.trail)?;
        self.from.set(reader.size(LogName::Operator)?);
        Ok(())
    }

    /// Waits for an event of this name that fits.
    pub fn event(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let began = SystemEnv.monotonic();
        loop {
            if let Some(found) = self.look(name, &fits)? {
                return Ok(found);
            }
            if SystemEnv.monotonic().saturating_sub(began) > BEHIND_MAX {
                bail!("the operator log has no {name} that fits");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Adds to how an attack was refused what the ledger tells of it since [`Trace::begin`].
    pub fn of(&self, refused: Result<String>, name: &str) -> Result<String> {
        let refused = refused?;
        let event = self.event(name, |event| !field(event, "errorCode").is_empty())?;
        Ok(format!("{refused}\nin the ledger: {name}, {}", field(&event, "errorCode")))
    }

    fn look(&self, name: &str, fits: &impl Fn(&Value) -> bool) -> Result<Option<Value>> {
        let reader = Reader::open(&self.trail)?;
        let size = reader.size(LogName::Operator)?;
        let skipped = usize::try_from(self.from.get()).unwrap_or(usize::MAX);
        for line in reader.lines(LogName::Operator, size).skip(skipped) {
            let line = line?;
            if line.leaf.kind != Kind::Event {
                continue;
            }
            let event: Value = serde_json::from_slice(&line.record).context("a record is none")?;
            if field(&event, "eventName") == name && fits(&event) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

/// A text of an event.
pub fn field<'e>(event: &'e Value, name: &str) -> &'e str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A text of an event's parameters.
pub fn parameter<'e>(event: &'e Value, name: &str) -> &'e str {
    event.get("requestParameters").map_or("", |parameters| field(parameters, name))
}
