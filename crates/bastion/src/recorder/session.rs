//! One recording on the recorder's thread: its file, its chain, what is not yet written.

use std::sync::Arc;
use std::time::Duration;

use writ_model::{Timestamp, Ulid};
use writ_proof::recording::{Chain, Frame, Header, Mark, RecordingKey};

use super::Record;
use super::disk::{Disk, DiskFile};
use super::queue::Line;
use crate::error::Error;
use crate::limits::{CHECKPOINT_FRAMES, SEGMENT_BYTES};

/// The name of a recording that has no end.
pub(super) fn open_name(session: Ulid) -> String {
    format!("{session}.rec.open")
}

/// The name of one that has.
pub(super) fn closed_name(session: Ulid) -> String {
    format!("{session}.rec")
}

pub(super) struct Session {
    pub(super) line: Arc<Line>,
    pub(super) id: Ulid,
    /// Away while another thread makes it durable.
    file: Option<Box<dyn DiskFile>>,
    chain: Chain,
    key: RecordingKey,
    begun: Duration,
    /// Not yet written.
    buffer: Vec<u8>,
    /// Marks in the buffer.
    pub(super) marks: Vec<Mark>,
    marked_at: Duration,
    frames_since: u64,
    bytes_since: u64,
    pub(super) ended: bool,
}

impl Session {
    /// Creates the file with its header, durably.
    pub(super) fn create(
        disk: &mut dyn Disk,
        line: Arc<Line>,
        header: &Header,
        key: RecordingKey,
        now: Duration,
    ) -> Result<Session, Error> {
        let bytes = header.to_bytes()?;
        let chain = Chain::begin(header)?;
        let (open, closed) = (open_name(header.session), closed_name(header.session));
        for name in [&open, &closed] {
            if disk.exists(name).map_err(Error::io("look for", name))? {
                return Err(Error::Exists(header.session));
            }
        }
        let mut file = disk.create(&open).map_err(Error::io("create", &open))?;
        file.append(&bytes).map_err(Error::io("append to", &open))?;
        file.sync().map_err(Error::io("fsync", &open))?;
        disk.sync_names().map_err(Error::io("fsync the folder of", &open))?;
        Ok(Session {
            line,
            id: header.session,
            file: Some(file),
            chain,
            key,
            begun: now,
            buffer: Vec::new(),
            marks: Vec::new(),
            marked_at: now,
            frames_since: 0,
            bytes_since: 0,
            ended: false,
        })
    }

    /// Seals a record and adds it to what is to be written; with a checkpoint where one is due.
    pub(super) fn add(
        &mut self,
        record: Record,
        at: Duration,
        wall: Timestamp,
    ) -> Result<(), Error> {
        let before = self.buffer.len();
        let frame = Frame {
            monotonic_ns: self.ns(at),
            channel: record.channel,
            direction: record.direction,
            kind: record.kind,
            content: record.content,
        };
        self.chain.push(&mut self.buffer, &frame, &self.key)?;
        self.frames_since += 1;
        self.bytes_since += (self.buffer.len() - before) as u64;
        if self.frames_since >= CHECKPOINT_FRAMES || self.bytes_since >= SEGMENT_BYTES {
            self.checkpoint(at, wall);
        }
        Ok(())
    }

    /// True if there is something new and the last checkpoint is older than `every`.
    pub(super) fn due(&self, now: Duration, every: Duration) -> bool {
        self.frames_since > 0 && now.saturating_sub(self.marked_at) >= every
    }

    pub(super) fn checkpoint(&mut self, at: Duration, wall: Timestamp) {
        let ns = self.ns(at);
        let mark = self.chain.checkpoint(&mut self.buffer, ns, wall);
        self.marked(mark, at);
    }

    pub(super) fn end(&mut self, at: Duration, wall: Timestamp, reason: &str) {
        let ns = self.ns(at);
        let mark = self.chain.end(&mut self.buffer, ns, wall, reason);
        self.marked(mark, at);
        self.ended = true;
    }

    fn marked(&mut self, mark: Mark, at: Duration) {
        self.marks.push(mark);
        (self.marked_at, self.frames_since, self.bytes_since) = (at, 0, 0);
    }

    fn ns(&self, at: Duration) -> u64 {
        u64::try_from(at.saturating_sub(self.begun).as_nanos()).unwrap_or(u64::MAX)
    }

    /// True if something is to be written.
    pub(super) fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Writes what there is; it is not durable yet.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let bytes = std::mem::take(&mut self.buffer);
        let Some(file) = &mut self.file else { return Err(Error::Ended) };
        file.append(&bytes).map_err(Error::io("append to", &open_name(self.id)))
    }

    /// Lends the file out; nothing can be written until [`Session::synced`] gives it back.
    pub(super) fn lend(&mut self) -> Option<Box<dyn DiskFile>> {
        self.file.take()
    }

    /// Takes the file back, with what came of its fsync.
    pub(super) fn synced(
        &mut self,
        file: Box<dyn DiskFile>,
        result: std::io::Result<()>,
    ) -> Result<(), Error> {
        self.file = Some(file);
        result.map_err(Error::io("fsync", &open_name(self.id)))
    }

    /// True if the file is there.
    pub(super) fn is_whole(&self) -> bool {
        self.file.is_some()
    }

    /// Gives an ended recording its final name.
    pub(super) fn close(&self, disk: &mut dyn Disk) -> Result<(), Error> {
        let (open, closed) = (open_name(self.id), closed_name(self.id));
        disk.rename(&open, &closed).map_err(Error::io("rename", &open))?;
        disk.sync_names().map_err(Error::io("fsync the folder of", &closed))
    }
}
