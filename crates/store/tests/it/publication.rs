//! A revision is visible only after the ledger has its records; endings are in force at once.

use std::sync::Arc;

use writ_model::{Revision, SystemEnv};
use writ_store::engine::{Engine, Group, MemoryDisk, MemoryEngine};
use writ_store::{Expect, Kind, Node, Object, Store, StoreError, Transaction};

use crate::support::{
    TestLedger, account, env, memory_store, reopen, revocation, spawn, transaction, until, user,
};

fn create(name: &str) -> Transaction {
    transaction().create(Object::new(account(1), user(name)))
}

#[tokio::test]
async fn commit_while_the_ledger_is_held_back_is_nowhere_until_it_acknowledges() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    let node = Arc::new(Node::new(env()));
    let mut feed = store.subscribe(&[Kind::User, Kind::Revocation]);
    node.apply(&feed.next().await.unwrap()).unwrap();
    ledger.hold(true);
    // Both are in one group or in two; the ending is in force at once only from its commit on, so
    // it goes first and the other is queued behind it.
    let ending = spawn({
        let store = store.clone();
        async move { store.commit(transaction().put(revocation("AIDA", 5)).ending()).await }
    });
    until("the ending is in force", || store.snapshot().revocation(account(1), "AIDA").is_some())
        .await;
    let plain = spawn({
        let store = store.clone();
        async move { store.commit(create("bob")).await }
    });
    // The proof of currency travels behind the ending, though it was asked for before the feed was
    // read: a node that may decide has the ending.
    feed.polled(&node.poll()).unwrap();
    node.apply(&feed.next().await.unwrap()).unwrap();
    assert!(node.lease().is_err());
    node.apply(&feed.next().await.unwrap()).unwrap();
    let seen = node.lease().unwrap();
    assert!(seen.revocation(account(1), "AIDA").is_some(), "the node has the ending too");
    assert_eq!((seen.revision(), store.snapshot().revision()), (Revision(0), Revision(0)));
    assert!(store.snapshot().user(account(1), "bob").is_none());
    assert!(!ending.is_finished() && !plain.is_finished(), "no answer before the ledger's");

    ledger.hold(false);
    assert_eq!(ending.await.unwrap().unwrap().revision, Revision(1));
    assert_eq!(plain.await.unwrap().unwrap().revision, Revision(2));
    assert!(store.snapshot().user(account(1), "BOB").is_some());
    node.apply(&feed.next().await.unwrap()).unwrap();
    node.apply(&feed.next().await.unwrap()).unwrap();
    let seen = node.lease().unwrap();
    assert_eq!(seen.revision(), Revision(2));
    assert!(seen.user(account(1), "bob").is_some());
    assert_eq!(ledger.rows().len(), 2);
}

#[tokio::test]
async fn plain_change_alone_is_not_visible_before_the_acknowledgement() {
    let ledger = TestLedger::new();
    let (store, disk) = memory_store(&ledger).await;
    ledger.hold(true);
    let commit = spawn({
        let store = store.clone();
        async move { store.commit(create("bob")).await }
    });
    let durable = || MemoryEngine::open(&disk).load().unwrap().revision == Revision(1);
    until("the commit is durable", durable).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(store.snapshot().user(account(1), "bob").is_none());
    ledger.hold(false);
    commit.await.unwrap().unwrap();
    assert!(store.snapshot().user(account(1), "bob").is_some(), "a caller reads its own write");
}

#[tokio::test]
async fn failing_ledger_refuses_mutations_and_publishes_when_it_works_again() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    ledger.fail(true);
    let first = store.commit(create("bob")).await.unwrap_err();
    assert!(matches!(first, StoreError::Unavailable { .. }) && first.is_retryable(), "{first}");
    let second = store.commit(create("eve")).await.unwrap_err();
    assert!(second.is_retryable(), "{second}");
    assert_eq!(store.snapshot().revision(), Revision(0));
    ledger.fail(false);
    let snapshot = store.wait_for(Revision(1)).await.unwrap();
    assert!(snapshot.user(account(1), "bob").is_some(), "committed once, so published once");
    assert!(snapshot.user(account(1), "eve").is_none(), "refused, so it never happened");
    assert_eq!(store.commit(create("eve")).await.unwrap().revision, Revision(2));
    assert_eq!(ledger.rows().len(), 2);
    store.check_recorded(ledger.as_ref()).await.unwrap();
}

#[tokio::test]
async fn ending_is_in_force_though_the_ledger_fails() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    ledger.fail(true);
    let ending = transaction().put(revocation("AIDA", 5)).ending();
    assert!(store.commit(ending).await.unwrap_err().is_retryable());
    let snapshot = store.snapshot();
    assert!(snapshot.revocation(account(1), "AIDA").is_some());
    assert_eq!(snapshot.revision(), Revision(0), "in force, not published");
    ledger.fail(false);
    store.wait_for(Revision(1)).await.unwrap();
}

#[tokio::test]
async fn outbox_left_by_a_crash_is_sent_before_the_store_opens() {
    let ledger = TestLedger::new();
    let disk = MemoryDisk::new(&SystemEnv);
    let transactions = &[create("bob"), create("eve")];
    let (acknowledged, at) = (Revision(0), writ_model::Timestamp::from_secs(1));
    let group = Group { transactions, acknowledged, at };
    MemoryEngine::open(&disk).commit(&group).unwrap();
    let store = reopen(&disk, &ledger).await;
    let rows = ledger.rows();
    assert_eq!(rows.iter().map(|r| (r.ordinal, r.count)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    assert_eq!(store.snapshot().revision(), Revision(1));
    store.check_recorded(ledger.as_ref()).await.unwrap();
    // The rows go with the next commit, and are not sent twice by another start.
    store.commit(create("dan")).await.unwrap();
    drop(store);
    let left = MemoryEngine::open(&disk).outbox().unwrap();
    assert_eq!(left.iter().map(|row| row.revision).collect::<Vec<_>>(), [Revision(2)]);
    let _store = reopen(&disk, &ledger).await;
    assert_eq!(ledger.rows().len(), 3);
}

#[tokio::test]
async fn ledger_that_lost_an_event_is_found_out() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    store.commit(create("bob")).await.unwrap();
    let other = TestLedger::new();
    let error = store.check_recorded(other.as_ref()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn conflict_drops_its_transaction_alone() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    store.commit(create("bob")).await.unwrap();
    let error = store.commit(create("Bob")).await.unwrap_err();
    let found = Some(Revision(1));
    assert!(
        matches!(&error, StoreError::Conflict { expected: Expect::Absent, found: f, .. } if *f == found),
        "{error}"
    );
    assert_eq!(store.snapshot().revision(), Revision(1));
}

fn check_invalid(store: &Store, wanted: &Transaction, says: &str) {
    let refused = wanted.check().unwrap_err().to_string();
    assert_eq!(refused, format!("a transaction {says}"));
    assert_eq!(store.snapshot().revision(), Revision(0));
}

#[tokio::test]
async fn transactions_that_cannot_be_are_refused() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    check_invalid(&store, &transaction(), "changes nothing");
    let mut unrecorded = create("bob");
    unrecorded.records.clear();
    check_invalid(&store, &unrecorded, "has no audit record");
    let mut homeless = create("bob");
    homeless.records[0].logs.clear();
    check_invalid(&store, &homeless, "has an audit record that goes into no log");
    let twice = create("bob").put(Object::new(account(1), user("BOB")));
    check_invalid(&store, &twice, "writes an object twice");
}

#[tokio::test]
async fn cells_swap_only_from_the_expected_version() {
    let ledger = TestLedger::new();
    let (store, _disk) = memory_store(&ledger).await;
    assert_eq!(store.swap_cell("lock", 0, b"a".to_vec()).await.unwrap(), Some(1));
    assert_eq!(store.swap_cell("lock", 0, b"b".to_vec()).await.unwrap(), None);
    assert_eq!(store.cell("lock").await.unwrap().unwrap().body, b"a");
}
