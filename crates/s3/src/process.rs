//! The process `s3`: its folder, its channels, its listener.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use writ_keyd_client::arena::Arena;
use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::Client;
use writ_keyd_client::protocol::Role;
use writ_model::{Env, Region};
use writ_proof::origin::SiteId;
use writ_service::listener::TlsSettings;
use writ_service::{feed, task};
use writ_store::Node;
use writ_trail::client::TrailClient;

use crate::S3Error;
use crate::blob::{Blobs, sweep};
use crate::gateway::policies::SnapshotPolicies;
use crate::gateway::{Gateway, GatewayParts, serve};
use crate::index::Index;
use crate::keyd::Keyd;
use crate::kms_link::KmsClient;
use crate::limits::STREAMS_MAX;

/// How long a start waits for its peers.
const PEERS_WAIT: Duration = Duration::from_secs(30);
/// How long it waits before it asks a peer again.
const PEERS_PAUSE: Duration = Duration::from_millis(50);
/// Data keys at once: each stream has at most two, and the channel's own keys are two more.
const DATA_KEYS_MAX: usize = 4 * STREAMS_MAX;

/// What the process needs to know.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The folder of all regions; this region's is below it, by name.
    pub folder: PathBuf,
    /// The installation's name in the ledger.
    pub site: SiteId,
    /// The region that this gateway serves.
    pub region: Region,
    /// Free space below which no body is taken, in bytes.
    pub floor_bytes: u64,
}

/// The ends of its channels.
pub struct S3Channels {
    /// To the key module.
    pub keyd: Channel,
    /// To front: KMS calls, and the state feed as pushes.
    pub front: Channel,
    /// To the ledger.
    pub trail: Channel,
}

/// The running process.
pub struct Process {
    gateway: Arc<Gateway>,
    keyd: Keyd,
    trail: TrailClient,
    kms: KmsClient,
    node: Arc<Node>,
    arena: Arena,
    runtime: tokio::runtime::Handle,
    failed: watch::Receiver<Option<String>>,
}

impl Process {
    /// Opens the folder, greets the peers, completes the ledger from the outbox. Nothing is served
    /// before that.
    pub async fn start(
        config: S3Config,
        channels: S3Channels,
        env: Arc<dyn Env>,
    ) -> Result<Process, S3Error> {
        let root = config.folder.join(config.region.as_str());
        let blobs = Arc::new(Blobs::open(&root, &config.region, config.floor_bytes)?);
        let index = Index::open(&root.join("index.sqlite"), &config.region, Arc::clone(&env))?;
        let index = Arc::new(index);
        let swept = sweep(&blobs, &index, env.now())?;
        tracing::info!(?swept, region = %config.region, "the object folder is open");

        let arena = Arena::new(DATA_KEYS_MAX).map_err(S3Error::io("locking memory"))?;
        let started = S3Error::io("starting a channel's threads");
        let client = Client::new("keyd", channels.keyd).map_err(started)?;
        let keyd = Keyd::new(client, arena.clone());
        let trail = TrailClient::new(channels.trail)
            .map_err(S3Error::io("starting a channel's threads"))?;
        let node = Arc::new(Node::new(Arc::clone(&env)));
        let (on_push, incoming) = feed::frames();
        let kms: KmsClient = Client::with_pushes("front", channels.front, on_push)
            .map_err(S3Error::io("starting a channel's threads"))?;
        let (fail, failed) = watch::channel(None);
        task::spawn("feed", feed::follow(Arc::clone(&node), kms.clone(), incoming, fail));

        let gateway = Gateway::new(GatewayParts {
            env,
            region: config.region,
            site: config.site,
            index,
            blobs,
            keyd: keyd.clone(),
            kms: kms.clone(),
            trail: trail.clone(),
            state: Arc::clone(&node) as Arc<dyn crate::gateway::ports::State>,
            decide: Arc::new(SnapshotPolicies),
        });
        let runtime = tokio::runtime::Handle::current();
        let process = Process { gateway, keyd, trail, kms, node, arena, runtime, failed };
        tokio::time::timeout(PEERS_WAIT, process.greet())
            .await
            .map_err(|_| S3Error::Stopped { what: "a peer process" })?;
        Ok(process)
    }

    /// Waits until keyd has greeted, the ledger has what the outbox held, and the state is current.
    async fn greet(&self) {
        while let Err(error) = self.keyd.hello().await {
            tracing::debug!(%error, "waiting for the key module");
            tokio::time::sleep(PEERS_PAUSE).await;
        }
        loop {
            match self.gateway.recover().await {
                Ok(0) => break,
                Ok(count) => {
                    tracing::warn!(count, "the ledger was completed from the outbox");
                    break;
                }
                Err(error) => tracing::debug!(%error, "waiting for the ledger"),
            }
            tokio::time::sleep(PEERS_PAUSE).await;
        }
        while self.node.lease().is_err() {
            tokio::time::sleep(PEERS_PAUSE).await;
        }
    }

    /// What the machine gave or refused, for `writ status`.
    pub fn facts(&self) -> Vec<(String, String)> {
        let guard = self.arena.guard();
        vec![
            ("memfd_secret".to_owned(), guard.memfd_secret.clone()),
            ("data keys locked".to_owned(), guard.locked.clone()),
        ]
    }

    /// Goes on with a new channel after a peer's restart. May be called from any thread.
    pub fn replace(&self, peer: Role, channel: Channel) -> io::Result<()> {
        match peer {
            Role::Keyd => {
                self.keyd.client().replace(channel)?;
                let keyd = self.keyd.clone();
                let _runtime = self.runtime.enter();
                task::spawn("hello", async move {
                    while let Err(error) = keyd.hello().await {
                        tracing::warn!(%error, "the key module does not greet yet");
                        tokio::time::sleep(PEERS_PAUSE).await;
                        if !keyd.client().is_connected() {
                            return;
                        }
                    }
                });
                Ok(())
            }
            Role::Front => {
                self.node.connected();
                self.kms.replace(channel)
            }
            Role::Trail => self.trail.replace(channel),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Serves until `stop` says so.
    ///
    /// # Errors
    /// When the state feed is broken or the index takes no more writes: the process must be started
    /// anew to load them.
    pub async fn serve(
        &self,
        listener: std::net::TcpListener,
        tls: TlsSettings,
        stop: watch::Receiver<bool>,
    ) -> Result<(), S3Error> {
        let mut failed = self.failed.clone();
        tokio::select! {
            served = serve(Arc::clone(&self.gateway), listener, tls, stop) => {
                served.map_err(S3Error::io("serving the listener"))
            }
            () = self.gateway.stopped() => Err(S3Error::Stopped { what: "the object index" }),
            _ = failed.wait_for(Option::is_some) => {
                Err(S3Error::Stopped { what: "the state feed" })
            }
        }
    }
}
