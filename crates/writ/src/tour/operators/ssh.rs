//! An SSH client of the tour's own, for the bastion: what stock `ssh` does, as far as the story needs it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use writ_model::{Env as _, SystemEnv};
use writ_proof::ed25519::SoftKey;
use writ_proof::ssh::put_string;
use writ_proof::sshsig::SshPublicKey;
use writ_service::task;
use writ_ssh::{
    Channel, ChannelEvent, Config, Error, KnownKey, Session, SessionRequest, SoftUserKey, Stream,
    connect,
};

use crate::up::ready::{KNOWN_HOSTS_FILE, Ready};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a reason for a refused request is waited for.
const REASON_WAIT: Duration = Duration::from_millis(500);
/// More than this does not come back from the story's commands.
const OUTPUT_MAX_BYTES: usize = 1024 * 1024;

/// Where one logs in: the bastion, known by its key.
pub struct Door {
    runtime: Runtime,
    address: SocketAddr,
    known: SshPublicKey,
}

impl Door {
    /// The bastion of a started installation, with the key in its `known_hosts`.
    pub fn new(ready: &Ready, data: &Path) -> Result<Door> {
        let text = std::fs::read_to_string(data.join(KNOWN_HOSTS_FILE))?;
        let (_, key) = text.trim().split_once(' ').context("`known_hosts` is strange")?;
        let bastion = ready.bastion.parse().context("the bastion has a strange address")?;
        Door::to(bastion, key.parse()?)
    }

    /// Whoever listens there, known by this key.
    pub fn to(address: SocketAddr, known: SshPublicKey) -> Result<Door> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Door { runtime, address, known })
    }

    /// Logs in with a key; a refusal is an error with what the bastion said.
    pub fn enter(&self, key: SoftKey, login: &str) -> Result<Visit<'_>> {
        self.enter_with(&SoftUserKey::new(key), login)
    }

    /// Logs in with a key or a certificate.
    pub fn enter_with(&self, user: &SoftUserKey, login: &str) -> Result<Visit<'_>> {
        let entering = async {
            let stream = TcpStream::connect(self.address).await?;
            let (known, env) = (KnownKey(self.known.clone()), Arc::new(SystemEnv));
            Ok(connect(stream, &Config::default(), &known, login, user, env).await?)
        };
        let connected = self.wait("the login", entering)?;
        let (driver, mut incoming) = (connected.driver, connected.incoming);
        let _runtime = self.runtime.enter();
        task::spawn("tour client", async move {
            // How it ended is asked of the session.
            driver.run().await.ok();
        });
        task::spawn("tour client events", async move { while incoming.next().await.is_some() {} });
        Ok(Visit { door: self, session: connected.session })
    }

    /// What the bastion says to a login that it must refuse for this reason.
    pub fn refuses(&self, key: SoftKey, login: &str, part: &str) -> Result<String> {
        match self.enter(key, login) {
            Ok(_) => bail!("IT WAS LET IN"),
            Err(error) => {
                let said = format!("{error:#}");
                ensure!(said.contains(part), "refused, but not for `{part}`: {said}");
                Ok(told(&said))
            }
        }
    }

    fn wait<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let limited = async { tokio::time::timeout(PATIENCE, work).await };
        let done = self.runtime.block_on(limited);
        done.map_err(|_| anyhow!("{what} took longer than {} s", PATIENCE.as_secs()))?
    }
}

/// A connection that was let in.
pub struct Visit<'d> {
    door: &'d Door,
    session: Session,
}

impl Visit<'_> {
    /// Runs a command to its end; what it printed.
    pub fn run(&self, command: &str) -> Result<String> {
        self.door.wait("the command", async {
            let channel = self.program(&SessionRequest::Exec(command.into())).await?;
            let (mut output, mut errors, mut status) = (Vec::new(), Vec::new(), None);
            while let Some(event) = channel.next().await {
                match event {
                    ChannelEvent::Data { stream, bytes } => {
                        channel.accept(bytes.len());
                        let to = if stream == Stream::Main { &mut output } else { &mut errors };
                        to.extend_from_slice(&bytes);
                        ensure!(to.len() <= OUTPUT_MAX_BYTES, "it prints too much");
                    }
                    ChannelEvent::Request(request) => {
                        if let Ok(SessionRequest::ExitStatus(code)) = request.parse() {
                            status = Some(code);
                        }
                    }
                    ChannelEvent::Eof | ChannelEvent::Close => {}
                }
            }
            let errors = String::from_utf8_lossy(&errors).trim().to_owned();
            ensure!(status == Some(0), "it ended with {status:?}: {errors}");
            Ok(String::from_utf8(output)?)
        })
    }

    /// Starts a program that says again what it hears, and talks to it once. The session stays.
    pub fn begin(&self) -> Result<Channel> {
        self.door.wait("the program", async {
            let channel = self.program(&SessionRequest::Exec(b"cat".to_vec())).await?;
            channel.send(Stream::Main, Bytes::from_static(b"hello\n")).await?;
            while let Some(event) = channel.next().await {
                if let ChannelEvent::Data { bytes, .. } = event {
                    channel.accept(bytes.len());
                    return Ok(channel);
                }
            }
            bail!("the program ended")
        })
    }

    /// Waits for the end of the connection: what the bastion said, and how long it took.
    pub fn ends(&self, within: Duration) -> Result<(String, Duration)> {
        let began = SystemEnv.monotonic();
        let said = self.door.wait("the end", async {
            match tokio::time::timeout(within, self.session.ended()).await {
                Ok(Err(Error::Disconnected { text, .. })) => Ok(text),
                Ok(Err(error)) => Ok(error.to_string()),
                Ok(Ok(())) => bail!("we left ourselves"),
                Err(_) => bail!("IT STILL LIVES after {within:?}"),
            }
        })?;
        Ok((said, SystemEnv.monotonic().saturating_sub(began)))
    }

    /// Asks for a connection through the bastion, as `ssh -W` and `-L` do; how it is refused.
    pub fn forward(&self, to: SocketAddr) -> Result<String> {
        let mut data = Vec::new();
        for address in [to, SocketAddr::from(([127, 0, 0, 1], 1))] {
            put_string(&mut data, address.ip().to_string().as_bytes());
            data.extend_from_slice(&u32::from(address.port()).to_be_bytes());
        }
        self.door.wait("the forward", async {
            match self.session.open("direct-tcpip", &data).await? {
                Ok(_) => bail!("IT WAS OPENED"),
                Err((why, text)) => Ok(format!("{why:?}: {text}")),
            }
        })
    }

    /// Opens the `sftp` subsystem.
    pub fn sftp(&self) -> Result<Channel> {
        let sftp = SessionRequest::Subsystem("sftp".to_owned());
        self.door.wait("sftp", self.program(&sftp))
    }

    /// Waits for work on a channel of this connection.
    pub fn wait<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.door.wait(what, work)
    }

    async fn program(&self, request: &SessionRequest) -> Result<Channel> {
        let channel = self.session.open_session().await?;
        let channel = channel.map_err(|(why, text)| anyhow!("{why:?}: {text}"))?;
        if channel.request(request).await? {
            return Ok(channel);
        }
        // The reason is data of the channel; it may have none.
        let said = tokio::time::timeout(REASON_WAIT, channel.next()).await;
        match said {
            Ok(Some(ChannelEvent::Data { bytes, .. })) => {
                bail!("{}", String::from_utf8_lossy(&bytes).trim())
            }
            _ => bail!("the bastion refuses the request"),
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.session.disconnect("the visit is over");
    }
}

/// What the bastion said, without what our client puts around it.
fn told(said: &str) -> String {
    let ours = ["the peer disconnected: ", "authentication failed: "];
    let said = ours.iter().fold(said, |said, prefix| said.strip_prefix(prefix).unwrap_or(said));
    said.rsplit_once(" (reason ").map_or(said, |(text, _)| text).to_owned()
}
