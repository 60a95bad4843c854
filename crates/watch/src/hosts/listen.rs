//! The listeners of agents and of watch's own administrators. One thread, of its own: an fsync of frames
//! holds up other agents, never trail's stream.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use writ_link::wire::{self, Inbox};
use writ_model::Env;
use writ_proof::hash::sha256;
use writ_proof::hostlog::FromAgent;
use writ_proof::limits::HOST_MESSAGE_MAX_BYTES;

use super::authority::{Authority, agent_key};
use super::seats::{Room, Seat, Seats};
use super::{Connection, Hosts};
use crate::delivery::Desk;
use crate::error::WatchError;
use crate::limits::{CONTROLS_MAX, HANDSHAKE_MAX, HELLO_MAX, SEND_MAX, TICK, WORD_EVERY};
use crate::{CONTROL_FILE, control};

/// How much is read from one connection at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// Runs the agents' side of watch on a thread of its own. What ends it is told through `failed`; it ends
/// itself when `stop` is dropped.
pub(crate) fn start(
    desk: Desk,
    listener: TcpListener,
    stop: oneshot::Receiver<()>,
) -> Result<std::thread::JoinHandle<Result<(), WatchError>>, WatchError> {
    let (folder, env) = (desk.folder.clone(), Arc::clone(&desk.env));
    let authority = Authority::open(&folder, &desk.site, env.now())?;
    let tls = authority.server_config(env.now())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WatchError::Network)?;
    listener.set_nonblocking(true).map_err(WatchError::Network)?;
    let hosts = Hosts::new(env, desk.book.clone(), authority);
    let socket = folder.join(CONTROL_FILE);
    let serve = move || {
        let served = runtime.block_on(async move {
            let listener =
                tokio::net::TcpListener::from_std(listener).map_err(WatchError::Network)?;
            let (hosts, acceptor) = (Arc::new(Mutex::new(hosts)), TlsAcceptor::from(tls));
            let seats = Seats::new(Room::of_process());
            let server = Server { hosts, acceptor, desk, seats };
            let control = bind_control(&folder);
            tokio::select! {
                result = server.serve(listener, control) => result,
                _ = stop => Ok(()),
            }
        });
        // A stopped installation is files alone: copies and backups know what to do with those.
        std::fs::remove_file(socket).ok();
        served
    };
    std::thread::Builder::new().name("agents".to_owned()).spawn(serve).map_err(WatchError::Network)
}

/// The socket of watch's administrators. Without it watch still watches.
fn bind_control(folder: &std::path::Path) -> Option<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(CONTROL_FILE);
    std::fs::remove_file(&path).ok();
    let bound = UnixListener::bind(&path).and_then(|listener| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    bound
        .inspect_err(|error| {
            tracing::error!(%error, path = %path.display(), "no `writ watch`: the control socket cannot be made");
        })
        .ok()
}

#[derive(Clone)]
struct Server {
    hosts: Arc<Mutex<Hosts>>,
    acceptor: TlsAcceptor,
    desk: Desk,
    seats: Seats,
}

type Done = Result<(), WatchError>;

impl Server {
    async fn serve(
        self,
        listener: tokio::net::TcpListener,
        control: Option<UnixListener>,
    ) -> Result<(), WatchError> {
        let mut agents: JoinSet<Done> = JoinSet::new();
        let mut controls: JoinSet<Done> = JoinSet::new();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut words = interval(WORD_EVERY);
        words.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                accepted = listener.accept(), if self.seats.is_open() => match accepted {
                    Ok((stream, peer)) => {
                        let seat = self.seats.take(peer.ip());
                        let number = seat.number();
                        let task = agents.spawn(self.clone().agent(stream, peer, seat));
                        self.seats.serve(number, task);
                    }
                    Err(error) => {
                        // Out of descriptors, for instance: it passes.
                        tracing::warn!(%error, "an agent's connection could not be taken");
                        tokio::time::sleep(TICK).await;
                    }
                },
                accepted = accept(control.as_ref()), if controls.len() < CONTROLS_MAX => {
                    if let Ok(stream) = accepted {
                        controls.spawn(control::serve(stream, Arc::clone(&self.hosts), self.desk.clone()));
                    }
                }
                Some(done) = agents.join_next() => end(done)?,
                Some(done) = controls.join_next() => end(done)?,
                _ = ticks.tick() => lock(&self.hosts).tick()?,
                _ = words.tick() => {
                    let hosts = lock(&self.hosts).word();
                    self.desk.tell(hosts);
                }
            }
        }
    }

    async fn agent(self, stream: TcpStream, peer: SocketAddr, seat: Seat) -> Done {
        stream.set_nodelay(true).ok();
        let stream = match timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.refused(peer, &error),
            Err(_) => return Ok(()),
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let (key, certificate) = (shown.and_then(agent_key), shown.map(|shown| sha256(shown)));
        let (kick, kicked) = oneshot::channel();
        let mut connection = {
            let mut hosts = lock(&self.hosts);
            if let Some(key) = key.filter(|key| hosts.is_enrolled(key)) {
                seat.shows(key);
            }
            hosts.connected(peer, key, kick)
        };
        connection.certificate = certificate;
        let result = self.talk(stream, &mut connection, kicked, &seat).await;
        lock(&self.hosts).ended(&connection);
        result
    }

    async fn talk(
        &self,
        mut stream: TlsStream<TcpStream>,
        connection: &mut Connection,
        mut kicked: oneshot::Receiver<()>,
        seat: &Seat,
    ) -> Done {
        let mut inbox = Inbox::limited(HOST_MESSAGE_MAX_BYTES);
        let mut buffer = vec![0; READ_BYTES];
        let silence = tokio::time::sleep(HELLO_MAX);
        tokio::pin!(silence);
        loop {
            let count = tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(count) if count > 0 => count,
                    _ => return Ok(()),
                },
                // Another connection of the same agent has taken over.
                _ = &mut kicked, if connection.is_known() => return Ok(()),
                () = &mut silence, if !connection.is_known() => return Ok(()),
            };
            inbox.extend(buffer.get(..count).unwrap_or_default());
            let mut messages: Vec<FromAgent> = Vec::new();
            let malformed = loop {
                match inbox.take() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            if messages.is_empty() && malformed.is_none() {
                continue;
            }
            let was_known = connection.is_known();
            let turn = lock(&self.hosts).take(connection, messages)?;
            if let Some(key) = connection.key.filter(|_| connection.is_known() && !was_known) {
                seat.greets(key);
            }
            if let Some(error) = &malformed {
                lock(&self.hosts).broken(connection, &error.to_string())?;
            }
            let answers: Vec<u8> = turn.replies.iter().flat_map(wire::encode).collect();
            let close = turn.close || malformed.is_some();
            let send = async {
                stream.write_all(&answers).await?;
                stream.flush().await?;
                if close {
                    stream.shutdown().await?;
                }
                Ok::<(), std::io::Error>(())
            };
            if !matches!(timeout(SEND_MAX, send).await, Ok(Ok(()))) || close {
                return Ok(());
            }
        }
    }

    /// A handshake failed. One that showed a certificate which is not good here is worth an alarm.
    fn refused(&self, peer: SocketAddr, error: &std::io::Error) -> Done {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(cause)) = cause else {
            tracing::info!(%error, %peer, "a peer did not complete its handshake");
            return Ok(());
        };
        lock(&self.hosts).refused(peer, &format!("its certificate is not good here: {cause:?}"))
    }
}

pub(crate) fn lock(hosts: &Mutex<Hosts>) -> MutexGuard<'_, Hosts> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(control: Option<&UnixListener>) -> std::io::Result<tokio::net::UnixStream> {
    match control {
        Some(control) => control.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// A task that failed at the disk ends everything; one that panicked ends alone, and so does one that gave way.
fn end(done: Result<Done, tokio::task::JoinError>) -> Done {
    done.unwrap_or_else(|error| {
        if error.is_cancelled() {
            return Ok(());
        }
        tracing::error!(%error, "a connection ended by a fault of watch");
        Ok(())
    })
}
