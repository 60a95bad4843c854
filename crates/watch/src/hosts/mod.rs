//! Agents: what watch keeps of each host, and when it raises an alarm.
//!
//! Frames become durable in the host log before they are acknowledged. Alarms follow from what agents say,
//! from what they said before, and from silence; a clock of watch's own decides, never the host's.

pub(crate) mod authority;
pub(crate) mod book;
pub(crate) mod cosigned;
mod frames;
pub(crate) mod listen;
mod live;
pub(crate) mod log;
pub(crate) mod seats;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use writ_model::Env;
use writ_model::limits::AGENT_BEAT;
use writ_proof::ed25519::PublicKey;
use writ_proof::hash::{Hash, sha256};
use writ_proof::hostlog::log::{Connected, Enrolment, Event, Left, Renewed, Token};
use writ_proof::hostlog::{
    Bye, Enrol, Enrolled, FromAgent, Hello, Position, Refusal, ToAgent, Welcome, enrolment_message,
};
use writ_proof::limits::HOST_CONFIG_MAX_BYTES;
use writ_proof::roster::HostName;

use crate::alarm::Alarm;
use crate::error::WatchError;
use crate::limits::{
    BEATS_MISSED, CERTIFICATE_LIFETIME, CHECKPOINT_EVERY, REFUSED_EVERY, RENEW_PART, TOKEN_LIFETIME,
};
use crate::word;
use authority::Authority;
use book::{HostFacts, Shared};
use live::Live;

/// All agents.
pub(crate) struct Hosts {
    env: Arc<dyn Env>,
    book: Shared,
    authority: Authority,
    live: BTreeMap<HostName, Live>,
    connections: u64,
    checkpointed: Duration,
    refusals: Refusals,
}

/// Peers that could not prove to be agents. Anybody can make these, so they are counted, and not all written.
#[derive(Default)]
struct Refusals {
    told: Option<Duration>,
    since: u64,
}

/// One connection, as the listener keeps it.
pub(crate) struct Connection {
    id: u64,
    /// The key of the certificate that the peer has shown; watch's own authority has signed it.
    key: Option<[u8; 32]>,
    /// SHA-256 of the newest certificate that the agent has: the one shown, or the one sent to it.
    certificate: Option<Hash>,
    /// The serial of the configuration that the agent has, or was sent.
    config: u64,
    peer: SocketAddr,
    host: Option<HostName>,
    kick: Option<oneshot::Sender<()>>,
}

/// What to send, and whether to end the connection then.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) replies: Vec<ToAgent>,
    pub(crate) close: bool,
}

impl Connection {
    /// True once the peer has said which host it is, and that holds.
    pub(crate) fn is_known(&self) -> bool {
        self.host.is_some()
    }
}

/// Whether a host is being watched now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Its agent was heard within the last three beats.
    Healthy,
    /// It is not; the text says why.
    Unwatched(String),
}

impl Hosts {
    pub(crate) fn new(env: Arc<dyn Env>, book: Shared, authority: Authority) -> Hosts {
        let now = env.monotonic();
        // What was connected before watch's own start has a while to come back.
        let known: Vec<HostName> = {
            let book = book.lock();
            let enrolled = book.facts().hosts.iter().filter(|(_, facts)| facts.key.is_some());
            enrolled.map(|(host, _)| host.clone()).collect()
        };
        let live = known.into_iter().map(|host| (host, Live::new(now))).collect();
        Hosts {
            env,
            book,
            authority,
            live,
            connections: 0,
            checkpointed: now,
            refusals: Refusals::default(),
        }
    }

    pub(crate) fn book(&self) -> &Shared {
        &self.book
    }

    /// A connection has come about. `kick` is told when another takes its place.
    pub(crate) fn connected(
        &mut self,
        peer: SocketAddr,
        key: Option<[u8; 32]>,
        kick: oneshot::Sender<()>,
    ) -> Connection {
        self.connections += 1;
        let (id, kick) = (self.connections, Some(kick));
        Connection { id, key, certificate: None, config: 0, peer, host: None, kick }
    }

    /// A connection has ended, however.
    pub(crate) fn ended(&mut self, connection: &Connection) {
        let now = self.env.monotonic();
        let live = connection.host.as_ref().and_then(|host| self.live.get_mut(host));
        if let Some(live) = live {
            live.ended(connection.id, now);
        }
    }

    /// True if a host is enrolled with this key.
    pub(crate) fn is_enrolled(&self, key: &[u8; 32]) -> bool {
        let book = self.book.lock();
        book.facts().hosts.values().any(|facts| facts.key.as_ref() == Some(key))
    }

    /// Somebody could not prove to be an agent.
    pub(crate) fn refused(&mut self, peer: SocketAddr, why: &str) -> Result<(), WatchError> {
        let now = self.env.monotonic();
        self.refusals.since += 1;
        if self.refusals.told.is_some_and(|told| now.saturating_sub(told) < REFUSED_EVERY) {
            return Ok(());
        }
        self.refusals.told = Some(now);
        let why = match std::mem::take(&mut self.refusals.since) {
            1 => format!("from {}: {why}", peer.ip()),
            count => format!("from {}: {why}; {count} such peers since the last alarm", peer.ip()),
        };
        self.raise(Alarm::AgentRefused, None, &why)
    }

    /// A peer whose bytes are no messages.
    pub(crate) fn broken(&mut self, connection: &Connection, why: &str) -> Result<(), WatchError> {
        if connection.host.is_none() {
            // Anybody can send bytes.
            tracing::info!(peer = %connection.peer, why, "a peer did not speak the protocol");
            return Ok(());
        }
        self.raise(Alarm::Protocol, connection.host.as_ref(), why)
    }

    /// Ends the connection of a host that is no longer enrolled, or not with that key, and forgets what it said.
    pub(crate) fn cut(&mut self, host: &HostName) {
        self.live.remove(host);
    }

    /// Takes the messages that came together: one fsync for all their frames, then the answers.
    pub(crate) fn take(
        &mut self,
        connection: &mut Connection,
        messages: Vec<FromAgent>,
    ) -> Result<Turn, WatchError> {
        let mut turn = Turn::default();
        let mut unacknowledged = false;
        for message in messages {
            let is_frames = matches!(message, FromAgent::Frames(_));
            if !is_frames && std::mem::take(&mut unacknowledged) {
                self.acknowledge(connection, &mut turn)?;
            }
            if !self.is_current(connection) {
                self.outdated(connection, &mut turn)?;
                break;
            }
            match (message, connection.host.clone()) {
                (FromAgent::Enrol(enrol), None) => self.enrol(connection, &enrol, &mut turn)?,
                (FromAgent::Hello(hello), None) => self.hello(connection, &hello, &mut turn)?,
                (FromAgent::Frames(frames), Some(host)) => {
                    unacknowledged |= self.frames(&host, &frames, &mut turn)?;
                }
                (FromAgent::Beat(beat), Some(host)) => {
                    self.beat(&host, &beat, &mut turn)?;
                    self.renew(connection, &host, &mut turn)?;
                    self.configure(connection, &host, &mut turn);
                }
                (FromAgent::Bye(bye), Some(host)) => self.bye(&host, &bye, &mut turn)?,
                (_, Some(host)) => {
                    let why = "a message that has no place here";
                    self.refuse(Alarm::Protocol, Some(&host), why, &mut turn)?;
                }
                (_, None) => turn.close = true,
            }
            if turn.close {
                break;
            }
        }
        if unacknowledged {
            self.acknowledge(connection, &mut turn)?;
        }
        Ok(turn)
    }

    /// False if the host of this connection has another key by now, or none.
    fn is_current(&self, connection: &Connection) -> bool {
        let Some(host) = &connection.host else { return true };
        let book = self.book.lock();
        let key = book.facts().hosts.get(host).and_then(|facts| facts.key);
        key.is_some() && key == connection.key
    }

    fn outdated(&mut self, connection: &Connection, turn: &mut Turn) -> Result<(), WatchError> {
        let host = connection.host.as_ref().map_or("-", HostName::as_str);
        let why = format!("its certificate is not the one of host `{host}` any more");
        self.refused(connection.peer, &why)?;
        turn.replies.push(ToAgent::Refuse(Refusal::Other(why)));
        turn.close = true;
        Ok(())
    }

    /// Looks at the time.
    pub(crate) fn tick(&mut self) -> Result<(), WatchError> {
        let now = self.env.monotonic();
        let facts: Vec<(HostName, HostFacts)> = {
            let book = self.book.lock();
            let known = book.facts().hosts.iter().filter(|(_, facts)| facts.key.is_some());
            known.map(|(host, facts)| (host.clone(), facts.clone())).collect()
        };
        let heard = self.live.values().filter(|live| live.is_heard(now)).count();
        let wall = self.env.now();
        let mut raised = false;
        for (host, facts) in &facts {
            let live = self.live.entry(host.clone()).or_insert_with(|| Live::new(now));
            for (alarm, what) in live.due(facts, now, wall) {
                let others = facts_of_others(heard, self.live.len());
                let held = facts.held.next_seq;
                let what = format!("{what}; {held} frames are held; {others}");
                raised |= self.book.lock().say(alarm.as_str(), Some(host), None, &what)?;
            }
        }
        if raised {
            // Once for all: a network that fails takes many hosts away at one time.
            self.book.lock().sync()?;
        }
        if now.saturating_sub(self.checkpointed) < CHECKPOINT_EVERY {
            return Ok(());
        }
        self.checkpointed = now;
        self.book.lock().checkpoint()
    }

    /// Whether the agent of `host` is heard now.
    pub(crate) fn health(&self, host: &HostName) -> Health {
        let now = self.env.monotonic();
        let book = self.book.lock();
        let enrolled = book.facts().hosts.get(host).is_some_and(|facts| facts.key.is_some());
        let live = self.live.get(host).filter(|_| enrolled);
        live.map_or_else(
            || Health::Unwatched("no agent of this host is enrolled".to_owned()),
            |live| live.health(now),
        )
    }

    /// Which hosts are watched, for the control side.
    pub(crate) fn word(&self) -> Vec<word::Host> {
        let enrolled: Vec<HostName> = {
            let book = self.book.lock();
            let known = book.facts().hosts.iter().filter(|(_, facts)| facts.key.is_some());
            known.map(|(host, _)| host.clone()).collect()
        };
        let told = enrolled.iter().map(|host| word::Host {
            host: host.to_string(),
            unwatched: match self.health(host) {
                Health::Healthy => None,
                Health::Unwatched(why) => Some(why),
            },
        });
        told.collect()
    }

    /// How one host is doing, as people read it.
    pub(crate) fn live(&self, host: &HostName) -> Option<&Live> {
        self.live.get(host)
    }

    /// A one-time token for `host`, and what the agent needs to recognise watch.
    pub(crate) fn token(&mut self, host: &HostName) -> Result<String, WatchError> {
        let mut secret = [0; 32];
        self.env.fill(&mut secret);
        let mut book = self.book.lock();
        let expires = book.now().plus(TOKEN_LIFETIME);
        let hash = sha256(&secret);
        book.append(Event::Token(Token { host: host.clone(), hash, expires }))?;
        book.sync()?;
        Ok(format!("{}.{}", Hash(secret), self.authority.pin()))
    }

    fn enrol(
        &mut self,
        connection: &Connection,
        enrol: &Enrol,
        turn: &mut Turn,
    ) -> Result<(), WatchError> {
        let hash = sha256(&enrol.token);
        let message = enrolment_message(&enrol.token, &enrol.key);
        let proven = PublicKey(enrol.key).verifies(message.as_bytes(), &enrol.proof);
        let host = self.book.lock().token(&hash).filter(|_| proven);
        let long = enrol.config.len() > HOST_CONFIG_MAX_BYTES;
        if let Some(host) = host.as_ref().filter(|_| long) {
            let why = format!("a configuration has at most {HOST_CONFIG_MAX_BYTES} bytes");
            return self.refuse(Alarm::AgentRefused, Some(host), &why, turn);
        }
        let Some(host) = host else {
            self.refused(connection.peer, "an unknown, used or expired token")?;
            let why = "the token is unknown, used or older than an hour: ask for a new one";
            turn.replies.push(ToAgent::Refuse(Refusal::Other(why.to_owned())));
            turn.close = true;
            return Ok(());
        };
        let mut book = self.book.lock();
        let (certificate, _) = self.authority.issue(&host, &enrol.key, book.now())?;
        let until = book.now().plus(certificate_lifetime());
        let event = Enrolment { host: host.clone(), key: enrol.key, token: hash, until };
        // What watch's administrators have signed counts more than what the host would like.
        let newest = book.facts().hosts.get(&host).and_then(|facts| facts.configured.as_ref());
        let config = match newest.filter(|newest| newest.by.is_some()) {
            Some(newest) => newest.config.clone(),
            None => book.configure(&host, enrol.config.clone(), None)?,
        };
        book.append(Event::Enrolled(event))?;
        book.sync()?;
        let (authority, key) = (self.authority.pem().to_owned(), book.key());
        drop(book);
        // Whoever is connected has the earlier key, and maybe not by right.
        self.cut(&host);
        let enrolled = Enrolled { host, certificate, authority, key, config };
        turn.replies.push(ToAgent::Enrolled(enrolled));
        turn.close = true;
        Ok(())
    }

    /// Sends what the host is to report, if that is newer than what its agent has.
    fn configure(&mut self, connection: &mut Connection, host: &HostName, turn: &mut Turn) {
        let book = self.book.lock();
        let newest = book.facts().hosts.get(host).and_then(|facts| facts.configured.as_ref());
        let newest = newest.map(|newest| &newest.config);
        if let Some(newest) = newest.filter(|n| n.serial > connection.config && !turn.close) {
            connection.config = newest.serial;
            if let Some(live) = self.live.get_mut(host) {
                live.has_sent(newest.serial);
            }
            turn.replies.push(ToAgent::Configure(newest.clone()));
        }
    }

    /// Sends the next certificate if this one ends soon, or is not the newest.
    fn renew(
        &mut self,
        connection: &mut Connection,
        host: &HostName,
        turn: &mut Turn,
    ) -> Result<(), WatchError> {
        let mut book = self.book.lock();
        let now = book.now();
        let Some(facts) = book.facts().hosts.get(host) else { return Ok(()) };
        let newest = facts.renewed.map(|(newest, _)| newest);
        let has_newest = newest.is_some() && connection.certificate == newest;
        let until = facts.renewed.filter(|_| has_newest).map_or(facts.until, |(_, until)| until);
        let ends = now.plus(certificate_lifetime() / RENEW_PART) >= until;
        let is_old = newest.is_some() && !has_newest;
        let Some(key) = facts.key.filter(|_| ends || is_old) else { return Ok(()) };
        if turn.close {
            return Ok(());
        }
        let (pem, certificate) = self.authority.issue(host, &key, now)?;
        let until = now.plus(certificate_lifetime());
        book.append(Event::Renewed(Renewed { host: host.clone(), certificate, until }))?;
        book.sync()?;
        connection.certificate = Some(certificate);
        turn.replies.push(ToAgent::Certificate(pem));
        Ok(())
    }

    fn hello(
        &mut self,
        connection: &mut Connection,
        hello: &Hello,
        turn: &mut Turn,
    ) -> Result<(), WatchError> {
        let host = &hello.host;
        let facts = self.book.lock().facts().hosts.get(host).cloned();
        let Some(facts) = facts.filter(|f| f.key.is_some() && f.key == connection.key) else {
            let why = format!("its certificate is not the one of host `{host}`");
            self.refused(connection.peer, &why)?;
            turn.replies.push(ToAgent::Refuse(Refusal::Other(why)));
            turn.close = true;
            return Ok(());
        };
        if let Err(error) = hello.check() {
            return self.refuse(Alarm::Protocol, Some(host), &error.to_string(), turn);
        }
        let now = self.env.monotonic();
        let live = self.live.entry(host.clone()).or_insert_with(|| Live::new(now));
        if live.is_other(hello.instance, now) {
            let why = format!("from {} while another agent is connected", connection.peer.ip());
            return self.refuse(Alarm::DoubleConnection, Some(host), &why, turn);
        }
        if let Some((alarm, why)) = contradiction(&facts, hello) {
            return self.rebase(alarm, host, &why, turn);
        }
        let announced = live.forget_beyond(hello.end);
        if let Some(announced) = announced {
            let end = hello.end.next_seq;
            let why = format!("its chain ends at {end}, and it had announced {announced}");
            self.raise(Alarm::HistoryRewritten, Some(host), &why)?;
        }
        for (alarm, why) in self.oddities(&facts, hello) {
            self.raise(alarm, Some(host), &why)?;
        }
        let event = Connected {
            host: host.clone(),
            boot: hello.boot,
            epoch: hello.epoch,
            instance: hello.instance,
            config: hello.config,
            end: hello.end,
        };
        let mut book = self.book.lock();
        book.shown(host, connection.certificate);
        book.append(Event::Hello(event))?;
        book.sync()?;
        drop(book);
        connection.host = Some(host.clone());
        connection.config = hello.kept;
        if let (Some(live), Some(kick)) = (self.live.get_mut(host), connection.kick.take()) {
            live.begin(connection.id, hello, kick, now);
            if facts.is_newer(hello.config) {
                live.reconfigured();
            }
        }
        turn.replies.push(ToAgent::Welcome(self.welcome(host)));
        Ok(())
    }

    /// What is worth an alarm, but no reason to take nothing.
    fn oddities(&self, facts: &HostFacts, hello: &Hello) -> Vec<(Alarm, String)> {
        let mut odd = Vec::new();
        let same_run = facts.instance == Some(hello.instance);
        if !same_run && !facts.left {
            let boot =
                if facts.boot == Some(hello.boot) { "the same boot" } else { "another boot" };
            let why = format!("epoch {} begins in {boot}, and no end came before", hello.epoch);
            odd.push((Alarm::UncleanStop, why));
        }
        let sent = self.live.get(&hello.host).map_or(0, Live::sent);
        if !facts.configs.contains_key(&hello.config) {
            let why = format!("it runs with configuration {}, which is not signed", hello.config);
            odd.push((Alarm::ConfigChanged, why));
        } else if facts.went_back(hello.config) {
            let why = format!("it went back to configuration {}, an older one", hello.config);
            odd.push((Alarm::ConfigChanged, why));
        } else if !same_run && hello.kept < sent {
            let kept = hello.kept;
            let why = format!("it keeps configuration {kept}, and {sent} was sent to it before");
            odd.push((Alarm::ConfigChanged, why));
        }
        if hello.acked.next_seq > facts.held.next_seq {
            let why = format!(
                "the agent knows of {} acknowledged frames, and {} are here",
                hello.acked.next_seq, facts.held.next_seq
            );
            odd.push((Alarm::WatchRolledBack, why));
        }
        odd
    }

    fn bye(&mut self, host: &HostName, bye: &Bye, turn: &mut Turn) -> Result<(), WatchError> {
        turn.close = true;
        if !bye.is_signed(host, &self.keys(host)) {
            let why = "its end is not signed by the host's key";
            return self.raise(Alarm::Protocol, Some(host), why);
        }
        let held = self.held(host);
        if bye.end != held {
            let why = "its end names frames that never came";
            return self.raise(Alarm::HistoryRewritten, Some(host), why);
        }
        let mut book = self.book.lock();
        let reason: String = bye.reason.chars().take(100).collect();
        book.append(Event::Left(Left { host: host.clone(), bye: bye.clone() }))?;
        book.sync()?;
        let expected = book.window(host).is_some();
        drop(book);
        if expected {
            return Ok(());
        }
        self.raise(
            Alarm::AgentStopped,
            Some(host),
            &format!("it said: {reason}; no window names it"),
        )
    }

    fn acknowledge(&mut self, connection: &Connection, turn: &mut Turn) -> Result<(), WatchError> {
        writ_model::failpoint::hit("watch.host.before_persist");
        self.book.lock().sync()?;
        writ_model::failpoint::hit("watch.host.after_persist");
        if let Some(host) = &connection.host {
            turn.replies.push(ToAgent::Ack(self.held(host)));
        }
        Ok(())
    }

    fn held(&self, host: &HostName) -> Position {
        self.book.lock().facts().hosts.get(host).map_or_else(Position::default, |h| h.held)
    }

    fn welcome(&self, host: &HostName) -> Welcome {
        let book = self.book.lock();
        let (epoch, held) = book
            .facts()
            .hosts
            .get(host)
            .map_or((0, Position::default()), |facts| (facts.epoch, facts.held));
        let beat_ms = u64::try_from(AGENT_BEAT.as_millis()).unwrap_or(u64::MAX);
        Welcome { epoch, held, beat_ms }
    }

    fn rebase(
        &mut self,
        alarm: Alarm,
        host: &HostName,
        why: &str,
        turn: &mut Turn,
    ) -> Result<(), WatchError> {
        self.raise(alarm, Some(host), why)?;
        if let Some(live) = self.live.get_mut(host) {
            // What it goes on with is another chain.
            live.forget_beyond(Position::default());
        }
        turn.replies.push(ToAgent::Refuse(Refusal::Rebase(self.welcome(host))));
        turn.close = true;
        Ok(())
    }

    fn refuse(
        &mut self,
        alarm: Alarm,
        host: Option<&HostName>,
        why: &str,
        turn: &mut Turn,
    ) -> Result<(), WatchError> {
        self.raise(alarm, host, why)?;
        turn.replies.push(ToAgent::Refuse(Refusal::Other(why.to_owned())));
        turn.close = true;
        Ok(())
    }

    fn raise(
        &mut self,
        alarm: Alarm,
        host: Option<&HostName>,
        what: &str,
    ) -> Result<(), WatchError> {
        self.book.lock().raise(alarm.as_str(), host, what)
    }
}

/// Why an agent cannot go on from what it says that it holds.
fn contradiction(facts: &HostFacts, hello: &Hello) -> Option<(Alarm, String)> {
    let same_run = facts.instance == Some(hello.instance);
    let is_new = if same_run { hello.epoch >= facts.epoch } else { hello.epoch > facts.epoch };
    if !is_new {
        let why = format!("epoch {} begins after epoch {}", hello.epoch, facts.epoch);
        return Some((Alarm::EpochRollback, why));
    }
    let held = facts.held;
    if hello.end.next_seq < held.next_seq {
        let why = format!(
            "its chain ends at {}, and {} frames are held",
            hello.end.next_seq, held.next_seq
        );
        return Some((Alarm::HistoryRewritten, why));
    }
    let differs = |place: Position| place.next_seq == held.next_seq && place.head != held.head;
    if differs(hello.end) || differs(hello.acked) {
        let why = format!("its head at {} is not the one that is held", held.next_seq);
        return Some((Alarm::HistoryRewritten, why));
    }
    None
}

fn facts_of_others(heard: usize, all: usize) -> String {
    match all {
        0 | 1 => "there is no other host to compare with".to_owned(),
        all => format!("{heard} of {all} hosts are heard"),
    }
}

/// How long a certificate is valid; tests have shorter ones.
pub(crate) fn certificate_lifetime() -> Duration {
    let is_short = writ_model::failpoint::is_set("watch.short_certificates");
    if is_short { Duration::from_secs(6) } else { CERTIFICATE_LIFETIME }
}

/// How long an agent may be silent before it counts as unheard.
fn unheard() -> Duration {
    AGENT_BEAT * BEATS_MISSED + AGENT_BEAT / 2
}

#[cfg(test)]
#[path = "../tests/hosts.rs"]
mod tests;
