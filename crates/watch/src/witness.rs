//! A witness (C2SP tlog-witness): it cosigns a checkpoint that extends the last one, and persists
//! that before it answers. watch is one over trail's stream; `writ witness` is one over HTTP.
//!
//! One file a log, `<sha256 of the origin in hexadecimal>`: the last cosigned checkpoint with the log's
//! signature and the witness's own. So it is the state and what monitors are shown, in one rename.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use writ_model::{Timestamp, failpoint};
use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::sha256;
use writ_proof::note::{KeyKind, Note, VerifierKey};
use writ_proof::witness::{AddCheckpoint, WitnessAnswer, WitnessState, decide};

use crate::disk::{self, DirLock};
use crate::error::WatchError;

/// The media type of a 409's body.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// A witness with what it has cosigned.
pub struct Witness {
    dir: PathBuf,
    name: String,
    key: SoftKey,
    verifier: VerifierKey,
    logs: BTreeMap<String, VerifierKey>,
    held: BTreeMap<String, Held>,
    _lock: DirLock,
}

struct Held {
    state: WitnessState,
    note: Vec<u8>,
}

/// An answer to an add-checkpoint request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The body: the cosignature line on 200, the size held on 409, else empty.
    pub body: Vec<u8>,
    /// What somebody must be told: the log was rolled back or forked.
    pub breach: Option<Breach>,
}

/// What a request showed of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// Its checkpoint does not extend the one that was cosigned before.
    Fork(String),
    /// Its checkpoint is smaller.
    Rollback(String),
}

impl Witness {
    /// Opens a witness called `name` that knows `logs`, each by its key named as the log.
    ///
    /// # Errors
    /// When a file in `dir` is damaged, or was cosigned by another key: then nobody knows what this
    /// witness has said before, and it must not say anything.
    pub fn open(
        dir: &Path,
        name: &str,
        key: SoftKey,
        logs: impl IntoIterator<Item = VerifierKey>,
    ) -> Result<Witness, WatchError> {
        disk::create_dir(dir)?;
        let lock = DirLock::take(dir)?;
        let verifier = VerifierKey::new(name, KeyKind::Cosignature, key.public_key())?;
        let logs = logs.into_iter().map(|log| (log.name().to_owned(), log)).collect();
        let held = load(dir, &verifier)?;
        Ok(Witness {
            dir: dir.to_owned(),
            name: name.to_owned(),
            key,
            verifier,
            logs,
            held,
            _lock: lock,
        })
    }

    /// The key under which its cosignatures verify.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The last cosigned checkpoint of the log whose origin has this SHA-256.
    pub fn checkpoint(&self, origin: &Hash) -> Option<&[u8]> {
        let held = self.held.iter().find(|(name, _)| sha256(name.as_bytes()) == *origin);
        held.map(|(_, held)| held.note.as_slice())
    }

    /// Answers the body of an add-checkpoint request.
    ///
    /// # Errors
    /// When the new state cannot be persisted; then nothing was signed that anybody has seen.
    pub fn answer(&mut self, body: &[u8], now: Timestamp) -> Result<Answered, WatchError> {
        let plain = |status, breach| Ok(Answered { status, body: Vec::new(), breach });
        let Ok(request) = AddCheckpoint::from_bytes(body) else {
            return plain(WitnessAnswer::BadRequest.status(), None);
        };
        let answer = decide(&request, &|origin| self.logs.get(origin).cloned(), &|origin| {
            self.held.get(origin).map(|held| held.state)
        });
        let status = answer.status();
        match answer {
            WitnessAnswer::Cosign(state) => {
                let body = self.cosign(&request, state, now)?;
                Ok(Answered { status, body, breach: None })
            }
            WitnessAnswer::Conflict(size) => {
                let breach = self.rollback(&request, size);
                Ok(Answered { status, body: format!("{size}\n").into_bytes(), breach })
            }
            WitnessAnswer::Unprocessable => plain(status, Some(self.fork(&request))),
            WitnessAnswer::BadRequest | WitnessAnswer::Forbidden | WitnessAnswer::UnknownLog => {
                plain(status, None)
            }
        }
    }

    fn cosign(
        &mut self,
        request: &AddCheckpoint,
        state: WitnessState,
        now: Timestamp,
    ) -> Result<Vec<u8>, WatchError> {
        let origin = Checkpoint::of(&request.checkpoint)?.origin;
        // Of what came along only the log's own signature is kept.
        let log = self.logs.get(&origin).map(|key| (key.name().to_owned(), key.id()));
        let mut note = Note::new(request.checkpoint.text())?;
        let own = |s: &&_| log.as_ref().is_some_and(|log| is_by(s, log));
        request.checkpoint.signatures().iter().filter(own).for_each(|s| note.add(s.clone()));
        let line = note.cosign(&self.name, &self.key, now)?;
        note.add(line.clone());
        let note = note.to_bytes();
        failpoint::hit("watch.before_cosign");
        disk::replace(&self.dir.join(file_name(&origin)), &note, 0o600)?;
        failpoint::hit("watch.after_cosign");
        self.held.insert(origin, Held { state, note });
        Ok(line.to_string().into_bytes())
    }

    fn rollback(&self, request: &AddCheckpoint, held: u64) -> Option<Breach> {
        let shown = Checkpoint::of(&request.checkpoint).ok()?;
        (shown.size < held).then(|| {
            let Checkpoint { origin, size, .. } = shown;
            Breach::Rollback(format!("`{origin}` shows size {size}, but {held} was cosigned"))
        })
    }

    fn fork(&self, request: &AddCheckpoint) -> Breach {
        let Ok(shown) = Checkpoint::of(&request.checkpoint) else {
            return Breach::Fork("a checkpoint that is none".to_owned());
        };
        let Checkpoint { origin, size, root, .. } = shown;
        let held = self.held.get(&origin).map(|held| held.state);
        let held =
            held.map_or("nothing".to_owned(), |h| format!("size {} root {}", h.size, h.root));
        Breach::Fork(format!(
            "`{origin}` size {size} root {root} does not extend what was cosigned: {held}"
        ))
    }
}

fn is_by(line: &writ_proof::note::NoteSignature, log: &(String, [u8; 4])) -> bool {
    line.name == log.0 && line.id == log.1
}

/// The name of a log's file.
fn file_name(origin: &str) -> String {
    sha256(origin.as_bytes()).to_string()
}

fn load(dir: &Path, verifier: &VerifierKey) -> Result<BTreeMap<String, Held>, WatchError> {
    let mut held = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(WatchError::io("list", dir))? {
        let path = entry.map_err(WatchError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.parse::<Hash>().is_err() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(WatchError::io("read", &path))?;
        let foreign = |why: String| WatchError::Foreign { path: path.clone(), why };
        let note = Note::from_bytes(&bytes).map_err(|e| foreign(e.to_string()))?;
        let shown = Checkpoint::of(&note).map_err(|e| foreign(e.to_string()))?;
        note.verify_one(verifier).map_err(|e| foreign(e.to_string()))?;
        if file_name(&shown.origin) != name {
            return Err(foreign("it holds another log's checkpoint".to_owned()));
        }
        let state = WitnessState { size: shown.size, root: shown.root };
        held.insert(shown.origin, Held { state, note: bytes });
    }
    Ok(held)
}

#[cfg(test)]
#[path = "tests/witness.rs"]
mod tests;
