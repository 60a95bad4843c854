//! What watch does with each message of trail's stream, without the network.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use writ_model::limits::TRAIL_SILENCE_MAX;
use writ_model::{Env, Timestamp, failpoint};
use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::commits::Missing;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::frame::Frame;
use writ_proof::hash::sha256;
use writ_proof::hostlog::Frame as HostFrame;
use writ_proof::hostlog::log::{Entry, Event};
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, Origin};
use writ_proof::replay::Accepted;
use writ_proof::roster::{Genesis, Roster};
use writ_proof::statement::Signed;
use writ_proof::stream::{FromWatch, Hello, ToWatch, WitnessReply};
use writ_proof::witness::{AddCheckpoint, WitnessAnswer};

use crate::alarm::Alarm;
use crate::detect::Detectors;
use crate::disk;
use crate::error::WatchError;
use crate::hosts::book::{Book, Shared};
use crate::hosts::cosigned::Answered;
use crate::hosts::log::LogKeys;
use crate::limits::{
    CHECKPOINT_LATE, COMMIT_OPEN_MAX, HOST_COSIGN_AGAIN, HOST_COSIGN_EVERY, HOST_COSIGN_LATE,
    LOGINS_AGAIN, REMEMBERED_MAX, SEGMENT_BYTES,
};
use crate::mirror::{Mirror, RootAt};
use crate::witness::{Breach, Witness};
use crate::{MIRROR_FOLDER, SEED_FILE, WITNESS_FOLDER};

/// Everything that watch holds.
pub(crate) struct Keeper {
    folder: PathBuf,
    env: Arc<dyn Env>,
    genesis: Genesis,
    digest: Hash,
    mirror: Mirror,
    witness: Witness,
    book: Shared,
    /// A checkpoint that is ahead of the mirror; its frames are under way.
    waiting: Option<Vec<u8>>,
    greeted: bool,
    heard: Duration,
    silent: bool,
    cosigned: Duration,
    late: bool,
    looked: Duration,
    host: HostAsked,
    open: BTreeMap<String, Open>,
}

/// How far keyd's cosignature on the host log is.
struct HostAsked {
    /// When it was asked for last on this connection.
    at: Option<Duration>,
    /// When it came last; while the host log is empty and there is nothing to ask for, the time that it is.
    cosigned: Duration,
    late: bool,
}

/// Logins that a start looks at again: a crash may have come before the ledger had explained them.
#[derive(Default)]
struct Logins {
    recent: VecDeque<(Timestamp, HostFrame)>,
}

impl Logins {
    fn see(&mut self, entry: &Entry) {
        let is_old = |at: &Timestamp| entry.at.since(*at) > LOGINS_AGAIN;
        while self.recent.front().is_some_and(|(at, _)| is_old(at)) {
            self.recent.pop_front();
        }
        let Event::Frame(bytes) = &entry.event else { return };
        let Ok(frame) = HostFrame::from_bytes(bytes) else { return };
        if !Detectors::reads(&frame) {
            return;
        }
        // A crash leaves the newest unexplained.
        if self.recent.len() >= REMEMBERED_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((entry.at, frame));
    }
}

/// An incomplete commit.
struct Open {
    since: Duration,
    told: bool,
}

/// What to send, and whether to end the connection then.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) replies: Vec<FromWatch>,
    pub(crate) close: bool,
}

impl Keeper {
    /// Opens watch's folder.
    pub(crate) fn open(
        folder: &Path,
        genesis: &[u8],
        env: Arc<dyn Env>,
    ) -> Result<Keeper, WatchError> {
        let signed = Signed::from_bytes(genesis)?;
        let statement = Genesis::verify(&signed, None)?;
        let origin = Origin::new(statement.site.clone(), LogName::Checkpoint).to_string();
        let log = VerifierKey::new(&origin, KeyKind::Ed25519, statement.keyd.checkpoint)?;
        let key = signing_key(folder, &statement)?;
        let name = own_name(&statement)?;
        let now = env.monotonic();
        let keys = LogKeys {
            origin: Origin::new(statement.site.clone(), LogName::Host).to_string(),
            key: signing_key(folder, &statement)?,
            cosigner: statement.keyd_cosigner()?,
        };
        let mut detectors = Detectors::new(&statement);
        let mut see = |frame: &Frame, accepted: &Accepted, roster: &Roster| {
            detectors.frame(frame, accepted, roster, now);
        };
        let mirror = folder.join(MIRROR_FOLDER);
        let mirror = Mirror::open_with(&mirror, &signed, SEGMENT_BYTES, &mut see)?;
        let mut logins = Logins::default();
        let mut see = |entry: &Entry| logins.see(entry);
        let book = Book::open_with(folder, keys, Arc::clone(&env), &mut see)?;
        for (at, frame) in logins.recent {
            detectors.host_frame(&frame, at, now);
        }
        detectors.begin();
        let book = Shared::with(book, detectors);
        book.detect(|_| {})?;
        Ok(Keeper {
            folder: folder.to_owned(),
            mirror,
            witness: Witness::open(&folder.join(WITNESS_FOLDER), &name, key, [log])?,
            book,
            digest: signed.digest(),
            genesis: statement,
            env,
            waiting: None,
            greeted: false,
            heard: now,
            silent: false,
            cosigned: now,
            late: false,
            looked: now,
            host: HostAsked { at: None, cosigned: now, late: false },
            open: BTreeMap::new(),
        })
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Another copy of watch's key.
    pub(crate) fn signing_key(&self) -> Result<SoftKey, WatchError> {
        signing_key(&self.folder, &self.genesis)
    }

    /// The alarms, and everything of the hosts.
    pub(crate) fn book(&self) -> &Shared {
        &self.book
    }

    /// A new connection has taken the place of the old one.
    pub(crate) fn begin(&mut self) {
        self.greeted = false;
        self.waiting = None;
        self.host.at = None;
    }

    /// Takes the messages that came together: one fsync for all their frames, then the answers.
    pub(crate) fn take(&mut self, messages: Vec<ToWatch>) -> Result<Turn, WatchError> {
        let mut turn = Turn::default();
        let mut unsynced = false;
        for message in messages {
            let is_frame = matches!(message, ToWatch::Frame(_));
            if !is_frame && std::mem::take(&mut unsynced) {
                self.acknowledge(&mut turn)?;
            }
            match message {
                ToWatch::Hello(hello) => self.hello(&hello, &mut turn)?,
                _ if !self.greeted => {
                    self.refuse(Alarm::Protocol, "the first message is no greeting", &mut turn)?;
                }
                ToWatch::Beat(_) => self.alive()?,
                ToWatch::Frame(bytes) => unsynced |= self.frame(&bytes, &mut turn)?,
                ToWatch::Checkpoint(body) => {
                    self.alive()?;
                    self.checkpoint(body, &mut turn)?;
                }
                ToWatch::HostCosigned(reply) => self.host_cosigned(&reply)?,
            }
            if turn.close {
                break;
            }
        }
        if unsynced {
            self.acknowledge(&mut turn)?;
        }
        Ok(turn)
    }

    /// Looks at the time.
    pub(crate) fn tick(&mut self) -> Result<(), WatchError> {
        let now = self.env.monotonic();
        if !self.silent && now.saturating_sub(self.heard) > TRAIL_SILENCE_MAX {
            self.silent = true;
            let position = self.mirror.position().next_seq;
            let what =
                format!("nothing from trail for 2 s; the mirror ends at position {position}");
            self.raise(Alarm::Silent, &what)?;
        }
        let age = now.saturating_sub(self.cosigned);
        if !self.late && !self.silent && age > CHECKPOINT_LATE {
            self.late = true;
            self.raise(Alarm::CheckpointLate, "no checkpoint to cosign for 75 s")?;
        }
        if self.book.lock().size() == 0 {
            self.host.cosigned = now;
        }
        let age = now.saturating_sub(self.host.cosigned);
        if !self.host.late && !self.silent && age > HOST_COSIGN_LATE {
            self.host.late = true;
            let what = "keyd has not cosigned the host log for a minute";
            self.raise(Alarm::HostLogUncosigned, what)?;
        }
        if now.saturating_sub(self.looked) >= Duration::from_secs(1) {
            self.looked = now;
            self.commits(now)?;
            let wall = self.env.now();
            self.book.detect(|detectors| detectors.due(now, wall))?;
        }
        Ok(())
    }

    /// What to ask keyd for, through trail, now.
    pub(crate) fn host_checkpoint(&mut self) -> Result<Option<FromWatch>, WatchError> {
        let now = self.env.monotonic();
        let mut book = self.book.lock();
        let every = if book.is_uncosigned() { HOST_COSIGN_EVERY } else { HOST_COSIGN_AGAIN };
        let is_due = self.host.at.is_none_or(|at| now.saturating_sub(at) >= every);
        if !self.greeted || !is_due {
            return Ok(None);
        }
        self.host.at = Some(now);
        Ok(book.ask_keyd()?.map(FromWatch::HostCheckpoint))
    }

    fn host_cosigned(&mut self, reply: &WitnessReply) -> Result<(), WatchError> {
        self.alive()?;
        let answered = self.book.lock().keyd_answered(reply)?;
        match answered {
            Answered::Cosigned => {
                self.host.cosigned = self.env.monotonic();
                self.host.late = false;
                Ok(())
            }
            Answered::Breach(alarm, what) => self.raise(alarm, &what),
            // The connection on which it was asked for is gone; it is asked for again.
            Answered::Unasked => Ok(()),
        }
    }

    /// A peer that did not keep to the protocol, or whose bytes are no messages.
    pub(crate) fn broken(&mut self, why: &str) -> Result<(), WatchError> {
        self.raise(Alarm::Protocol, why)
    }

    fn hello(&mut self, hello: &Hello, turn: &mut Turn) -> Result<(), WatchError> {
        if hello.site != self.genesis.site || hello.genesis != self.digest {
            return self.refuse(Alarm::Protocol, "it is of another installation", turn);
        }
        let held = self.mirror.position();
        if hello.end.next_seq < held.next_seq {
            let why = format!(
                "trail's log ends at position {}, but the mirror holds {}",
                hello.end.next_seq, held.next_seq
            );
            return self.refuse(Alarm::Rollback, &why, turn);
        }
        self.greeted = true;
        turn.replies.push(FromWatch::Welcome(held));
        Ok(())
    }

    fn frame(&mut self, bytes: &[u8], turn: &mut Turn) -> Result<bool, WatchError> {
        self.alive()?;
        let (now, mirror) = (self.env.monotonic(), &mut self.mirror);
        let mut accepted = None;
        self.book.detect(|detectors| {
            let mut see = |frame: &Frame, accepted: &Accepted, roster: &Roster| {
                detectors.frame(frame, accepted, roster, now);
            };
            accepted = Some(mirror.accept_with(bytes, &mut see));
        })?;
        let Some(accepted) = accepted else { return Ok(false) };
        match accepted {
            Ok(odd) => {
                for what in odd {
                    self.raise(Alarm::Commit, &what)?;
                }
                Ok(true)
            }
            Err(fatal @ WatchError::Io { .. }) => Err(fatal),
            Err(error) => {
                self.refuse(Alarm::BadFrame, &error.to_string(), turn)?;
                Ok(false)
            }
        }
    }

    fn acknowledge(&mut self, turn: &mut Turn) -> Result<(), WatchError> {
        failpoint::hit("watch.before_persist");
        self.mirror.sync()?;
        failpoint::hit("watch.after_persist");
        turn.replies.push(FromWatch::Ack(self.mirror.position()));
        match self.waiting.take() {
            Some(body) if !turn.close => self.checkpoint(body, turn),
            waiting => {
                self.waiting = waiting;
                Ok(())
            }
        }
    }

    /// Answers as a witness; a checkpoint ahead of the mirror waits for its frames.
    fn checkpoint(&mut self, body: Vec<u8>, turn: &mut Turn) -> Result<(), WatchError> {
        let shown = AddCheckpoint::from_bytes(&body).and_then(|r| Checkpoint::of(&r.checkpoint));
        if let Ok(shown) = shown {
            match self.mirror.root_at(shown.size) {
                RootAt::NotYet => {
                    self.waiting = Some(body);
                    return Ok(());
                }
                RootAt::Known(root) if root != shown.root => {
                    let Checkpoint { size, root: other, .. } = shown;
                    let why = format!(
                        "checkpoint of size {size} has root {other}, but the mirror's is {root}"
                    );
                    self.raise(Alarm::Fork, &why)?;
                    let status = WitnessAnswer::Unprocessable.status();
                    turn.replies.push(answer(&body, status, Vec::new()));
                    return Ok(());
                }
                RootAt::Known(_) | RootAt::Forgotten => {}
            }
        }
        let answered = self.witness.answer(&body, self.env.now())?;
        match &answered.breach {
            Some(Breach::Fork(what)) => self.raise(Alarm::Fork, what)?,
            Some(Breach::Rollback(what)) => self.raise(Alarm::Rollback, what)?,
            None => {}
        }
        if answered.status == 200 {
            self.cosigned = self.env.monotonic();
            self.late = false;
        }
        turn.replies.push(answer(&body, answered.status, answered.body));
        Ok(())
    }

    fn commits(&mut self, now: Duration) -> Result<(), WatchError> {
        let missing: Vec<String> = self.mirror.missing().iter().map(describe).collect();
        self.open.retain(|name, _| missing.contains(name));
        let mut overdue = Vec::new();
        for name in missing {
            let open = self.open.entry(name.clone()).or_insert(Open { since: now, told: false });
            if !open.told && now.saturating_sub(open.since) > COMMIT_OPEN_MAX {
                open.told = true;
                overdue.push(name);
            }
        }
        overdue.iter().try_for_each(|what| self.raise(Alarm::Commit, what))
    }

    fn alive(&mut self) -> Result<(), WatchError> {
        self.heard = self.env.monotonic();
        if std::mem::take(&mut self.silent) {
            self.book.lock().remark(Alarm::SilenceOver.as_str(), "trail is heard again")?;
        }
        Ok(())
    }

    fn refuse(&mut self, alarm: Alarm, why: &str, turn: &mut Turn) -> Result<(), WatchError> {
        self.raise(alarm, why)?;
        turn.replies.push(FromWatch::Refuse(why.to_owned()));
        turn.close = true;
        Ok(())
    }

    fn raise(&mut self, alarm: Alarm, what: &str) -> Result<(), WatchError> {
        self.book.lock().raise(alarm.as_str(), None, what)
    }
}

fn answer(request: &[u8], status: u16, body: Vec<u8>) -> FromWatch {
    FromWatch::Answer(WitnessReply { request: sha256(request), status, body })
}

fn describe(missing: &Missing) -> String {
    let Missing { source, epoch, first, last, ordinals } = missing;
    let source = source.as_str();
    if ordinals.is_empty() {
        format!("no record of revisions {first} to {last} of {source}'s store {epoch}")
    } else {
        format!("revision {first} of {source}'s store {epoch} lacks records {ordinals:?}")
    }
}

fn signing_key(folder: &Path, genesis: &Genesis) -> Result<SoftKey, WatchError> {
    let path = folder.join(SEED_FILE);
    let foreign = |why: &str| WatchError::Foreign { path: path.clone(), why: why.to_owned() };
    let bytes = disk::read_if_there(&path)?.ok_or_else(|| foreign("it is missing"))?;
    let seed: [u8; 32] = bytes.try_into().map_err(|_| foreign("it is not 32 bytes"))?;
    let key = SoftKey::from_seed(&seed)?;
    if key.public_key() == genesis.watch {
        Ok(key)
    } else {
        Err(foreign("genesis names another key for watch"))
    }
}

/// The name under which watch cosigns: that of the first witness, whose key must be watch's own.
fn own_name(genesis: &Genesis) -> Result<String, WatchError> {
    let keys = genesis.witness_keys()?;
    let own = keys.first().filter(|key| key.key() == genesis.watch);
    own.map(|key| key.name().to_owned()).ok_or(WatchError::Proof(writ_proof::Error::Rule {
        what: "genesis",
        why: "its first witness is not watch",
    }))
}

#[cfg(test)]
#[path = "tests/keeper.rs"]
mod tests;
