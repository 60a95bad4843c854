//! `front`: serves IAM, STS, KMS and CloudTrail; the only opener of the state database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::{CallError, Client};
use writ_keyd_client::protocol::{Answer, Beat, Command, End, Hello, Load, PROTOCOL, Role};
use writ_model::{AccountId, Env, Region, SystemEnv, limits};
use writ_proof::origin::SiteId;
use writ_service::call::KeydClient;
use writ_service::pipeline::Pipeline;
use writ_service::recorder::LedgerRecorder;
use writ_store::engine::sqlite::SqliteEngine;
use writ_store::{Snapshot, Store};
use writ_trail::client::TrailClient;

use super::{Inherited, Line, harden, start_log};
use crate::front::{accounts, link, listener};

/// The state database, in front's folder.
const DATABASE: &str = "state.sqlite";
/// How long a start waits for keyd.
const PEERS_WAIT: Duration = Duration::from_secs(30);
/// How long it waits before it asks again.
const PEERS_PAUSE: Duration = Duration::from_millis(50);
/// Descriptors that one `Load` carries.
const LOAD_BATCH: usize = 256;

/// What the supervisor tells front.
#[derive(Serialize, Deserialize)]
pub struct FrontConfig {
    /// The folder of the state database.
    pub folder: std::path::PathBuf,
    /// The installation's name in the ledger.
    pub site: String,
    /// The regions served; the first is home.
    pub regions: Vec<Region>,
    /// Accounts to create if they do not exist; mode `dev`.
    pub accounts: Vec<AccountId>,
}

/// Runs until the supervisor says stop.
pub fn run(mut inherited: Inherited) -> Result<()> {
    start_log("front");
    let hardening = harden();
    let line = inherited.control()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(&mut inherited, &line, hardening));
    if let Err(error) = &result {
        line.failed(&format!("{error:#}"));
    }
    result
}

async fn serve(
    inherited: &mut Inherited,
    line: &Line,
    hardening: Vec<(String, String)>,
) -> Result<()> {
    let config: FrontConfig = inherited.config()?;
    let keyd: KeydClient = Client::new("keyd", inherited.channel(Role::Keyd)?)?;
    let trail = TrailClient::new(inherited.channel(Role::Trail)?)?;
    let listener = inherited.listener()?;
    let env: Arc<dyn Env> = Arc::new(SystemEnv);
    let site: SiteId = config.site.parse()?;

    let recorder = Arc::new(LedgerRecorder::new(trail.clone()));
    let engine = SqliteEngine::open(&config.folder.join(DATABASE), &*env)?;
    let store = Store::open(Box::new(engine), recorder, Arc::clone(&env))
        .await
        .context("the state database cannot be opened")?;
    load(&keyd, &store.snapshot()).await?;
    let secrets = inherited.fd("credentials").ok();
    let region = config.regions.first().cloned().context("no region is configured")?;
    let platform = accounts::Platform { site: site.clone(), region };
    accounts::create(&config.accounts, &store, &keyd, &platform, secrets).await?;

    let services = vec![
        Arc::new(writ_iam::Iam) as Arc<dyn writ_service::api::Api>,
        Arc::new(writ_iam::Sts),
        Arc::new(writ_kms::Kms::default()),
        Arc::new(crate::front::cloudtrail::CloudTrail),
    ];
    let pipeline = Arc::new(Pipeline::new(
        store.clone(),
        keyd.clone(),
        trail.clone(),
        site,
        config.regions.into(),
        Arc::clone(&env),
        services,
    ));
    let (stop, stopped) = watch::channel(false);
    let gateway = link::Gateway::new(Arc::clone(&pipeline), inherited.channel(Role::S3)?)?;
    let (reload, reloads) = watch::channel(0u64);
    listen(line, &keyd, &trail, gateway, reload, stop)?;
    keep_current(keyd, store, platform, reloads);
    let address = listener.local_addr()?.to_string();
    let mut facts = vec![("listen".to_owned(), address)];
    facts.extend(hardening);
    line.ready(facts)?;
    listener::serve(listener, pipeline, stopped).await
}

/// New channels after a peer's restart, and the end.
fn listen(
    line: &Line,
    keyd: &KeydClient,
    trail: &TrailClient,
    gateway: link::Gateway,
    reload: watch::Sender<u64>,
    stop: watch::Sender<bool>,
) -> Result<()> {
    let (keyd, trail) = (keyd.clone(), trail.clone());
    let on_peer = move |role: Role, channel: Channel| {
        let replaced = match role {
            Role::Keyd => keyd.replace(channel).map(|()| reload.send_modify(|n| *n += 1)),
            Role::Trail => trail.replace(channel),
            Role::S3 => gateway.replace(channel),
            _ => Ok(()),
        };
        if let Err(error) = replaced {
            tracing::error!(%error, role = role.name(), "a new channel cannot be used");
        }
    };
    line.listen(on_peer, move || {
        // The receiver is gone only when the process is ending anyway.
        stop.send(true).ok();
    })
}

/// Gives keyd everything that was sealed, in batches; keyd refuses uses until the last one. Waits for
/// keyd, which may be starting too.
async fn load(keyd: &KeydClient, snapshot: &Snapshot) -> Result<()> {
    let attempts = PEERS_WAIT.as_millis() / PEERS_PAUSE.as_millis();
    for _ in 0..attempts {
        match load_once(keyd, snapshot).await {
            Err(error) if error.is::<CallError>() => tokio::time::sleep(PEERS_PAUSE).await,
            other => return other,
        }
    }
    bail!("keyd does not greet: see its log")
}

async fn load_once(keyd: &KeydClient, snapshot: &Snapshot) -> Result<()> {
    ask(keyd, Command::Hello(Hello { protocol: PROTOCOL, x25519: None })).await?;
    let descriptors = accounts::descriptors(snapshot);
    let ended: Vec<End> = accounts::ended(snapshot);
    let mut batches: Vec<Vec<Vec<u8>>> =
        descriptors.chunks(LOAD_BATCH).map(<[Vec<u8>]>::to_vec).collect();
    let last = batches.pop().unwrap_or_default();
    let epoch = snapshot.epoch();
    for descriptors in batches {
        ask(keyd, Command::Load(Load { descriptors, ended: Vec::new(), last: false, epoch }))
            .await?;
    }
    ask(keyd, Command::Load(Load { descriptors: last, ended, last: true, epoch })).await
}

/// Beats for keyd every 250 ms, and loads anew after keyd's restart.
fn keep_current(
    keyd: KeydClient,
    store: Store,
    platform: accounts::Platform,
    mut reloads: watch::Receiver<u64>,
) {
    writ_service::task::spawn("beat", async move {
        let mut tick = tokio::time::interval(limits::BEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut due = tokio::time::interval(Duration::from_secs(60));
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let feed = store.snapshot().revision().0;
                    if let Err(error) = ask(&keyd, Command::Beat(Beat { feed })).await {
                        tracing::debug!(%error, "keyd did not take a beat");
                    }
                }
                _ = due.tick() => {
                    if let Err(error) = accounts::destroy_due(&keyd, &store, &platform).await {
                        tracing::warn!(%error, "due deletions were not carried out");
                    }
                }
                changed = reloads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if let Err(error) = load(&keyd, &store.snapshot()).await {
                        tracing::error!(%error, "keyd did not take its catalogue");
                    }
                }
            }
        }
    });
}

/// One command whose reply carries nothing.
pub async fn ask(keyd: &KeydClient, command: Command) -> Result<()> {
    match keyd.call(&command).await? {
        Answer::Carried(_) => Ok(()),
        Answer::Refused(refusal) => bail!("keyd refused: {refusal:?}"),
    }
}
