//! The one thread that writes recordings: take, seal, write, fsync, and only then answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use writ_model::failpoint;

use super::disk::Disk;
use super::queue::{Job, Line, Shared, What};
use super::session::Session;
use super::syncers::Syncers;
use super::{Config, Marks};
use crate::error::Error;
use crate::limits::{FLOOR_EVERY, SYNC_EACH_MAX, TICK};

type Answers = Vec<(u64, oneshot::Sender<Result<(), Error>>)>;

pub(super) struct Writer {
    config: Config,
    disk: Box<dyn Disk>,
    marks: Box<dyn Marks>,
    shared: Arc<Shared>,
    syncers: Syncers,
    /// By their order: the first is the oldest.
    sessions: BTreeMap<u64, Session>,
    looked_at: Duration,
}

impl Writer {
    pub(super) fn new(
        config: Config,
        disk: Box<dyn Disk>,
        marks: Box<dyn Marks>,
        shared: Arc<Shared>,
        syncers: Syncers,
    ) -> Writer {
        let sessions = BTreeMap::new();
        Writer { config, disk, marks, shared, syncers, sessions, looked_at: Duration::ZERO }
    }

    pub(super) fn run(mut self) {
        while let Some(jobs) = self.shared.take(TICK) {
            let now = self.shared.env.monotonic();
            let mut answers = Answers::new();
            jobs.into_iter().for_each(|job| self.apply(job, &mut answers));
            self.look_at_floor(now);
            self.add_checkpoints(now);
            let written = self.write();
            self.answer(written, answers);
        }
    }

    /// Adds what a job asks for to what is to be written.
    fn apply(&mut self, job: Job, answers: &mut Answers) {
        let Job { line, what, answer, at, .. } = job;
        let wall = self.shared.env.now();
        let session = self.sessions.get_mut(&line.id).filter(|session| !session.ended);
        let done = match (what, session) {
            (What::Forget, _) => {
                self.sessions.remove(&line.id);
                return;
            }
            (What::Open(open), None) => self.open(&line, *open, at),
            (What::Append(records), Some(session)) => {
                records.into_iter().try_for_each(|record| session.add(record, at, wall))
            }
            (What::End(reason), Some(session)) => {
                session.end(at, wall, &reason);
                Ok(())
            }
            (_, _) => Err(line.failure().unwrap_or(Error::Ended)),
        };
        if let Err(error) = &done {
            self.fail(line.id, error);
            line.fail(error);
        }
        match done {
            Ok(()) => answers.push((line.id, answer)),
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn open(
        &mut self,
        line: &Arc<Line>,
        (header, key): (writ_proof::recording::Header, writ_proof::recording::RecordingKey),
        now: Duration,
    ) -> Result<(), Error> {
        let free = self.free_bytes()?;
        let floor = self.config.refuse_below_bytes;
        if free < floor {
            return Err(Error::DiskLow { free, floor });
        }
        let session = Session::create(&mut *self.disk, Arc::clone(line), &header, key, now)?;
        self.sessions.insert(line.id, session);
        Ok(())
    }

    fn free_bytes(&mut self) -> Result<u64, Error> {
        self.disk.free_bytes().map_err(Error::io("examine", "the disk of the recordings"))
    }

    /// Below the second floor the oldest session ends, one at each look.
    fn look_at_floor(&mut self, now: Duration) {
        let due = now.saturating_sub(self.looked_at) >= FLOOR_EVERY;
        if self.sessions.is_empty() || !due {
            return;
        }
        self.looked_at = now;
        let free = match self.free_bytes() {
            Ok(free) => free,
            Err(error) => return self.fail_all(&error),
        };
        if free >= self.config.close_below_bytes {
            return;
        }
        let wall = self.shared.env.now();
        if let Some(oldest) = self.sessions.values_mut().find(|session| !session.ended) {
            let error = Error::DiskFull { free };
            oldest.end(now, wall, &error.to_string());
            oldest.line.fail(&error);
        }
    }

    fn add_checkpoints(&mut self, now: Duration) {
        let every = self.config.checkpoint_every;
        let wall = self.shared.env.now();
        let due = self.sessions.values_mut().filter(|session| session.due(now, every));
        due.for_each(|session| session.checkpoint(now, wall));
    }

    /// Writes what there is and makes it durable; answers which sessions were written.
    fn write(&mut self) -> Vec<u64> {
        let dirty = self.sessions.iter().filter(|(_, session)| session.is_dirty());
        let dirty: Vec<u64> = dirty.map(|(id, _)| *id).collect();
        if dirty.is_empty() {
            return dirty;
        }
        failpoint::hit("bastion.before_write");
        if failpoint::is_set("bastion.forward_first") {
            // What is forwarded meanwhile is lost with the process: the crash tests must notice.
            std::thread::sleep(TICK);
        }
        for id in &dirty {
            if let Some(Err(error)) = self.sessions.get_mut(id).map(Session::write) {
                self.fail(*id, &error);
            }
        }
        failpoint::hit("bastion.after_write");
        let together = if dirty.len() > SYNC_EACH_MAX { self.disk.sync_everything() } else { None };
        match together {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let error = Error::io("fsync", "the disk of the recordings")(error);
                dirty.iter().for_each(|id| self.fail(*id, &error));
            }
            None => self.sync_each(&dirty),
        }
        failpoint::hit("bastion.after_fsync");
        dirty
    }

    fn sync_each(&mut self, dirty: &[u64]) {
        let mut files = Vec::new();
        for id in dirty {
            files.extend(self.sessions.get_mut(id).and_then(Session::lend).map(|file| (*id, file)));
        }
        // One alone needs no other thread.
        let synced = match files.as_mut_slice() {
            [(_, file)] => {
                let result = file.sync();
                files
                    .into_iter()
                    .zip([result])
                    .map(|((id, file), result)| (id, file, result))
                    .collect()
            }
            _ => self.syncers.sync(files),
        };
        for (id, file, result) in synced {
            let done = self.sessions.get_mut(&id).map(|session| session.synced(file, result));
            if let Some(Err(error)) = done {
                self.fail(id, &error);
            }
        }
        for id in dirty {
            if self.sessions.get(id).is_some_and(|session| !session.is_whole()) {
                self.fail(*id, &Error::Stopped);
            }
        }
    }

    /// Names what has ended, hands over the marks, and acknowledges, unless the watch was faster.
    fn answer(&mut self, written: Vec<u64>, answers: Answers) {
        for id in written {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let marks = std::mem::take(&mut session.marks);
            let closed = if session.ended { session.close(&mut *self.disk) } else { Ok(()) };
            let handed = marks.into_iter().try_for_each(|mark| self.marks.take(mark));
            if let Err(error) = closed.and(handed.map_err(Error::Marks)) {
                self.fail(id, &error);
            }
        }
        failpoint::hit("bastion.before_ack");
        let sessions = &self.sessions;
        let settled = self.shared.settle(|| {
            for (id, answer) in answers {
                let failure = match sessions.get(&id) {
                    Some(session) => session.line.failure(),
                    None => Some(Error::Ended),
                };
                // Somebody who no longer waits needs no answer.
                drop(answer.send(failure.map_or(Ok(()), Err)));
            }
        });
        if let Err(stalled) = settled {
            self.fail_all(&stalled);
        }
        self.sessions.retain(|_, session| !session.ended);
    }

    fn fail(&mut self, id: u64, error: &Error) {
        if let Some(session) = self.sessions.remove(&id) {
            tracing::error!(session = %session.id, %error, "recording.failed");
            session.line.fail(error);
        }
    }

    fn fail_all(&mut self, error: &Error) {
        let ids: Vec<u64> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|id| self.fail(id, error));
    }
}
