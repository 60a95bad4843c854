//! A minimal SSH host for machines without `sshd`: certificates of one authority, commands, and files to read.
//!
//! It is there for the story and for nothing else: no terminals, no users of the system. What a certificate
//! restricts is held to: the forced command, the address, the principal.

use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use writ_model::SystemEnv;
use writ_proof::ed25519::{PublicKey, SoftKey};
use writ_proof::ssh_cert::{CertKind, Certificate};
use writ_proof::sshsig::SshPublicKey;
use writ_service::task;
use writ_ssh::{
    Admitted, Channel, ChannelEvent, Config, Incoming, OpenFailure, SessionRequest, SoftHostKey,
    Stream, admit,
};

use super::host::NAME;
use super::sftp;

/// Bytes of a program's output that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// What a certificate for files forces.
const FORCED_FILES: &str = "internal-sftp";

/// The host. It ends with this value.
pub struct Minimal {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

/// What every connection needs.
struct Place {
    key: Arc<SoftHostKey>,
    authority: PublicKey,
    log: PathBuf,
}

impl Minimal {
    /// Starts it, trusting the authority in this file.
    pub fn start(key: SoftKey, authority: &Path, log: &Path) -> Result<Minimal> {
        let SshPublicKey::Ed25519(trusted) = std::fs::read_to_string(authority)?.parse()? else {
            bail!("`{}` is no Ed25519 key", authority.display());
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let key = Arc::new(SoftHostKey(key));
        let place = Place { key, authority: PublicKey(trusted), log: log.to_owned() };
        let _guard = runtime.enter();
        task::spawn("tour host", listen(listener, Arc::new(place)));
        drop(_guard);
        Ok(Minimal { address, runtime: Some(runtime) })
    }
}

impl Drop for Minimal {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(listener: TcpListener, place: Arc<Place>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let place = Arc::clone(&place);
        task::spawn("tour host connection", async move {
            if let Err(error) = serve(stream, peer, &place).await {
                place.say(&format!("connection from {peer} ended: {error:#}"));
            }
        });
    }
}

impl Place {
    /// Appends a line to the host's log, which is for people and for the agent.
    fn say(&self, line: &str) {
        let file = std::fs::File::options().append(true).create(true).open(&self.log);
        if let Ok(mut file) = file {
            // A host that cannot log goes on, as sshd does.
            writeln!(file, "tour-host: {line}").ok();
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, place: &Arc<Place>) -> Result<()> {
    let authority = place.authority;
    let judge = move |user: &str, shown: &Certificate| {
        let fields = shown.verify(&authority, CertKind::User, writ_model::Env::now(&SystemEnv));
        let principal = format!("{user}@{NAME}");
        fields.is_ok_and(|fields| {
            fields.principals.contains(&principal) && fields.critical.admits(peer.ip())
        })
    };
    let (config, env) = (Config::default(), Arc::new(SystemEnv));
    let admitted = admit(stream, &config, Arc::clone(&place.key) as _, &judge, env).await?;
    let Admitted { certified, session: _session, mut incoming, driver } = admitted;
    let fields = certified.certificate().unverified();
    place.say(&format!(
        "Accepted certificate ID {} (serial {}) for {} from {peer}",
        fields.key_id,
        fields.serial,
        certified.user()
    ));
    let forced = fields.critical.force_command.clone();
    task::spawn("tour host driver", async move {
        // The client leaves as it likes.
        driver.run().await.ok();
    });
    while let Some(event) = incoming.next().await {
        match event {
            Incoming::Open(open) if open.kind() == "session" => {
                let (channel, forced) = (Arc::new(open.accept()?), forced.clone());
                task::spawn("tour host channel", async move { program(channel, forced).await });
            }
            Incoming::Open(open) => open.refuse(OpenFailure::Prohibited, "no forwarding here"),
            Incoming::Global(request) => request.answer(None),
            Incoming::Refused { .. } => {}
        }
    }
    Ok(())
}

/// Waits for what shall run, and runs it, or what the certificate forces instead.
async fn program(channel: Arc<Channel>, forced: Option<String>) {
    while let Some(event) = channel.next().await {
        let ChannelEvent::Request(request) = event else { continue };
        let files = forced.as_deref().is_none_or(|forced| forced == FORCED_FILES);
        match request.parse() {
            Ok(SessionRequest::Env { .. }) => request.answer(true),
            Ok(SessionRequest::Exec(asked)) if forced.as_deref() != Some(FORCED_FILES) => {
                request.answer(true);
                let asked = String::from_utf8_lossy(&asked).into_owned();
                let status = run(&channel, &forced.unwrap_or(asked)).await.unwrap_or(126);
                return finish(&channel, status).await;
            }
            Ok(SessionRequest::Subsystem(name)) if name == "sftp" && files => {
                request.answer(true);
                sftp::serve(&channel).await;
                return finish(&channel, 0).await;
            }
            // Shells and terminals among them; dropped, it is refused.
            _ => drop(request),
        }
    }
}

async fn finish(channel: &Channel, status: u32) {
    // Whoever has gone needs no status.
    channel.notify(&SessionRequest::ExitStatus(status)).ok();
    channel.eof().ok();
    channel.close();
}

/// Runs a command in a shell; its status, or none if the client went away.
async fn run(channel: &Arc<Channel>, command: &str) -> Result<u32> {
    let mut child = spawn(command)?;
    let mut input = child.stdin.take();
    let output = follow(child.stdout.take().context("no output")?, Stream::Main, channel);
    let errors = follow(child.stderr.take().context("no errors")?, Stream::Stderr, channel);
    let printed = async { tokio::join!(output, errors) };
    let heard = async {
        while let Some(event) = channel.next().await {
            match event {
                ChannelEvent::Data { bytes, .. } => {
                    if let Some(to) = &mut input {
                        // A program that reads no more is waited for all the same.
                        tokio::task::block_in_place(|| to.write_all(&bytes)).ok();
                    }
                    channel.accept(bytes.len());
                }
                ChannelEvent::Eof => input = None,
                ChannelEvent::Close => break,
                ChannelEvent::Request(_) => {}
            }
        }
    };
    tokio::pin!(printed);
    tokio::select! {
        _ = &mut printed => {}
        () = heard => {
            child.kill()?;
        }
    }
    let status = tokio::task::block_in_place(|| child.wait())?;
    Ok(status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255))
}

#[expect(clippy::disallowed_methods, reason = "the story's own host runs what it is asked to")]
fn spawn(command: &str) -> Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped());
    shell.stderr(Stdio::piped()).spawn().context("there is no /bin/sh")
}

/// Sends what a program prints, until it prints no more.
fn follow(
    mut from: impl Read + Send + 'static,
    stream: Stream,
    channel: &Arc<Channel>,
) -> impl Future<Output = ()> {
    let channel = Arc::clone(channel);
    let work = task::blocking(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            let bytes = Bytes::copy_from_slice(chunk.get(..read).unwrap_or_default());
            if Handle::current().block_on(channel.send(stream, bytes)).is_err() {
                break;
            }
        }
    });
    async move {
        work.await;
    }
}
