//! All sources of a host together, as the collector asks for them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use writ_model::Env;
use writ_proof::cbor_map;
use writ_proof::hostlog::{AuditState, Payload, SourceBeat};

use super::{AuditSource, CANARY, Canary, Event, FileSource, Shape, Source, cut};
use crate::config::{Config, SessionsConfig};
use crate::error::AgentError;
use crate::limits::BATCH_MAX_EVENTS;
use crate::readable::Readable;
use crate::session;
use crate::state::Cursor;

/// What one look has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) events: Vec<Event>,
    /// Each source; how many frames came of it is the collector's to count.
    pub(crate) sources: Vec<SourceBeat>,
    pub(crate) audit: Option<AuditState>,
    /// Behind what was committed last.
    pub(crate) cursors: Vec<Cursor>,
}
cbor_map!(Looked { 1: events, 2: sources, 3: opt audit, 4: cursors });

/// The sources of a configuration.
pub(crate) struct Sources {
    env: Arc<dyn Env>,
    sources: Vec<Source>,
    canary: Option<Canary>,
    sessions: Option<session::Handle>,
}

impl Sources {
    /// Opens them, each from where it was. What a file or the audit lacks is a fault of that source.
    pub(crate) fn open(
        config: &Config,
        readable: Readable,
        cursors: &[Cursor],
        env: Arc<dyn Env>,
    ) -> Sources {
        let readable = Arc::new(readable);
        let mut sources = Vec::new();
        for (files, shape) in [(&config.file, Shape::Lines), (&config.journal, Shape::Journal)] {
            for file in files {
                let cursor = cursors.iter().find(|cursor| cursor.source == file.name).cloned();
                let source = FileSource::new(file, shape, Arc::clone(&readable), cursor);
                sources.push(Source::File(Box::new(source)));
            }
        }
        let mut canary = None;
        if config.audit.read {
            let mut audit = AuditSource::open();
            canary = config.audit.canary.then(|| Canary::new(&mut audit));
            sources.push(Source::Audit(Box::new(audit)));
        }
        Sources { env, sources, canary, sessions: None }
    }

    /// Follows operators' sessions from now on.
    ///
    /// # Errors
    /// They cannot be followed as configured.
    pub(crate) fn follow_sessions(
        &mut self,
        wanted: &SessionsConfig,
        dir: &Path,
    ) -> Result<(), AgentError> {
        self.sessions = Some(session::start(wanted, dir, Arc::clone(&self.env))?);
        Ok(())
    }

    /// Waits until the kernel has something to say, at most so long.
    pub(crate) fn wait(&self, patience: Duration) {
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        let audit = self.sources.iter().find_map(|source| match source {
            Source::Audit(audit) => audit.fd(),
            Source::File(_) => None,
        });
        let mut fds: Vec<PollFd<'_>> =
            audit.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        // An interrupted wait is a short one.
        poll(&mut fds, Some(&timeout)).ok();
    }

    /// Looks once. While what was found before is not written, only the kernel's buffer is emptied.
    pub(crate) fn look(&mut self, all: bool) -> Looked {
        let now: Duration = self.env.monotonic();
        let mut events = Vec::new();
        for source in &mut self.sources {
            if all || matches!(source, Source::Audit(_)) {
                source.poll(now, BATCH_MAX_EVENTS, &mut events);
            }
        }
        if let Some(canary) = &mut self.canary {
            canary.poll(self.env.as_ref(), now, &mut events);
        }
        if let Some(sessions) = self.sessions.as_ref().filter(|_| all) {
            for event in &events {
                if let Payload::Line(line) = &event.payload
                    && let Some(login) = session::Login::read(&line.text)
                {
                    sessions.hear(login);
                }
            }
            events.extend(sessions.take());
        }
        let audit = self.sources.iter().find_map(Source::audit);
        Looked { events, sources: self.beats(now), audit, cursors: self.cursors() }
    }

    /// Everything that was found is on the disk; answers where the sources are then.
    pub(crate) fn committed(&mut self) -> Vec<Cursor> {
        self.sources.iter_mut().for_each(Source::committed);
        self.cursors()
    }

    fn cursors(&self) -> Vec<Cursor> {
        self.sources.iter().filter_map(Source::cursor).collect()
    }

    /// Takes back what was asked of the kernel.
    pub(crate) fn end(&mut self) {
        let audit = self.sources.iter_mut().find_map(|source| match source {
            Source::Audit(audit) => Some(audit),
            Source::File(_) => None,
        });
        if let (Some(canary), Some(audit)) = (&self.canary, audit) {
            canary.end(audit);
        }
    }

    fn beats(&self, now: Duration) -> Vec<SourceBeat> {
        let beat = |name: &str, fault: Option<String>| SourceBeat {
            name: name.to_owned(),
            frames: 0,
            fault: fault.map(cut),
        };
        let mut beats: Vec<SourceBeat> =
            self.sources.iter().map(|source| beat(source.name(), source.fault())).collect();
        let audit = self.sources.iter().find_map(|source| match source {
            Source::Audit(audit) => Some(audit.as_ref()),
            Source::File(_) => None,
        });
        if let (Some(canary), Some(audit)) = (&self.canary, audit) {
            beats.push(beat(CANARY, canary.fault(audit)));
        }
        if let Some(sessions) = &self.sessions {
            beats.push(beat(session::NAME, sessions.fault(now)));
        }
        beats
    }
}

#[cfg(test)]
mod tests {
    use writ_model::SystemEnv;
    use writ_proof::hostlog::{Beat, Position};

    use super::*;

    /// What a source lacks is told with the name of a file, which somebody else can choose: watch took no beat with
    /// a longer text, and the host was cut off.
    #[test]
    fn beat_holds_whatever_a_link_in_the_place_of_a_log_says() {
        // A path that has room in no message, in folders of which each has room in a name.
        let temp = tempfile::tempdir().unwrap();
        let mut target = temp.path().join("elsewhere");
        while target.as_os_str().len() < 2000 {
            target.push("é".repeat(100));
        }
        std::fs::create_dir_all(&target).unwrap();
        target.push("shadow");
        crate::disk::replace(&target, b"x", 0o600).unwrap();
        let logs = temp.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let log = logs.join("auth.log");
        std::os::unix::fs::symlink(&target, &log).unwrap();
        let config = format!(
            "watch = \"w:1\"\n[audit]\nread = false\n[[file]]\nname = \"sshd\"\npath = \"{}\"\n",
            log.display()
        );
        let config = Config::parse(&config).unwrap();
        let readable = Readable::of(&logs);
        let mut sources = Sources::open(&config, readable, &[], Arc::new(SystemEnv));
        let found = sources.look(true);
        let fault = found.sources[0].fault.clone().unwrap();
        assert!(fault.contains("shadow") || fault.contains('é'), "{fault}");
        let beat = Beat {
            end: Position::default(),
            mono_ms: 0,
            wall: writ_model::Timestamp::from_secs(1),
            looked_ms: 0,
            spool_bytes: 0,
            spool_max_bytes: 0,
            dropped: 0,
            sources: found.sources,
            audit: None,
        };
        beat.check().unwrap();
    }
}
