//! trail's end of the connection: blocking, one thread, one message after the other.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use writ_link::tls::watch_name;
use writ_link::wire::{self, Inbox};
use writ_proof::stream::{FromWatch, ToWatch};

use crate::limits::{HANDSHAKE_MAX, MESSAGE_MAX_BYTES, READ_BYTES, SEND_MAX};

/// A connection to watch whose key is the pinned one.
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    inbox: Inbox,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects and shakes hands. Whether watch accepts **our** key shows at the first answer.
    ///
    /// # Errors
    /// When nobody answers in time, or somebody else than watch does.
    pub fn open(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Connection> {
        let mut socket = TcpStream::connect_timeout(&address, HANDSHAKE_MAX)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HANDSHAKE_MAX))?;
        socket.set_write_timeout(Some(SEND_MAX))?;
        let name = watch_name().map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let stream = StreamOwned::new(session, socket);
        Ok(Connection {
            stream,
            inbox: Inbox::limited(MESSAGE_MAX_BYTES),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Sends one message whole.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn send(&mut self, message: &ToWatch) -> io::Result<()> {
        self.stream.write_all(&wire::encode(message))?;
        self.stream.flush()
    }

    /// The next message; `None` if none came within `patience`.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn recv(&mut self, patience: Duration) -> io::Result<Option<FromWatch>> {
        // Zero would mean no limit at all.
        let patience = patience.max(Duration::from_millis(1));
        self.stream.sock.set_read_timeout(Some(patience))?;
        loop {
            if let Some(message) = self.inbox.take().map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.inbox.extend(self.buffer.get(..count).unwrap_or_default()),
                Err(error) if is_patience(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
