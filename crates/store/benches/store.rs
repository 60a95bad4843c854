//! How long a start takes with 100,000 objects, and what one change costs.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::collections::{BTreeMap, BTreeSet};

use arc_swap::ArcSwap;
use divan::Bencher;
use writ_model::{AccountId, Revision, SystemEnv, Timestamp, UniqueId, UniqueIdKind, Uuid};
use writ_store::engine::{Changes, Engine, Group, SqliteEngine};
use writ_store::state::User;
use writ_store::{Blob, LogName, Object, OutboxRecord, RecordKind, Snapshot, Transaction};

const ACCOUNTS: u64 = 100;
const USERS_PER_ACCOUNT: u64 = 1000;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
    ["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::bucket/*"}]}"#;

fn main() {
    divan::main();
}

fn account(number: u64) -> AccountId {
    AccountId::from_number(number).unwrap()
}

fn user(account_number: u64, number: u64) -> Object {
    let user = User {
        name: format!("user-{number}"),
        path: "/".to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::User, &SystemEnv),
        created: Timestamp::from_secs(1),
        descriptor: Blob::from(vec![7; 160]),
        // One in ten has a policy of its own.
        inline_policies: number
            .is_multiple_of(10)
            .then(|| ("own".to_owned(), POLICY.to_owned()))
            .into_iter()
            .collect(),
        attached_policies: BTreeSet::new(),
        groups: BTreeSet::from(["everybody".to_owned()]),
        boundary: None,
        tags: BTreeMap::new(),
    };
    Object::new(account(account_number), user)
}

fn transaction() -> Transaction {
    let record = OutboxRecord {
        event_id: Uuid::random(&SystemEnv),
        kind: RecordKind::Event,
        logs: vec![LogName::Operator],
        record: vec![b'x'; 1500],
        use_position: None,
    };
    Transaction::new("bench", Uuid::random(&SystemEnv), record)
}

fn commit(engine: &mut SqliteEngine, transaction: Transaction) {
    let (transactions, at) = (&[transaction], Timestamp::from_secs(1));
    let acknowledged = Revision(u64::MAX >> 1);
    engine.commit(&Group { transactions, acknowledged, at }).unwrap();
}

/// A database of 100,000 users.
fn filled() -> (tempfile::TempDir, SqliteEngine) {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = SqliteEngine::open(&folder.path().join("store.db"), &SystemEnv).unwrap();
    let mut all = transaction();
    for number in 0..ACCOUNTS {
        all.puts.extend((0..USERS_PER_ACCOUNT).map(|i| user(number, i)));
    }
    commit(&mut engine, all);
    (folder, engine)
}

fn snapshot(engine: &mut SqliteEngine) -> Snapshot {
    let load = engine.load().unwrap();
    Snapshot::build(load.epoch, load.revision, load.objects)
}

#[divan::bench(sample_count = 5)]
fn load_of_100k_objects(bencher: Bencher<'_, '_>) {
    let (_folder, mut engine) = filled();
    bencher.bench_local(|| snapshot(&mut engine));
}

#[divan::bench]
fn apply_and_swap_of_one_change(bencher: Bencher<'_, '_>) {
    let (_folder, mut engine) = filled();
    let current = ArcSwap::from_pointee(snapshot(&mut engine));
    commit(&mut engine, transaction().put(user(5, 500)));
    let Changes::Batch(changes) = engine.changes(Revision(1), 10).unwrap() else { return };
    bencher.bench_local(|| {
        let next = current.load().apply(&changes, Revision(2));
        current.store(next.into());
    });
}

#[divan::bench]
fn commit_of_one_mutation_on_sqlite(bencher: Bencher<'_, '_>) {
    let (_folder, mut engine) = filled();
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        commit(&mut engine, transaction().put(user(7, number)));
    });
}
