//! Alarms: one JSON object a line, on the disk when the call returns.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use writ_model::Timestamp;

use crate::error::WatchError;
use crate::limits::ALARM_MAX_CHARS;

/// What an alarm is about; the text is the `alarm` member of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A frame does not verify, or does not continue what watch holds.
    BadFrame,
    /// trail has not asked for a cosignature for too long.
    CheckpointLate,
    /// A commit stays incomplete, or a record of it came twice.
    Commit,
    /// Two trees of one log.
    Fork,
    /// The peer does not keep to the protocol, or is of another installation.
    Protocol,
    /// trail shows less than watch holds.
    Rollback,
    /// Nothing came from trail.
    Silent,
    /// Something came from trail again.
    SilenceOver,
}

impl Alarm {
    const fn as_str(self) -> &'static str {
        match self {
            Alarm::BadFrame => "bad-frame",
            Alarm::CheckpointLate => "checkpoint-late",
            Alarm::Commit => "commit-incomplete",
            Alarm::Fork => "fork",
            Alarm::Protocol => "protocol",
            Alarm::Rollback => "rollback",
            Alarm::Silent => "stream-silent",
            Alarm::SilenceOver => "stream-back",
        }
    }
}

/// The open file.
pub(crate) struct Alarms {
    file: File,
    path: PathBuf,
}

impl Alarms {
    pub(crate) fn open(path: &Path) -> Result<Alarms, WatchError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(WatchError::io("open", path))?;
        path.parent().map_or(Ok(()), crate::disk::sync_dir)?;
        Ok(Alarms { file, path: path.to_owned() })
    }

    /// Writes an alarm down.
    pub(crate) fn raise(
        &mut self,
        now: Timestamp,
        alarm: Alarm,
        what: &str,
    ) -> Result<(), WatchError> {
        let what: String = what.chars().take(ALARM_MAX_CHARS).collect();
        tracing::error!(alarm = alarm.as_str(), what, "alarm");
        let line = json!({ "time": now.iso_millis(), "alarm": alarm.as_str(), "what": what });
        let write = |file: &mut File| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        write(&mut self.file).map_err(WatchError::io("write", &self.path))
    }
}
