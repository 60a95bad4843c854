//! A channel, as a proxy holds it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::answers::Ticket;
use super::core::Item;
use super::request::SessionRequest;
use super::session::Shared;
use crate::error::Error;

/// A stream of bytes within a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Input, or output.
    Main,
    /// `SSH_EXTENDED_DATA_STDERR`
    Stderr,
}

/// What the peer did in a channel, in its order.
pub enum ChannelEvent {
    /// It sends no more data, nor anything else; the last event.
    Close,
    /// Bytes. The window that they took is given back by [`Channel::accept`] only.
    Data {
        /// The stream.
        stream: Stream,
        /// The bytes; those of several packets may come together.
        bytes: Bytes,
    },
    /// It sends no more data.
    Eof,
    /// It wants something.
    Request(ChannelRequest),
}

impl std::fmt::Debug for ChannelEvent {
    /// Not the data: it may be what somebody typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChannelEvent::Close => f.write_str("Close"),
            ChannelEvent::Data { stream, bytes } => {
                write!(f, "Data({stream:?}, {} bytes)", bytes.len())
            }
            ChannelEvent::Eof => f.write_str("Eof"),
            ChannelEvent::Request(request) => request.fmt(f),
        }
    }
}

/// A request of the peer in a channel. Dropped without an answer it is refused.
pub struct ChannelRequest {
    shared: Arc<Shared>,
    id: u32,
    ticket: Option<Ticket>,
    name: String,
    data: Bytes,
}

impl ChannelRequest {
    /// Its name: `pty-req`, `exec`, …
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

    /// Reads it, strictly; [`SessionRequest::Other`] is one that this build does not know.
    pub fn parse(&self) -> Result<SessionRequest, Error> {
        SessionRequest::parse(&self.name, &self.data)
    }

    /// Tells the peer, if it wants to know, whether it got what it wants.
    pub fn answer(mut self, success: bool) {
        self.reply(success);
    }

    fn reply(&mut self, success: bool) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.change(|core| core.answer(self.id, ticket, success));
        }
    }
}

impl Drop for ChannelRequest {
    fn drop(&mut self) {
        self.reply(false);
    }
}

impl std::fmt::Debug for ChannelRequest {
    /// Not its data: an environment variable or a command may hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An open channel. One task takes its events; any may send. When it is dropped, the channel is closed.
pub struct Channel {
    shared: Arc<Shared>,
    id: u32,
    readable: Arc<Notify>,
}

impl Channel {
    pub(super) fn new(shared: Arc<Shared>, id: u32, readable: Arc<Notify>) -> Channel {
        Channel { shared, id, readable }
    }

    /// Our number of it, unique among the connection's open channels.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The next event; `None` when the channel is closed or the connection ended. It loses nothing when
    /// it is cancelled. One task at a time may call it.
    pub async fn next(&self) -> Option<ChannelEvent> {
        loop {
            let (item, over) = self.shared.look(|core| {
                let over = core.ended.is_some() || core.has_closed(self.id);
                (core.take_item(self.id), over)
            });
            match item {
                Some(item) => {
                    self.shared.work.notify_one();
                    return Some(self.event(item));
                }
                None if over => return None,
                None => self.readable.notified().await,
            }
        }
    }

    /// Says that so many bytes of the data that came are done with: the peer may send as many more.
    pub fn accept(&self, bytes: usize) {
        self.shared.change(|core| core.accept(self.id, bytes));
    }

    /// Sends bytes; returns when the last of them is on its way, which needs the peer's window. If it
    /// is cancelled, it cannot be told how much was sent: close the channel then.
    pub async fn send(&self, stream: Stream, mut bytes: Bytes) -> Result<(), Error> {
        while !bytes.is_empty() {
            let writable = self.shared.writable.notified();
            tokio::pin!(writable);
            // Before the look: a window that opens in between is not missed.
            writable.as_mut().enable();
            let sent = self.shared.change(|core| core.send(self.id, stream, &bytes))?;
            if sent == 0 {
                writable.await;
            }
            drop(bytes.split_to(sent));
        }
        Ok(())
    }

    /// Sends as much of the bytes as is possible at once, and says how much that was.
    pub fn try_send(&self, stream: Stream, bytes: &[u8]) -> Result<usize, Error> {
        self.shared.change(|core| core.send(self.id, stream, bytes))
    }

    /// Says that no more data follows.
    pub fn eof(&self) -> Result<(), Error> {
        self.shared.change(|core| core.eof(self.id))
    }

    /// Closes our direction; events of the peer still come.
    pub fn close(&self) {
        self.shared.change(|core| core.close(self.id));
    }

    /// Asks for something, and waits for the answer.
    pub async fn request(&self, request: &SessionRequest) -> Result<bool, Error> {
        let (name, data) = request.encode();
        self.request_raw(&name, &data).await
    }

    /// Asks for something by name, and waits for the answer.
    pub async fn request_raw(&self, name: &str, data: &[u8]) -> Result<bool, Error> {
        let (sender, receiver) = oneshot::channel();
        self.shared.change(|core| core.request(self.id, name, data, Some(sender)))?;
        receiver.await.map_err(|_| Error::Closed)
    }

    /// Asks for something, or says it, where no answer is wanted.
    pub fn notify(&self, request: &SessionRequest) -> Result<(), Error> {
        let (name, data) = request.encode();
        self.shared.change(|core| core.request(self.id, &name, &data, None))
    }

    fn event(&self, item: Item) -> ChannelEvent {
        match item {
            Item::Close => ChannelEvent::Close,
            Item::Data(stream, bytes) => ChannelEvent::Data { stream, bytes: bytes.freeze() },
            Item::Eof => ChannelEvent::Eof,
            Item::Request { ticket, name, data } => {
                let shared = Arc::clone(&self.shared);
                ChannelEvent::Request(ChannelRequest { shared, id: self.id, ticket, name, data })
            }
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.shared.change(|core| {
            core.close(self.id);
            core.abandon(self.id);
        });
    }
}
