//! A followed file: sshd's own log, syslog, or a journal export. Rotation by rename and by cutting is followed.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use writ_proof::hostlog::{Class, Gap, GapReason, Line, Payload};
use writ_proof::limits::HOST_PAYLOAD_MAX_BYTES;

use super::Event;
use super::journal;
use crate::config::FileConfig;
use crate::limits::{READ_BYTES, ROTATED_MAX_FILES};
use crate::readable::Readable;
use crate::state::Cursor;

/// How events lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One a line.
    Lines,
    /// Entries of the journal's export format.
    Journal,
}

/// A followed file.
pub(crate) struct FileSource {
    name: String,
    path: PathBuf,
    class: Class,
    shape: Shape,
    readable: Arc<Readable>,
    open: Option<Open>,
    /// What has been taken in and is on the disk.
    durable: Option<Cursor>,
    fault: Option<String>,
}

struct Open {
    file: File,
    inode: u64,
    offset: u64,
}

/// One event at the start of some bytes: its text, the bytes that it takes, and whether it goes on.
pub(crate) struct Piece {
    pub(crate) text: Vec<u8>,
    pub(crate) taken: usize,
    pub(crate) partial: bool,
}

impl FileSource {
    /// `cursor` is where an earlier run stood; one of another path is none. A file that is not there at the first run
    /// that names it is new when it comes, and read from its beginning: its cursor has inode 0. One that is there is
    /// taken in from its end: what it says is not of now.
    pub(crate) fn new(
        config: &FileConfig,
        shape: Shape,
        readable: Arc<Readable>,
        cursor: Option<Cursor>,
    ) -> FileSource {
        let (name, path) = (config.name.clone(), config.path.clone());
        let class = config.class().unwrap_or(Class::Security);
        let missing = !path.exists();
        let fault = missing.then(|| "the file is not there".to_owned());
        let place = path.to_string_lossy();
        let durable = cursor.filter(|c| c.path.as_deref().is_none_or(|known| known == place));
        let mut source =
            FileSource { name, path, class, shape, readable, open: None, durable, fault };
        if missing && source.durable.is_none() {
            source.durable = Some(source.at(0, 0));
        }
        source
    }

    /// A place of this source.
    fn at(&self, inode: u64, offset: u64) -> Cursor {
        let path = Some(self.path.to_string_lossy().into_owned());
        Cursor { source: self.name.clone(), inode, offset, path }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.durable.clone()
    }

    pub(crate) fn committed(&mut self) {
        if let Some(open) = &self.open {
            self.durable = Some(self.at(open.inode, open.offset));
        }
    }

    /// Takes in whole events, up to `max`.
    pub(crate) fn poll(&mut self, max: usize, events: &mut Vec<Event>) {
        match self.try_poll(max, events) {
            Ok(fault) => self.fault = fault,
            Err(error) => self.fault = Some(error.to_string()),
        }
    }

    fn try_poll(&mut self, max: usize, events: &mut Vec<Event>) -> std::io::Result<Option<String>> {
        if self.open.is_none() {
            self.begin(events)?;
        }
        let Some(open) = &mut self.open else {
            return Ok(Some("the file is not there".to_owned()));
        };
        let length = open.file.metadata()?.len();
        if length < open.offset {
            self.cut(length, events);
            return Ok(None);
        }
        if self.take(max, false, events)? {
            return Ok(None);
        }
        // At the end: is this still the file of this name?
        let inode = std::fs::metadata(&self.path).map(|meta| meta.ino());
        let current = self.open.as_ref().map(|open| open.inode);
        match inode {
            Ok(inode) if Some(inode) == current => Ok(None),
            Ok(_) => {
                // Whoever had the old one open may have written until now.
                if !self.take(max, true, events)? {
                    self.open = Some(self.open_at(&self.path, 0)?);
                }
                Ok(None)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.take(max, false, events)?;
                Ok(Some("the file is gone".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file where an earlier run stood, also when it was rotated since.
    fn begin(&mut self, events: &mut Vec<Event>) -> std::io::Result<()> {
        let Some(cursor) = self.durable.clone() else {
            let length = match std::fs::metadata(&self.path) {
                Ok(meta) => meta.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.durable = Some(self.at(0, 0));
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            if length > 0 {
                self.note(events, format!("it is taken in from byte {length} on"));
            }
            let open = self.open_at(&self.path, length)?;
            // Nothing of it is taken in yet: this place holds at once, also when nothing comes before the next run.
            self.durable = Some(self.at(open.inode, length));
            self.open = Some(open);
            return Ok(());
        };
        if cursor.inode == 0 {
            if self.path.exists() {
                self.open = Some(self.open_at(&self.path, 0)?);
            }
            return Ok(());
        }
        let same = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.ino() == cursor.inode);
        let found = if same(&self.path) { Some(self.path.clone()) } else { self.rotated(&cursor) };
        match found {
            Some(path) => {
                let open = self.open_at(&path, cursor.offset)?;
                if open.file.metadata()?.len() < cursor.offset {
                    self.gap(events);
                }
                self.open = Some(open);
            }
            None if self.path.exists() => {
                self.gap(events);
                self.open = Some(self.open_at(&self.path, 0)?);
            }
            None => {}
        }
        Ok(())
    }

    /// The file that had this name when the earlier run ended, under the name that rotation gave it.
    fn rotated(&self, cursor: &Cursor) -> Option<PathBuf> {
        let folder = self.path.parent()?;
        let entries = std::fs::read_dir(folder).ok()?.take(ROTATED_MAX_FILES).flatten();
        let mut same = entries.filter(|e| e.metadata().is_ok_and(|m| m.ino() == cursor.inode));
        same.next().map(|entry| entry.path())
    }

    /// The file became shorter than what was read of it.
    fn cut(&mut self, length: u64, events: &mut Vec<Event>) {
        let read = self.open.as_ref().map_or(0, |open| open.offset);
        self.note(events, format!("it was cut from {read} bytes or more to {length}"));
        self.gap(events);
        if let Some(open) = &mut self.open {
            open.offset = 0;
        }
    }

    /// Takes in what follows; `last` takes an unfinished event too. True if there was something.
    fn take(&mut self, max: usize, last: bool, events: &mut Vec<Event>) -> std::io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let mut bytes = vec![0; READ_BYTES];
        let count = open.file.read_at(&mut bytes, open.offset)?;
        bytes.truncate(count);
        let mut at = 0;
        let mut taken = 0;
        while taken < max {
            let rest = bytes.get(at..).unwrap_or_default();
            let piece = match self.shape {
                Shape::Lines => line(rest, last),
                Shape::Journal => journal::entry(rest, last),
            };
            let Some(piece) = piece else { break };
            at += piece.taken;
            taken += 1;
            open.offset += piece.taken as u64;
            let (inode, end) = (open.inode, open.offset);
            let line = Line { inode, end, text: piece.text, partial: piece.partial };
            let source = self.name.clone();
            events.push(Event { source, class: self.class, payload: Payload::Line(line) });
        }
        Ok(taken > 0)
    }

    fn open_at(&self, path: &Path, offset: u64) -> std::io::Result<Open> {
        let file = self.readable.open(path)?;
        Ok(Open { inode: file.metadata()?.ino(), file, offset })
    }

    fn note(&self, events: &mut Vec<Event>, text: String) {
        events.push(Event::note(&self.name, text));
    }

    fn gap(&self, events: &mut Vec<Event>) {
        let reason = GapReason::Rotated;
        let gap = Gap { from: 0, to: 0, count: 0, class: self.class, reason };
        let (source, class) = (self.name.clone(), Class::Security);
        events.push(Event { source, class, payload: Payload::Gap(gap) });
    }
}

/// The line at the start of `bytes`. One that is too long comes in pieces.
fn line(bytes: &[u8], last: bool) -> Option<Piece> {
    let within = bytes.get(..HOST_PAYLOAD_MAX_BYTES).unwrap_or(bytes);
    let piece = |text: &[u8], taken, partial| Piece { text: text.to_vec(), taken, partial };
    match within.iter().position(|byte| *byte == b'\n') {
        Some(end) => Some(piece(bytes.get(..end)?, end + 1, false)),
        None if within.len() == HOST_PAYLOAD_MAX_BYTES => Some(piece(within, within.len(), true)),
        None if last && !bytes.is_empty() => Some(piece(bytes, bytes.len(), false)),
        None => None,
    }
}

#[cfg(test)]
#[path = "../tests/file.rs"]
mod tests;
