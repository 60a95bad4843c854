//! Runbooks in front: the catalogue, the orders that keyd signs, and what hosts say became of them.
//!
//! front carries and remembers; it decides nothing that keyd and the host's agent do not decide again. Each step of a run
//! is in the ledger before the next one: ordered, begun, ended.

pub mod api;
pub mod host;
mod order;
pub mod show;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{Mutex, watch as signal};
use writ_keyd_client::protocol::{Command, End};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Timestamp, Ulid, Uuid};
use writ_proof::hash::Hash;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Request};
use writ_service::pipeline::Pipeline;
use writ_service::record::StrangerLimit;
use writ_store::state::{Run, RunEnd, Runbook};
use writ_store::{LogName, Object, OutboxRecord, RecordKind, Snapshot, Transaction};
use writ_trail::record::Call;

pub(in crate::front) use order::runs_of;

use super::access::{Access, internal, refused, unavailable};
use super::catalogue::ask;
use super::platform::{self, PRINCIPAL, Platform};
use super::roster::Keeper;

/// The source of events about runbooks.
pub const SOURCE: &str = "runbook.writ.internal";
/// How often it is looked for what can be ordered, and for what was never told.
const SWEEP: Duration = Duration::from_millis(250);
/// Somebody who waits for a run asks at least so often.
const WISH_IDLE: Duration = Duration::from_secs(15);
/// A host has this long after the end of an order to tell what became of it.
const TELL_GRACE: Duration = Duration::from_secs(30);
/// How long keyd may take to hear of a withdrawn entry.
const END_TIMEOUT: Duration = Duration::from_millis(300);

type Shown = Vec<(&'static str, String)>;

/// Everything that changes the catalogue and runs goes through here, one thing at a time.
pub struct Runs {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    keeper: Arc<Keeper>,
    access: Arc<Access>,
    turn: Mutex<()>,
    strangers: StrangerLimit,
    wishes: StdMutex<BTreeMap<Ulid, Wish>>,
    /// Changes when something was ordered.
    ordered: signal::Sender<u64>,
}

/// Somebody waits for the runs of a request: they begin as soon as it is granted, while somebody still waits.
struct Wish {
    /// SHA-256 of what whoever waits shows instead of a signature.
    token: Hash,
    asked: Duration,
    /// Why nothing was ordered.
    refused: Option<String>,
}

impl Runs {
    /// The runbooks of this installation.
    pub fn new(
        pipeline: Arc<Pipeline>,
        platform: Platform,
        keeper: Arc<Keeper>,
        access: Arc<Access>,
    ) -> Arc<Runs> {
        Arc::new(Runs {
            pipeline,
            platform,
            keeper,
            access,
            turn: Mutex::default(),
            strangers: StrangerLimit::default(),
            wishes: StdMutex::default(),
            ordered: signal::channel(0).0,
        })
    }

    /// Takes a signed entry. When it answers, it is in the ledger.
    async fn publish(&self, signed: &Signed, from: &Request) -> Result<Runbook, Refused> {
        let _turn = self.turn.lock().await;
        let snapshot = self.settled().await?;
        let judged =
            self.access.ask(&snapshot, |world| writ_access::runbook::publish(signed, world));
        let (runbook, repeated) = judged.map_err(|refusal| refused(&refusal))?;
        if repeated {
            return Ok(runbook);
        }
        let mut shown = of_runbook(&runbook);
        let signers: Vec<String> =
            self.keeper.known(signed).iter().map(ToString::to_string).collect();
        shown.push(("signers", signers.join(",")));
        let leaf = OutboxRecord {
            event_id: Uuid::random(&SystemEnv),
            kind: RecordKind::Statement,
            logs: vec![LogName::Operator],
            record: signed.to_bytes(),
            use_position: None,
        };
        let event = self.asked("PublishRunbook", &shown, from)?;
        let mut transaction = Transaction::new(PRINCIPAL, Uuid::random(&SystemEnv), leaf);
        transaction.records.push(event);
        let object = Object::new(AccountId::PLATFORM, runbook.clone());
        self.commit(transaction.put(object)).await?;
        Ok(runbook)
    }

    /// Withdraws a version. When it answers, nothing is ordered from it any more.
    async fn withdraw(
        &self,
        (name, version): (&str, u64),
        by: &PersonId,
        from: &Request,
    ) -> Result<Runbook, Refused> {
        let _turn = self.turn.lock().await;
        let snapshot = self.settled().await?;
        let judged = self
            .access
            .ask(&snapshot, |world| writ_access::runbook::withdraw(world, name, version, by));
        let runbook = judged.map_err(|refusal| refused(&refusal))?;
        // keyd first; one that does not answer is loaded with what is stored before it orders anything.
        if let Ok(digest) = runbook.digest.parse() {
            self.tell_keyd(digest).await;
        }
        let mut shown = of_runbook(&runbook);
        shown.push(("by", by.to_string()));
        let event = self.asked("WithdrawRunbook", &shown, from)?;
        let transaction = Transaction::new(PRINCIPAL, Uuid::random(&SystemEnv), event);
        let object = Object::new(AccountId::PLATFORM, runbook.clone());
        self.commit(transaction.put(object).ending()).await?;
        Ok(runbook)
    }

    async fn tell_keyd(&self, digest: Hash) {
        let told = ask(&self.pipeline.keyd, Command::End(End::Entry(digest)));
        if !matches!(tokio::time::timeout(END_TIMEOUT, told).await, Ok(Ok(_))) {
            tracing::error!(%digest, "keyd did not take the end of a runbook; front refuses it");
        }
    }

    /// Orders what somebody waits for, and gives up on what no host has told of.
    async fn sweep(&self) -> Result<()> {
        let now = SystemEnv.monotonic();
        let waiting: Vec<Ulid> = {
            let mut wishes = self.wishes();
            wishes.retain(|_, wish| now.saturating_sub(wish.asked) < WISH_IDLE);
            wishes.iter().filter(|(_, wish)| wish.refused.is_none()).map(|(id, _)| *id).collect()
        };
        for id in waiting {
            if let Err(refused) = self.order_all(id, None).await
                && refused.status < 500
                && let Some(wish) = self.wishes().get_mut(&id)
            {
                wish.refused = Some(refused.message);
            }
        }
        let (snapshot, now) = (self.pipeline.store.snapshot(), SystemEnv.now());
        let silent = |run: &&Run| run.ended.is_none() && now > run.not_after.plus(TELL_GRACE);
        let lost: Vec<Run> =
            writ_access::runbook::runs(&snapshot, now).filter(silent).cloned().collect();
        for run in lost {
            let outcome = "lost".to_owned();
            let end = RunEnd { outcome, cause: None, field: None, answer: None, at: now };
            let ended = self.finish(run.id, |_, _| Ok(end), None).await;
            ended.map_err(|refused| anyhow::anyhow!("{}", refused.message))?;
        }
        Ok(())
    }

    fn wishes(&self) -> MutexGuard<'_, BTreeMap<Ulid, Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settled(&self) -> Result<Arc<Snapshot>, Refused> {
        self.pipeline.store.settled().await.map_err(|error| unavailable(&error))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), Refused> {
        self.pipeline.commit_own(transaction).await.map_err(|error| unavailable(&error))
    }

    /// The event of something that was asked for.
    fn asked(
        &self,
        name: &str,
        shown: &[(&str, String)],
        from: &Request,
    ) -> Result<OutboxRecord, Refused> {
        let call = Call {
            request_parameters: platform::parameters(shown),
            ..self.platform.asked(from, SOURCE, name)
        };
        platform::outbox(&call).map_err(|error| internal(&error))
    }
}

fn of_runbook(runbook: &Runbook) -> Shown {
    vec![
        ("runbook", runbook.name.clone()),
        ("version", runbook.version.to_string()),
        ("entryDigest", runbook.digest.clone()),
    ]
}

/// What an event of a run tells.
fn of_run(run: &Run) -> Shown {
    vec![
        ("runId", run.id.to_string()),
        ("requestId", run.request.to_string()),
        ("person", run.person.to_string()),
        ("hostName", run.host.clone()),
        ("runbook", run.runbook.clone()),
        ("version", run.version.to_string()),
        ("entryDigest", run.entry.clone()),
    ]
}

/// Looks every so often for what can be ordered.
pub async fn watch(runs: Arc<Runs>) {
    let mut tick = tokio::time::interval(SWEEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = runs.sweep().await {
            tracing::warn!(error = format!("{error:#}"), "runs were not looked after; tried again");
        }
    }
}

/// Entries that were withdrawn, for a key module that starts anew.
pub fn ended(snapshot: &Snapshot) -> Vec<End> {
    let all = snapshot.list::<Runbook>(AccountId::PLATFORM, None);
    let withdrawn = all.filter(|runbook| runbook.withdrawn.is_some());
    withdrawn.filter_map(|runbook| runbook.digest.parse().ok().map(End::Entry)).collect()
}

/// The run of this id.
fn run_of(snapshot: &Snapshot, id: Ulid) -> Result<&Run, Refused> {
    let found = snapshot.get::<Run>(AccountId::PLATFORM, &id.to_string());
    let found = found.map(|entry| &*entry.value);
    found.ok_or_else(|| Refused::new(404, "NotFound", format!("there is no run `{id}`")))
}

/// True while an order may begin.
fn waits(run: &Run, now: Timestamp) -> bool {
    run.started.is_none() && run.ended.is_none() && now < run.not_after
}
