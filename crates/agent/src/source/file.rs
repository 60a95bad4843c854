//! A followed file: sshd's own log, syslog, or a journal export. Rotation by rename and by cutting is followed.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use writ_proof::hostlog::{Class, Gap, GapReason, Line, Payload};
use writ_proof::limits::HOST_PAYLOAD_MAX_BYTES;

use super::Event;
use super::journal::{Entry, Read};
use super::rotation;
use crate::config::FileConfig;
use crate::limits::{JOURNAL_READS, READ_BYTES, ROTATED_MAX_FILES};
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
    /// Behind the last event.
    offset: u64,
    /// The journal's entry that begins there, as far as it is read.
    entry: Entry,
    /// Entries that end before this byte are older than the agent's first look.
    old: u64,
    /// Behind the last of those.
    old_end: u64,
    /// Why nothing more can be read.
    wrong: Option<String>,
    /// Everything is said of it.
    finished: bool,
}

impl Open {
    /// How far the file is read.
    fn read(&self) -> u64 {
        self.offset + self.entry.taken()
    }
}

/// One event at the start of some bytes: its text, the bytes that it takes, and whether it goes on.
struct Piece {
    text: Vec<u8>,
    taken: usize,
    partial: bool,
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
        if let Some(open) = self.open.as_ref().filter(|open| open.read() >= open.old) {
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
        if length < open.read() {
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
            Ok(inode) if Some(inode) == current => {
                Ok(self.open.as_ref().and_then(|open| open.wrong.clone()))
            }
            Ok(inode) => {
                // Whoever had the old one open may have written until now.
                if !self.take(max, true, events)? {
                    self.open = Some(self.next(inode, events)?);
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
            if self.shape == Shape::Journal {
                // The end may lie within an entry, whose beginning only the file's beginning tells.
                let open = self.open_at(&self.path, 0)?;
                self.open = Some(Open { old: length, ..open });
                return Ok(());
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
                    self.gap(GapReason::Rotated, events);
                }
                self.open = Some(open);
            }
            None if self.path.exists() => {
                self.gap(GapReason::Rotated, events);
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
        let read = self.open.as_ref().map_or(0, Open::read);
        self.note(events, format!("it was cut from {read} bytes or more to {length}"));
        self.gap(GapReason::Rotated, events);
        if let Some(open) = &mut self.open {
            (open.offset, open.entry, open.old, open.wrong) = (0, Entry::default(), 0, None);
        }
    }

    /// Takes in what follows; `last` takes an unfinished event too. True if there was something.
    fn take(&mut self, max: usize, last: bool, events: &mut Vec<Event>) -> std::io::Result<bool> {
        match self.shape {
            Shape::Lines => self.take_lines(max, last, events),
            Shape::Journal => self.take_entries(max, last, events),
        }
    }

    fn take_lines(
        &mut self,
        max: usize,
        last: bool,
        events: &mut Vec<Event>,
    ) -> std::io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let mut bytes = vec![0; READ_BYTES];
        let count = open.file.read_at(&mut bytes, open.offset)?;
        bytes.truncate(count);
        let mut at = 0;
        let mut taken = 0;
        while taken < max {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(piece) = line(rest, last) else { break };
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

    /// The same of a journal's entries, each of which is read from its beginning to its end.
    fn take_entries(
        &mut self,
        max: usize,
        last: bool,
        events: &mut Vec<Event>,
    ) -> std::io::Result<bool> {
        let Some(open) = self.open.as_mut().filter(|open| !open.finished) else { return Ok(false) };
        let (source, class) = (&self.name, self.class);
        let tell = |inode, end, text, partial| {
            let payload = Payload::Line(Line { inode, end, text, partial });
            Event { source: source.clone(), class, payload }
        };
        let (mut told, mut was_read) = (0, false);
        let mut bytes = vec![0; READ_BYTES];
        for _ in 0..JOURNAL_READS {
            if told > 0 || open.wrong.is_some() {
                break;
            }
            let length = open.file.metadata()?.len();
            open.entry.skip(length.saturating_sub(open.read()));
            let count = open.file.read_at(&mut bytes, open.read())?;
            was_read |= count > 0;
            let mut rest = bytes.get(..count).unwrap_or_default();
            while !rest.is_empty() && told < max {
                match open.entry.read(&mut rest) {
                    Read::On => {}
                    Read::Whole => {
                        let entry = std::mem::take(&mut open.entry);
                        open.offset += entry.taken();
                        if open.offset <= open.old {
                            open.old_end = open.offset;
                            continue;
                        }
                        let (text, partial) = entry.told();
                        events.push(tell(open.inode, open.offset, text, partial));
                        told += 1;
                    }
                    Read::Wrong(why) => {
                        open.wrong = Some(format!(
                            "behind byte {} it is no journal export: {why}; begin the file anew",
                            open.offset
                        ));
                        break;
                    }
                }
            }
        }
        if self.durable.is_none() && open.read() >= open.old {
            let (inode, end) = (open.inode, open.old_end);
            self.durable = Some(self.at(inode, end));
        }
        if !was_read && last {
            self.finish(events);
        }
        Ok(was_read)
    }

    /// Tells what is left of a journal's file that has got another name. Nothing is read behind it: it would be from
    /// within an entry.
    fn finish(&mut self, events: &mut Vec<Event>) {
        let Some(open) = &mut self.open else { return };
        open.finished = true;
        let entry = std::mem::take(&mut open.entry);
        if open.wrong.is_some() {
            self.gap(GapReason::Damaged, events);
        } else if entry.taken() > 0 {
            // Its place does not move: whoever asks again begins at the entry's beginning.
            let (inode, end, (text, _)) = (open.inode, open.offset, entry.told());
            let payload = Payload::Line(Line { inode, end, text, partial: true });
            let (source, class) = (self.name.clone(), self.class);
            events.push(Event { source, class, payload });
        }
    }

    /// Opens the file that was this log next, which may have been rotated, too, while nobody looked.
    fn next(&self, current: u64, events: &mut Vec<Event>) -> std::io::Result<Open> {
        // What is told here is told once: nothing fails behind it.
        let named = self.open_at(&self.path, 0)?;
        let finished = self.open.as_ref().map(|open| open.file.metadata()).transpose()?;
        let between = finished.map(|finished| rotation::between(&self.path, &finished, current));
        for file in between.unwrap_or_default() {
            match self.open_at(&file.path, 0) {
                Ok(open) if !file.packed => return Ok(open),
                _ => self.gap(GapReason::Rotated, events),
            }
        }
        Ok(named)
    }

    fn open_at(&self, path: &Path, offset: u64) -> std::io::Result<Open> {
        let file = self.readable.open(path)?;
        let (entry, wrong) = (Entry::default(), None);
        let inode = file.metadata()?.ino();
        Ok(Open { file, inode, offset, entry, old: 0, old_end: 0, wrong, finished: false })
    }

    fn note(&self, events: &mut Vec<Event>, text: String) {
        events.push(Event::note(&self.name, text));
    }

    fn gap(&self, reason: GapReason, events: &mut Vec<Event>) {
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

#[cfg(test)]
#[path = "../tests/journal.rs"]
mod journal_tests;
