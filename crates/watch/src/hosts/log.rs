//! The host log on the disk: segments of entries, and a checkpoint that watch signs.
//!
//! ```text
//! segment  "WRITHLG\0" | u16 version 1 | entry …
//! entry    len u32 | crc32c u32 | bytes of the entry (writ_proof::hostlog::log)
//! ```
//! The checksum covers the bytes. `checkpoint` beside the segments is a signed note of the log
//! `writ/SITE/host`; it is never ahead of what has been fsynced. keyd's cosignature is in [`super::cosigned`].

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use writ_model::failpoint;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hostlog::log::Entry;
use writ_proof::limits::HOST_ENTRY_MAX_BYTES;
use writ_proof::merkle::{Frontier, leaf_hash};
use writ_proof::note::{KeyKind, Note, VerifierKey};
use writ_proof::stream::WitnessReply;

use super::cosigned::{Answered, Cosigned};
use crate::disk;
use crate::error::WatchError;

/// Bytes at the start of a segment.
const HEADER: &[u8; 10] = b"WRITHLG\0\0\x01";

/// The file of the newest checkpoint, beside the segments.
pub const CHECKPOINT_FILE: &str = "checkpoint";

const PREFIX_BYTES: usize = 8;

/// The host log, open for one writer.
pub(crate) struct HostLog {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    segment: u64,
    offset: u64,
    segment_bytes: u64,
    frontier: Frontier,
    key: SoftKey,
    origin: String,
    /// The newest checkpoint, and of how many entries.
    signed: Option<(u64, Note)>,
    cosigned: Cosigned,
    unsynced: bool,
}

/// Whose log it is.
pub(crate) struct LogKeys {
    /// The log's name.
    pub(crate) origin: String,
    /// Signs its checkpoints.
    pub(crate) key: SoftKey,
    /// keyd, which cosigns them.
    pub(crate) cosigner: VerifierKey,
}

impl HostLog {
    /// Reads all of it, handing each entry with its index to `each`, and goes on behind it. A last entry that
    /// a crash cut is cut off: it was never acknowledged.
    pub(crate) fn open(
        dir: &Path,
        keys: LogKeys,
        segment_bytes: u64,
        mut each: impl FnMut(u64, Entry),
    ) -> Result<HostLog, WatchError> {
        disk::create_dir(dir)?;
        let LogKeys { origin, key, cosigner } = keys;
        let verifier = VerifierKey::new(&origin, KeyKind::Ed25519, key.public_key())?;
        let signed = checkpoint(&dir.join(CHECKPOINT_FILE), &verifier)?;
        let promised = signed.as_ref().map(|(known, _)| known.clone());
        let mut cosigned = Cosigned::load(dir, &verifier, cosigner)?;
        let mut frontier = Frontier::new();
        let mut segment = 0;
        let mut offset = 0;
        let mut root = None;
        while let Some(bytes) = disk::read_if_there(&segment_path(dir, segment))? {
            let is_last = !segment_path(dir, segment + 1).exists();
            let mut take = |bytes: &[u8]| -> Result<(), String> {
                let entry = Entry::from_bytes(bytes).map_err(|error| error.to_string())?;
                each(frontier.size(), entry);
                frontier.append(leaf_hash(bytes));
                cosigned.append(leaf_hash(bytes)).map_err(|error| error.to_string())?;
                if promised.as_ref().is_some_and(|known| known.size == frontier.size()) {
                    root = Some(frontier.root());
                }
                Ok(())
            };
            offset = read_segment(&segment_path(dir, segment), &bytes, is_last, &mut take)?;
            if is_last {
                break;
            }
            segment += 1;
        }
        if let Some(known) = promised.as_ref().filter(|known| known.size > 0)
            && root != Some(known.root)
        {
            let path = dir.join(CHECKPOINT_FILE);
            let why = format!("it speaks of {} entries, and they are not these", known.size);
            return Err(WatchError::Damaged { path, at: 0, why });
        }
        cosigned.loaded()?;
        let path = segment_path(dir, segment);
        let (file, offset) = open_segment(&path, offset)?;
        disk::sync_dir(dir)?;
        let dir = dir.to_owned();
        let signed = signed.map(|(known, note)| (known.size, note));
        let unsynced = false;
        Ok(HostLog {
            dir,
            file,
            path,
            segment,
            offset,
            segment_bytes,
            frontier,
            key,
            origin,
            signed,
            cosigned,
            unsynced,
        })
    }

    /// Signs checkpoints, and agents' configurations.
    pub(crate) fn key(&self) -> &SoftKey {
        &self.key
    }

    /// Writes an entry; it is durable after [`HostLog::sync`]. Answers its index.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<u64, WatchError> {
        let bytes = entry.to_bytes()?;
        if self.offset >= self.segment_bytes {
            self.roll()?;
        }
        let mut record = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        record.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        record.extend_from_slice(&bytes);
        self.file.write_all(&record).map_err(WatchError::io("write", &self.path))?;
        self.offset += record.len() as u64;
        self.unsynced = true;
        let index = self.frontier.size();
        self.frontier.append(leaf_hash(&bytes));
        self.cosigned.append(leaf_hash(&bytes))?;
        Ok(index)
    }

    /// Makes everything that was appended durable. After an error nobody knows what is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), WatchError> {
        if self.unsynced && !failpoint::is_set("watch.fsync_off") {
            // The trace hangs on the call's own success, so that it cannot be told without it.
            self.file.sync_data().map_err(WatchError::io("fsync", &self.path))?;
            self.trace()?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Tests cut the log back to the last trace to play a power failure.
    #[cfg(feature = "failpoints")]
    fn trace(&self) -> Result<(), WatchError> {
        let path = self.dir.join("synced");
        let text = format!("{} {}", self.segment, self.offset);
        let next = self.dir.join("synced.tmp");
        File::create(&next)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| std::fs::rename(&next, &path))
            .map_err(WatchError::io("write", &path))
    }

    #[cfg(not(feature = "failpoints"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    fn trace(&self) -> Result<(), WatchError> {
        Ok(())
    }

    /// Signs a checkpoint of all that is durable, if it is not signed yet.
    pub(crate) fn checkpoint(&mut self) -> Result<(), WatchError> {
        self.sync()?;
        let size = self.frontier.size();
        if self.signed.as_ref().is_some_and(|(signed, _)| *signed == size) {
            return Ok(());
        }
        let mut note = Checkpoint::new(&self.origin, size, self.frontier.root()).to_note()?;
        let signature = note.sign(&self.origin, &self.key)?;
        note.add(signature);
        disk::replace(&self.dir.join(CHECKPOINT_FILE), &note.to_bytes(), 0o644)?;
        self.signed = Some((size, note));
        Ok(())
    }

    /// True if keyd has not been asked to cosign all there is.
    pub(crate) fn is_uncosigned(&self) -> bool {
        self.cosigned.has_grown()
    }

    /// What keyd is to cosign: the body of a request; `None` while there is nothing.
    pub(crate) fn ask(&mut self) -> Result<Option<Vec<u8>>, WatchError> {
        self.checkpoint()?;
        match &self.signed {
            Some((size, newest)) if *size > 0 => self.cosigned.ask(newest).map(Some),
            _ => Ok(None),
        }
    }

    /// Takes keyd's answer to [`HostLog::ask`].
    pub(crate) fn answered(&mut self, reply: &WitnessReply) -> Result<Answered, WatchError> {
        self.cosigned.answered(reply)
    }

    /// The number of entries.
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    fn roll(&mut self) -> Result<(), WatchError> {
        self.sync()?;
        let path = segment_path(&self.dir, self.segment + 1);
        let (file, offset) = open_segment(&path, 0)?;
        disk::sync_dir(&self.dir)?;
        (self.file, self.path, self.segment, self.offset) = (file, path, self.segment + 1, offset);
        Ok(())
    }
}

/// Reads the entries of a host log's folder, in order and as they lie there, without changing anything. A last
/// entry that is incomplete is left out: a crash can leave one, and so can a running watch.
///
/// # Errors
/// A segment cannot be read, is missing, or is damaged before its end.
pub fn read_entries(dir: &Path, mut each: impl FnMut(&[u8])) -> Result<(), WatchError> {
    let mut segment = 0;
    while let Some(bytes) = disk::read_if_there(&segment_path(dir, segment))? {
        let path = segment_path(dir, segment);
        let is_last = !segment_path(dir, segment + 1).exists();
        let mut take = |entry: &[u8]| {
            each(entry);
            Ok(())
        };
        read_segment(&path, &bytes, is_last, &mut take)?;
        segment += 1;
    }
    let numbers = std::fs::read_dir(dir).map_err(WatchError::io("list", dir))?;
    let later = numbers.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".log")?.parse::<u64>().ok()
    });
    if later.into_iter().any(|number| number > segment) {
        let path = segment_path(dir, segment);
        return Err(WatchError::Damaged { path, at: 0, why: "this segment is missing".to_owned() });
    }
    Ok(())
}

fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:010}.log"))
}

/// Opens a segment for appending and cuts off what lies behind `offset`.
fn open_segment(path: &Path, offset: u64) -> Result<(File, u64), WatchError> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(WatchError::io("open", path))?;
    let length = file.metadata().map_err(WatchError::io("examine", path))?.len();
    if length > offset {
        tracing::warn!(path = %path.display(), offset, "the last entry is incomplete; it is cut off");
        file.set_len(offset).map_err(WatchError::io("cut", path))?;
    }
    let mut offset = offset;
    if offset == 0 {
        file.write_all(HEADER).map_err(WatchError::io("write", path))?;
        offset = HEADER.len() as u64;
    }
    file.sync_all().map_err(WatchError::io("fsync", path))?;
    Ok((file, offset))
}

/// Reads one segment; answers where its last whole entry ends.
fn read_segment(
    path: &Path,
    bytes: &[u8],
    is_last: bool,
    take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<u64, WatchError> {
    let damaged = |at: usize, why: &str| {
        let (path, why) = (path.to_owned(), why.to_owned());
        WatchError::Damaged { path, at: at as u64, why }
    };
    if is_last && bytes.len() < HEADER.len() && HEADER.starts_with(bytes) {
        return Ok(0);
    }
    if !bytes.starts_with(HEADER) {
        return Err(damaged(0, "it is no segment of a host log of version 1"));
    }
    let mut at = HEADER.len();
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return if rest.is_empty() || is_last {
                Ok(at as u64)
            } else {
                Err(damaged(at, "its last entry is cut"))
            };
        };
        let [a, b, c, d, e, f, g, h] = *prefix;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let crc = u32::from_be_bytes([e, f, g, h]);
        let entry = rest.get(..length).filter(|_| length <= HOST_ENTRY_MAX_BYTES);
        match entry {
            Some(entry) if crc32c::crc32c(entry) == crc => {
                take(entry).map_err(|why| damaged(at, &why))?;
                at += PREFIX_BYTES + length;
            }
            // A crash can cut the last entry, and leave its pages in any order.
            Some(_) if is_last && rest.len() == length => return Ok(at as u64),
            None if is_last && length <= HOST_ENTRY_MAX_BYTES => return Ok(at as u64),
            _ => return Err(damaged(at, "an entry's checksum or length is wrong")),
        }
    }
}

/// The checkpoint that was signed last.
fn checkpoint(
    path: &Path,
    verifier: &VerifierKey,
) -> Result<Option<(Checkpoint, Note)>, WatchError> {
    let Some(bytes) = disk::read_if_there(path)? else { return Ok(None) };
    let note = Note::from_bytes(&bytes)?;
    Ok(Some((Checkpoint::verify(&note, verifier)?, note)))
}

#[cfg(test)]
mod tests {
    use writ_model::Timestamp;
    use writ_proof::cbor::Version;
    use writ_proof::hostlog::log::{Alarm, Event};

    use super::*;

    fn key() -> SoftKey {
        SoftKey::from_seed(&[9; 32]).unwrap()
    }

    fn entry(n: u64) -> Entry {
        let alarm =
            Alarm { kind: "k".to_owned(), host: None, what: format!("number {n}"), key: None };
        Entry { v: Version, at: Timestamp::from_secs(n), event: Event::Alarm(alarm) }
    }

    fn open(dir: &Path) -> Result<(HostLog, Vec<Entry>), WatchError> {
        let mut all = Vec::new();
        let each = |index: u64, entry| {
            assert_eq!(index, all.len() as u64);
            all.push(entry);
        };
        let cosigner = SoftKey::from_seed(&[8; 32]).unwrap().public_key();
        let cosigner = VerifierKey::new("s/keyd", KeyKind::Cosignature, cosigner).unwrap();
        let keys = LogKeys { origin: "writ/s/host".to_owned(), key: key(), cosigner };
        let log = HostLog::open(dir, keys, 200, each)?;
        Ok((log, all))
    }

    fn filled(dir: &Path, count: u64) {
        let (mut log, _) = open(dir).unwrap();
        (0..count).for_each(|n| {
            log.append(&entry(n)).unwrap();
        });
        log.checkpoint().unwrap();
    }

    #[test]
    fn log_is_read_again_across_segments() {
        let temp = tempfile::tempdir().unwrap();
        filled(temp.path(), 20);
        let (log, all) = open(temp.path()).unwrap();
        assert_eq!((log.size(), all), (20, (0..20).map(entry).collect()));
        assert!(segment_path(temp.path(), 2).exists());
    }

    #[test]
    fn entry_that_a_crash_cut_is_cut_off_at_every_byte() {
        let temp = tempfile::tempdir().unwrap();
        let (mut log, _) = open(temp.path()).unwrap();
        log.append(&entry(0)).unwrap();
        log.checkpoint().unwrap();
        let path = segment_path(temp.path(), 0);
        let whole = std::fs::metadata(&path).unwrap().len();
        log.append(&entry(1)).unwrap();
        log.sync().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for end in usize::try_from(whole).unwrap()..bytes.len() {
            disk::replace(&path, &bytes[..end], 0o600).unwrap();
            let (mut log, all) = open(temp.path()).unwrap();
            assert_eq!(all, [entry(0)], "cut at {end}");
            log.append(&entry(7)).unwrap();
            drop(log);
            assert_eq!(open(temp.path()).unwrap().1, [entry(0), entry(7)]);
        }
    }

    #[test]
    fn log_that_is_shorter_or_other_than_its_checkpoint_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        filled(temp.path(), 3);
        let path = segment_path(temp.path(), 0);
        let bytes = std::fs::read(&path).unwrap();
        disk::replace(&path, &bytes[..bytes.len() - 4], 0o600).unwrap();
        assert!(matches!(open(temp.path()).map(|_| ()), Err(WatchError::Damaged { .. })));
        let mut changed = bytes;
        changed[30] ^= 1;
        disk::replace(&path, &changed, 0o600).unwrap();
        assert!(matches!(open(temp.path()).map(|_| ()), Err(WatchError::Damaged { .. })));
    }
}
