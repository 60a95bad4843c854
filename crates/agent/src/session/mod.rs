//! Sessions of operators on this host, and their end: what one has left behind is killed when its connection
//! is gone, and all of it at the deadline that keyd has signed.
//!
//! Each connection to `sshd` gets a control group of its own as soon as it is seen, before anybody has logged in.
//! Which session it is, whose, and until when, is in the certificate with which it was opened: `sshd` shows it in
//! the file of `SSH_USER_AUTH` (`ExposeAuthInfo yes`), and it counts if the authority of the configuration has
//! signed it. Both the variable and the file are the user's to change. Which connection was opened with such a
//! certificate, `sshd` says in its log too, where it is a source: that counts more. Connections that were opened by
//! other means are left alone; one that does not show how is a fault. Only clocks of this host decide.
//!
//! Not here: what the superuser of a host does to leave its group, or to stop the agent. That shows at watch.

mod group;
mod login;
mod procfs;
mod shown;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use writ_model::{Env, Timestamp};
use writ_proof::cbor::{self, Version};
use writ_proof::cbor_map;
use writ_proof::ed25519::PublicKey;
use writ_proof::sshsig::SshPublicKey;

use crate::config::SessionsConfig;
use crate::disk;
use crate::error::AgentError;
use crate::limits::{
    LOGINS_MAX, SESSION_IDENTIFY_MAX, SESSION_LOOK, SESSION_NAMES_MAX, SESSION_SILENT_MAX,
};
use crate::source::Event;
use group::Groups;
pub(crate) use login::Login;
use login::Peer;
use procfs::{Facts, Process};
use shown::Shown;

/// The source's name.
pub(crate) const NAME: &str = "sessions";

/// The folder of what is remembered of sessions, in the agent's folder.
const FOLDER: &str = "sessions";

/// Where `sshd` tells how somebody logged in.
const AUTH_VARIABLE: &str = "SSH_USER_AUTH";

/// What the collector takes from the thread that follows sessions, and gives it.
#[derive(Default)]
pub(crate) struct Told {
    events: Vec<Event>,
    fault: Option<String>,
    /// When the thread looked last.
    looked: Duration,
    logins: Vec<Login>,
}

/// The collector's end.
#[derive(Clone, Default)]
pub(crate) struct Handle(Arc<Mutex<Told>>);

impl Handle {
    /// Takes what has happened.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    /// Why sessions cannot be ended as they should, as of `now`.
    pub(crate) fn fault(&self, now: Duration) -> Option<String> {
        let told = self.lock();
        let silent = now.saturating_sub(told.looked);
        let hangs =
            || format!("nobody has looked at sessions for {} s: none ends", silent.as_secs());
        (silent > SESSION_SILENT_MAX).then(hangs).or_else(|| told.fault.clone())
    }

    /// Lets the thread know what `sshd` has written of a login.
    pub(crate) fn hear(&self, login: Login) {
        let mut told = self.lock();
        // A thread that does not take them is a fault already.
        if told.logins.len() < LOGINS_MAX {
            told.logins.push(login);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a certificate says of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    v: Version<1>,
    /// `req=..;user=..;ses=..`.
    id: String,
    until: Timestamp,
}
cbor_map!(Session { 1: v, 2: id, 3: until });

/// A connection to `sshd`.
#[derive(Debug)]
struct Connection {
    /// The process of `sshd` that serves it.
    process: Process,
    /// When it was seen first, by the clock that nobody sets.
    seen: Duration,
    /// Its other end.
    peer: Option<Peer>,
    session: Option<Session>,
    /// The id of the session that it is by sshd's own log.
    logged: Option<String>,
    /// It was opened by other means: it is left alone.
    foreign: bool,
    /// Since when somebody works in it who should show how it was opened.
    unknown: Option<Duration>,
    /// That was not shown in time, which was told.
    blamed: bool,
    /// The deadline by the clock that nobody sets.
    deadline: Option<Duration>,
    /// Processes that were seen in it.
    members: BTreeSet<Process>,
    audit: BTreeSet<u32>,
    /// It was killed; the group goes when it is empty.
    killed: bool,
}

impl Connection {
    fn name(process: Process) -> String {
        format!("{}-{}", process.pid, process.start)
    }

    fn new(process: Process, seen: Duration) -> Connection {
        Connection {
            process,
            seen,
            peer: None,
            session: None,
            logged: None,
            foreign: false,
            unknown: None,
            blamed: false,
            deadline: None,
            members: BTreeSet::new(),
            audit: BTreeSet::new(),
            killed: false,
        }
    }

    /// It is known, or was given up, how it was opened.
    fn is_settled(&self) -> bool {
        self.session.is_some() || self.foreign || self.blamed
    }
}

/// Follows the connections of one host.
struct Sessions {
    env: Arc<dyn Env>,
    config: SessionsConfig,
    authority: PublicKey,
    /// The fingerprint of the authority.
    fingerprint: String,
    folder: PathBuf,
    groups: Result<Groups, String>,
    connections: BTreeMap<String, Connection>,
    /// Processes that need not be looked at again.
    settled: BTreeSet<u32>,
    told: Handle,
    /// What sshd's log says of connections that are not found yet, and since when.
    logins: Vec<(Duration, Login)>,
    /// Why a connection is not known, and until when that shows at least.
    blame: Option<(Duration, String)>,
    /// The user whom `sshd` is while nobody has logged in.
    nobody: Option<u32>,
}

/// Starts the thread that follows sessions.
///
/// # Errors
/// The authority cannot be read, or the folder not be made.
pub(crate) fn start(
    config: &SessionsConfig,
    dir: &Path,
    env: Arc<dyn Env>,
) -> Result<Handle, AgentError> {
    let told = Handle::default();
    let mut sessions = Sessions::open(config.clone(), dir, env, told.clone())?;
    let follow = move || {
        loop {
            sessions.turn();
            std::thread::sleep(SESSION_LOOK);
        }
    };
    std::thread::Builder::new()
        .name("sessions".to_owned())
        .spawn(follow)
        .map_err(AgentError::io("start", Path::new("sessions")))?;
    Ok(told)
}

impl Sessions {
    fn open(
        config: SessionsConfig,
        dir: &Path,
        env: Arc<dyn Env>,
        told: Handle,
    ) -> Result<Sessions, AgentError> {
        let path = config.authority.clone();
        let text = std::fs::read_to_string(&path).map_err(AgentError::io("read", &path))?;
        let (authority, fingerprint) = match text.trim().parse() {
            Ok(key @ SshPublicKey::Ed25519(bytes)) => (PublicKey(bytes), key.fingerprint()),
            _ => {
                let why = "it is no Ed25519 key of an SSH authority".to_owned();
                return Err(AgentError::Config { path, why });
            }
        };
        let folder = dir.join(FOLDER);
        disk::create_dir(&folder)?;
        let groups = Groups::open();
        told.lock().looked = env.monotonic();
        let mut sessions = Sessions {
            env,
            config,
            authority,
            fingerprint,
            folder,
            groups,
            connections: BTreeMap::new(),
            settled: BTreeSet::new(),
            told,
            logins: Vec::new(),
            blame: None,
            nobody: procfs::user_of_name("sshd"),
        };
        sessions.remember();
        Ok(sessions)
    }

    /// Takes up what an earlier run of the agent has followed.
    fn remember(&mut self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.split_once('-').and_then(|(pid, start)| {
                Some(Process { pid: pid.parse().ok()?, start: start.parse().ok()? })
            });
            let session = std::fs::read(entry.path()).ok();
            let session = session.and_then(|bytes| cbor::from_slice::<Session>(&bytes).ok());
            if let (Some(process), Some(session)) = (process, session) {
                let deadline = Some(self.deadline(&session));
                let now = self.env.monotonic();
                let connection =
                    self.connections.entry(name).or_insert_with(|| Connection::new(process, now));
                (connection.session, connection.deadline) = (Some(session), deadline);
            }
        }
    }

    fn deadline(&self, session: &Session) -> Duration {
        self.env.monotonic() + session.until.since(self.env.now())
    }

    /// Looks once.
    fn turn(&mut self) {
        self.look();
        self.hear();
        self.end();
        self.blame();
        let now = self.env.monotonic();
        let groups = self.groups.as_ref().err().map(|why| {
            format!("no control groups: {why}; what a session leaves behind is known by its parents alone")
        });
        let blame = self.blame.as_ref().filter(|(until, _)| now < *until);
        let blame = blame.map(|(_, why)| why.clone());
        let mut told = self.told.lock();
        // Who hides is more urgent than what this machine lacks.
        told.fault = blame.or(groups);
        told.looked = now;
    }

    /// Sees what is new.
    fn look(&mut self) {
        let all: BTreeSet<u32> = procfs::all().into_iter().collect();
        self.settled.retain(|pid| all.contains(pid));
        for connection in self.connections.values_mut() {
            connection.members.retain(|member| all.contains(&member.pid));
        }
        let unknown = all.iter().filter(|pid| !self.settled.contains(pid));
        let new: BTreeMap<u32, Facts> =
            unknown.filter_map(|pid| Some((*pid, procfs::facts(*pid)?))).collect();
        let listeners = self.listeners(&new);
        for facts in new.values() {
            let is_sshd = facts.name.starts_with("sshd");
            let mut is_settled = !is_sshd;
            if is_sshd && listeners.contains(&facts.parent) {
                self.connect(facts.process);
            } else if let Some(name) = self.connection_of(facts, &new) {
                self.put(&name, facts.process);
                let parent = new.get(&facts.parent).map(|parent| parent.name.as_str());
                if !is_sshd && parent.is_some_and(|parent| parent.starts_with("sshd")) {
                    self.identify(&name, facts.process.pid, &new);
                }
                is_settled &= self.connections.get(&name).is_none_or(Connection::is_settled);
            }
            // A process of sshd becomes a shell by exec: it is looked at until it has another name, and others until
            // it is known whose they are.
            if is_settled {
                self.settled.insert(facts.process.pid);
            }
        }
    }

    /// Takes up a connection, as often as it is seen.
    fn connect(&mut self, process: Process) {
        let (name, now) = (Connection::name(process), self.env.monotonic());
        let new = || Connection::new(process, now);
        let connection = self.connections.entry(name.clone()).or_insert_with(new);
        let is_young = now.saturating_sub(connection.seen) < SESSION_IDENTIFY_MAX;
        if connection.peer.is_none() && is_young {
            connection.peer = procfs::peer(process.pid);
        }
        self.put(&name, process);
    }

    /// The processes of `sshd` that take connections. One that somebody else calls so is none: what it starts would
    /// be connections of their own.
    fn listeners(&self, new: &BTreeMap<u32, Facts>) -> BTreeSet<u32> {
        if let Some(path) = &self.config.pid_file {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            return text.trim().parse().into_iter().collect();
        }
        let is_listener = |facts: &&Facts| {
            let parent = new.get(&facts.parent);
            facts.name == "sshd"
                && parent.is_none_or(|parent| !parent.name.starts_with("sshd"))
                && procfs::user(facts.process.pid) == Some(0)
        };
        new.values().filter(is_listener).map(|facts| facts.process.pid).collect()
    }

    /// The connection to which a process belongs, by its group or by its ancestors.
    fn connection_of(&self, facts: &Facts, new: &BTreeMap<u32, Facts>) -> Option<String> {
        let by_group = Groups::of(facts.process.pid);
        if let Some(name) = by_group.filter(|name| self.connections.contains_key(name)) {
            return Some(name);
        }
        let mut parent = facts.parent;
        // As deep as a tree of processes can reasonably be; a cycle is impossible.
        for _ in 0..64 {
            // Its number alone may be another process's by now.
            let above = procfs::holder(parent)?;
            let found = self.connections.iter().find(|(_, connection)| {
                connection.process == above || connection.members.contains(&above)
            });
            if let Some((name, _)) = found {
                return Some(name.clone());
            }
            parent = new.get(&parent)?.parent;
        }
        None
    }

    fn put(&mut self, name: &str, process: Process) {
        let Some(connection) = self.connections.get_mut(name) else { return };
        if !connection.members.insert(process) {
            return;
        }
        connection.audit.extend(procfs::audit_session(process.pid));
        if let Ok(groups) = &self.groups
            && let Err(error) = groups.put(name, process.pid)
            && procfs::lives(process)
        {
            self.groups = Err(format!("a process cannot be put into one: {error}"));
        }
    }

    /// Reads which session a connection is, from a process that `sshd` has started for it.
    fn identify(&mut self, name: &str, pid: u32, new: &BTreeMap<u32, Facts>) {
        let Some(connection) = self.connections.get(name).filter(|c| !c.is_settled()) else {
            return;
        };
        let path = procfs::variable(pid, AUTH_VARIABLE);
        match path.and_then(|path| shown::named(&path, &self.authority)) {
            Some(Shown::Session(session)) => self.begin(name, session),
            // sshd's log says otherwise.
            Some(Shown::Other) if connection.logged.is_some() => {}
            Some(Shown::Other) => self.edit(name, |connection| connection.foreign = true),
            None => {}
        }
        // What sshd asks who may come in shows nothing.
        if !self.is_asking(name, new) {
            let now = self.env.monotonic();
            self.edit(name, |connection| _ = connection.unknown.get_or_insert(now));
        }
    }

    /// Follows a session from now on, unless the connection is another one's.
    fn begin(&mut self, name: &str, session: Session) {
        let Some(connection) = self.connections.get(name) else { return };
        if connection.logged.as_ref().is_some_and(|id| *id != session.id) {
            return;
        }
        let kept = disk::replace(&self.folder.join(name), &cbor::to_vec(&session), 0o600);
        if let Err(error) = kept {
            tracing::error!(%error, "a session is not remembered over a restart");
        }
        let (until, process) = (session.until.iso(), connection.process.pid);
        self.tell(format!("session {} began in process {process}, until {until}", session.id));
        let deadline = self.deadline(&session);
        self.edit(name, |connection| {
            (connection.session, connection.deadline) = (Some(session), Some(deadline));
            connection.foreign = false;
        });
    }

    fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(name) {
            edit(connection);
        }
    }

    /// Ends what is over.
    fn end(&mut self) {
        let (now, wall) = (self.env.monotonic(), self.env.now());
        let mut over = Vec::new();
        for (name, connection) in &self.connections {
            let gone = !procfs::lives(connection.process);
            let due = connection.deadline.is_some_and(|deadline| now >= deadline)
                || connection.session.as_ref().is_some_and(|session| wall >= session.until);
            if gone || due {
                over.push((name.clone(), gone));
            }
        }
        for (name, gone) in over {
            self.kill(&name, gone);
        }
    }

    fn kill(&mut self, name: &str, gone: bool) {
        let Some(connection) = self.connections.get(name) else { return };
        let left = self.left(name, connection);
        let empty = left.is_empty();
        // Over before its first process was looked at: what it leaves still names the file of its login.
        let unseen = || {
            let named = |process: &Process| procfs::variable(process.pid, AUTH_VARIABLE).is_some();
            let is = gone && !connection.foreign && left.iter().any(named);
            is.then(|| "that was over before it was seen".to_owned())
        };
        let id = connection.session.as_ref().map(|session| session.id.clone());
        let id = id.or_else(|| connection.logged.clone()).or_else(unseen);
        let is_hidden = id.is_none() && gone && !empty && !connection.foreign;
        if let Some(id) = id.filter(|_| !(empty && connection.killed)) {
            let names = names(&left);
            if let Ok(groups) = &self.groups {
                groups.kill(name);
            }
            left.iter().for_each(|process| {
                procfs::kill(*process);
            });
            let why = if gone { "its connection is gone" } else { "its deadline has come" };
            let what = match empty {
                true => "nothing was left".to_owned(),
                false => format!("{} processes were killed: {names}", left.len()),
            };
            self.tell(format!("session {id} ended: {why}; {what}"));
        }
        let now = self.env.monotonic();
        self.edit(name, |connection| {
            connection.killed = true;
            if is_hidden {
                connection.unknown.get_or_insert(now);
            }
        });
        let removed = self.groups.as_ref().map_or(true, |groups| groups.remove(name));
        if removed && empty && gone {
            self.connections.remove(name);
            std::fs::remove_file(self.folder.join(name)).ok();
        }
    }

    /// What lives of a connection.
    fn left(&self, name: &str, connection: &Connection) -> BTreeSet<Process> {
        let mut left: BTreeSet<Process> =
            connection.members.iter().copied().filter(|process| procfs::lives(*process)).collect();
        if let Ok(groups) = &self.groups {
            left.extend(groups.members(name));
        }
        if !connection.audit.is_empty() {
            let of_session = |pid: &u32| {
                procfs::audit_session(*pid).is_some_and(|id| connection.audit.contains(&id))
            };
            let all = procfs::all().into_iter().filter(of_session);
            left.extend(all.filter_map(|pid| Some(procfs::facts(pid)?.process)));
        }
        left
    }

    fn tell(&self, text: String) {
        tracing::info!(text, "session");
        self.told.lock().events.push(Event::note(NAME, text));
    }
}

/// The names of some processes.
fn names(processes: &BTreeSet<Process>) -> String {
    let first = processes.iter().take(SESSION_NAMES_MAX);
    let names: Vec<String> =
        first.filter_map(|process| Some(procfs::facts(process.pid)?.name)).collect();
    names.join(" ")
}

#[cfg(test)]
#[path = "../tests/session.rs"]
mod tests;
