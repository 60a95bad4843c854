//! The round of every second: heads of the other logs go into the checkpoint log, keyd signs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use writ_keyd_client::protocol::{Answer, Checkpoint, Command, Reply};
use writ_model::{Env, Uuid, failpoint};
use writ_proof::append::{AppendItem, AppendReply};
use writ_proof::cbor;
use writ_proof::ed25519::PublicKey;
use writ_proof::leaf::{Head, Kind, LogHead, Source, UseHead};
use writ_proof::merkle::consistency_proof;
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, Origin, SiteId};

use super::Builder;
use super::notes::{Notes, SignedCheckpoint};
use crate::disk;
use crate::error::TrailError;
use crate::logs::LogFiles;
use crate::writer::keyd::Keyd;
use crate::writer::prepare;
use crate::writer::queue::{Append, Job, Queue};
use crate::writer::shared::{Fault, Shared};

/// How long a round waits for the sequencer before it gives up until the next one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the rounds need.
pub(crate) struct Checkpointer {
    pub(crate) site: SiteId,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keyd: Arc<Keyd>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) key: PublicKey,
    pub(crate) last_uses: Option<UseHead>,
}

impl Checkpointer {
    /// One round. An error of keyd or of the queue is not final: the next round tries again.
    pub(crate) fn round(&mut self, builder: &mut Builder) -> Result<(), TrailError> {
        builder.catch_up()?;
        self.record_faults()?;
        self.append_heads(builder)?;
        if !self.keyd.is_connected() {
            return Ok(());
        }
        for log in [LogName::Operator, LogName::Checkpoint] {
            if let Err(error) = self.sign(builder, log) {
                match error {
                    fatal @ TrailError::Fork { .. } => return Err(fatal),
                    error => tracing::warn!(%log, %error, "no checkpoint this time"),
                }
            }
        }
        Ok(())
    }

    /// Writes down that keyd's records did not chain, or that the host log is not what it was: watch and
    /// verifiers must learn it.
    fn record_faults(&self) -> Result<(), TrailError> {
        for fault in [Fault::BrokenChain, Fault::HostLog] {
            let Some(why) = self.shared.take_fault(fault) else { continue };
            // It is said once: what could not be written now is written in a later round.
            if let Err(error) = self.record_gap(fault.what(), &why) {
                self.shared.put_back(fault, why);
                return Err(error);
            }
        }
        Ok(())
    }

    fn record_gap(&self, what: &str, why: &str) -> Result<(), TrailError> {
        let record = json!({ "what": what, "why": why });
        let item = AppendItem {
            event_id: Uuid::random(&*self.env),
            kind: Kind::Gap,
            logs: vec![LogName::Operator],
            record: record.to_string().into_bytes(),
            commit: None,
            use_position: None,
        };
        append_own(&self.queue, vec![item])
    }

    /// Puts the head of every log that has grown, and of keyd's chain, into the checkpoint log.
    fn append_heads(&mut self, builder: &mut Builder) -> Result<(), TrailError> {
        let mut items = Vec::new();
        let mut grown = BTreeMap::new();
        for (log, frontier) in builder.logs() {
            let known = builder.heads.get(&log).copied().unwrap_or(0);
            if log == LogName::Checkpoint || frontier.size() == known {
                continue;
            }
            grown.insert(log, frontier.size());
            let origin = Origin::new(self.site.clone(), log);
            let head = LogHead { origin, size: frontier.size(), root: frontier.root() };
            items.push(self.item(&Head::Log(head)));
        }
        let uses = self.shared.durable().use_head;
        if let Some(head) = uses.filter(|head| self.last_uses != Some(*head)) {
            items.push(self.item(&Head::Uses(head)));
        }
        if items.is_empty() {
            return Ok(());
        }
        append_own(&self.queue, items)?;
        self.last_uses = uses;
        builder.heads.extend(grown);
        builder.catch_up()
    }

    fn item(&self, head: &Head) -> AppendItem {
        AppendItem {
            event_id: Uuid::random(&*self.env),
            kind: Kind::Checkpoint,
            logs: vec![LogName::Checkpoint],
            record: head.to_bytes(),
            commit: None,
            use_position: None,
        }
    }

    fn sign(&self, builder: &Builder, log: LogName) -> Result<(), TrailError> {
        let frontier = builder.frontier(log);
        let (size, root) = (frontier.size(), frontier.root());
        let last = self.notes.latest(log);
        if size == 0 || last.as_ref().is_some_and(|last| last.size >= size) {
            return Ok(());
        }
        let files = builder.files(log);
        let pending_path = files.dir().join("checkpoint.pending");
        // keyd may have signed one whose note never reached the disk: then the proof must begin there.
        let mut attempts = pending(&pending_path)?;
        attempts.retain(|attempt| attempt.size <= size);
        let mut bases = vec![last.as_ref().map_or(0, |last| last.size)];
        bases.extend(attempts.iter().map(|attempt| attempt.size));
        let origin = Origin::new(self.site.clone(), log);
        let head = LogHead { origin: origin.clone(), size, root };
        if !attempts.contains(&head) {
            attempts.push(head.clone());
            disk::create_dir(files.dir())?;
            disk::replace(&pending_path, &cbor::to_vec(&attempts))?;
        }
        failpoint::hit("trail.before_checkpoint");
        let mut refusal = None;
        for base in bases {
            let command = Command::Checkpoint(Checkpoint {
                origin: origin.to_string(),
                size,
                root: root.0,
                proof: consistency_proof(&files, base, size)?.iter().map(|h| h.0).collect(),
            });
            match self.keyd.call(&command)? {
                Answer::Carried(Reply::Note(note)) => {
                    self.publish(&files, log, &origin, note.as_bytes(), &head)?;
                    return std::fs::remove_file(&pending_path)
                        .map_err(TrailError::io("remove", &pending_path));
                }
                Answer::Carried(_) => return Err(TrailError::Keyd("another answer".to_owned())),
                Answer::Refused(why) => refusal = Some(why),
            }
        }
        Err(TrailError::Keyd(format!("{refusal:?}")))
    }

    fn publish(
        &self,
        files: &LogFiles,
        log: LogName,
        origin: &Origin,
        note: &[u8],
        wanted: &LogHead,
    ) -> Result<(), TrailError> {
        let key = checkpoint_key(origin, self.key)?;
        let signed = SignedCheckpoint::verify(note, &key, self.env.now())?;
        if (signed.size, signed.root) != (wanted.size, wanted.root) {
            return Err(TrailError::Keyd("it signed another checkpoint".to_owned()));
        }
        match log {
            LogName::Checkpoint => self.shared.signed(signed.size, signed.time, 0),
            LogName::Operator => self.shared.signed_operator(wanted.clone()),
            LogName::Account(_) | LogName::Host => {}
        }
        self.notes.publish(log, files, signed)
    }
}

/// The checkpoints that keyd was asked to sign since the last one that is on the disk.
fn pending(path: &Path) -> Result<Vec<LogHead>, TrailError> {
    let bytes = disk::read_if_there(path)?;
    Ok(bytes.and_then(|bytes| cbor::from_slice(&bytes).ok()).unwrap_or_default())
}

/// The key that signs a log's checkpoints.
pub(crate) fn checkpoint_key(origin: &Origin, key: PublicKey) -> Result<VerifierKey, TrailError> {
    Ok(VerifierKey::new(&origin.to_string(), KeyKind::Ed25519, key)?)
}

/// Appends records of trail's own, and waits until they are durable.
pub(crate) fn append_own(queue: &Queue, items: Vec<AppendItem>) -> Result<(), TrailError> {
    let request = writ_proof::append::AppendRequest { items, statements: Vec::new() };
    let items = prepare::request(request, Source::Trail).map_err(TrailError::Refused)?;
    let (done, outcome) = mpsc::channel();
    let answer = Box::new(move |reply| {
        // Nobody waits any more after the patience below.
        done.send(reply).ok();
    });
    queue
        .put(Job::Append(Append { items, statements: Vec::new(), answer }))
        .map_err(|refused| if refused.full { TrailError::Busy } else { closed() })?;
    match outcome.recv_timeout(PATIENCE) {
        Ok(AppendReply::Done(_)) => Ok(()),
        Ok(AppendReply::Refused(why)) => Err(TrailError::Unavailable(format!("{why:?}"))),
        Err(_) => Err(TrailError::Unavailable("the sequencer does not answer".to_owned())),
    }
}

fn closed() -> TrailError {
    TrailError::Unavailable("it is closed".to_owned())
}
