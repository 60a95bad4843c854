//! `front`: serves IAM, STS, KMS and CloudTrail; the only opener of the state database.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::Client;
use writ_keyd_client::protocol::{Beat, Command, Role};
use writ_model::{AccountId, Env, Region, SystemEnv, limits};
use writ_people::{Gate, Roster, Settings};
use writ_proof::origin::SiteId;
use writ_service::api::Api;
use writ_service::call::KeydClient;
use writ_service::pipeline::Pipeline;
use writ_service::recorder::LedgerRecorder;
use writ_store::Store;
use writ_store::engine::sqlite::SqliteEngine;
use writ_trail::client::TrailClient;

use super::confine::Reach;
use super::{Inherited, Line, harden};
use crate::front::access::{self, Access, Ender};
use crate::front::clerk::Clerk;
use crate::front::lender::Lender;
use crate::front::people::api::Readers;
use crate::front::people::{self, Office};
use crate::front::platform::Platform;
use crate::front::runs::{self, Runs};
use crate::front::{accounts, alarms, catalogue, console, customer, enrol, link, listener, roster};

/// The state database, in front's folder.
const DATABASE: &str = "state.sqlite";
/// How often due deletions are looked for.
const DUE_INTERVAL: Duration = Duration::from_secs(60);
/// How long it waits before it loads keyd again.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);

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
    /// The signed genesis statement, in hexadecimal.
    pub genesis: String,
    /// Where the HR feed comes from, if there is one.
    pub hr: Option<people::Source>,
    /// The gates before access.
    pub gates: Vec<Gate>,
    /// How long the HR feed may be silent, in hours.
    pub silence_hours: u64,
    /// Names under which clients reach this machine.
    pub names: Vec<String>,
    /// The folder of watch's word.
    pub word: std::path::PathBuf,
}

impl FrontConfig {
    fn settings(&self) -> Settings {
        let silence = Duration::from_secs(self.silence_hours.saturating_mul(3600));
        Settings { gates: self.gates.clone(), silence, ..Settings::default() }
    }
}

/// How often keyd's channel is looked at, and how many looks in a row may find it closed: a restart of keyd takes less.
const KEYD_GONE_LOOK: Duration = Duration::from_secs(1);
const KEYD_GONE_LOOKS: u32 = 60;

/// Runs until the supervisor says stop.
pub fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let hardening = harden(inherited, Reach::Nobody);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(inherited, line, hardening))
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
    let console = TcpListener::from(inherited.fd("console")?);
    let (tls, console_tls) = (inherited.tls()?, inherited.tls_of("console-tls")?);
    let env: Arc<dyn Env> = Arc::new(SystemEnv);
    let site: SiteId = config.site.parse()?;

    let recorder = Arc::new(LedgerRecorder::new(trail.clone()));
    let engine = SqliteEngine::open(&config.folder.join(DATABASE), &*env)?;
    let store = Store::open(Box::new(engine), recorder, Arc::clone(&env))
        .await
        .context("the state database cannot be opened")?;
    let secrets = inherited.fd("credentials").ok();
    let region = config.regions.first().cloned().context("no region is configured")?;
    let platform = Platform::new(site.clone(), region);
    catalogue::load(&keyd, &store, &platform).await?;
    accounts::create(&config.accounts, &store, &keyd, &platform, secrets).await?;
    customer::role::ensure(&store, &platform).await?;

    let customers = Arc::new(customer::Desk::default());
    let pipeline = Arc::new(Pipeline::new(
        store.clone(),
        keyd.clone(),
        trail.clone(),
        site,
        config.regions.clone().into(),
        Arc::clone(&env),
        services(&customers),
    ));
    let (stop, stopped) = watch::channel(false);
    let gateway = link::Gateway::new(Arc::clone(&pipeline), inherited.channel(Role::S3)?)?;
    let lender = Arc::new(Lender::default());
    let (ours, lends) = (Arc::clone(&pipeline), Arc::clone(&lender));
    let gatekeeper = link::Gatekeeper::new(ours, lends, inherited.channel(Role::Bastion)?)?;
    let (reload, reloads) = watch::channel(0u64);
    let genesis = hex::decode(&config.genesis)?;
    let (ours, own) = (Arc::clone(&pipeline), platform.clone());
    let keeper = roster::Keeper::open(ours, own, &genesis, config.settings(), reload.clone())?;
    let keeper = Arc::new(keeper);
    let (ours, own) = (Arc::clone(&pipeline), platform.clone());
    let desk = enrol::Enrolments::new(ours, own, Arc::clone(&keeper));
    listen(line, &keyd, &trail, (gateway, gatekeeper), reload, stop)?;
    let (readers, access) = operators(&pipeline, &platform, &keeper, &config, lender);
    customers.open(Arc::clone(&access));
    let (ours, own, known) = (Arc::clone(&pipeline), platform.clone(), Arc::clone(&access));
    let alarms = alarms::Alarms::new(&config.word, &genesis)?;
    let clerk = Arc::new(Clerk::new(ours, own, Arc::clone(&keeper), known, alarms));
    beat(keyd.clone(), store);
    let platforms = platform.clone();
    keep_current(Arc::clone(&pipeline), platform, reloads);
    let places = [("listen", listener.local_addr()?), ("console", console.local_addr()?)];
    let places = places.map(|(name, address)| (name.to_owned(), address.to_string()));
    line.ready(places.into_iter().chain(hardening).collect())?;
    let (ours, known) = (Arc::clone(&pipeline), Arc::clone(&access));
    let (ours_too, roster) = (Arc::clone(&pipeline), Arc::clone(&keeper));
    let runs = Runs::new(ours_too, platforms, roster, Arc::clone(&access));
    writ_service::task::spawn("runs", runs::watch(Arc::clone(&runs)));
    let desks = listener::Desks { pipeline: ours, keeper, readers, access: known, runs };
    let (ours, enrolments) = (Arc::clone(&pipeline), Arc::new(desk));
    let pages = console::Desks { pipeline: ours, enrolments, access, clerk };
    // The supervisor starts front again, which opens the database anew and keyd's catalogue with it.
    tokio::select! {
        served = listener::serve(listener, tls, desks, stopped.clone()) => served,
        served = console::serve(
            console, console_tls, pages, config.names, stopped,
        ) => served,
        () = pipeline.broken() => anyhow::bail!("the state database failed; it has to be opened anew"),
        () = cut_off(&keyd) => anyhow::bail!("the channel to keyd is closed, and keyd was not started again"),
    }
}

/// What answers AWS requests, by service.
fn services(customers: &Arc<customer::Desk>) -> Vec<Arc<dyn Api>> {
    vec![
        Arc::new(customer::iam::Iam(Arc::clone(customers))),
        Arc::new(writ_iam::Sts),
        Arc::new(writ_kms::Kms::default()),
        Arc::new(crate::front::cloudtrail::CloudTrail),
        Arc::new(customer::Writ(Arc::clone(customers))),
    ]
}

/// What the operating side has: persons, and their access.
fn operators(
    pipeline: &Arc<Pipeline>,
    platform: &Platform,
    keeper: &Arc<roster::Keeper>,
    config: &FrontConfig,
    lender: Arc<Lender>,
) -> (Arc<Readers>, Arc<Access>) {
    let ours = || (Arc::clone(pipeline), platform.clone());
    let (pipeline, platform) = ours();
    let ender = Ender::new(pipeline, platform, Arc::clone(keeper));
    let known = Arc::clone(keeper) as Arc<dyn Roster>;
    let (pipeline, platform) = ours();
    let office = Office::new(pipeline, platform, config.settings(), known, Arc::clone(&ender));
    if let Some(source) = config.hr.clone() {
        writ_service::task::spawn("hr feed", people::watch(Arc::clone(&office), source));
    }
    let (pipeline, platform) = ours();
    let access = Access::new(pipeline, platform, Arc::clone(keeper), ender, lender);
    writ_service::task::spawn("access", access::watch(Arc::clone(&access)));
    let (pipeline, platform) = ours();
    (Arc::new(Readers::new(office, pipeline, Arc::clone(keeper), platform)), access)
}

/// New channels after a peer's restart, and the end.
fn listen(
    line: &Line,
    keyd: &KeydClient,
    trail: &TrailClient,
    (gateway, gatekeeper): (link::Gateway, link::Gatekeeper),
    reload: watch::Sender<u64>,
    stop: watch::Sender<bool>,
) -> Result<()> {
    let (keyd, trail) = (keyd.clone(), trail.clone());
    let on_peer = move |role: Role, channel: Channel| {
        let replaced = match role {
            Role::Keyd => keyd.replace(channel).map(|()| reload.send_modify(|n| *n += 1)),
            Role::Trail => trail.replace(channel),
            Role::S3 => gateway.replace(channel),
            Role::Bastion => gatekeeper.replace(channel),
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

/// Returns once keyd has been away for longer than its restart takes: then the channel itself is gone.
async fn cut_off(keyd: &KeydClient) {
    let mut looks = 0;
    while looks < KEYD_GONE_LOOKS {
        tokio::time::sleep(KEYD_GONE_LOOK).await;
        looks = if keyd.is_connected() { 0 } else { looks + 1 };
    }
}

/// Beats for keyd every 250 ms. A task of its own: nothing that waits for the ledger may hold a beat
/// back, since keyd refuses uses without one.
fn beat(keyd: KeydClient, store: Store) {
    writ_service::task::spawn("beat", async move {
        let mut tick = tokio::time::interval(limits::BEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let feed = store.snapshot().revision().0;
            if let Err(error) = catalogue::ask(&keyd, Command::Beat(Beat { feed })).await {
                tracing::debug!(%error, "keyd did not take a beat");
            }
        }
    });
}

/// Loads keyd anew after its restart and where it is ahead of the store, and carries out deletions
/// that are due.
fn keep_current(pipeline: Arc<Pipeline>, platform: Platform, mut reloads: watch::Receiver<u64>) {
    let owing = Arc::clone(&pipeline);
    writ_service::task::spawn("owed records", async move {
        let mut tick = tokio::time::interval(limits::BEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            owing.append_owed().await;
        }
    });
    writ_service::task::spawn("catalogue", async move {
        let mut due = tokio::time::interval(DUE_INTERVAL);
        loop {
            tokio::select! {
                _ = due.tick() => {
                    let destroyed =
                        accounts::destroy_due(&pipeline.keyd, &pipeline.store, &platform).await;
                    match destroyed {
                        Ok(()) => continue,
                        Err(error) => tracing::warn!(%error, "due deletions were not carried out"),
                    }
                }
                () = pipeline.keyd_ahead() => {}
                changed = reloads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            while let Err(error) = catalogue::reload(&pipeline, &platform).await {
                tracing::warn!(%error, "keyd's catalogue and the store are not in step yet");
                tokio::time::sleep(RELOAD_PAUSE).await;
            }
        }
    });
}
