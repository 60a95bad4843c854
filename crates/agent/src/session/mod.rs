//! Sessions of operators on this host, and their end: what one has left behind is killed when its connection
//! is gone, and all of it at the deadline that keyd has signed.
//!
//! Each connection to `sshd` gets a control group of its own as soon as it is seen, before anybody has logged in.
//! Which session it is, whose, and until when, is in the certificate with which it was opened: `sshd` shows it in
//! the file of `SSH_USER_AUTH` (`ExposeAuthInfo yes`), and it counts if the authority of the configuration has
//! signed it. Connections without such a certificate are left alone. Only clocks of this host decide.
//!
//! Not here: what the superuser of a host does to leave its group, or to stop the agent. That shows at watch.

mod group;
mod procfs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use writ_model::{Env, Timestamp};
use writ_proof::cbor::{self, Version};
use writ_proof::cbor_map;
use writ_proof::ed25519::PublicKey;
use writ_proof::hostlog::{Class, Payload};
use writ_proof::ssh_cert::{CertKind, Certificate, Extension};
use writ_proof::sshsig::SshPublicKey;

use crate::config::SessionsConfig;
use crate::disk;
use crate::error::AgentError;
use crate::limits::{AUTH_FILE_MAX_BYTES, SESSION_LOOK, SESSION_NAMES_MAX};
use crate::source::Event;
use group::Groups;
use procfs::{Facts, Process};

/// The source's name.
pub(crate) const NAME: &str = "sessions";

/// The folder of what is remembered of sessions, in the agent's folder.
const FOLDER: &str = "sessions";

/// Where `sshd` tells how somebody logged in.
const AUTH_VARIABLE: &str = "SSH_USER_AUTH";

/// What the collector takes from the thread that follows sessions.
#[derive(Default)]
pub(crate) struct Told {
    events: Vec<Event>,
    fault: Option<String>,
}

/// The collector's end.
#[derive(Clone, Default)]
pub(crate) struct Handle(Arc<Mutex<Told>>);

impl Handle {
    /// Takes what has happened.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    /// Why sessions cannot be ended as they should.
    pub(crate) fn fault(&self) -> Option<String> {
        self.lock().fault.clone()
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
    session: Option<Session>,
    /// It was opened by other means: it is left alone.
    foreign: bool,
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
}

/// Follows the connections of one host.
struct Sessions {
    env: Arc<dyn Env>,
    config: SessionsConfig,
    authority: PublicKey,
    folder: PathBuf,
    groups: Result<Groups, String>,
    connections: BTreeMap<String, Connection>,
    /// Processes that need not be looked at again.
    settled: BTreeSet<u32>,
    told: Handle,
    /// A session's first process did not show how it was opened.
    unexposed: bool,
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
        let authority = match text.trim().parse() {
            Ok(SshPublicKey::Ed25519(key)) => PublicKey(key),
            _ => {
                let why = "it is no Ed25519 key of an SSH authority".to_owned();
                return Err(AgentError::Config { path, why });
            }
        };
        let folder = dir.join(FOLDER);
        disk::create_dir(&folder)?;
        let groups = Groups::open();
        let mut sessions = Sessions {
            env,
            config,
            authority,
            folder,
            groups,
            connections: BTreeMap::new(),
            settled: BTreeSet::new(),
            told,
            unexposed: false,
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
                let connection = self.connections.entry(name).or_insert_with(|| blank(process));
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
        self.end();
        let fault = match (&self.groups, self.unexposed) {
            (Err(why), _) => Some(format!(
                "no control groups: {why}; what a session leaves behind is known by its parents alone"
            )),
            (Ok(_), true) => Some(
                "a login did not show its certificate: set `ExposeAuthInfo yes` in sshd_config"
                    .to_owned(),
            ),
            (Ok(_), false) => None,
        };
        self.told.lock().fault = fault;
    }

    /// Sees what is new.
    fn look(&mut self) {
        let all: BTreeSet<u32> = procfs::all().into_iter().collect();
        self.settled.retain(|pid| all.contains(pid));
        let unknown = all.iter().filter(|pid| !self.settled.contains(pid));
        let new: BTreeMap<u32, Facts> =
            unknown.filter_map(|pid| Some((*pid, procfs::facts(*pid)?))).collect();
        let listeners = self.listeners(&new);
        for facts in new.values() {
            let is_sshd = facts.name.starts_with("sshd");
            if is_sshd && listeners.contains(&facts.parent) {
                let name = Connection::name(facts.process);
                self.connections.entry(name.clone()).or_insert_with(|| blank(facts.process));
                self.put(&name, facts.process);
            } else if let Some(name) = self.connection_of(facts, &new) {
                self.put(&name, facts.process);
                let parent = new.get(&facts.parent).map(|parent| parent.name.as_str());
                if !is_sshd && parent.is_some_and(|parent| parent.starts_with("sshd")) {
                    self.identify(&name, facts.process.pid);
                }
            }
            // A process of sshd becomes a shell by exec: it is looked at until it has another name.
            if !is_sshd {
                self.settled.insert(facts.process.pid);
            }
        }
    }

    /// The processes of `sshd` that take connections.
    fn listeners(&self, new: &BTreeMap<u32, Facts>) -> BTreeSet<u32> {
        if let Some(path) = &self.config.pid_file {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            return text.trim().parse().into_iter().collect();
        }
        let is_listener = |facts: &&Facts| {
            let parent = new.get(&facts.parent);
            facts.name == "sshd" && parent.is_none_or(|parent| !parent.name.starts_with("sshd"))
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
            let found = self.connections.iter().find(|(_, connection)| {
                connection.process.pid == parent
                    || connection.members.iter().any(|member| member.pid == parent)
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

    /// Reads which session a connection is, from its first process.
    fn identify(&mut self, name: &str, pid: u32) {
        if self.connections.get(name).is_none_or(|c| c.session.is_some() || c.foreign) {
            return;
        }
        let Some(path) = procfs::variable(pid, AUTH_VARIABLE) else {
            self.unexposed |= procfs::variable(pid, "SSH_CONNECTION").is_some();
            return;
        };
        let Some(text) = auth_info(Path::new(&path)) else { return };
        let Some(session) = self.session(&text) else {
            if let Some(connection) = self.connections.get_mut(name) {
                connection.foreign = true;
            }
            return;
        };
        let kept = disk::replace(&self.folder.join(name), &cbor::to_vec(&session), 0o600);
        if let Err(error) = kept {
            tracing::error!(%error, "a session is not remembered over a restart");
        }
        let until = session.until.iso();
        self.tell(format!("session {} began in process {pid}, until {until}", session.id));
        let deadline = self.deadline(&session);
        if let Some(connection) = self.connections.get_mut(name) {
            (connection.session, connection.deadline) = (Some(session), Some(deadline));
        }
    }

    /// The session of a certificate that `sshd` shows, if the authority has signed it.
    fn session(&self, text: &str) -> Option<Session> {
        let certificate: Certificate =
            text.lines().find_map(|line| line.strip_prefix("publickey ")?.parse().ok())?;
        let fields = certificate.unverified();
        if *certificate.ca() != self.authority || fields.kind != CertKind::User {
            return None;
        }
        // sshd has compared the certificate's own time when it let the session in.
        let until = fields.extensions.iter().find_map(|extension| match extension {
            Extension::SessionUntil(until) => Some(*until),
            _ => None,
        });
        let until = Timestamp::from_secs(until.unwrap_or(fields.valid_before));
        Some(Session { v: Version, id: fields.key_id.clone(), until })
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
        let id = connection.session.as_ref().map(|session| session.id.clone()).or_else(unseen);
        if let Some(id) = id.filter(|_| !(empty && connection.killed)) {
            let names: Vec<String> = left
                .iter()
                .take(SESSION_NAMES_MAX)
                .filter_map(|process| Some(procfs::facts(process.pid)?.name))
                .collect();
            if let Ok(groups) = &self.groups {
                groups.kill(name);
            }
            left.iter().for_each(|process| {
                procfs::kill(*process);
            });
            let why = if gone { "its connection is gone" } else { "its deadline has come" };
            let what = match names.len() {
                0 => "nothing was left".to_owned(),
                _ => format!("{} processes were killed: {}", left.len(), names.join(" ")),
            };
            self.tell(format!("session {id} ended: {why}; {what}"));
        }
        if let Some(connection) = self.connections.get_mut(name) {
            connection.killed = true;
        }
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
        let (source, class) = (NAME.to_owned(), Class::Security);
        self.told.lock().events.push(Event { source, class, payload: Payload::Note(text) });
    }
}

/// What `sshd` wrote of a login.
fn auth_info(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(AUTH_FILE_MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn blank(process: Process) -> Connection {
    Connection {
        process,
        session: None,
        foreign: false,
        deadline: None,
        members: BTreeSet::new(),
        audit: BTreeSet::new(),
        killed: false,
    }
}
