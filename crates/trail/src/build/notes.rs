//! The signed checkpoints as files, and the cosignatures that come back for them.
//!
//! `logs/<origin>/checkpoint` is the newest that keyd signed, with the cosignatures that have come so far;
//! `logs/<origin>/cosigned` is the newest that any witness has cosigned.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use writ_model::Timestamp;
use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::{Note, NoteSignature, VerifierKey};
use writ_proof::origin::LogName;

use crate::disk;
use crate::error::TrailError;
use crate::logs::LogFiles;

/// A signed checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct SignedCheckpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) note: Note,
    /// When it was signed, as far as this process knows.
    pub(crate) time: Timestamp,
}

impl SignedCheckpoint {
    /// Reads a note that must be `key`'s checkpoint.
    pub(crate) fn verify(
        bytes: &[u8],
        key: &VerifierKey,
        time: Timestamp,
    ) -> Result<SignedCheckpoint, TrailError> {
        let note = Note::from_bytes(bytes)?;
        let Checkpoint { size, root, .. } = Checkpoint::verify(&note, key)?;
        Ok(SignedCheckpoint { size, root, note, time })
    }
}

/// The newest checkpoints, for all threads.
#[derive(Default)]
pub(crate) struct Notes {
    latest: Mutex<BTreeMap<LogName, SignedCheckpoint>>,
    /// Held while the files are replaced: they follow each other as `latest` does.
    files: Mutex<()>,
}

impl Notes {
    /// The newest checkpoint of a log.
    pub(crate) fn latest(&self, log: LogName) -> Option<SignedCheckpoint> {
        self.lock().get(&log).cloned()
    }

    /// Keeps a checkpoint that lies on the disk already.
    pub(crate) fn load(&self, log: LogName, signed: SignedCheckpoint) {
        self.lock().insert(log, signed);
    }

    /// Writes and keeps a new one.
    pub(crate) fn publish(
        &self,
        log: LogName,
        files: &LogFiles,
        signed: SignedCheckpoint,
    ) -> Result<(), TrailError> {
        let _order = self.files();
        disk::replace(&files.dir().join("checkpoint"), &signed.note.to_bytes())?;
        self.lock().insert(log, signed);
        Ok(())
    }

    /// Adds a witness's cosignature lines to the checkpoint that they are for. Answers how many
    /// cosignatures it has now; `None` if a newer one has taken its place (the cosigned file is
    /// written all the same).
    ///
    /// # Errors
    /// When no line is a valid cosignature by `key`.
    pub(crate) fn cosigned(
        &self,
        files: &LogFiles,
        of: &SignedCheckpoint,
        lines: &str,
        key: &VerifierKey,
    ) -> Result<Option<u64>, TrailError> {
        let mut cosigned = of.note.clone();
        for line in lines.lines() {
            let signature: NoteSignature = line.parse()?;
            if signature.name == key.name() && signature.id == key.id() {
                cosigned.add(signature);
            }
        }
        cosigned.verify_one(key)?;
        let _order = self.files();
        let mut latest = self.lock();
        let current = latest
            .get_mut(&LogName::Checkpoint)
            .filter(|current| current.note.text() == of.note.text());
        let Some(current) = current else {
            drop(latest);
            disk::replace(&files.dir().join("cosigned"), &cosigned.to_bytes())?;
            return Ok(None);
        };
        // Another witness may have been faster: keep its line too.
        cosigned.signatures().iter().for_each(|line| current.note.add(line.clone()));
        let note = current.note.clone();
        drop(latest);
        disk::replace(&files.dir().join("checkpoint"), &note.to_bytes())?;
        disk::replace(&files.dir().join("cosigned"), &note.to_bytes())?;
        Ok(Some((note.signatures().len() as u64).saturating_sub(1)))
    }

    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogName, SignedCheckpoint>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builder, push and witnesses wrote one temporary file: the loser's rename failed, or half a note went live.
    #[test]
    fn checkpoints_that_are_published_at_once_are_whole_files() {
        let ledger = tempfile::tempdir().unwrap();
        let origin = "writ/site-1/checkpoint".parse().unwrap();
        let files = LogFiles::new(ledger.path(), &origin);
        disk::create_dir(files.dir()).unwrap();
        let notes = Notes::default();
        let signed = |size: u64| {
            let root = Hash([u8::try_from(size % 250).unwrap(); 32]);
            let note = Checkpoint::new("writ/site-1/checkpoint", size, root).to_note().unwrap();
            SignedCheckpoint { size, root, note, time: Timestamp::default() }
        };
        std::thread::scope(|threads| {
            for first in 0..4 {
                let (notes, files) = (&notes, &files);
                threads.spawn(move || {
                    for n in 0..50 {
                        notes.publish(LogName::Checkpoint, files, signed(first + 4 * n)).unwrap();
                    }
                });
            }
        });
        let kept = notes.latest(LogName::Checkpoint).unwrap();
        let file = std::fs::read(files.dir().join("checkpoint")).unwrap();
        assert_eq!(file, kept.note.to_bytes(), "the file is the newest that is known");
    }
}
