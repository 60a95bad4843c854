//! What follows from the host log: hosts, tokens, windows and alarms. Everything here is remembered by
//! reading the log again; nothing else is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_model::{Env, Nonce, Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::cbor::Version;
use writ_proof::hostlog::log::{Acknowledged, Again, Alarm, Enrolment, Entry, Event, Window};
use writ_proof::hostlog::{Frame, Position};
use writ_proof::roster::HostName;
use writ_proof::stream::WitnessReply;

use super::cosigned::Answered;
use super::log::{HostLog, LogKeys};
use crate::alarm::AlarmLines;
use crate::error::WatchError;
use crate::limits::{
    AGAIN_EVERY, ALARM_MAX_CHARS, OTHER_EVERY, SEGMENT_BYTES, TOKENS_MAX, WINDOWS_MAX,
};
use crate::{ALARMS_FILE, HOST_LOG_FOLDER};

/// The book, shared by the threads of watch.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Book>>);

impl Shared {
    pub(crate) fn new(book: Book) -> Shared {
        Shared(Arc::new(Mutex::new(book)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        // An error while writing ends the process; a panic elsewhere leaves the book whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state that the host log describes.
pub(crate) struct Book {
    env: Arc<dyn Env>,
    log: HostLog,
    lines: AlarmLines,
    facts: Facts,
}

/// What an entry changes.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) hosts: BTreeMap<HostName, HostFacts>,
    pub(crate) alarms: BTreeMap<u64, AlarmFacts>,
    tokens: BTreeMap<Hash, (HostName, Timestamp)>,
    windows: Vec<Window>,
}

/// One host.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostFacts {
    /// Its key; `None` once it was removed.
    pub(crate) key: Option<[u8; 32]>,
    /// All keys that it ever had.
    pub(crate) keys: Vec<[u8; 32]>,
    /// SHA-256 of the newest certificate, if it was renewed.
    pub(crate) certificate: Option<Hash>,
    /// Until when its certificate is valid.
    pub(crate) until: Timestamp,
    /// The highest epoch.
    pub(crate) epoch: u64,
    /// Where its chain ends here.
    pub(crate) held: Position,
    /// The newest connection's facts.
    pub(crate) boot: Option<Uuid>,
    pub(crate) instance: Option<Nonce>,
    pub(crate) config: Option<Hash>,
    /// It ended in order, or never began.
    pub(crate) left: bool,
    /// When a stop was announced for, if a window covers it: until then.
    pub(crate) expected_until: Option<Timestamp>,
    /// When the last entry of it was written.
    pub(crate) seen: Timestamp,
}

/// One alarm.
#[derive(Debug, Clone)]
pub(crate) struct AlarmFacts {
    pub(crate) alarm: Alarm,
    pub(crate) at: Timestamp,
    pub(crate) again: u64,
    pub(crate) last: Timestamp,
    pub(crate) last_what: String,
    pub(crate) acknowledged: Option<(String, Timestamp)>,
}

impl AlarmFacts {
    /// True if `what` was said a moment ago, or so much else that it need not be said as well.
    fn repeats(&self, what: &str, now: Timestamp) -> bool {
        let age = now.since(self.last);
        age < AGAIN_EVERY && self.last_what == what || age < OTHER_EVERY && self.again > 0
    }
}

impl Book {
    /// Reads the log in `folder`.
    pub(crate) fn open(
        folder: &Path,
        keys: LogKeys,
        env: Arc<dyn Env>,
    ) -> Result<Book, WatchError> {
        let mut facts = Facts::default();
        let each = |index, entry| facts.apply(index, &entry);
        let dir = folder.join(HOST_LOG_FOLDER);
        let log = HostLog::open(&dir, keys, SEGMENT_BYTES, each)?;
        let lines = AlarmLines::open(&folder.join(ALARMS_FILE))?;
        Ok(Book { env, log, lines, facts })
    }

    /// What is known.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Appends an event; it is durable after [`Book::sync`].
    pub(crate) fn append(&mut self, event: Event) -> Result<u64, WatchError> {
        let entry = Entry { v: Version, at: self.env.now(), event };
        let index = self.log.append(&entry)?;
        self.facts.apply(index, &entry);
        Ok(index)
    }

    /// Makes what was appended durable.
    pub(crate) fn sync(&mut self) -> Result<(), WatchError> {
        self.log.sync()
    }

    /// Signs a checkpoint if something came.
    pub(crate) fn checkpoint(&mut self) -> Result<(), WatchError> {
        self.log.checkpoint()
    }

    /// True if keyd has not been asked to cosign all there is.
    pub(crate) fn is_uncosigned(&self) -> bool {
        self.log.is_uncosigned()
    }

    /// What keyd is to cosign: the body of a request.
    pub(crate) fn ask_keyd(&mut self) -> Result<Option<Vec<u8>>, WatchError> {
        self.log.ask()
    }

    /// Takes keyd's answer.
    pub(crate) fn keyd_answered(&mut self, reply: &WitnessReply) -> Result<Answered, WatchError> {
        self.log.answered(reply)
    }

    /// The number of entries.
    pub(crate) fn size(&self) -> u64 {
        self.log.size()
    }

    /// Raises an alarm; it is durable when the call returns. While one of the same kind and host is open, no
    /// second one is made: it is said again, but the very same at most once in [`AGAIN_EVERY`].
    pub(crate) fn raise(
        &mut self,
        kind: &str,
        host: Option<&HostName>,
        what: &str,
    ) -> Result<(), WatchError> {
        let now = self.env.now();
        let what: String = what.chars().take(ALARM_MAX_CHARS).collect();
        tracing::error!(alarm = kind, host = host.map(HostName::as_str), what, "alarm");
        let open = self.facts.alarms.iter().rev().find(|(_, known)| {
            known.acknowledged.is_none()
                && known.alarm.kind == kind
                && known.alarm.host.as_ref() == host
        });
        match open {
            Some((_, known)) if known.repeats(&what, now) => {
                if host.is_some() {
                    return Ok(());
                }
            }
            Some((number, _)) => {
                let again = Again { alarm: *number, what: what.clone() };
                self.append(Event::Again(again))?;
            }
            None => {
                let alarm =
                    Alarm { kind: kind.to_owned(), host: host.cloned(), what: what.clone() };
                self.append(Event::Alarm(alarm))?;
            }
        }
        self.sync()?;
        self.lines.write(now, kind, host, &what)
    }

    /// Writes a line that is no alarm beside the alarms.
    pub(crate) fn remark(&mut self, kind: &str, what: &str) -> Result<(), WatchError> {
        tracing::warn!(kind, what, "remark");
        self.lines.write(self.env.now(), kind, None, what)
    }

    /// Takes note of an alarm. Answers false if there is none of this number, or it was done before.
    pub(crate) fn acknowledge(&mut self, alarm: u64, by: &str) -> Result<bool, WatchError> {
        let open = self.facts.alarms.get(&alarm).is_some_and(|a| a.acknowledged.is_none());
        if open {
            let by = by.to_owned();
            self.append(Event::Acknowledged(Acknowledged { alarm, by }))?;
            self.sync()?;
        }
        Ok(open)
    }

    /// The host that the token with this hash enrols, if it is still good.
    pub(crate) fn token(&self, hash: &Hash) -> Option<HostName> {
        let (host, expires) = self.facts.tokens.get(hash)?;
        (self.env.now() < *expires).then(|| host.clone())
    }

    /// Whether a stop of `host` is expected now; until when.
    pub(crate) fn window(&self, host: &HostName) -> Option<Timestamp> {
        self.facts.window(host, self.env.now())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.env.now()
    }
}

impl Facts {
    fn apply(&mut self, index: u64, entry: &Entry) {
        let at = entry.at;
        match &entry.event {
            Event::Frame(bytes) => {
                // INVARIANT: only frames that read are appended.
                if let Ok(frame) = Frame::from_bytes(bytes) {
                    let host = self.host(&frame.host, at);
                    host.held = host.held.after(bytes);
                    host.epoch = host.epoch.max(frame.epoch);
                }
            }
            Event::Lost(lost) => {
                let host = self.host(&lost.host, at);
                host.held = host.held.behind(&lost.lost).unwrap_or(host.held);
            }
            Event::Token(token) => {
                self.tokens.retain(|_, (_, expires)| at < *expires);
                while self.tokens.len() >= TOKENS_MAX {
                    self.tokens.pop_first();
                }
                self.tokens.insert(token.hash, (token.host.clone(), token.expires));
            }
            Event::Enrolled(enrolment) => self.enrol(enrolment, at),
            Event::Renewed(renewed) => {
                let host = self.host(&renewed.host, at);
                host.until = renewed.until;
                host.certificate = Some(renewed.certificate);
            }
            Event::Removed(removed) => {
                let host = self.host(&removed.host, at);
                host.key = None;
                host.left = true;
            }
            Event::Hello(hello) => {
                let host = self.host(&hello.host, at);
                host.epoch = host.epoch.max(hello.epoch);
                host.boot = Some(hello.boot);
                host.instance = Some(hello.instance);
                host.config = Some(hello.config);
                host.left = false;
                host.expected_until = None;
            }
            Event::Left(left) => {
                let until = self.window(&left.host, at);
                let host = self.host(&left.host, at);
                host.left = true;
                host.expected_until = until;
            }
            Event::Window(window) => {
                self.windows.retain(|known| at < known.until);
                if self.windows.len() < WINDOWS_MAX {
                    self.windows.push(window.clone());
                }
            }
            Event::Alarm(alarm) => {
                let alarm = alarm.clone();
                let last_what = alarm.what.clone();
                let facts =
                    AlarmFacts { alarm, at, again: 0, last: at, last_what, acknowledged: None };
                self.alarms.insert(index, facts);
            }
            Event::Again(again) => {
                if let Some(known) = self.alarms.get_mut(&again.alarm) {
                    known.again += 1;
                    known.last = at;
                    known.last_what.clone_from(&again.what);
                }
            }
            Event::Acknowledged(done) => {
                if let Some(known) = self.alarms.get_mut(&done.alarm) {
                    known.acknowledged = Some((done.by.clone(), at));
                }
            }
        }
    }

    fn enrol(&mut self, enrolment: &Enrolment, at: Timestamp) {
        self.tokens.remove(&enrolment.token);
        let host = self.host(&enrolment.host, at);
        host.key = Some(enrolment.key);
        host.certificate = None;
        if !host.keys.contains(&enrolment.key) {
            host.keys.push(enrolment.key);
        }
        host.until = enrolment.until;
    }

    fn host(&mut self, name: &HostName, at: Timestamp) -> &mut HostFacts {
        let host = self
            .hosts
            .entry(name.clone())
            .or_insert_with(|| HostFacts { left: true, ..HostFacts::default() });
        host.seen = at;
        host
    }

    fn window(&self, host: &HostName, at: Timestamp) -> Option<Timestamp> {
        let covers = |w: &&Window| w.host == *host && w.from <= at && at < w.until;
        self.windows.iter().filter(covers).map(|window| window.until).max()
    }
}
