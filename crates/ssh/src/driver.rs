//! Carries an authenticated connection over its stream until it ends: reads, writes, new keys,
//! keepalives.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use writ_proof::ssh_auth::SessionId;

use crate::config::{Config, Rekey};
use crate::connection::{Core, Ended, IncomingEvents, Session, Shared};
use crate::error::{Error, Reason};
use crate::limits;
use crate::login::{READ_BYTES, Wire};
use crate::server::{HostKey, sign};
use crate::transport::{Arrived, Transport};

const KEEPALIVE: &str = "keepalive@openssh.com";
/// What may wait to be sent before the socket is not read any more: answers alone never come near it.
const BACKLOG_MAX_BYTES: usize = 4 * (limits::OUTBOX_MAX_BYTES + limits::SENDING_MAX_BYTES);

/// What carries a connection. Run it in a task of its own; dropping it cuts the connection.
#[must_use = "nothing happens until it runs"]
pub struct Driver<S> {
    stream: S,
    state: Carried,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Driver<S> {
    pub(crate) fn new(
        wire: Wire<S>,
        session_id: SessionId,
        config: &Config,
        host_key: Option<Arc<dyn HostKey>>,
    ) -> (Driver<S>, Session) {
        let core = Core::new(config.channels_max, config.window_bytes);
        let shared = Arc::new(Shared::new(core, session_id));
        let session = Session(Arc::clone(&shared));
        let now = Instant::now();
        let state = Carried {
            transport: wire.transport,
            shared,
            host_key,
            // The settings can only be stricter than the limits.
            rekey: Rekey {
                bytes: config.rekey.bytes.min(limits::REKEY_BYTES),
                after: config.rekey.after.min(limits::REKEY_AFTER),
            },
            keepalive_after: config.keepalive_after.min(limits::REKEY_AFTER),
            heard: now,
            asked: 0,
            keyed: now,
            exchange: None,
        };
        (Driver { stream: wire.stream, state }, session)
    }

    pub(crate) fn incoming(&self) -> IncomingEvents {
        IncomingEvents(Arc::clone(&self.state.shared))
    }

    /// Carries the connection to its end: `Ok` if we left, else what ended it, a peer's disconnect
    /// among that.
    pub async fn run(self) -> Result<(), Error> {
        let Driver { stream, mut state } = self;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let error = loop {
            match state.step(&mut reader, &mut writer).await {
                Ok(Some(text)) => {
                    state.transport.disconnect(Reason::ByApplication as u32, &text).ok();
                    break None;
                }
                Ok(None) => {}
                Err(error) => {
                    if let Some(reason) = error.reason() {
                        state.transport.disconnect(reason as u32, &error.to_string()).ok();
                    }
                    break Some(error);
                }
            }
        };
        state.shared.end(error.clone().map_or(Ended::ByUs, Ended::Because));
        let goodbye = async {
            writer.write_all_buf(state.transport.output()).await?;
            writer.shutdown().await?;
            // A socket that is closed with something unread resets the connection, and the peer would not
            // see why we left.
            let mut rest = vec![0; READ_BYTES];
            while reader.read(&mut rest).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        // The peer may be gone, or not read: it has been given its chance.
        tokio::time::timeout(limits::LINGER, goodbye).await.ok();
        error.map_or(Ok(()), Err)
    }
}

/// The driver's state, without the stream.
struct Carried {
    transport: Transport,
    shared: Arc<Shared>,
    host_key: Option<Arc<dyn HostKey>>,
    rekey: Rekey,
    keepalive_after: Duration,
    /// When the peer was last heard, or could have been.
    heard: Instant,
    /// Keepalives since then.
    asked: u32,
    /// When the present keys were agreed on.
    keyed: Instant,
    /// Since when a key exchange is under way.
    exchange: Option<Instant>,
}

impl Drop for Carried {
    /// Also where the driver is dropped, before it ran even: whoever waits must not wait for ever.
    fn drop(&mut self) {
        self.shared.end(Ended::Because(Error::Closed));
    }
}

impl Carried {
    /// Does what can be done, then waits for more; a text if we shall leave.
    async fn step(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Option<String>, Error> {
        self.take_in().await?;
        let leaving = self.give_out()?;
        if leaving.is_some() {
            return Ok(leaving);
        }
        self.follow_exchange()?;
        let (core_full, waiting) = self.shared.look(|c| (c.is_full(), c.outbox_bytes()));
        let full = core_full || waiting + self.transport.output().len() > BACKLOG_MAX_BYTES;
        if full {
            // While we do not read, the peer cannot be heard.
            self.heard = Instant::now();
            self.exchange = self.exchange.map(|_| self.heard);
        }
        let deadline = self.deadline();
        let shared = Arc::clone(&self.shared);
        let (input, output) = self.transport.buffers();
        input.reserve(READ_BYTES);
        tokio::select! {
            read = reader.read_buf(input), if !full => {
                if read? == 0 {
                    return Err(Error::Io(std::io::ErrorKind::UnexpectedEof));
                }
                self.heard = Instant::now();
                self.asked = 0;
            }
            wrote = writer.write_buf(output), if !output.is_empty() => {
                if wrote? == 0 {
                    return Err(Error::Io(std::io::ErrorKind::WriteZero));
                }
            }
            () = shared.work.notified() => {}
            () = tokio::time::sleep_until(deadline) => self.tick()?,
        }
        Ok(None)
    }

    /// Takes in what was read, as far as somebody has room for it.
    async fn take_in(&mut self) -> Result<(), Error> {
        while !self.shared.look(|core| core.is_full()) {
            match self.transport.poll()? {
                None => break,
                Some(Arrived::Message(message)) => {
                    let known = self.shared.look(|core| core.receive(&message))?;
                    if !known {
                        self.transport.unimplemented()?;
                    }
                    self.shared.wake();
                }
                Some(Arrived::Sign(hash)) => {
                    let key = self.host_key.clone().ok_or(Error::Signing)?;
                    sign(&mut self.transport, &*key, &hash).await?;
                }
                Some(Arrived::Established | Arrived::HostKey(_)) => {
                    return Err(Error::Protocol("a key exchange came to something unexpected"));
                }
            }
        }
        Ok(())
    }

    /// Encrypts messages that wait, as far as the socket's buffer has room.
    fn give_out(&mut self) -> Result<Option<String>, Error> {
        let mut moved = false;
        while self.transport.may_send() && self.transport.output().len() < limits::SENDING_MAX_BYTES
        {
            let (message, leaving) =
                self.shared.look(|core| (core.take_message(), core.leaving.clone()));
            if leaving.is_some() {
                return Ok(leaving);
            }
            let Some(message) = message else { break };
            self.transport.send(&message)?;
            moved = true;
        }
        if moved {
            self.shared.writable.notify_waiters();
        }
        // Whatever waits, and even within a key exchange.
        Ok(self.shared.look(|core| core.leaving.clone()))
    }

    /// Starts a key exchange when it is due, and notes how long one takes.
    fn follow_exchange(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.transport.exchanging() {
            self.exchange.get_or_insert(now);
            return Ok(());
        }
        if self.exchange.take().is_some() {
            self.keyed = now;
        }
        let (bytes, packets) = self.transport.used();
        if bytes >= self.rekey.bytes
            || packets >= limits::REKEY_PACKETS
            || now.duration_since(self.keyed) >= self.rekey.after
        {
            self.exchange = Some(now);
            self.transport.rekey()?;
        }
        Ok(())
    }

    fn silence_ends(&self) -> Instant {
        self.heard + self.keepalive_after * (self.asked + 1)
    }

    /// When something is due if nothing happens.
    fn deadline(&self) -> Instant {
        let rekey = match self.exchange {
            Some(since) => since + limits::KEX_DEADLINE,
            None => self.keyed + self.rekey.after,
        };
        rekey.min(self.silence_ends())
    }

    fn tick(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let limit = limits::KEX_DEADLINE;
        if self.exchange.is_some_and(|since| now >= since + limit) {
            return Err(Error::Timeout { what: "a key exchange", limit });
        }
        if now < self.silence_ends() {
            return Ok(());
        }
        if self.asked >= limits::KEEPALIVE_MAX {
            let limit = self.keepalive_after * (self.asked + 1);
            return Err(Error::Timeout { what: "the peer's silence", limit });
        }
        self.asked += 1;
        // The answer itself says nothing: that anything comes is what counts.
        self.shared.look(|core| core.ask_global(KEEPALIVE, &[])).map(drop)
    }
}
