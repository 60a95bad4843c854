//! What follows from the host log: hosts, tokens, windows and alarms. Everything here is remembered by
//! reading the log again; nothing else is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_model::{Env, Nonce, Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::cbor::Version;
use writ_proof::ed25519::Signer as _;
use writ_proof::hostlog::log::{
    Acknowledged, Again, Alarm, Configured, Delivered, Enrolment, Entry, Event, Routes, Summary,
    Window,
};
use writ_proof::hostlog::{Frame, Position, SignedConfig};
use writ_proof::roster::HostName;
use writ_proof::stream::WitnessReply;

use super::cosigned::Answered;
use super::log::{HostLog, LogKeys};
use crate::alarm::AlarmLines;
use crate::detect::{Detectors, Finding};
use crate::error::WatchError;
use crate::limits::{
    AGAIN_EVERY, ALARM_MAX_CHARS, OTHER_EVERY, SAME_OPEN_MAX, SEGMENT_BYTES, SUMMARIES_MAX,
    TOKENS_MAX, WINDOWS_MAX,
};
use crate::{ALARMS_FILE, HOST_LOG_FOLDER};

/// The book, shared by the threads of watch.
#[derive(Clone)]
pub(crate) struct Shared {
    book: Arc<Mutex<Book>>,
    detectors: Option<Arc<Mutex<Detectors>>>,
}

impl Shared {
    /// A book that no detectors look into.
    #[cfg(test)]
    pub(crate) fn new(book: Book) -> Shared {
        Shared { book: Arc::new(Mutex::new(book)), detectors: None }
    }

    /// A book, and who compares what comes from hosts with the ledger.
    pub(crate) fn with(book: Book, detectors: Detectors) -> Shared {
        let detectors = Some(Arc::new(Mutex::new(detectors)));
        Shared { book: Arc::new(Mutex::new(book)), detectors }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        // An error while writing ends the process; a panic elsewhere leaves the book whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the detectors look, and raises what they find; durable when the call returns. Not while the book is locked.
    pub(crate) fn detect(&self, look: impl FnOnce(&mut Detectors)) -> Result<(), WatchError> {
        if self.detect_in_turn(look)? { self.lock().sync() } else { Ok(()) }
    }

    /// The same, durable after [`Book::sync`]: with the frames that it follows from. Answers whether anything was raised.
    pub(crate) fn detect_in_turn(
        &self,
        look: impl FnOnce(&mut Detectors),
    ) -> Result<bool, WatchError> {
        let Some(detectors) = &self.detectors else { return Ok(false) };
        let (found, unanswered) = {
            let mut detectors = detectors.lock().unwrap_or_else(PoisonError::into_inner);
            look(&mut detectors);
            detectors.take()
        };
        if found.is_empty() && unanswered.is_empty() {
            return Ok(false);
        }
        let mut book = self.lock();
        for what in unanswered {
            book.remark("use-unanswered", &what)?;
        }
        for Finding { alarm, host, key, what } in found {
            book.raise_once(alarm.as_str(), host.as_ref(), &key, &what)?;
        }
        Ok(true)
    }
}

/// The state that the host log describes.
pub(crate) struct Book {
    env: Arc<dyn Env>,
    log: HostLog,
    lines: AlarmLines,
    facts: Facts,
}

/// Of what an alarm is: its kind, its host and its key.
type Cause = (String, Option<HostName>, Option<String>);

/// The key of an alarm that says that there are more of its kind and host than are open, and counts these. No detector
/// gives it.
const MORE: &str = "more";

/// What an entry changes.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) hosts: BTreeMap<HostName, HostFacts>,
    pub(crate) alarms: BTreeMap<u64, AlarmFacts>,
    /// Of those the ones that nobody has taken note of.
    pub(crate) open: BTreeSet<u64>,
    /// The same by what they are of.
    causes: BTreeMap<Cause, u64>,
    /// What alarms follow from that is never alarmed of twice.
    keys: BTreeSet<String>,
    /// Whom alarms go to, as it was set last.
    pub(crate) routes: Option<Routes>,
    /// The newest summaries, each with the channels that have taken it.
    pub(crate) summaries: BTreeMap<u64, SummaryFacts>,
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
    /// The certificate that was sent to it last, until when; it counts once it has been shown.
    pub(crate) renewed: Option<(Hash, Timestamp)>,
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
    /// What it is to report, as it was signed last.
    pub(crate) configured: Option<Arc<Configured>>,
    /// All that was signed for it: the first and the last serial of each text.
    pub(crate) configs: Arc<BTreeMap<Hash, (u64, u64)>>,
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
    /// The channels that have taken it.
    pub(crate) delivered: BTreeSet<String>,
}

/// One summary.
#[derive(Debug, Clone)]
pub(crate) struct SummaryFacts {
    pub(crate) summary: Summary,
    pub(crate) delivered: bool,
}

impl HostFacts {
    /// True if an agent with this configuration has gone back to one that is older than the last.
    pub(crate) fn went_back(&self, config: Hash) -> bool {
        let last = self.config.and_then(|last| self.configs.get(&last));
        matches!((last, self.configs.get(&config)), (Some((had, _)), Some((_, has))) if had > has)
    }

    /// True if an agent of it was enrolled at some time.
    pub(crate) fn was_enrolled(&self) -> bool {
        !self.keys.is_empty()
    }

    /// True if this configuration is signed, another than that of the last agent, and no older one.
    pub(crate) fn is_newer(&self, config: Hash) -> bool {
        let is_signed = self.configs.contains_key(&config);
        is_signed && self.config != Some(config) && !self.went_back(config)
    }

    /// True if it runs with an older configuration until it is started again.
    pub(crate) fn waits_for_restart(&self) -> bool {
        let newest = self.configured.as_ref().map(|newest| newest.config.hash());
        self.config.is_some() && newest.is_some() && self.config != newest
    }
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
    #[cfg(test)]
    pub(crate) fn open(
        folder: &Path,
        keys: LogKeys,
        env: Arc<dyn Env>,
    ) -> Result<Book, WatchError> {
        Book::open_with(folder, keys, env, &mut |_| {})
    }

    /// The same, and shows each entry to `look`.
    pub(crate) fn open_with(
        folder: &Path,
        keys: LogKeys,
        env: Arc<dyn Env>,
        look: &mut dyn FnMut(&Entry),
    ) -> Result<Book, WatchError> {
        let mut facts = Facts::default();
        let each = |index, entry| {
            look(&entry);
            facts.apply(index, &entry);
        };
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

    /// Signs what `host` is to report from now on, by the word of `by` or, without, of the host's own enrolment;
    /// durable when the call returns.
    pub(crate) fn configure(
        &mut self,
        host: &HostName,
        text: String,
        by: Option<&str>,
    ) -> Result<SignedConfig, WatchError> {
        let last = self.facts.hosts.get(host).and_then(|facts| facts.configured.as_ref());
        let serial = last.map_or(1, |last| last.config.serial.saturating_add(1));
        let config = SignedConfig::sign(host.clone(), serial, text, self.log.key())?;
        let configured = Configured { config: config.clone(), by: by.map(str::to_owned) };
        self.append(Event::Configured(configured))?;
        self.sync()?;
        Ok(config)
    }

    /// The key that signs it.
    pub(crate) fn key(&self) -> [u8; 32] {
        self.log.key().public_key().0
    }

    /// Makes what was appended durable, and the lines of alarms.
    pub(crate) fn sync(&mut self) -> Result<(), WatchError> {
        self.log.sync()?;
        self.lines.sync()
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
        self.raise_about(kind, host, None, what)
    }

    /// Raises an alarm of something that stays as it is for good, which `key` names: once, whatever anybody
    /// takes note of. Of one kind and host no more than [`SAME_OPEN_MAX`] are open; further ones are counted at one more,
    /// each with its key. Durable after [`Book::sync`].
    pub(crate) fn raise_once(
        &mut self,
        kind: &str,
        host: Option<&HostName>,
        key: &str,
        what: &str,
    ) -> Result<(), WatchError> {
        if self.facts.keys.contains(key) {
            return Ok(());
        }
        if self.facts.same_open(kind, host) < SAME_OPEN_MAX {
            return self.say(kind, host, Some(key), what).map(|_| ());
        }
        let more = cause(kind, host, Some(MORE));
        if !self.facts.causes.contains_key(&more) {
            let what = format!(
                "there are more than {SAME_OPEN_MAX} of these here: until some of them are taken note of, \
                 further ones are counted at this alarm alone"
            );
            self.say(kind, host, Some(MORE), &what)?;
        }
        if let Some(alarm) = self.facts.causes.get(&more).copied() {
            self.append(Event::Again(Again { alarm, what: shortened(&format!("{key}: {what}")) }))?;
        }
        Ok(())
    }

    /// Raises an alarm with a key that may be raised again; durable when the call returns.
    pub(crate) fn raise_about(
        &mut self,
        kind: &str,
        host: Option<&HostName>,
        key: Option<&str>,
        what: &str,
    ) -> Result<(), WatchError> {
        if self.say(kind, host, key, what)? { self.sync() } else { Ok(()) }
    }

    /// Writes an alarm down, or that it came again; durable after [`Book::sync`]. Answers whether there was anything to write.
    pub(crate) fn say(
        &mut self,
        kind: &str,
        host: Option<&HostName>,
        key: Option<&str>,
        what: &str,
    ) -> Result<bool, WatchError> {
        let now = self.env.now();
        let what = shortened(what);
        tracing::error!(alarm = kind, host = host.map(HostName::as_str), what, "alarm");
        let open = self.facts.causes.get(&cause(kind, host, key));
        let open = open.and_then(|number| Some((number, self.facts.alarms.get(number)?)));
        match open {
            Some((_, known)) if known.repeats(&what, now) => {
                if host.is_some() {
                    return Ok(false);
                }
            }
            Some((number, _)) => {
                let again = Again { alarm: *number, what: what.clone() };
                self.append(Event::Again(again))?;
            }
            None => {
                let (kind, key) = (kind.to_owned(), key.map(str::to_owned));
                let alarm = Alarm { kind, host: host.cloned(), what: what.clone(), key };
                self.append(Event::Alarm(alarm))?;
            }
        }
        self.lines.write(now, kind, host, &what)?;
        Ok(true)
    }

    /// Writes a line that is no alarm beside the alarms.
    pub(crate) fn remark(&mut self, kind: &str, what: &str) -> Result<(), WatchError> {
        tracing::warn!(kind, what, "remark");
        self.lines.write(self.env.now(), kind, None, what)?;
        self.lines.sync()
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

    /// Writes down that a channel has taken alarms or summaries; durable when the call returns.
    pub(crate) fn delivered(&mut self, entries: &[u64], channel: &str) -> Result<(), WatchError> {
        for entry in entries {
            self.append(Event::Delivered(Delivered {
                entry: *entry,
                channel: channel.to_owned(),
            }))?;
        }
        self.sync()
    }

    /// The open alarms that a channel still owes, in turns: of each kind and host one, the oldest, then of each the next.
    /// Those that the channel has taken count as turns that were had, so that a flood of one kind and host holds up no other.
    pub(crate) fn owed(&self, channel: &str) -> impl Iterator<Item = (u64, &AlarmFacts)> {
        let mut turns: BTreeMap<(&str, Option<&HostName>), usize> = BTreeMap::new();
        let mut owed: Vec<(usize, u64, &AlarmFacts)> = Vec::new();
        for number in &self.facts.open {
            let Some(known) = self.facts.alarms.get(number) else { continue };
            let turn = turns.entry((&known.alarm.kind, known.alarm.host.as_ref())).or_default();
            if !known.delivered.contains(channel) {
                owed.push((*turn, *number, known));
            }
            *turn += 1;
        }
        owed.sort_by_key(|(turn, number, _)| (*turn, *number));
        owed.into_iter().map(|(_, number, known)| (number, known))
    }

    /// The host that the token with this hash enrols, if it is still good.
    pub(crate) fn token(&self, hash: &Hash) -> Option<HostName> {
        let (host, expires) = self.facts.tokens.get(hash)?;
        (self.env.now() < *expires).then(|| host.clone())
    }

    /// The agent of `host` has shown this certificate.
    pub(crate) fn shown(&mut self, host: &HostName, certificate: Option<Hash>) {
        if let Some(facts) = self.facts.hosts.get_mut(host)
            && let Some((newest, until)) = facts.renewed
            && certificate == Some(newest)
        {
            facts.until = until;
        }
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
                host.renewed = Some((renewed.certificate, renewed.until));
            }
            Event::Removed(removed) => {
                let host = self.host(&removed.host, at);
                host.key = None;
                host.left = true;
                if !host.was_enrolled() {
                    // Nothing of it was ever here but what it was to report.
                    self.hosts.remove(&removed.host);
                }
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
            Event::Configured(configured) => {
                let config = &configured.config;
                let host = self.host(&config.host, at);
                let serials = Arc::make_mut(&mut host.configs);
                serials.entry(config.hash()).or_insert((config.serial, 0)).1 = config.serial;
                host.configured = Some(Arc::new(configured.clone()));
            }
            Event::Routes(routes) => self.routes = Some(routes.clone()),
            other => self.apply_alarm(index, at, other),
        }
    }

    fn apply_alarm(&mut self, index: u64, at: Timestamp, event: &Event) {
        match event {
            Event::Alarm(alarm) => {
                let alarm = alarm.clone();
                let last_what = alarm.what.clone();
                self.keys.extend(alarm.key.clone().filter(|key| key != MORE));
                self.open.insert(index);
                self.causes.insert(cause_of(&alarm), index);
                let facts = AlarmFacts {
                    alarm,
                    at,
                    again: 0,
                    last: at,
                    last_what,
                    acknowledged: None,
                    delivered: BTreeSet::new(),
                };
                self.alarms.insert(index, facts);
            }
            Event::Delivered(done) => {
                if let Some(known) = self.alarms.get_mut(&done.entry) {
                    known.delivered.insert(done.channel.clone());
                }
                if let Some(known) = self.summaries.get_mut(&done.entry) {
                    known.delivered = true;
                }
            }
            Event::Summary(summary) => {
                let facts = SummaryFacts { summary: summary.clone(), delivered: false };
                self.summaries.insert(index, facts);
                while self.summaries.len() > SUMMARIES_MAX {
                    self.summaries.pop_first();
                }
            }
            Event::Again(again) => {
                if let Some(known) = self.alarms.get_mut(&again.alarm) {
                    known.again += 1;
                    known.last = at;
                    known.last_what.clone_from(&again.what);
                    if known.alarm.key.as_deref() == Some(MORE) {
                        let key = again.what.split_once(": ").map(|(key, _)| key.to_owned());
                        self.keys.extend(key);
                    }
                }
            }
            Event::Acknowledged(done) => {
                if let Some(known) = self.alarms.get_mut(&done.alarm) {
                    known.acknowledged = Some((done.by.clone(), at));
                    self.open.remove(&done.alarm);
                    let cause = cause_of(&known.alarm);
                    if self.causes.get(&cause) == Some(&done.alarm) {
                        self.causes.remove(&cause);
                    }
                }
            }
            _ => {}
        }
    }

    /// How many alarms of this kind and host are open that have causes of their own; no more than matter.
    fn same_open(&self, kind: &str, host: Option<&HostName>) -> usize {
        let of_it = |(own, on, _): &&Cause| own == kind && on.as_ref() == host;
        let open = self.causes.range(cause(kind, host, None)..).map(|(cause, _)| cause);
        let open = open
            .take_while(of_it)
            .filter(|(_, _, key)| key.as_ref().is_some_and(|key| key != MORE));
        open.take(SAME_OPEN_MAX).count()
    }

    fn enrol(&mut self, enrolment: &Enrolment, at: Timestamp) {
        self.tokens.remove(&enrolment.token);
        let host = self.host(&enrolment.host, at);
        host.key = Some(enrolment.key);
        host.renewed = None;
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

fn cause(kind: &str, host: Option<&HostName>, key: Option<&str>) -> Cause {
    (kind.to_owned(), host.cloned(), key.map(str::to_owned))
}

fn cause_of(alarm: &Alarm) -> Cause {
    (alarm.kind.clone(), alarm.host.clone(), alarm.key.clone())
}

fn shortened(what: &str) -> String {
    what.chars().take(ALARM_MAX_CHARS).collect()
}
