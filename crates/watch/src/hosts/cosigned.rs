//! keyd's cosignature on the host log: what was cosigned, what it is asked for, and what came since.
//!
//! `cosigned` beside the segments is the newest checkpoint with keyd's cosignature, `asked` the one that keyd is
//! asked for. Both are durable before anything rests on them: so an answer that is lost on its way is asked for
//! once more, and a size that keyd has cosigned and nobody here remembers can only mean that this folder is old.

use std::path::{Path, PathBuf};

use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::hash::sha256;
use writ_proof::merkle::{Range, consistency_of};
use writ_proof::note::{Note, VerifierKey};
use writ_proof::stream::WitnessReply;
use writ_proof::witness::AddCheckpoint;

use crate::alarm::Alarm;
use crate::disk;
use crate::error::WatchError;

/// The file of the newest checkpoint that keyd has cosigned, beside the segments.
pub const COSIGNED_FILE: &str = "cosigned";

/// The file of the checkpoint that keyd is asked to cosign.
const ASKED_FILE: &str = "asked";

/// See the module.
pub(crate) struct Cosigned {
    dir: PathBuf,
    cosigner: VerifierKey,
    /// What keyd has cosigned.
    held: Range,
    asked: Option<Asked>,
    /// What came behind both.
    since: Range,
    load: Load,
}

/// A checkpoint that keyd is asked for.
struct Asked {
    /// What it has more than what is cosigned.
    range: Range,
    note: Note,
    request: Hash,
}

/// What the files promise, until the log has been read that far.
#[derive(Default)]
struct Load {
    held: Option<Checkpoint>,
    asked: Option<(Checkpoint, Note)>,
}

/// What keyd's answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It has cosigned.
    Cosigned,
    /// It has not, and somebody must know.
    Breach(Alarm, String),
    /// Nobody asked that.
    Unasked,
}

impl Cosigned {
    /// Reads what is remembered; the entries follow by [`Cosigned::append`], then [`Cosigned::loaded`].
    pub(crate) fn load(
        dir: &Path,
        log: &VerifierKey,
        cosigner: VerifierKey,
    ) -> Result<Cosigned, WatchError> {
        let held = match disk::read_if_there(&dir.join(COSIGNED_FILE))? {
            Some(bytes) => {
                let note = Note::from_bytes(&bytes)?;
                note.verify_one(&cosigner)?;
                Some(Checkpoint::verify(&note, log)?)
            }
            None => None,
        };
        let asked = match disk::read_if_there(&dir.join(ASKED_FILE))? {
            Some(bytes) => {
                let note = Note::from_bytes(&bytes)?;
                Some((Checkpoint::verify(&note, log)?, note))
            }
            None => None,
        };
        let known = held.as_ref().map_or(0, |held| held.size);
        let load = Load { held, asked: asked.filter(|(asked, _)| asked.size > known) };
        let (held, since) = (Range::new(0), Range::new(0));
        Ok(Cosigned { dir: dir.to_owned(), cosigner, held, asked: None, since, load })
    }

    /// The next entry, by its leaf hash.
    pub(crate) fn append(&mut self, leaf: Hash) -> Result<(), WatchError> {
        self.since.append(leaf);
        let end = self.since.end();
        if let Some(held) = self.load.held.take_if(|held| held.size == end) {
            self.held = self.cut(&held)?;
        }
        if let Some((asked, note)) = self.load.asked.take_if(|(asked, _)| asked.size == end) {
            let range = self.cut(&asked)?;
            self.asked = Some(Asked { range, note, request: Hash::ZERO });
        }
        Ok(())
    }

    /// The whole log has been read.
    pub(crate) fn loaded(&mut self) -> Result<(), WatchError> {
        self.load.held.take_if(|held| held.size == 0);
        let asked = self.load.asked.take().map(|(asked, _)| asked);
        match self.load.held.take().or(asked) {
            Some(missing) => Err(self.other(&missing)),
            None => Ok(()),
        }
    }

    /// Takes what has come since, which must lead to `promised`.
    fn cut(&mut self, promised: &Checkpoint) -> Result<Range, WatchError> {
        let end = self.since.end();
        let since = std::mem::replace(&mut self.since, Range::new(end));
        let mut whole = self.held.clone();
        whole.extend(&since)?;
        if whole.root()? == promised.root { Ok(since) } else { Err(self.other(promised)) }
    }

    fn other(&self, promised: &Checkpoint) -> WatchError {
        let why = format!("it speaks of {} entries, and they are not these", promised.size);
        WatchError::Damaged { path: self.dir.join(COSIGNED_FILE), at: 0, why }
    }

    /// True if there is something that keyd has not been asked for.
    pub(crate) fn has_grown(&self) -> bool {
        self.asked.is_none() && self.since.end() > self.held.end()
    }

    /// Asks for `newest`, a checkpoint of all entries, unless another is still asked for. Answers the body of
    /// the request.
    pub(crate) fn ask(&mut self, newest: &Note) -> Result<Vec<u8>, WatchError> {
        if self.asked.is_none() {
            disk::replace(&self.dir.join(ASKED_FILE), &newest.to_bytes(), 0o644)?;
        }
        let end = self.since.end();
        let asked = self.asked.get_or_insert_with(|| Asked {
            range: std::mem::replace(&mut self.since, Range::new(end)),
            note: newest.clone(),
            request: Hash::ZERO,
        });
        let proof = consistency_of(&self.held, &asked.range)?;
        let checkpoint = asked.note.clone();
        let body = AddCheckpoint { old: self.held.end(), proof, checkpoint }.to_bytes();
        asked.request = sha256(&body);
        Ok(body)
    }

    /// Takes keyd's answer.
    pub(crate) fn answered(&mut self, reply: &WitnessReply) -> Result<Answered, WatchError> {
        let Some(asked) = self.asked.take_if(|asked| asked.request == reply.request) else {
            return Ok(Answered::Unasked);
        };
        let size = asked.range.end();
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let breach = match reply.status {
            200 => match self.keep(&asked, &text)? {
                Ok(()) => return Ok(Answered::Cosigned),
                Err(why) => (Alarm::Protocol, format!("keyd's cosignature is none: {why}")),
            },
            409 => {
                let what = format!(
                    "keyd has cosigned {} entries of the host log, and {} were the last that are known \
                     here, of {size}: this folder is an old copy",
                    text.trim(),
                    self.held.end(),
                );
                (Alarm::WatchRolledBack, what)
            }
            422 => {
                let what = format!("keyd has cosigned another host log than these {size} entries");
                (Alarm::Fork, what)
            }
            other => (Alarm::Protocol, format!("keyd does not cosign: status {other}")),
        };
        self.asked = Some(asked);
        Ok(Answered::Breach(breach.0, breach.1))
    }

    fn keep(&mut self, asked: &Asked, line: &str) -> Result<Result<(), String>, WatchError> {
        let mut note = asked.note.clone();
        let added = line.parse().map(|line| note.add(line)).and_then(|()| {
            note.verify_one(&self.cosigner)?;
            self.held.extend(&asked.range)
        });
        if let Err(error) = added {
            return Ok(Err(error.to_string()));
        }
        disk::replace(&self.dir.join(COSIGNED_FILE), &note.to_bytes(), 0o644)?;
        Ok(Ok(()))
    }
}
