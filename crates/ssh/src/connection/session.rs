//! A connection, as a proxy holds it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use writ_proof::ssh_auth::SessionId;

use super::answers::Ticket;
use super::channel::Channel;
use super::core::{Arrival, Core, Ended, OpenFailure};
use crate::error::Error;

/// What the driver and all handles share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    session_id: SessionId,
    /// There is something for the driver: messages, room for events, an end.
    pub(crate) work: Notify,
    /// The peer's window or the outbox has room again.
    pub(crate) writable: Notify,
    /// There are arrivals.
    arrived: Notify,
    /// The connection ended.
    over: Notify,
}

impl Shared {
    pub(crate) fn new(core: Core, session_id: SessionId) -> Shared {
        Shared {
            core: Mutex::new(core),
            session_id,
            work: Notify::new(),
            writable: Notify::new(),
            arrived: Notify::new(),
            over: Notify::new(),
        }
    }

    /// Changes the state, and wakes the driver.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        let result = self.look(work);
        self.work.notify_one();
        result
    }

    /// Reads or changes the state; for the driver itself.
    pub(crate) fn look<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        work(&mut self.core.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The driver has taken in a message.
    pub(crate) fn wake(&self) {
        self.arrived.notify_one();
        self.writable.notify_waiters();
    }

    /// The driver's last act.
    pub(crate) fn end(&self, ended: Ended) {
        self.look(|core| core.end(ended));
        self.wake();
        self.over.notify_waiters();
    }
}

/// What the peer wants of the connection, in its order.
#[derive(Debug)]
pub enum Incoming {
    /// A global request.
    Global(GlobalRequest),
    /// A channel.
    Open(ChannelOpen),
    /// A channel that was refused here already, with the reason that the peer was given.
    Refused {
        /// Its type.
        kind: String,
        /// The reason.
        why: OpenFailure,
    },
}

/// A global request of the peer: a keepalive, a forward. Dropped without an answer it is refused.
pub struct GlobalRequest {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    name: String,
    data: Bytes,
}

impl GlobalRequest {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data, as it came.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// True if the peer wants to know what became of it.
    pub fn wants_reply(&self) -> bool {
        self.ticket.is_some()
    }

    /// Tells the peer, if it wants to know: data of a success, or a failure.
    pub fn answer(mut self, answer: Option<&[u8]>) {
        self.reply(answer);
    }

    fn reply(&mut self, answer: Option<&[u8]>) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.change(|core| core.answer_global(ticket, answer));
        }
    }
}

impl Drop for GlobalRequest {
    fn drop(&mut self) {
        self.reply(None);
    }
}

impl std::fmt::Debug for GlobalRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A channel that the peer wants to open. Dropped without an answer it is refused as prohibited.
pub struct ChannelOpen {
    shared: Arc<Shared>,
    id: u32,
    kind: String,
    data: Bytes,
    decided: bool,
}

impl ChannelOpen {
    /// Its type: `session`, `direct-tcpip`, …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The data of its type, as it came.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Opens it.
    pub fn accept(mut self) -> Result<Channel, Error> {
        self.decided = true;
        let readable = self.shared.change(|core| core.confirm(self.id)).ok_or(Error::Closed)?;
        Ok(Channel::new(Arc::clone(&self.shared), self.id, readable))
    }

    /// Refuses it, for a reason that the peer is told.
    pub fn refuse(mut self, why: OpenFailure, text: &str) {
        self.decided = true;
        self.shared.change(|core| core.refuse(self.id, why, text));
    }
}

impl Drop for ChannelOpen {
    fn drop(&mut self) {
        if !self.decided {
            let why = OpenFailure::Prohibited;
            self.shared.change(|core| core.refuse(self.id, why, "not allowed"));
        }
    }
}

impl std::fmt::Debug for ChannelOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelOpen").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The events of a connection. They must be taken: when too many wait, the socket is not read.
pub struct IncomingEvents(pub(crate) Arc<Shared>);

impl IncomingEvents {
    /// The next event; `None` when the connection ended. It loses nothing when it is cancelled.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let (arrival, over) = self.0.look(|core| (core.take_arrival(), core.ended.is_some()));
            match arrival {
                Some(arrival) => {
                    self.0.work.notify_one();
                    return Some(self.event(arrival));
                }
                None if over => return None,
                None => self.0.arrived.notified().await,
            }
        }
    }

    fn event(&self, arrival: Arrival) -> Incoming {
        let shared = Arc::clone(&self.0);
        match arrival {
            Arrival::Global { ticket, name, data } => {
                Incoming::Global(GlobalRequest { shared, ticket, name, data })
            }
            Arrival::Open { id, kind, data } => {
                Incoming::Open(ChannelOpen { shared, id, kind, data, decided: false })
            }
            Arrival::Refused { kind, why } => Incoming::Refused { kind, why },
        }
    }
}

/// An authenticated connection. A clone is the same connection.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Shared>);

impl Session {
    /// Identifies the connection: what the client's signature names.
    pub fn session_id(&self) -> SessionId {
        self.0.session_id
    }

    /// Opens a channel of this type, with the data of its type; the peer's reason if it refuses.
    pub async fn open(
        &self,
        kind: &str,
        data: &[u8],
    ) -> Result<Result<Channel, (OpenFailure, String)>, Error> {
        let (id, readable, opened) = self.0.change(|core| core.ask_open(kind, data))?;
        match opened.await.map_err(|_| Error::Closed)? {
            Ok(()) => Ok(Ok(Channel::new(Arc::clone(&self.0), id, readable))),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Opens a channel of type `session` (RFC 4254 section 6.1).
    pub async fn open_session(&self) -> Result<Result<Channel, (OpenFailure, String)>, Error> {
        self.open("session", &[]).await
    }

    /// Makes a global request, and waits for the answer: data of a success, or a failure.
    pub async fn global_request(&self, name: &str, data: &[u8]) -> Result<Option<Bytes>, Error> {
        let answer = self.0.change(|core| core.ask_global(name, data))?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// Ends the connection at once: no data follows, and the peer is shown this text.
    pub fn disconnect(&self, text: &str) {
        self.0.change(|core| {
            core.leaving.get_or_insert_with(|| text.to_owned());
        });
    }

    /// Waits for the end: `Ok` if we left, else why it ended.
    pub async fn ended(&self) -> Result<(), Error> {
        loop {
            let over = self.0.over.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            match self.0.look(|core| core.ended.clone()) {
                Some(Ended::ByUs) => return Ok(()),
                Some(Ended::Because(error)) => return Err(error),
                None => over.await,
            }
        }
    }
}
