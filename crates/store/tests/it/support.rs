//! What the tests share: objects, transactions, and a ledger that does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use writ_model::{
    AccountId, Arn, Env, StoreEpoch, SystemEnv, Timestamp, UniqueId, UniqueIdKind, Uuid,
};
use writ_store::engine::{MemoryDisk, MemoryEngine};
use writ_store::state::{Key, ManagedPolicy, PolicyVersion, Revocation, Role, User};
use writ_store::{
    Blob, LogName, Object, OutboxRecord, OutboxRow, PortFuture, RecordKind, Recorder,
    RecorderError, Store, Transaction,
};

pub(crate) fn account(number: u64) -> AccountId {
    AccountId::from_number(number).unwrap()
}

pub(crate) fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        path: "/".to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::User, &SystemEnv),
        created: Timestamp::from_secs(1),
        descriptor: Blob::from(vec![1, 2, 3]),
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        groups: BTreeSet::new(),
        boundary: None,
        tags: BTreeMap::new(),
    }
}

pub(crate) fn role(name: &str, trust_policy: &str) -> Role {
    Role {
        name: name.to_owned(),
        path: "/".to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::Role, &SystemEnv),
        created: Timestamp::from_secs(1),
        description: None,
        trust_policy: trust_policy.to_owned(),
        principals: BTreeMap::new(),
        max_session_secs: 3600,
        descriptor: Blob::default(),
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        boundary: None,
        tags: BTreeMap::new(),
    }
}

pub(crate) fn managed_policy(name: &str, document: &str) -> ManagedPolicy {
    ManagedPolicy {
        arn: Arn::iam(account(1), &format!("policy/{name}")),
        name: name.to_owned(),
        path: "/".to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::Policy, &SystemEnv),
        description: None,
        created: Timestamp::from_secs(1),
        updated: Timestamp::from_secs(1),
        versions: vec![PolicyVersion {
            id: "v1".to_owned(),
            document: document.to_owned(),
            created: Timestamp::from_secs(1),
        }],
        default_version: "v1".to_owned(),
        next_version: 2,
        tags: BTreeMap::new(),
    }
}

pub(crate) fn key(policy: &str) -> Key {
    let key_id = writ_model::KeyId::random(&SystemEnv);
    Key {
        arn: Arn::build("kms", "us-east-1", Some(account(1)), &format!("key/{key_id}")),
        key_id,
        region: "us-east-1".parse().unwrap(),
        description: String::new(),
        policy: policy.to_owned(),
        principals: BTreeMap::new(),
        tags: BTreeMap::new(),
        descriptor: Blob::default(),
        tokens: vec![Blob::from(vec![9; 100])],
        created: Timestamp::from_secs(1),
        managed_by: None,
    }
}

pub(crate) fn revocation(subject: &str, before: u64) -> Object {
    let before = Timestamp::from_secs(before);
    Object::new(account(1), Revocation { subject: subject.to_owned(), before })
}

pub(crate) fn record() -> OutboxRecord {
    OutboxRecord {
        event_id: Uuid::random(&SystemEnv),
        kind: RecordKind::Event,
        logs: vec![LogName::Account(account(1))],
        record: b"{}".to_vec(),
        use_position: None,
    }
}

pub(crate) fn transaction() -> Transaction {
    Transaction::new("arn:aws:iam::000000000001:root", Uuid::random(&SystemEnv), record())
}

/// A ledger in memory that can be held back or broken.
pub(crate) struct TestLedger {
    held: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing: bool,
    rows: Vec<OutboxRow>,
}

impl TestLedger {
    pub(crate) fn new() -> Arc<TestLedger> {
        Arc::new(TestLedger { held: watch::Sender::new(false), state: Mutex::default() })
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.state.lock().unwrap().failing = failing;
    }

    /// What was appended, each event once.
    pub(crate) fn rows(&self) -> Vec<OutboxRow> {
        self.state.lock().unwrap().rows.clone()
    }
}

impl Recorder for TestLedger {
    fn append(
        &self,
        _epoch: StoreEpoch,
        rows: Vec<OutboxRow>,
    ) -> PortFuture<'_, Result<(), RecorderError>> {
        Box::pin(async move {
            self.held.subscribe().wait_for(|held| !held).await.unwrap();
            let mut state = self.state.lock().unwrap();
            if state.failing {
                return Err(RecorderError { what: "told to fail".to_owned() });
            }
            for row in rows {
                if state.rows.iter().all(|known| known.event_id != row.event_id) {
                    state.rows.push(row);
                }
            }
            Ok(())
        })
    }
}

impl writ_store::Ledger for TestLedger {
    fn unrecorded(&self, requests: Vec<Uuid>) -> PortFuture<'_, Result<Vec<Uuid>, RecorderError>> {
        let rows = self.rows();
        let unknown = |request: &Uuid| rows.iter().all(|row| row.request_id != *request);
        let missing = requests.into_iter().filter(unknown).collect();
        Box::pin(async move { Ok(missing) })
    }
}

pub(crate) async fn memory_store(ledger: &Arc<TestLedger>) -> (Store, MemoryDisk) {
    let disk = MemoryDisk::new(&SystemEnv);
    (reopen(&disk, ledger).await, disk)
}

pub(crate) async fn reopen(disk: &MemoryDisk, ledger: &Arc<TestLedger>) -> Store {
    let engine = Box::new(MemoryEngine::open(disk));
    Store::open(engine, Arc::clone(ledger) as _, env()).await.unwrap()
}

pub(crate) fn env() -> Arc<dyn Env> {
    Arc::new(SystemEnv)
}

#[expect(clippy::disallowed_methods, reason = "tests have no supervisor")]
pub(crate) fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

/// Waits until `holds`; fails after five seconds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}
