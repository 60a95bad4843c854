//! watch's listener: handshakes beside each other, one connection that counts.
//!
//! One thread does everything of this; agents have another (`crate::hosts`). An fsync holds up only the next message of the same stream, which has to
//! wait for it anyway.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use writ_link::wire::{self, Inbox};
use writ_model::Env;
use writ_proof::stream::ToWatch;

use crate::delivery::{self, Channels, Desk};
use crate::error::WatchError;
use crate::hosts::listen;
use crate::hosts::seats::{Room, Seat, Seats};
use crate::keeper::Keeper;
use crate::limits::{HANDSHAKE_MAX, HANDSHAKES_MAX, MESSAGE_MAX_BYTES, READ_BYTES, SEND_MAX, TICK};
use crate::tls::{self, Identity};

/// What watch is told at its start.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// watch's own folder: its keys and everything that it keeps.
    pub folder: PathBuf,
    /// The signed genesis statement ([`writ_proof::statement::Signed::to_bytes`]).
    pub genesis: Vec<u8>,
    /// The folder of what the control side may read ([`crate::word`]), if it may read anything.
    pub word: Option<PathBuf>,
    /// The folder of what the bastion may read: the same, but of hosts alone.
    pub hosts_word: Option<PathBuf>,
}

/// What watch listens on; both are bound already.
#[derive(Debug)]
pub struct Listeners {
    /// For trail's stream.
    pub trail: TcpListener,
    /// For agents on managed hosts.
    pub agents: TcpListener,
}

/// Runs watch until `stop` is told, or dropped. `ready` is called when it serves.
///
/// # Errors
/// When its folder is damaged or foreign, or its disk fails: nothing is acknowledged that is not on it.
pub fn run(
    config: &WatchConfig,
    listeners: Listeners,
    env: Arc<dyn Env>,
    stop: oneshot::Receiver<()>,
    ready: impl FnOnce(),
) -> Result<(), WatchError> {
    let Listeners { trail: listener, agents } = listeners;
    let clock = Arc::clone(&env);
    let keeper = Keeper::open(&config.folder, &config.genesis, env)?;
    let pin = keeper.genesis().channel.trail;
    let tls = tls::server_config(Identity::load(&config.folder)?, pin)?;
    let site = keeper.genesis().site.as_str();
    let (agents_stop, stopped) = oneshot::channel();
    let book = keeper.book().clone();
    let desk = Desk {
        folder: config.folder.clone(),
        word: config.word.clone(),
        hosts_word: config.hosts_word.clone(),
        site: site.to_owned(),
        mode: keeper.genesis().mode,
        key: Arc::new(keeper.signing_key()?),
        env: Arc::clone(&clock),
        book,
        channels: Channels::default(),
    };
    let agents = listen::start(desk.clone(), agents, stopped)?;
    let (delivery_stop, stopped) = oneshot::channel();
    let delivery = delivery::start(desk, stopped)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WatchError::Network)?;
    let served = runtime.block_on(async {
        listener.set_nonblocking(true).map_err(WatchError::Network)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(WatchError::Network)?;
        ready();
        let server = Server { keeper, acceptor: TlsAcceptor::from(tls), link: None };
        tokio::select! {
            result = server.serve(listener) => result,
            // A dropped sender says the same.
            _ = stop => Ok(()),
            // Half a watch is none: what ended the agents' side ends this one.
            () = ended(&agents) => Ok(()),
            () = ended(&delivery) => Ok(()),
        }
    });
    drop((agents_stop, delivery_stop));
    let agents = join(agents, "the thread of the agents' side panicked");
    let delivery = join(delivery, "the thread of deliveries panicked");
    served.and(agents).and(delivery)
}

fn join(
    thread: std::thread::JoinHandle<Result<(), WatchError>>,
    panicked: &'static str,
) -> Result<(), WatchError> {
    let failed = |_| Err(WatchError::Network(std::io::Error::other(panicked)));
    thread.join().unwrap_or_else(failed)
}

/// Waits until the thread has ended.
async fn ended<T>(thread: &std::thread::JoinHandle<T>) {
    while !thread.is_finished() {
        tokio::time::sleep(TICK).await;
    }
}

struct Server {
    keeper: Keeper,
    acceptor: TlsAcceptor,
    link: Option<Link>,
}

/// The connection to trail.
struct Link {
    stream: TlsStream<TcpStream>,
    inbox: Inbox,
}

type Handshake = Option<TlsStream<TcpStream>>;

impl Server {
    async fn serve(mut self, listener: tokio::net::TcpListener) -> Result<(), WatchError> {
        let mut handshakes: JoinSet<Handshake> = JoinSet::new();
        // Strangers who say nothing do not keep trail out.
        let seats = Seats::new(Room::of_strangers(HANDSHAKES_MAX));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            tokio::select! {
                accepted = listener.accept(), if seats.is_open() => match accepted {
                    Ok((stream, peer)) => {
                        let seat = seats.take(peer.ip());
                        let number = seat.number();
                        let task = self.shake_hands(stream, seat, &mut handshakes);
                        seats.serve(number, task);
                    }
                    Err(error) => {
                        // Out of descriptors, for instance: it passes.
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = handshakes.join_next() => {
                    if let Ok(Some(stream)) = done {
                        // trail has connected anew; what it had before is of no use.
                        self.keeper.begin();
                        self.link = Some(Link { stream, inbox: Inbox::limited(MESSAGE_MAX_BYTES) });
                    }
                }
                read = read(&mut self.link, &mut buffer) => match read {
                    Ok(count) if count > 0 => {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        self.receive(bytes).await?;
                    }
                    // trail's end or its restart: the clock of silence runs.
                    _ => self.link = None,
                },
                _ = ticks.tick() => {
                    self.keeper.tick()?;
                    self.ask().await?;
                }
            }
        }
    }

    /// Asks keyd, through trail, to cosign the host log if that is due.
    async fn ask(&mut self) -> Result<(), WatchError> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let Some(message) = self.keeper.host_checkpoint()? else { return Ok(()) };
        let bytes = wire::encode(&message);
        let send = async {
            link.stream.write_all(&bytes).await?;
            link.stream.flush().await
        };
        if !matches!(timeout(SEND_MAX, send).await, Ok(Ok(()))) {
            self.link = None;
        }
        Ok(())
    }

    fn shake_hands(
        &self,
        stream: TcpStream,
        seat: Seat,
        handshakes: &mut JoinSet<Handshake>,
    ) -> AbortHandle {
        let acceptor = self.acceptor.clone();
        handshakes.spawn(async move {
            let _until_proven = seat;
            stream.set_nodelay(true).ok();
            match timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a peer did not prove to be trail");
                    None
                }
                Err(_) => None,
            }
        })
    }

    async fn receive(&mut self, bytes: &[u8]) -> Result<(), WatchError> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.inbox.extend(bytes);
        let mut messages: Vec<ToWatch> = Vec::new();
        let malformed = loop {
            match link.inbox.take() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let turn = self.keeper.take(messages)?;
        let answers: Vec<u8> = turn.replies.iter().flat_map(wire::encode).collect();
        let send = async {
            link.stream.write_all(&answers).await?;
            link.stream.flush().await?;
            if turn.close {
                link.stream.shutdown().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let sent = timeout(SEND_MAX, send).await;
        if let Some(error) = &malformed {
            self.keeper.broken(&error.to_string())?;
        }
        if turn.close || malformed.is_some() || !matches!(sent, Ok(Ok(()))) {
            self.link = None;
        }
        Ok(())
    }
}

/// Reads from the connection if there is one; else waits for ever. Nothing is lost when it is dropped.
async fn read(link: &mut Option<Link>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match link {
        Some(link) => link.stream.read(buffer).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "tests/serve.rs"]
mod tests;
