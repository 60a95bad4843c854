//! Kinds of alarm, and their lines: one JSON object a line. The alarms
//! themselves, open or acknowledged, are entries of the host log ([`crate::hosts`]).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use writ_model::Timestamp;
use writ_proof::roster::HostName;

use crate::error::WatchError;

/// What an alarm is about; the text is the `alarm` member of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Somebody came in after the end of what let them in.
    AccessAfterEnd,
    /// Somebody came in, and no approved grant explains it.
    AccessWithoutGrant,
    /// An agent is gone without a word: its connection ended and it did not come back.
    AgentKilled,
    /// Somebody who is no enrolled agent tried to be one.
    AgentRefused,
    /// An agent's connection is open, or was before watch's start, and nothing comes.
    AgentSilent,
    /// An agent ended in order, and nobody had said that it would.
    AgentStopped,
    /// The state of the kernel's audit on a host has changed.
    AuditChanged,
    /// A frame does not verify, or does not continue what watch holds.
    BadFrame,
    /// A host's certificate ends soon, and is not renewed by itself.
    CertificateEnds,
    /// One certificate of a session opened a second connection.
    CertificateReused,
    /// trail has not asked for a cosignature for too long.
    CheckpointLate,
    /// A host's wall clock was moved.
    ClockStep,
    /// A commit stays incomplete, or a record of it came twice.
    Commit,
    /// An agent runs with another configuration.
    ConfigChanged,
    /// A channel has not taken alarms for too long.
    DeliveryFailing,
    /// A second agent with the identity of a host.
    DoubleConnection,
    /// An agent began an epoch that is not new.
    EpochRollback,
    /// An event names a use of a key that is not in keyd's chain.
    EventWithoutUse,
    /// Two trees of one log.
    Fork,
    /// A service used a customer's key without a request of the customer.
    ForwardWithoutParent,
    /// Frames of a host are lost.
    Gap,
    /// keyd has not cosigned the host log for too long.
    HostLogUncosigned,
    /// A host's chain is not the one that was announced or acknowledged.
    HistoryRewritten,
    /// A key was used, and the event that tells of it does not come.
    KeyUseUntold,
    /// The peer does not keep to the protocol, or is of another installation.
    Protocol,
    /// Marks of one recording contradict each other, or are not signed by keyd.
    RecordingDiffers,
    /// trail shows less than watch holds.
    Rollback,
    /// Whom alarms go to was changed.
    RoutesChanged,
    /// What says whom alarms go to cannot be read.
    RoutesUnsound,
    /// A session whose time is over has no end in the ledger.
    SessionUnended,
    /// A session goes on, and marks of its recording do not come.
    SessionUnrecorded,
    /// Something came from trail again.
    SilenceOver,
    /// Nothing came from trail.
    Silent,
    /// A source delivers nothing while its agent lives.
    SourceSilent,
    /// An agent has little room left.
    SpoolFull,
    /// Somebody tries whether alarms arrive.
    Test,
    /// An agent begins anew though its last run did not end.
    UncleanStop,
    /// watch holds less of a host than it has acknowledged.
    WatchRolledBack,
}

impl Alarm {
    /// All of them.
    pub(crate) const ALL: &[Alarm] = &[
        Alarm::AccessAfterEnd,
        Alarm::AccessWithoutGrant,
        Alarm::AgentKilled,
        Alarm::AgentRefused,
        Alarm::AgentSilent,
        Alarm::AgentStopped,
        Alarm::AuditChanged,
        Alarm::BadFrame,
        Alarm::CertificateEnds,
        Alarm::CertificateReused,
        Alarm::CheckpointLate,
        Alarm::ClockStep,
        Alarm::Commit,
        Alarm::ConfigChanged,
        Alarm::DeliveryFailing,
        Alarm::DoubleConnection,
        Alarm::EpochRollback,
        Alarm::EventWithoutUse,
        Alarm::Fork,
        Alarm::ForwardWithoutParent,
        Alarm::Gap,
        Alarm::HostLogUncosigned,
        Alarm::HistoryRewritten,
        Alarm::KeyUseUntold,
        Alarm::Protocol,
        Alarm::RecordingDiffers,
        Alarm::Rollback,
        Alarm::RoutesChanged,
        Alarm::RoutesUnsound,
        Alarm::SessionUnended,
        Alarm::SessionUnrecorded,
        Alarm::SilenceOver,
        Alarm::Silent,
        Alarm::SourceSilent,
        Alarm::SpoolFull,
        Alarm::Test,
        Alarm::UncleanStop,
        Alarm::WatchRolledBack,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Alarm::AccessAfterEnd => "access-after-end",
            Alarm::AccessWithoutGrant => "access-without-grant",
            Alarm::AgentKilled => "agent-killed",
            Alarm::AgentRefused => "agent-refused",
            Alarm::AgentSilent => "agent-silent",
            Alarm::AgentStopped => "agent-stopped",
            Alarm::AuditChanged => "audit-changed",
            Alarm::BadFrame => "bad-frame",
            Alarm::CertificateEnds => "certificate-ends",
            Alarm::CertificateReused => "certificate-reused",
            Alarm::CheckpointLate => "checkpoint-late",
            Alarm::ClockStep => "clock-step",
            Alarm::Commit => "commit-incomplete",
            Alarm::ConfigChanged => "config-changed",
            Alarm::DeliveryFailing => "delivery-failing",
            Alarm::DoubleConnection => "double-connection",
            Alarm::EpochRollback => "epoch-rollback",
            Alarm::EventWithoutUse => "event-without-use",
            Alarm::Fork => "fork",
            Alarm::ForwardWithoutParent => "forward-without-parent",
            Alarm::Gap => "gap",
            Alarm::HostLogUncosigned => "host-log-uncosigned",
            Alarm::HistoryRewritten => "history-rewritten",
            Alarm::KeyUseUntold => "key-use-untold",
            Alarm::Protocol => "protocol",
            Alarm::RecordingDiffers => "recording-differs",
            Alarm::Rollback => "rollback",
            Alarm::RoutesChanged => "routes-changed",
            Alarm::RoutesUnsound => "routes-unsound",
            Alarm::SessionUnended => "session-unended",
            Alarm::SessionUnrecorded => "session-unrecorded",
            Alarm::SilenceOver => "stream-back",
            Alarm::Silent => "stream-silent",
            Alarm::SourceSilent => "source-silent",
            Alarm::SpoolFull => "spool-full",
            Alarm::Test => "test",
            Alarm::UncleanStop => "unclean-stop",
            Alarm::WatchRolledBack => "watch-rolled-back",
        }
    }
}

/// The open file of lines.
pub(crate) struct AlarmLines {
    file: File,
    path: PathBuf,
    unsynced: bool,
}

impl AlarmLines {
    pub(crate) fn open(path: &Path) -> Result<AlarmLines, WatchError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(WatchError::io("open", path))?;
        path.parent().map_or(Ok(()), crate::disk::sync_dir)?;
        Ok(AlarmLines { file, path: path.to_owned(), unsynced: false })
    }

    /// Writes a line down; it is on the disk after [`AlarmLines::sync`].
    pub(crate) fn write(
        &mut self,
        now: Timestamp,
        kind: &str,
        host: Option<&HostName>,
        what: &str,
    ) -> Result<(), WatchError> {
        let mut line = json!({ "time": now.iso_millis(), "alarm": kind, "what": what });
        if let (Some(host), Some(line)) = (host, line.as_object_mut()) {
            line.insert("host".to_owned(), host.as_str().into());
        }
        self.unsynced = true;
        let line = format!("{line}\n");
        self.file.write_all(line.as_bytes()).map_err(WatchError::io("write", &self.path))
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> Result<(), WatchError> {
        if self.unsynced {
            self.file.sync_data().map_err(WatchError::io("fsync", &self.path))?;
            self.unsynced = false;
        }
        Ok(())
    }
}
