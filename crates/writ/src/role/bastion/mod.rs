//! `bastion`: the gate through which operators come to hosts, a process and a port of its own.

mod lend;
mod state;
mod watched;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::watch;
use writ_bastion::recorder::{self, SystemDisk};
use writ_bastion::{Bastion, Ports, Settings};
use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::Client;
use writ_keyd_client::protocol::{Answer, Command, Hello, PROTOCOL, Reply, Role};
use writ_model::{Env, Region, SystemEnv};
use writ_people::Gate;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::sshsig::SshPublicKey;
use writ_service::feed;
use writ_store::Node;
use writ_trail::client::TrailClient;
use zeroize::Zeroizing;

use super::confine::Reach;
use super::{Inherited, Line, harden};
use crate::up::data::write_durably;
use state::{FedState, Feed};

/// The seed of the host key, in the bastion's folder.
const HOST_SEED_FILE: &str = "host.seed";
/// The fact that tells the host key.
pub const HOST_KEY_FACT: &str = "host-key";
/// How long a start waits for its peers.
const PEERS_WAIT: Duration = Duration::from_secs(30);
/// How long it waits before it asks a peer again.
const PEERS_PAUSE: Duration = Duration::from_millis(50);

/// What the supervisor tells the bastion.
#[derive(Serialize, Deserialize)]
pub struct BastionConfig {
    /// The folder of recordings and of the host key.
    pub folder: PathBuf,
    /// The installation's name in the ledger.
    pub site: String,
    /// The home region.
    pub region: Region,
    /// The signed genesis statement, in hexadecimal.
    pub genesis: String,
    /// The gates before access.
    pub gates: Vec<Gate>,
    /// How long the HR feed may be silent, in hours.
    pub silence_hours: u64,
    /// The folder of watch's word.
    pub word: PathBuf,
    /// Below this much free space no session begins.
    pub floor_bytes: u64,
    /// Below this much free space sessions are closed.
    pub close_bytes: u64,
}

/// Runs until the supervisor says stop.
pub fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let hardening = harden(inherited, Reach::Others);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(inherited, line, hardening));
    runtime.shutdown_background();
    result
}

async fn serve(
    inherited: &mut Inherited,
    line: &Line,
    hardening: Vec<(String, String)>,
) -> Result<()> {
    let config: BastionConfig = inherited.config()?;
    let listener = inherited.listener()?;
    let env: Arc<dyn Env> = Arc::new(SystemEnv);
    let host_key = host_key(&config.folder, &*env)?;
    let public = SshPublicKey::Ed25519(host_key.public_key().0).to_string();

    let keyd: Client<Command, Answer> = Client::new("keyd", inherited.channel(Role::Keyd)?)?;
    let trail = TrailClient::new(inherited.channel(Role::Trail)?)?;
    let node = Arc::new(Node::new(Arc::clone(&env)));
    let (on_push, incoming) = feed::frames();
    let front: Feed = Client::with_pushes("front", inherited.channel(Role::Front)?, on_push)?;
    let (stop, stopped) = watch::channel(false);
    let (fail, mut failed) = watch::channel(None::<String>);
    let following = feed::follow(Arc::clone(&node), front.clone(), incoming, fail);
    writ_service::task::spawn("feed", following);
    lend::serve(&front, &config.folder);
    let state = FedState::new(Arc::clone(&node), &config, Arc::clone(&env))?;

    let mut recording = recorder::Config::new(config.folder.clone());
    recording.refuse_below_bytes = config.floor_bytes;
    recording.close_below_bytes = config.close_bytes;
    let settings =
        Settings { site: config.site.parse()?, region: config.region, recorder: recording };
    let disk = Box::new(SystemDisk::open(&config.folder)?);
    let ports = Ports {
        state: Arc::new(state),
        keyd: Arc::new(keyd.clone()),
        ledger: Arc::new(trail.clone()),
        env,
        disk,
    };
    let bastion = Bastion::start(&settings, host_key, ports)?;
    let peers = Peers { keyd, trail, front, node, runtime: Handle::current() };
    tokio::time::timeout(PEERS_WAIT, peers.greet()).await.context("a peer does not answer")?;
    listen(line, peers, stop)?;
    let mut facts = vec![
        ("listen".to_owned(), listener.local_addr()?.to_string()),
        (HOST_KEY_FACT.to_owned(), public),
    ];
    facts.extend(hardening);
    line.ready(facts)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::select! {
        () = bastion.serve(listener, stopped) => Ok(()),
        // The supervisor starts it again, which loads the state anew.
        why = failed.wait_for(Option::is_some) => {
            let why = why.ok().and_then(|why| why.clone()).unwrap_or_default();
            anyhow::bail!("the state feed is broken: {why}")
        }
    }
}

/// The ends of the channels, for new ones.
struct Peers {
    keyd: Client<Command, Answer>,
    trail: TrailClient,
    front: Feed,
    node: Arc<Node>,
    runtime: Handle,
}

impl Peers {
    /// Waits until keyd has greeted and the state is current.
    async fn greet(&self) {
        while !hello(&self.keyd).await {
            tokio::time::sleep(PEERS_PAUSE).await;
        }
        while self.node.lease().is_err() {
            tokio::time::sleep(PEERS_PAUSE).await;
        }
    }

    fn replace(&self, peer: Role, channel: Channel) -> io::Result<()> {
        match peer {
            Role::Keyd => {
                self.keyd.replace(channel)?;
                let keyd = self.keyd.clone();
                let _runtime = self.runtime.enter();
                writ_service::task::spawn("hello", async move {
                    while keyd.is_connected() && !hello(&keyd).await {
                        tokio::time::sleep(PEERS_PAUSE).await;
                    }
                });
                Ok(())
            }
            Role::Front => {
                self.node.connected();
                self.front.replace(channel)
            }
            Role::Trail => self.trail.replace(channel),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

fn listen(line: &Line, peers: Peers, stop: watch::Sender<bool>) -> Result<()> {
    line.listen(
        move |role, channel| {
            if let Err(error) = peers.replace(role, channel) {
                tracing::error!(%error, role = role.name(), "a new channel cannot be used");
            }
        },
        move || {
            // The receiver is gone only when the process is ending anyway.
            stop.send(true).ok();
        },
    )
}

async fn hello(keyd: &Client<Command, Answer>) -> bool {
    let hello = Command::Hello(Hello { protocol: PROTOCOL, x25519: None });
    let answer = keyd.call(&hello).await;
    matches!(answer, Ok(Answer::Carried(Reply::Hello(reply))) if reply.protocol == PROTOCOL)
}

/// The bastion's own host key, made at its first start.
fn host_key(folder: &Path, env: &dyn Env) -> Result<SoftKey> {
    let path = folder.join(HOST_SEED_FILE);
    let mut seed = Zeroizing::new([0; 32]);
    match std::fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => {
            let bytes: &[u8; 32] = bytes.as_slice().try_into().with_context(|| {
                format!(
                    "`{}` is damaged: restore it, or users see another host key",
                    path.display()
                )
            })?;
            seed.copy_from_slice(bytes);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            env.fill(&mut *seed);
            write_durably(&path, &*seed, 0o600)?;
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    }
    Ok(SoftKey::from_seed(&seed)?)
}
