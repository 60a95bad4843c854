//! One operator's session: two SSH connections, and nothing between them that is not recorded.
//!
//! Every byte goes on only after its recording returned from fsync and while a live grant covers its channel;
//! every act is in the operator log before it is answered. Whatever ends the session ends both connections.

mod channel;
mod files;
mod judge;
mod open;
mod upstream;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify, OnceCell, watch};
use tokio::task::JoinSet;
use writ_model::Ulid;
use writ_proof::cbor;
use writ_proof::recording::event::Opened;
use writ_proof::recording::{Direction, Kind};
use writ_ssh::{Accepted, ChannelOpen, Incoming, IncomingEvents, OpenFailure, Proof};

use crate::access::Place;
use crate::limits::{PART_WAIT, REFUSALS_MAX};
use crate::recorder::Record;
use crate::server::Shared;
use crate::teller::{Event, Shown};
use files::OpenFiles;
use judge::Judge;
use upstream::Upstream;

/// A session. It begins with the login and has a recording from its first program on.
pub(crate) struct Session {
    shared: Arc<Shared>,
    id: Ulid,
    place: Place,
    /// Where the operator came from.
    source: String,
    proof: Proof,
    client: writ_ssh::Session,
    judge: Judge,
    upstream: OnceCell<Upstream>,
    /// Told when there is an upstream.
    connected: Notify,
    /// Held while one is made: what keyd was asked for has to be told, whatever becomes of the session.
    connecting: Mutex<()>,
    /// Why it ends.
    dead: watch::Sender<Option<String>>,
    channels: AtomicU32,
    refusals: AtomicU32,
    files: OpenFiles,
    tasks: StdMutex<JoinSet<()>>,
    /// What carries the two connections.
    drivers: StdMutex<JoinSet<()>>,
}

impl Session {
    /// Serves a connection that has logged in, to its end.
    pub(crate) async fn run<S>(
        shared: Arc<Shared>,
        place: Place,
        source: String,
        accepted: Accepted<S>,
        mut stop: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Accepted { proof, session: client, incoming, driver } = accepted;
        let id = Ulid::new(&*shared.env);
        let session = Arc::new(Session {
            judge: Judge::new(Arc::clone(&shared.state), Arc::clone(&shared.env), place.clone()),
            shared,
            id,
            place,
            source,
            proof,
            client,
            upstream: OnceCell::new(),
            connected: Notify::new(),
            connecting: Mutex::default(),
            dead: watch::Sender::new(None),
            channels: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
            files: OpenFiles::default(),
            tasks: StdMutex::default(),
            drivers: StdMutex::default(),
        });
        session.drive(async move {
            if let Err(error) = driver.run().await {
                tracing::debug!(%error, "the operator's connection ended");
            }
        });
        let reason = tokio::select! {
            reason = Session::serve(&session, incoming) => reason,
            reason = session.watch() => reason,
            _ = stop.wait_for(|stop| *stop) => "the bastion stops".to_owned(),
        };
        Session::end(session, &reason).await;
    }

    /// Takes what the operator wants of the connection, until the operator leaves.
    async fn serve(session: &Arc<Session>, mut incoming: IncomingEvents) -> String {
        while let Some(event) = incoming.next().await {
            match event {
                Incoming::Open(open) if open.kind() == "session" => {
                    let own = Arc::clone(session);
                    session.spawn(async move { channel::serve(own, open).await });
                }
                Incoming::Open(open) => session.refuse_channel(open).await,
                Incoming::Refused { kind, why } => {
                    session.refuse(0, format!("channel {kind}"), &format!("{why:?}")).await;
                }
                Incoming::Global(request) => {
                    let known = matches!(
                        request.name(),
                        "keepalive@openssh.com" | "no-more-sessions@openssh.com"
                    );
                    if !known {
                        let what = printable(request.name());
                        session.refuse(0, what, "the bastion forwards nothing").await;
                    }
                    request.answer(None);
                }
            }
        }
        "the operator left".to_owned()
    }

    async fn refuse_channel(&self, open: ChannelOpen) {
        let why = match open.kind() {
            "direct-tcpip" | "direct-streamlocal@openssh.com" => {
                "the bastion forwards no connections: log in to the host itself, as ROLE+HOST"
            }
            _ => "the bastion opens sessions alone",
        };
        self.refuse(0, format!("channel {}", printable(open.kind())), why).await;
        open.refuse(OpenFailure::Prohibited, why);
    }

    /// Records that something was refused. Nothing is answered before it is in the ledger, nor after the session
    /// has died of it.
    async fn refuse(&self, channel: u32, what: String, why: &str) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) >= REFUSALS_MAX {
            self.die("too much was refused in it");
            return self.rest().await;
        }
        let mut shown = self.shown();
        shown.extend([("channel", channel.to_string()), ("asked", what.clone())]);
        let refused = Some(("AccessDenied", why.to_owned()));
        let event = Event { refused, ..Event::new("RefuseRequest", shown) };
        let opened = Opened::Refused((what, why.to_owned()));
        let frame = bastion_frame(channel, Kind::Open, cbor::to_vec(&opened));
        if self.keep(vec![frame], vec![event]).await.is_err() {
            self.rest().await;
        }
    }

    /// Makes frames and events durable: both, or the session is dead.
    async fn keep(&self, frames: Vec<Record>, events: Vec<Event>) -> Result<(), Dead> {
        if let Some(upstream) = self.upstream.get().filter(|_| !frames.is_empty()) {
            let accepted = upstream.recording.accept(frames).await;
            accepted.map_err(|error| self.die(&format!("its recording failed: {error}")))?;
        }
        if !events.is_empty() {
            let told = self.shared.teller.tell(&self.source, events).await;
            told.map_err(|why| self.die(&format!("the ledger does not take its records: {why}")))?;
        }
        Ok(())
    }

    /// Waits until bytes may go on: recorded they are, but is the grant there?
    async fn pass(&self) -> Result<(), Dead> {
        loop {
            if self.dead.borrow().is_some() {
                return Err(Dead);
            }
            match self.judge.may_pass() {
                Ok(true) => return Ok(()),
                Ok(false) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(why) => return Err(self.die(&why)),
            }
        }
    }

    /// What every event of this session shows.
    fn shown(&self) -> Shown {
        let mut shown = vec![
            ("sessionId", self.id.to_string()),
            ("person", self.place.person.to_string()),
            ("login", self.place.login.clone()),
            ("hostName", self.place.host.to_string()),
        ];
        if let Some(upstream) = self.upstream.get() {
            shown.push(("accessRequestId", upstream.held.grant.request.to_string()));
        }
        shown
    }

    /// Says that the session ends. The first reason stays.
    fn die(&self, why: &str) -> Dead {
        self.dead.send_if_modified(|dead| {
            let first = dead.is_none();
            if first {
                *dead = Some(why.to_owned());
            }
            first
        });
        Dead
    }

    /// For what may not go on: waits until the session is gone.
    async fn rest(&self) {
        std::future::pending().await
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    fn drive(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).spawn(work);
    }

    /// Ends everything, in this order: nothing goes on, both are told, the recording has its end.
    async fn end(session: Arc<Session>, reason: &str) {
        let started = session.shared.env.monotonic();
        session.die(reason);
        // First of all: nothing goes out any more but the reason, not even that channels close.
        session.client.disconnect(&format!("the session ended: {reason}"));
        if let Some(upstream) = session.upstream.get() {
            upstream.host.disconnect("the session ended");
        }
        // A start that is under way ends by itself: it looks whether the session is dead.
        let connecting = session.connecting.lock().await;
        // Twice: the first may just have started one more.
        for _ in 0..2 {
            let mut tasks = taken(&session.tasks);
            tasks.shutdown().await;
        }
        drop(connecting);
        let mut drivers = taken(&session.drivers);
        let parted = async { while drivers.join_next().await.is_some() {} };
        tokio::time::timeout(PART_WAIT, parted).await.ok();
        drivers.shutdown().await;
        let took = session.shared.env.monotonic().saturating_sub(started);
        let (id, person) = (session.id, &session.place.person);
        tracing::info!(session = %id, %person, reason, ?took, "a session ended");
        session.finish_files().await;
        // INVARIANT: its tasks are gone, and nobody else holds it.
        let Some(session) = Arc::into_inner(session) else { return };
        let Some(upstream) = session.upstream.into_inner() else { return };
        if let Err(error) = upstream.recording.end(reason).await {
            tracing::error!(%error, session = %id, "recording.failed");
            let shown = vec![("sessionId", id.to_string()), ("reason", reason.to_owned())];
            let refused = Some(("RecordingFailed", error.to_string()));
            let event = Event { refused, ..Event::new("FailRecording", shown) };
            session.shared.notary.tell_later(session.source, event);
        }
    }
}

fn taken(tasks: &StdMutex<JoinSet<()>>) -> JoinSet<()> {
    std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The session is dead: nothing goes on any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dead;

fn bastion_frame(channel: u32, kind: Kind, content: Vec<u8>) -> Record {
    Record { channel, direction: Direction::Bastion, kind, content }
}

/// What a peer wrote, for people: at most 256 characters, and none that does something.
fn printable(text: &str) -> String {
    text.chars().take(256).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
