//! The spool: frames on their way to watch, on the disk before they are sent.
//!
//! One file a segment, `00000000000000000000.seg` and so on. What a crash cut is cut off; a damaged place is
//! skipped and becomes a gap; opening never fails because of what it finds, and never loops.

mod segment;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use writ_model::failpoint;
use writ_proof::hostlog::{Class, Frame, GapReason, Item, Lost, Position};
use writ_proof::limits::HOST_FRAME_MAX_BYTES;

use crate::disk;
use crate::error::AgentError;
use crate::limits::{READ_BYTES, RESERVE_BYTES};
use segment::{HEADER_BYTES, NoEntry, Walk};

/// What is kept back for when the disk is full.
const RESERVE_FILE: &str = "reserve";

/// The spool, open for one agent.
pub(crate) struct Spool {
    dir: PathBuf,
    cap_bytes: u64,
    segment_bytes: u64,
    /// Never empty; the last is written to.
    segments: VecDeque<Segment>,
    file: File,
    end: Position,
    acked: Position,
    /// Rises whenever offsets of readers become invalid.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    first: Position,
    end: Position,
    bytes: u64,
}

/// A place in the spool from which frames are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    generation: u64,
    segment: u64,
    offset: u64,
    place: Position,
}

impl Reader {
    /// The position of what is read next.
    pub(crate) fn place(&self) -> Position {
        self.place
    }
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Bytes behind the last whole entry, which were cut off.
    pub(crate) cut_bytes: u64,
}

impl Spool {
    /// Opens the folder. `acked` is what the agent remembers of watch's last word. Each frame that is there is
    /// shown to `each`.
    pub(crate) fn open(
        dir: &Path,
        cap_bytes: u64,
        segment_bytes: u64,
        acked: Position,
        mut each: impl FnMut(&Frame),
    ) -> Result<(Spool, Found), AgentError> {
        disk::create_dir(dir)?;
        let mut found = Found::default();
        let mut segments: VecDeque<Segment> = VecDeque::new();
        for number in numbers(dir)? {
            let path = path_of(dir, number);
            let bytes = std::fs::read(&path).map_err(AgentError::io("read", &path))?;
            let Some(first) = segment::first(&bytes) else {
                // Its frames are missing then, which shows where the next one begins.
                found.cut_bytes += bytes.len() as u64;
                std::fs::remove_file(&path).map_err(AgentError::io("remove", &path))?;
                continue;
            };
            let mut walk = Walk::new(&bytes, HEADER_BYTES, first);
            for step in walk.by_ref() {
                if let Item::Frame(bytes) = &step.item
                    && let Ok(frame) = Frame::from_bytes(bytes)
                {
                    each(&frame);
                }
            }
            let (at, end) = (walk.at() as u64, walk.place());
            found.cut_bytes += bytes.len() as u64 - at;
            if segments.back().is_some_and(|last| first.next_seq < last.end.next_seq) {
                // The agent went on elsewhere, and a crash came before the old segments were gone.
                remove(dir, segments.drain(..))?;
            }
            segments.push_back(Segment { number, first, end, bytes: at });
        }
        let (last, file) = match segments.back() {
            Some(last) => (*last, open_file(dir, last.number, last.bytes)?),
            None => create(dir, 0, acked)?,
        };
        if segments.is_empty() {
            segments.push_back(last);
        }
        let mut spool = Spool {
            dir: dir.to_owned(),
            cap_bytes,
            segment_bytes,
            end: last.end,
            acked: Position::default(),
            segments,
            file,
            generation: 0,
        };
        // A spool that ends before what was acknowledged is an old copy: watch has had all of it.
        spool.ack(if acked.next_seq > spool.end.next_seq { spool.end } else { acked });
        spool.keep_reserve();
        Ok((spool, found))
    }

    /// Where the chain ends, durably.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// What watch has acknowledged.
    pub(crate) fn acked(&self) -> Position {
        self.acked
    }

    /// How many bytes lie here, and how many may.
    pub(crate) fn fill(&self) -> (u64, u64) {
        (self.segments.iter().map(|segment| segment.bytes).sum(), self.cap_bytes)
    }

    /// Writes frames and makes them durable.
    ///
    /// # Errors
    /// [`AgentError::is_no_room`]: nothing has changed. Any other: nobody knows what is on the disk.
    pub(crate) fn append(&mut self, frames: &[Vec<u8>]) -> Result<(), AgentError> {
        let Some(last) = self.segments.back().copied() else { return Err(AgentError::Full) };
        if last.bytes >= self.segment_bytes {
            self.roll(self.end)?;
        }
        let mut bytes = Vec::new();
        let mut end = self.end;
        for frame in frames {
            bytes.extend_from_slice(&segment::entry(end, &Item::Frame(frame.clone())));
            end = end.after(frame);
        }
        let (filled, cap) = self.fill();
        if filled + bytes.len() as u64 > cap {
            self.make_room(cap - cap / 10)?;
            if self.fill().0 + bytes.len() as u64 > cap {
                return Err(AgentError::Full);
            }
        }
        let path = self.active_path();
        failpoint::hit("agent.spool.before_write");
        if let Err(error) = self.file.write_all(&bytes) {
            let offset = self.segments.back().map_or(0, |last| last.bytes);
            self.file.set_len(offset).map_err(AgentError::io("cut", &path))?;
            return Err(AgentError::io("write", &path)(error));
        }
        failpoint::hit("agent.spool.before_sync");
        self.file.sync_data().map_err(AgentError::io("fsync", &path))?;
        failpoint::hit("agent.spool.after_sync");
        if let Some(last) = self.segments.back_mut() {
            last.bytes += bytes.len() as u64;
            last.end = end;
        }
        self.end = end;
        Ok(())
    }

    /// Takes watch's word. What lies before it goes with [`Spool::release`].
    pub(crate) fn ack(&mut self, acked: Position) {
        if (self.acked.next_seq..=self.end.next_seq).contains(&acked.next_seq) {
            self.acked = acked;
        }
    }

    /// Removes the segments that watch holds whole. The caller has written `acked` down durably.
    pub(crate) fn release(&mut self) -> Result<(), AgentError> {
        let acked = self.acked.next_seq;
        let done = |segment: &Segment| segment.end.next_seq <= acked;
        while self.segments.len() > 1 && self.segments.front().is_some_and(done) {
            failpoint::hit("agent.spool.before_release");
            remove(&self.dir, self.segments.pop_front())?;
        }
        Ok(())
    }

    /// True if the segment that is written to could go as soon as another is begun.
    pub(crate) fn is_all_acked(&self) -> bool {
        let is_used = |last: &Segment| last.bytes > HEADER_BYTES as u64;
        self.acked == self.end && self.segments.back().is_some_and(is_used)
    }

    /// Begins a new segment with what was kept back, so that a full disk becomes free again.
    pub(crate) fn begin_anew(&mut self) -> Result<(), AgentError> {
        std::fs::remove_file(self.dir.join(RESERVE_FILE)).ok();
        self.roll(self.end)
    }

    /// Keeps some room back; without it a full disk is harder to leave, that is all.
    pub(crate) fn keep_reserve(&self) {
        let path = self.dir.join(RESERVE_FILE);
        if !path.exists() && disk::replace(&path, &vec![0; RESERVE_BYTES], 0o600).is_err() {
            std::fs::remove_file(&path).ok();
        }
    }

    /// The frames that watch has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> Result<Vec<Frame>, AgentError> {
        let mut frames = Vec::new();
        let mut reader = self.reader(self.acked)?.0;
        loop {
            let items = self.read(&mut reader, READ_BYTES)?;
            if items.is_empty() {
                return Ok(frames);
            }
            frames.extend(items.iter().filter_map(|item| match item {
                Item::Frame(bytes) => Frame::from_bytes(bytes).ok(),
                Item::Lost(_) => None,
            }));
        }
    }

    /// Goes on at `held`, which is what watch holds, with other frames; everything before is given up.
    pub(crate) fn rebase(&mut self, held: Position, frames: &[Vec<u8>]) -> Result<(), AgentError> {
        self.roll(held)?;
        let old = self.segments.len().saturating_sub(1);
        self.end = held;
        self.acked = held;
        self.append(frames)?;
        failpoint::hit("agent.spool.rebase");
        remove(&self.dir, self.segments.drain(..old))?;
        self.generation += 1;
        Ok(())
    }

    /// A reader from `held` on, which watch holds; and what must be said to be lost before it.
    pub(crate) fn reader(&self, held: Position) -> Result<(Reader, Option<Lost>), AgentError> {
        let behind = |segment: &&Segment| held.next_seq < segment.end.next_seq;
        let found = self.segments.iter().find(behind).or(self.segments.back());
        let Some(found) = found else { return Err(AgentError::Full) };
        let at = |offset: usize, place| Reader {
            generation: self.generation,
            segment: found.number,
            offset: offset as u64,
            place,
        };
        if held.next_seq < found.first.next_seq {
            let lost = lost(held, found.first, GapReason::Rebased);
            return Ok((at(HEADER_BYTES, found.first), Some(lost)));
        }
        let bytes = self.bytes_of(found)?;
        let mut walk = Walk::new(&bytes, HEADER_BYTES, found.first);
        loop {
            let (offset, place) = (walk.at(), walk.place());
            if place.next_seq >= held.next_seq {
                return Ok((at(offset, place), None));
            }
            let Some(step) = walk.next() else { return Ok((at(offset, place), None)) };
            if let Item::Lost(gone) = step.item
                && walk.place().next_seq > held.next_seq
            {
                let lost = Lost { class: gone.class, ..lost(held, walk.place(), gone.reason) };
                return Ok((at(step.end, walk.place()), Some(lost)));
            }
        }
    }

    /// The next items, of about `max_bytes`; none if there are no more.
    pub(crate) fn read(
        &self,
        reader: &mut Reader,
        max_bytes: usize,
    ) -> Result<Vec<Item>, AgentError> {
        if reader.generation != self.generation {
            let (anew, lost) = self.reader(reader.place)?;
            *reader = anew;
            if let Some(lost) = lost {
                return Ok(vec![Item::Lost(lost)]);
            }
        }
        loop {
            let Some(index) = self.segments.iter().position(|s| s.number == reader.segment) else {
                let (anew, lost) = self.reader(reader.place)?;
                *reader = anew;
                return Ok(lost.map(Item::Lost).into_iter().collect());
            };
            let Some(segment) = self.segments.get(index) else { return Ok(Vec::new()) };
            let items = self.read_in(segment, reader, max_bytes)?;
            if !items.is_empty() {
                return Ok(items);
            }
            let Some(next) = self.segments.get(index + 1) else { return Ok(Vec::new()) };
            let before = reader.place;
            *reader = Reader {
                segment: next.number,
                offset: HEADER_BYTES as u64,
                place: next.first,
                ..*reader
            };
            if before.next_seq < next.first.next_seq {
                return Ok(vec![Item::Lost(lost(before, next.first, GapReason::Damaged))]);
            }
        }
    }

    fn read_in(
        &self,
        segment: &Segment,
        reader: &mut Reader,
        max_bytes: usize,
    ) -> Result<Vec<Item>, AgentError> {
        let path = path_of(&self.dir, segment.number);
        let left = usize::try_from(segment.bytes.saturating_sub(reader.offset)).unwrap_or(0);
        let mut bytes = vec![0; left.min(max_bytes + HOST_FRAME_MAX_BYTES + 64)];
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let file = File::open(&path).map_err(AgentError::io("open", &path))?;
        file.read_exact_at(&mut bytes, reader.offset).map_err(AgentError::io("read", &path))?;
        let mut items = Vec::new();
        let mut at = 0;
        while at < max_bytes {
            match segment::read(bytes.get(at..).unwrap_or_default()) {
                Ok(entry) if entry.seq == reader.place.next_seq => {
                    at += entry.length;
                    reader.offset += entry.length as u64;
                    reader.place = after(reader.place, &entry.item);
                    items.push(entry.item);
                }
                Err(NoEntry::Short) if !items.is_empty() || at == bytes.len() => break,
                // Rare: the rest is read whole, and the place behind the damage looked for.
                _ if items.is_empty() => return self.skip(segment, reader),
                _ => break,
            }
        }
        Ok(items)
    }

    fn skip(&self, segment: &Segment, reader: &mut Reader) -> Result<Vec<Item>, AgentError> {
        let bytes = self.bytes_of(segment)?;
        let at = usize::try_from(reader.offset).unwrap_or(usize::MAX);
        let mut walk = Walk::new(&bytes, at, reader.place);
        let Some(step) = walk.next() else {
            // Nothing whole follows in this segment: what it held is lost up to its end.
            reader.offset = segment.bytes;
            if reader.place.next_seq >= segment.end.next_seq {
                return Ok(Vec::new());
            }
            let lost = lost(reader.place, segment.end, GapReason::Damaged);
            reader.place = segment.end;
            return Ok(vec![Item::Lost(lost)]);
        };
        reader.offset = step.end as u64;
        reader.place = after(reader.place, &step.item);
        Ok(vec![step.item])
    }

    /// Gives up frames of the lowest classes that watch has not acknowledged, oldest first, until at most
    /// `wanted` bytes are left or nothing but security is.
    fn make_room(&mut self, wanted: u64) -> Result<(), AgentError> {
        if self.segments.back().is_some_and(|last| last.bytes > HEADER_BYTES as u64) {
            self.roll(self.end)?;
        }
        for class in [Class::Metric, Class::Flow, Class::Audit] {
            for index in 0..self.segments.len().saturating_sub(1) {
                if self.fill().0 <= wanted {
                    return Ok(());
                }
                self.thin(index, class)?;
            }
        }
        Ok(())
    }

    /// Writes a segment anew without its frames of `class`.
    fn thin(&mut self, index: usize, class: Class) -> Result<(), AgentError> {
        let Some(segment) = self.segments.get(index).copied() else { return Ok(()) };
        let bytes = self.bytes_of(&segment)?;
        let mut kept = segment::header(segment.first);
        let mut pending: Option<Lost> = None;
        let mut walk = Walk::new(&bytes, HEADER_BYTES, segment.first);
        let mut place = segment.first;
        while let Some(step) = walk.next() {
            let head = walk.place().head;
            let lost = match &step.item {
                Item::Lost(lost) => Some(*lost),
                Item::Frame(bytes) => {
                    let frame = Frame::from_bytes(bytes);
                    let goes = frame.is_ok_and(|frame| frame.class == class);
                    let reason = GapReason::Full;
                    let first = step.place.next_seq;
                    goes.then_some(Lost { first, count: 1, class, reason, head, signature: None })
                }
            };
            match (&mut pending, lost) {
                (Some(before), Some(lost)) => {
                    before.count += lost.count;
                    before.class = before.class.min(lost.class);
                    before.head = lost.head;
                }
                (None, Some(lost)) => (pending, place) = (Some(lost), step.place),
                (_, None) => {
                    if let Some(lost) = pending.take() {
                        kept.extend_from_slice(&segment::entry(place, &Item::Lost(lost)));
                    }
                    kept.extend_from_slice(&segment::entry(step.place, &step.item));
                }
            }
        }
        if let Some(lost) = pending {
            kept.extend_from_slice(&segment::entry(place, &Item::Lost(lost)));
        }
        disk::replace(&path_of(&self.dir, segment.number), &kept, 0o600)?;
        if let Some(segment) = self.segments.get_mut(index) {
            segment.bytes = kept.len() as u64;
        }
        self.generation += 1;
        Ok(())
    }

    fn roll(&mut self, first: Position) -> Result<(), AgentError> {
        let number = self.segments.back().map_or(0, |last| last.number.saturating_add(1));
        let (segment, file) = create(&self.dir, number, first)?;
        self.segments.push_back(segment);
        self.file = file;
        Ok(())
    }

    fn bytes_of(&self, segment: &Segment) -> Result<Vec<u8>, AgentError> {
        let path = path_of(&self.dir, segment.number);
        let mut bytes = std::fs::read(&path).map_err(AgentError::io("read", &path))?;
        bytes.truncate(usize::try_from(segment.bytes).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    fn active_path(&self) -> PathBuf {
        path_of(&self.dir, self.segments.back().map_or(0, |last| last.number))
    }
}

fn after(place: Position, item: &Item) -> Position {
    match item {
        Item::Frame(bytes) => place.after(bytes),
        // INVARIANT: what was read continues the place.
        Item::Lost(lost) => place.behind(lost).unwrap_or(place),
    }
}

fn lost(from: Position, to: Position, reason: GapReason) -> Lost {
    let count = to.next_seq.saturating_sub(from.next_seq);
    let (class, signature) = (Class::Security, None);
    Lost { first: from.next_seq, count, class, reason, head: to.head, signature }
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.seg"))
}

fn numbers(dir: &Path) -> Result<Vec<u64>, AgentError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(AgentError::io("list", dir))? {
        let name = entry.map_err(AgentError::io("list", dir))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn create(dir: &Path, number: u64, first: Position) -> Result<(Segment, File), AgentError> {
    let path = path_of(dir, number);
    let header = segment::header(first);
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(AgentError::io("write", &path))?;
    let written = file.write_all(&header);
    if written.is_err() {
        std::fs::remove_file(&path).ok();
    }
    written.map_err(AgentError::io("write", &path))?;
    file.sync_all().map_err(AgentError::io("fsync", &path))?;
    disk::sync_dir(dir)?;
    Ok((Segment { number, first, end: first, bytes: header.len() as u64 }, file))
}

fn open_file(dir: &Path, number: u64, bytes: u64) -> Result<File, AgentError> {
    let path = path_of(dir, number);
    let file =
        OpenOptions::new().append(true).open(&path).map_err(AgentError::io("open", &path))?;
    file.set_len(bytes).and_then(|()| file.sync_all()).map_err(AgentError::io("cut", &path))?;
    Ok(file)
}

fn remove(dir: &Path, segments: impl IntoIterator<Item = Segment>) -> Result<(), AgentError> {
    for segment in segments {
        let path = path_of(dir, segment.number);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(AgentError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(disk::sync_dir(dir)?)
}

#[cfg(test)]
#[path = "../tests/spool.rs"]
mod tests;
