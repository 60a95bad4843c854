//! Endings on their way: keyd is told first, then they are committed and in force at once, then customers are told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use writ_access::Ends;
use writ_keyd_client::protocol::{Command, End};
use writ_model::{AccountId, Env as _, SystemEnv, Uuid};
use writ_proof::append::AppendItem;
use writ_proof::hash::Hash;
use writ_proof::leaf::Kind;
use writ_service::http::Request;
use writ_service::pipeline::Pipeline;
use writ_store::limits::TRANSACTION_MAX_RECORDS;
use writ_store::state::{AccessGrant, AccessRequest, RequestState};
use writ_store::{Object, OutboxRecord, Snapshot, StoreError, Transaction};
use writ_trail::record::Call;

use super::super::catalogue::ask;
use super::super::platform::{self, PRINCIPAL, Platform};
use super::super::roster::Keeper;
use super::{SOURCE, linger, tell};

/// How long an ending may take at keyd before the commit goes on without it.
const END_TIMEOUT: Duration = Duration::from_millis(300);
/// Ends in one commit; there is room for the records of customers beside them.
const TOGETHER: usize = TRANSACTION_MAX_RECORDS / 2;
/// How often a request that changes at the same moment is looked at again.
const CLOSE_ATTEMPTS: u32 = 3;
/// Items of one append beside a commit.
const APPEND_MAX: usize = 1024;
/// How often it is tried to tell customers of an end, and how long between.
const TELL_ATTEMPTS: u32 = 600;
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// Ends requests and grants.
pub struct Ender {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    keeper: Arc<Keeper>,
    /// Grants whose end keyd did not take. One that starts anew is told all of them.
    owed: Mutex<BTreeSet<Hash>>,
}

/// One thing that ends.
#[derive(Debug, Clone, PartialEq)]
enum Ending {
    /// A grant.
    Grant(AccessGrant),
    /// A request that waits no more.
    Request(AccessRequest),
}

impl Ender {
    /// Ends what this installation has.
    pub fn new(pipeline: Arc<Pipeline>, platform: Platform, keeper: Arc<Keeper>) -> Arc<Ender> {
        Arc::new(Ender { pipeline, platform, keeper, owed: Mutex::default() })
    }

    /// Ends what has to end: keyd is told, then it is committed and in force. True if keyd knows it all; one that
    /// does not answer holds no end back, and is told again.
    pub(super) async fn end(
        &self,
        ends: Ends,
        from: Option<&Request>,
        snapshot: &Snapshot,
    ) -> Result<bool> {
        let digests = ends.digests(SystemEnv.now());
        self.tell_keyd(&digests).await;
        linger("access.slow_end").await;
        self.commit(ends, from, snapshot).await?;
        // A key module that has started in between was loaded with the state before the commit.
        Ok(self.tell_keyd(&digests).await)
    }

    /// Tells keyd of grants that end before their time; true if it took all.
    pub async fn tell_keyd(&self, digests: &[Hash]) -> bool {
        let mut answers = true;
        for digest in digests {
            answers = answers && self.tell(*digest).await;
            let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
            match answers {
                true => owed.remove(digest),
                false => owed.insert(*digest),
            };
        }
        answers
    }

    /// Tells keyd again what it did not take.
    pub(super) async fn tell_owed(&self) {
        let owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for digest in owed {
            if !self.tell(digest).await {
                return;
            }
            self.owed.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
        }
    }

    async fn tell(&self, digest: Hash) -> bool {
        let asked = ask(&self.pipeline.keyd, Command::End(End::Grant(digest)));
        match tokio::time::timeout(END_TIMEOUT, asked).await {
            Ok(Ok(_)) => true,
            untold => {
                tracing::error!(%digest, told = untold.is_ok(), "keyd did not take an end");
                false
            }
        }
    }

    /// Commits ends, some at a time, with their records: first what gives access, whatever is stored of it, then
    /// requests, as they were judged.
    async fn commit(&self, ends: Ends, from: Option<&Request>, snapshot: &Snapshot) -> Result<()> {
        let Ends { requests, grants } = ends;
        let grants: Vec<Ending> = grants.into_iter().map(Ending::Grant).collect();
        for some in grants.chunks(TOGETHER) {
            self.commit_some(some, from, snapshot).await.context("an end cannot be stored")?;
        }
        let requests: Vec<Ending> = requests.into_iter().map(Ending::Request).collect();
        for some in requests.chunks(TOGETHER) {
            let committed = self.commit_some(some, from, snapshot).await;
            if !is_conflict(&committed) {
                committed.context("the end of a request cannot be stored")?;
                continue;
            }
            for one in some {
                self.close_anew(one, from).await?;
            }
        }
        Ok(())
    }

    /// Ends a request that was written at the same moment, as it is now; what waits no more is somebody else's. A
    /// grant that was made of it ends by what ends grants.
    async fn close_anew(&self, ending: &Ending, from: Option<&Request>) -> Result<()> {
        let Ending::Request(request) = ending else { return Ok(()) };
        let id = request.id.to_string();
        for _ in 0..CLOSE_ATTEMPTS {
            let newest = self.pipeline.store.settled().await?;
            let stored = newest.get::<AccessRequest>(AccountId::PLATFORM, &id);
            if stored.is_none_or(|stored| stored.state != RequestState::Pending) {
                return Ok(());
            }
            let committed = self.commit_some(std::slice::from_ref(ending), from, &newest).await;
            if !is_conflict(&committed) {
                return committed.context("the end of a request cannot be stored");
            }
        }
        anyhow::bail!("the request {id} changes again and again")
    }

    async fn commit_some(
        &self,
        some: &[Ending],
        from: Option<&Request>,
        snapshot: &Snapshot,
    ) -> Result<()> {
        let request_id = Uuid::random(&SystemEnv);
        let mut begun: Option<Transaction> = None;
        let mut told = Vec::new();
        for ending in some {
            let record = self.record(ending, from, request_id)?;
            let transaction = match begun.take() {
                None => Transaction::new(PRINCIPAL, request_id, record),
                Some(mut transaction) => {
                    transaction.records.push(record);
                    transaction
                }
            };
            begun = Some(written(transaction, ending, snapshot));
            told.extend(self.customers(ending, snapshot)?);
        }
        let Some(mut transaction) = begun else { return Ok(()) };
        let surplus = fit(&mut transaction, told);
        self.pipeline.commit_own(transaction.ending()).await?;
        self.tell_later(surplus);
        Ok(())
    }

    /// Adds ends to a transaction of somebody else, which has room for their records: a person's, whom HR has
    /// ended. Customers are told after it. That a request was written at the same moment holds no person's end back: a
    /// grant that was made of it is looked for next, and its person may not act.
    pub fn join(
        &self,
        mut transaction: Transaction,
        ends: Ends,
        snapshot: &Snapshot,
    ) -> Result<(Transaction, Vec<OutboxRecord>)> {
        let mut told = Vec::new();
        for ending in endings(ends) {
            let record = self.record(&ending, None, transaction.request_id)?;
            transaction.records.push(record);
            told.extend(self.customers(&ending, snapshot)?);
            transaction = transaction.put(object(&ending)).ending();
        }
        let surplus = fit(&mut transaction, told);
        Ok((transaction, surplus))
    }

    /// Tells customers of ends that a commit had no room for. It goes on until the ledger takes it.
    pub fn tell_later(&self, records: Vec<OutboxRecord>) {
        if records.is_empty() {
            return;
        }
        let pipeline = Arc::clone(&self.pipeline);
        writ_service::task::spawn("ends of grants", async move {
            for _ in 0..TELL_ATTEMPTS {
                match append(&pipeline, records.clone()).await {
                    Ok(()) => return,
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::warn!(error, "customers were not told of an end yet");
                    }
                }
                tokio::time::sleep(TELL_PAUSE).await;
            }
        });
    }

    fn record(
        &self,
        ending: &Ending,
        from: Option<&Request>,
        request_id: Uuid,
    ) -> Result<OutboxRecord> {
        let (name, shown) = match ending {
            Ending::Grant(grant) => {
                let end = grant.end.as_ref().context("a grant that ends has no end")?;
                ("EndGrant", tell::end(grant, end))
            }
            Ending::Request(request) => {
                let name = match request.state {
                    RequestState::Expired => "ExpireRequest",
                    _ => "WithdrawRequest",
                };
                let mut shown = vec![
                    ("requestId", request.id.to_string()),
                    ("requester", request.requester.to_string()),
                ];
                shown.extend(request.why.clone().map(|why| ("reason", why)));
                (name, shown)
            }
        };
        let base = match from {
            Some(from) => self.platform.asked(from, SOURCE, name),
            None => self.platform.call(SOURCE, name),
        };
        let request_parameters = platform::parameters(&shown);
        platform::outbox(&Call { request_parameters, request_id, ..base })
    }

    fn customers(&self, ending: &Ending, snapshot: &Snapshot) -> Result<Vec<OutboxRecord>> {
        let Ending::Grant(grant) = ending else { return Ok(Vec::new()) };
        let Some(end) = &grant.end else { return Ok(Vec::new()) };
        let Some(request) = writ_access::ends::asked(snapshot, grant.request) else {
            return Ok(Vec::new());
        };
        tell::ended(&self.platform, grant, end, &request, &self.keeper.current(), snapshot)
    }
}

fn endings(ends: Ends) -> Vec<Ending> {
    let requests = ends.requests.into_iter().map(Ending::Request);
    // What gives access ends first.
    ends.grants.into_iter().map(Ending::Grant).chain(requests).collect()
}

/// A grant ends whatever is stored of it. A request must still be what was judged: a grant may have been made of it.
fn written(transaction: Transaction, ending: &Ending, snapshot: &Snapshot) -> Transaction {
    let Ending::Request(request) = ending else { return transaction.put(object(ending)) };
    let id = request.id.to_string();
    match snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id) {
        Some(stored) => transaction.update(object(ending), stored.revision),
        None => transaction.create(object(ending)),
    }
}

fn is_conflict(committed: &Result<()>) -> bool {
    let Err(error) = committed else { return false };
    matches!(error.downcast_ref::<StoreError>(), Some(StoreError::Conflict { .. }))
}

fn object(ending: &Ending) -> Object {
    match ending {
        Ending::Grant(grant) => Object::new(AccountId::PLATFORM, grant.clone()),
        Ending::Request(request) => Object::new(AccountId::PLATFORM, request.clone()),
    }
}

/// Puts as many records into a transaction as it holds; the others come back.
pub(super) fn fit(
    transaction: &mut Transaction,
    mut records: Vec<OutboxRecord>,
) -> Vec<OutboxRecord> {
    let room = TRANSACTION_MAX_RECORDS.saturating_sub(transaction.records.len());
    let surplus = records.split_off(room.min(records.len()));
    transaction.records.extend(records);
    surplus
}

/// As many of these records as a commit holds beside its own few. The others are in the ledger before it.
pub(in crate::front) async fn fit_beside(
    pipeline: &Pipeline,
    mut records: Vec<OutboxRecord>,
) -> Result<Vec<OutboxRecord>> {
    let surplus = records.split_off(records.len().min(TOGETHER));
    append(pipeline, surplus).await?;
    Ok(records)
}

/// Appends records beside a commit.
pub(super) async fn append(pipeline: &Pipeline, records: Vec<OutboxRecord>) -> Result<()> {
    let item = |record: &OutboxRecord| AppendItem {
        event_id: record.event_id,
        kind: Kind::Event,
        logs: record.logs.clone(),
        record: record.record.clone(),
        commit: None,
        use_position: None,
    };
    for some in records.chunks(APPEND_MAX) {
        pipeline.trail.append(some.iter().map(item).collect()).await?;
    }
    Ok(())
}

/// Grants that have ended before their time, for a key module that starts anew.
pub fn ended(snapshot: &Snapshot) -> Vec<End> {
    writ_access::ends::ended_early(snapshot, SystemEnv.now()).map(End::Grant).collect()
}
