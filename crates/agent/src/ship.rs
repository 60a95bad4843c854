//! The connection to watch: frames as fast as watch acknowledges them, and a beat each second.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use writ_link::tls::watch_name;
use writ_link::wire::{self, Inbox};
use writ_model::Env;
use writ_model::limits::AGENT_FROZEN_ALARM;
use writ_proof::cbor::{self, Version};
use writ_proof::hostlog::{
    Bye, Frames, FromAgent, Hello, Item, Position, Refusal, ToAgent, Welcome,
};
use writ_proof::limits::{HOST_BATCH_BYTES, HOST_MESSAGE_MAX_BYTES};

use crate::enrol::connect;
use crate::error::AgentError;
use crate::limits::{
    BACKOFF_MAX, BACKOFF_MIN, BYE_MAX, HANDSHAKE_MAX, OUTAGE_AGAIN, SEND_MAX,
    UNACKNOWLEDGED_MAX_BYTES, WATCH_SILENT_MAX,
};
use crate::run::Shared;
use crate::spool;
use crate::state::keep_connection;

/// A connection whose other end is watch.
pub(crate) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    inbox: Inbox,
}

impl Connection {
    /// Shakes hands. Whether watch accepts our certificate shows at its first answer.
    pub(crate) fn open(
        mut socket: TcpStream,
        config: Arc<ClientConfig>,
    ) -> Result<Connection, AgentError> {
        let prepare = || -> io::Result<()> {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(HANDSHAKE_MAX))?;
            socket.set_write_timeout(Some(SEND_MAX))?;
            // A peer that vanished must not be waited for until TCP gives up by itself.
            let patience = u32::try_from(AGENT_FROZEN_ALARM.as_millis()).unwrap_or(u32::MAX);
            rustix::net::sockopt::set_tcp_user_timeout(&socket, patience)?;
            Ok(())
        };
        prepare().map_err(AgentError::Network)?;
        let mut session = ClientConnection::new(config, watch_name()?)
            .map_err(|error| AgentError::Tls(error.to_string()))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(AgentError::Network)?;
        }
        Ok(Connection {
            stream: StreamOwned::new(session, socket),
            inbox: Inbox::limited(HOST_MESSAGE_MAX_BYTES),
        })
    }

    pub(crate) fn send(&mut self, message: &FromAgent) -> io::Result<()> {
        self.stream.write_all(&wire::encode(message))?;
        self.stream.flush()
    }

    /// The next message; `None` if none came within `patience`.
    pub(crate) fn recv(&mut self, patience: Duration) -> io::Result<Option<ToAgent>> {
        // Zero would mean no limit at all.
        self.stream.sock.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.inbox.take().map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(closed()),
                Ok(count) => self.inbox.extend(buffer.get(..count).unwrap_or_default()),
                Err(error) if is_patience(&error) => return Ok(None),
                // Without TLS's own farewell, as a process that was killed does.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(closed()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other end has closed it")
}

fn is_patience(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// Ships until the agent ends. Whatever happens to the connection, it is tried again.
pub(crate) fn run(shared: &Shared, watch: &str) -> Result<(), AgentError> {
    let mut pause = BACKOFF_MIN;
    let mut outage = Outage::default();
    keep_connection(&shared.home.dir, "is being made");
    while !shared.is_over() {
        let mut session = Session { shared, welcomed: false };
        match session.run(watch) {
            Ok(()) => return Ok(()),
            Err(fatal @ AgentError::Io { .. }) => return Err(fatal),
            Err(error) if outage.is_worth_telling(session.welcomed, shared.env.monotonic()) => {
                let error = chain(&error);
                tracing::warn!(%error, "no connection to watch; it is tried again");
                let at = shared.env.now().iso();
                let text = format!("NONE, last tried {at}, and tried again: {error}");
                keep_connection(&shared.home.dir, &text);
            }
            Err(_) => {}
        }
        pause = if session.welcomed { BACKOFF_MIN } else { (pause * 2).min(BACKOFF_MAX) };
        shared.wait(pause);
        if shared.is_stopping() && shared.overdue() {
            return Ok(());
        }
    }
    Ok(())
}

/// How long watch has been away, as the log says it: at once, and then now and then.
#[derive(Default)]
struct Outage {
    told: Option<Duration>,
}

impl Outage {
    /// Whether to tell of a failure at `now`; `welcomed` if watch was reached before it.
    fn is_worth_telling(&mut self, welcomed: bool, now: Duration) -> bool {
        let is_due = self.told.is_none_or(|told| now.saturating_sub(told) >= OUTAGE_AGAIN);
        if welcomed || is_due {
            self.told = Some(now);
        }
        welcomed || is_due
    }
}

fn chain(error: &AgentError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

struct Session<'a> {
    shared: &'a Shared,
    welcomed: bool,
}

impl Session<'_> {
    /// Returns when everything is said and the agent ends.
    fn run(&mut self, watch: &str) -> Result<(), AgentError> {
        // Read anew: the certificate may be the next one.
        let config = self.shared.home.tls()?;
        let mut connection = Connection::open(connect(watch)?, config)?;
        let held = self.greet(&mut connection)?.held;
        self.welcomed = true;
        let (host, serial) = (&self.shared.home.host, self.shared.running);
        tracing::info!("{host} reports to {watch}, configuration {serial}");
        keep_connection(&self.shared.home.dir, &format!("since {}", self.shared.env.now().iso()));
        let (mut reader, lost) = {
            let mut spool = self.shared.spool();
            spool.ack(held);
            spool.reader(held)?
        };
        if let Some(lost) = lost {
            let items = self.signed(vec![Item::Lost(lost)])?;
            let frames = Frames { from: held, items };
            connection.send(&FromAgent::Frames(frames)).map_err(AgentError::Network)?;
        }
        let env = &self.shared.env;
        let mut next_beat = env.monotonic();
        let mut sent = 0;
        let mut heard = env.monotonic();
        loop {
            let now = env.monotonic();
            if now >= next_beat || self.shared.take_urgent() {
                let beat = FromAgent::Beat(self.shared.beat());
                connection.send(&beat).map_err(AgentError::Network)?;
                next_beat = now + self.shared.beat_every;
            }
            while sent < UNACKNOWLEDGED_MAX_BYTES {
                let count = self.send(&mut connection, &mut reader)?;
                if count == 0 {
                    break;
                }
                sent += count;
            }
            if self.shared.is_finished() && self.say_bye(&mut connection)? {
                return Ok(());
            }
            self.wait(&connection, next_beat.saturating_sub(env.monotonic()))?;
            while let Some(message) =
                connection.recv(Duration::ZERO).map_err(AgentError::Network)?
            {
                heard = env.monotonic();
                match message {
                    ToAgent::Ack(acked) => {
                        self.shared.acked(acked);
                        if acked == reader.place() {
                            sent = 0;
                        }
                    }
                    ToAgent::Certificate(pem) => {
                        self.shared.home.renew(&pem)?;
                        // watch counts it once it has seen it.
                        let why = "the next one is to show the next certificate";
                        return Err(AgentError::Network(io::Error::other(why)));
                    }
                    ToAgent::Configure(signed) => {
                        if let Err(error) = self.shared.configure(&signed) {
                            tracing::error!(error = %chain(&error), "the old configuration stays");
                        }
                    }
                    other => return Err(self.refusal(other)?),
                }
            }
            if env.monotonic().saturating_sub(heard) > WATCH_SILENT_MAX {
                return Err(AgentError::Network(io::ErrorKind::TimedOut.into()));
            }
            if self.shared.overdue() {
                return Ok(());
            }
        }
    }

    fn greet(&self, connection: &mut Connection) -> Result<Welcome, AgentError> {
        let hello = {
            let spool = self.shared.spool();
            Hello {
                v: Version,
                host: self.shared.home.host.clone(),
                boot: self.shared.boot,
                epoch: self.shared.epoch(),
                instance: self.shared.instance,
                config: self.shared.config,
                end: spool.end(),
                acked: spool.acked(),
                kept: self.shared.serial(),
                hardening: self.shared.hardening.clone(),
            }
        };
        connection.send(&FromAgent::Hello(hello)).map_err(AgentError::Network)?;
        match connection.recv(HANDSHAKE_MAX).map_err(AgentError::Network)? {
            Some(ToAgent::Welcome(welcome)) => Ok(welcome),
            Some(other) => Err(self.refusal(other)?),
            None => Err(AgentError::Network(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Sends what follows; answers how many bytes.
    fn send(
        &self,
        connection: &mut Connection,
        reader: &mut spool::Reader,
    ) -> Result<usize, AgentError> {
        let from: Position = reader.place();
        let items = self.shared.spool().read(reader, HOST_BATCH_BYTES)?;
        if items.is_empty() {
            return Ok(0);
        }
        let items = self.signed(items)?;
        let size = items.iter().map(|item| cbor::to_vec(item).len()).sum();
        let frames = FromAgent::Frames(Frames { from, items });
        connection.send(&frames).map_err(AgentError::Network)?;
        Ok(size)
    }

    /// What is lost goes out under the host's own signature.
    fn signed(&self, items: Vec<Item>) -> Result<Vec<Item>, AgentError> {
        let home = &self.shared.home;
        let sign = |item| {
            Ok(match item {
                Item::Lost(lost) => Item::Lost(lost.sign(&home.host, &home.key)?),
                frame => frame,
            })
        };
        items.into_iter().map(sign).collect()
    }

    /// Says good-bye if watch holds everything.
    fn say_bye(&self, connection: &mut Connection) -> Result<bool, AgentError> {
        let (end, acked) = {
            let spool = self.shared.spool();
            (spool.end(), spool.acked())
        };
        if end != acked {
            return Ok(false);
        }
        let home = &self.shared.home;
        let bye = Bye::sign(&home.host, end, "stop".to_owned(), &home.key)?;
        connection.send(&FromAgent::Bye(bye)).map_err(AgentError::Network)?;
        // watch closes the connection once it has written that down.
        while connection.recv(BYE_MAX).is_ok_and(|message| message.is_some()) {}
        Ok(true)
    }

    /// Waits for watch, for new frames, or for the time to pass.
    fn wait(&self, connection: &Connection, patience: Duration) -> Result<(), AgentError> {
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        let mut fds = [
            PollFd::new(&connection.stream.sock, PollFlags::IN),
            PollFd::new(&self.shared.wake, PollFlags::IN),
        ];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(AgentError::Network(error.into())),
        }
        self.shared.awake();
        Ok(())
    }

    /// What watch says instead of going on, as an error. Rebases if it asks for that.
    fn refusal(&self, message: ToAgent) -> Result<AgentError, AgentError> {
        Ok(match message {
            ToAgent::Refuse(Refusal::Rebase(welcome)) => {
                tracing::error!(
                    held = welcome.held.next_seq,
                    "watch holds another history: a new epoch"
                );
                self.shared.rebase(&welcome)?;
                AgentError::Refused("it holds another history".to_owned())
            }
            ToAgent::Refuse(Refusal::Other(why)) => AgentError::Refused(why),
            _ => AgentError::Refused("it does not keep to the protocol".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outage_is_told_at_once_and_then_once_a_minute() {
        let mut outage = Outage::default();
        let mut at = |welcomed, secs| outage.is_worth_telling(welcomed, Duration::from_secs(secs));
        assert!(at(false, 1), "the first failure");
        let told = (2..=121).filter(|secs| at(false, *secs)).count();
        assert_eq!(told, 2);
        assert!(at(true, 122), "watch was there, and is away again");
        assert!(!at(false, 123));
    }
}
