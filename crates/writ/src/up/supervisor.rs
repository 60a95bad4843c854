//! The event loop that keeps the processes running: starts them, hands over channels, restarts what
//! dies with growing pauses, records that in the ledger, and stops all in order.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::mpsc;
use writ_keyd_client::channel::Channel;
use writ_keyd_client::control::{Control, Fact, Notice};
use writ_keyd_client::protocol::Role;
use writ_model::{Env, SystemEnv};
use writ_proof::cbor;

use super::children::{Start, start};
use super::plan::Plan;
use super::spool::Spool;

/// The first pause before a restart; it doubles with each failure in a row.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A process that ran for this long begins again with the first pause.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long a process may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often a start that does not get on names the processes that it waits for.
const FIRST_START_NAMED: Duration = Duration::from_secs(30);
/// How long a start may take until everything serves. trail reads its whole log in this time.
const FIRST_START_MAX: Duration = Duration::from_secs(15 * 60);
/// Failures in a row during the first start after which the whole start is given up.
const FIRST_START_FAILURES_MAX: u32 = 3;

/// The channels between the processes: each pair talks, nobody else.
const PAIRS: [(Role, Role); 9] = [
    (Role::Bastion, Role::Keyd),
    (Role::Bastion, Role::Trail),
    (Role::Front, Role::Bastion),
    (Role::Front, Role::Keyd),
    (Role::S3, Role::Keyd),
    (Role::Trail, Role::Keyd),
    (Role::Front, Role::Trail),
    (Role::S3, Role::Trail),
    (Role::Front, Role::S3),
];

/// The descriptor of a process's first listener.
pub const LISTENER: &str = "listener";

/// Bound listeners by process and name of the descriptor.
pub type Listeners = HashMap<(Role, &'static str), TcpListener>;

/// Stopping goes from the listeners inwards, so that what was acknowledged is in the ledger.
const STOP_ORDER: [Role; 6] =
    [Role::Bastion, Role::S3, Role::Front, Role::Trail, Role::Keyd, Role::Watch];

enum Event {
    Exited(Role, u32, std::io::Result<ExitStatus>),
    Notice(Role, u32, Notice),
    Restart(Role),
    Stop,
}

struct Child {
    pid: u32,
    control: Arc<Channel>,
    started: Duration,
    ready: bool,
    exited: bool,
}

/// Everything that runs.
pub struct Supervisor {
    plan: Rc<Plan>,
    spool: Spool,
    env: SystemEnv,
    children: HashMap<Role, Child>,
    failures: HashMap<Role, u32>,
    /// What each process said of itself when it was last ready.
    facts: HashMap<Role, Vec<Fact>>,
    /// Ends of channels for processes that are not running yet.
    waiting: HashMap<(Role, Role), OwnedFd>,
    listeners: Listeners,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    announced: bool,
}

impl Supervisor {
    /// A supervisor of what `plan` lists, with the listeners already bound.
    pub fn new(plan: Rc<Plan>, spool: Spool, listeners: Listeners) -> Supervisor {
        let (sender, events) = mpsc::unbounded_channel();
        Supervisor {
            plan,
            spool,
            env: SystemEnv,
            children: HashMap::new(),
            failures: HashMap::new(),
            facts: HashMap::new(),
            waiting: HashMap::new(),
            listeners,
            sender,
            events,
            announced: false,
        }
    }

    /// Runs until a signal asks it to stop, and stops all processes in order, whatever ended it.
    /// `announce` is called when everything serves, and then whenever a process is there again or gone.
    ///
    /// # Errors
    /// When a process cannot be started at all, or keeps failing before everything served once.
    pub async fn run(mut self, mut announce: impl FnMut(&Running) -> Result<()>) -> Result<()> {
        let result = self.serve(&mut announce).await;
        let reason = match &result {
            Ok(()) => "asked to".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        self.record("SupervisorStopping", Role::Supervisor, &[("reason", reason)]);
        self.stop_all().await;
        result
    }

    async fn serve(&mut self, announce: &mut dyn FnMut(&Running) -> Result<()>) -> Result<()> {
        self.watch_signals()?;
        let began = self.env.monotonic();
        for role in self.plan.roles() {
            self.start(role)?;
        }
        loop {
            let next = tokio::time::timeout(FIRST_START_NAMED, self.events.recv()).await;
            match next {
                Ok(None | Some(Event::Stop)) => return Ok(()),
                Ok(Some(Event::Restart(role))) => self.restart(role)?,
                Ok(Some(Event::Notice(role, pid, Notice::Ready(facts)))) => {
                    if let Some(child) = self.children.get_mut(&role).filter(|c| c.pid == pid) {
                        child.ready = true;
                        self.facts.insert(role, facts);
                    }
                    self.announce(announce)?;
                }
                Ok(Some(Event::Notice(role, _, Notice::Failed(why)))) => {
                    tracing::error!(role = role.name(), why, "process cannot go on");
                    self.record("ProcessFailed", role, &[("reason", why.clone())]);
                    if !self.announced {
                        bail!("{} cannot start: {why}", role.name());
                    }
                }
                Ok(Some(Event::Exited(role, pid, status))) => {
                    self.exited(role, pid, status)?;
                    self.announce(announce)?;
                }
                Err(_) if !self.announced => self.late(began)?,
                Err(_) => {}
            }
        }
    }

    /// Names what a start waits for; gives it up in the end.
    fn late(&self, began: Duration) -> Result<()> {
        let waited = self.env.monotonic().saturating_sub(began);
        let late: Vec<&str> = self
            .plan
            .roles()
            .into_iter()
            .filter(|role| !self.children.get(role).is_some_and(|child| child.ready))
            .map(Role::name)
            .collect();
        let (late, seconds) = (late.join(", "), waited.as_secs());
        if waited >= FIRST_START_MAX {
            bail!("still waiting for {late} after {seconds} s; see their log above");
        }
        tracing::warn!(seconds, "still waiting until these processes serve: {late}");
        Ok(())
    }

    fn announce(&mut self, announce: &mut dyn FnMut(&Running) -> Result<()>) -> Result<()> {
        let ready = |role: Role| self.children.get(&role).is_some_and(|child| child.ready);
        if !self.announced && !self.plan.roles().into_iter().all(ready) {
            return Ok(());
        }
        let first = !self.announced;
        self.announced = true;
        let running = self.children.iter().filter(|(_, child)| child.ready && !child.exited);
        let pids = running.map(|(role, child)| (*role, child.pid)).collect();
        match announce(&Running { pids, facts: self.facts.clone() }) {
            Err(error) if !first => {
                tracing::error!(%error, "what runs cannot be written down; it runs nevertheless");
                Ok(())
            }
            result => result,
        }
    }

    /// Starts a process again. Where that fails for now it is tried again, as if it had ended at once.
    fn restart(&mut self, role: Role) -> Result<()> {
        let Err(error) = self.start(role) else { return Ok(()) };
        if let Some(child) = self.children.remove(&role).filter(|child| !child.exited) {
            kill(child.pid);
        }
        let why = format!("{error:#}");
        let pause = self.pause_after_failure(role, Duration::ZERO, &why)?;
        tracing::error!(role = role.name(), why, ?pause, "process cannot be started; tried again");
        let milliseconds = pause.as_millis().to_string();
        let facts = [("reason", why), ("restartInMilliseconds", milliseconds)];
        self.record("ProcessStartFailed", role, &facts);
        self.restart_after(role, pause);
        Ok(())
    }

    fn start(&mut self, role: Role) -> Result<()> {
        let (control, theirs) = Channel::pair()?;
        let mut fds = vec![("control".to_owned(), OwnedFd::from(theirs))];
        let roles = self.plan.roles();
        for peer in peers(role).filter(|peer| roles.contains(peer)) {
            let end = self.end_for(role, peer)?;
            fds.push((peer.name().to_owned(), end));
        }
        for ((_, name), listener) in self.listeners.iter().filter(|((owner, _), _)| *owner == role)
        {
            fds.push(((*name).to_owned(), listener.try_clone()?.into()));
        }
        fds.extend(self.plan.files(role)?);
        let uid = self.plan.uid(role);
        let folder = Some(self.plan.dir().join(role.name()));
        let config = self.plan.config(role)?;
        let mut process = start(Start { role: role.name(), uid, fds, config, folder })?;
        let pid = process.id();
        let control = Arc::new(control);
        self.children.insert(
            role,
            Child {
                pid,
                control: Arc::clone(&control),
                started: self.env.monotonic(),
                ready: false,
                exited: false,
            },
        );
        let sender = self.sender.clone();
        thread(role, "notices", move || {
            while let Ok(Some(packet)) = control.recv() {
                let Ok(notice) = cbor::from_slice(&packet.bytes) else { break };
                if sender.send(Event::Notice(role, pid, notice)).is_err() {
                    break;
                }
            }
        })?;
        let sender = self.sender.clone();
        thread(role, "exit", move || {
            // The receiver is gone only when the supervisor itself is ending.
            sender.send(Event::Exited(role, pid, process.wait())).ok();
        })
    }

    /// The new process's end of its channel to `peer`; the other end goes to the peer.
    fn end_for(&mut self, role: Role, peer: Role) -> Result<OwnedFd> {
        if let Some(end) = self.waiting.remove(&(role, peer)) {
            return Ok(end);
        }
        let (ours, theirs) = Channel::pair()?;
        let alive = self.children.get(&peer).filter(|child| !child.exited);
        let handed = alive.is_some_and(|child| {
            let message = cbor::to_vec(&Control::Peer(role));
            child.control.send_with_fds(&message, &[theirs.as_fd()]).is_ok()
        });
        if !handed {
            self.waiting.insert((peer, role), theirs.into());
        }
        Ok(ours.into())
    }

    fn exited(&mut self, role: Role, pid: u32, status: std::io::Result<ExitStatus>) -> Result<()> {
        let Some(child) = self.children.get_mut(&role).filter(|child| child.pid == pid) else {
            return Ok(());
        };
        child.exited = true;
        let ran = self.env.monotonic().saturating_sub(child.started);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        // What waits for the dead process would reach nobody.
        self.waiting.retain(|(to, _), _| *to != role);
        let pause = self.pause_after_failure(role, ran, &status);
        let shown = pause.as_ref().map_or(Duration::ZERO, |pause| *pause);
        tracing::warn!(role = role.name(), pid, status, pause = ?shown, "process ended");
        let facts = [
            ("pid", pid.to_string()),
            ("status", status),
            ("restartInMilliseconds", shown.as_millis().to_string()),
        ];
        self.record("ProcessRestarted", role, &facts);
        self.restart_after(role, pause?);
        Ok(())
    }

    /// Counts a failure of a process that ran for `ran`; answers the pause before its next start.
    ///
    /// # Errors
    /// It keeps failing before everything served once.
    fn pause_after_failure(&mut self, role: Role, ran: Duration, why: &str) -> Result<Duration> {
        let failures = self.failures.entry(role).or_default();
        *failures = if ran > HEALTHY_AFTER { 1 } else { failures.saturating_add(1) };
        if !self.announced && *failures >= FIRST_START_FAILURES_MAX {
            bail!(
                "{} failed {failures} times before it served ({why}); see its log above",
                role.name()
            );
        }
        Ok((PAUSE_FIRST * 2u32.saturating_pow(*failures - 1)).min(PAUSE_MAX))
    }

    fn restart_after(&self, role: Role, pause: Duration) {
        let sender = self.sender.clone();
        writ_service::task::spawn("pause", async move {
            tokio::time::sleep(pause).await;
            // The receiver is gone only when the supervisor itself is ending.
            sender.send(Event::Restart(role)).ok();
        });
    }

    fn record(&mut self, name: &str, role: Role, facts: &[(&str, String)]) {
        let mut all = vec![("process", role.name().to_owned())];
        all.extend(facts.iter().cloned());
        if let Err(error) = self.spool.record(&self.env, name, &all) {
            tracing::error!(%error, name, "the supervisor's own event cannot be recorded");
        }
    }

    async fn stop_all(&mut self) {
        for role in STOP_ORDER {
            let Some(child) = self.children.get(&role).filter(|child| !child.exited) else {
                continue;
            };
            let pid = child.pid;
            // A child that cannot be told is killed below.
            child.control.send(&cbor::to_vec(&Control::Stop)).ok();
            if tokio::time::timeout(STOP_GRACE, self.wait_for(role, pid)).await.is_err() {
                kill(pid);
                self.wait_for(role, pid).await;
            }
        }
    }

    async fn wait_for(&mut self, role: Role, pid: u32) {
        while let Some(event) = self.events.recv().await {
            if let Event::Exited(ended, ended_pid, _) = event {
                if let Some(child) = self.children.get_mut(&ended).filter(|c| c.pid == ended_pid) {
                    child.exited = true;
                }
                if (ended, ended_pid) == (role, pid) {
                    return;
                }
            }
        }
    }

    fn watch_signals(&self) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            let mut signal = signal(kind).context("cannot listen for signals")?;
            let sender = self.sender.clone();
            writ_service::task::spawn("signals", async move {
                while signal.recv().await.is_some() {
                    if sender.send(Event::Stop).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(())
    }
}

/// What runs once everything served.
pub struct Running {
    /// Process ids of those that serve now.
    pub pids: HashMap<Role, u32>,
    /// What each process said of itself when it was last ready.
    pub facts: HashMap<Role, Vec<Fact>>,
}

fn peers(role: Role) -> impl Iterator<Item = Role> {
    PAIRS.into_iter().filter_map(move |(a, b)| match role {
        _ if a == role => Some(b),
        _ if b == role => Some(a),
        _ => None,
    })
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself in the meantime.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
    }
}

fn thread(role: Role, what: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(format!("{}-{what}", role.name())).spawn(work)?;
    Ok(())
}
