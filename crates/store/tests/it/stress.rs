//! Goal: a reader never sees a revision without its changes, nor time run backwards, and a node ends
//! where the store does. Method: writers, readers and a following node on several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use writ_model::{Revision, SystemEnv};
use writ_store::engine::SqliteEngine;
use writ_store::state::Revocation;
use writ_store::{Kind, Node, Object, Store, StoreError, feed};

use crate::support::{TestLedger, account, env, revocation, spawn, transaction, until};

const WRITERS: u64 = 8;
const COMMITS: u64 = 40;

/// Counts one object up, again and again after conflicts, as the service layer would.
async fn count_up(store: Store, writer: u64) {
    let account = account(1);
    for _ in 0..COMMITS {
        loop {
            let snapshot = store.snapshot();
            let wanted = match snapshot.get::<Revocation>(account, "counter") {
                Some(entry) => {
                    let body = revocation("counter", entry.before.secs() + 1);
                    transaction().update(body, entry.revision)
                }
                None => transaction().create(revocation("counter", 1)),
            };
            match store.commit(wanted.put(revocation(&format!("writer{writer}"), 1))).await {
                Ok(committed) => {
                    let own = store.snapshot();
                    assert!(own.revision() >= committed.revision, "a caller reads its own write");
                    break;
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn read(store: &Store, stop: &AtomicBool) {
    let (mut last, mut counter) = (Revision(0), 0);
    while !stop.load(Ordering::SeqCst) {
        let snapshot = store.snapshot();
        assert!(snapshot.revision() >= last);
        let seen = snapshot.get::<Revocation>(account(1), "counter");
        if let Some(entry) = seen {
            assert!(entry.before.secs() >= counter && entry.revision <= snapshot.revision());
            counter = entry.before.secs();
        }
        last = snapshot.revision();
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_under_load_are_consistent_and_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(&folder.path().join("store.db"), &SystemEnv).unwrap();
    let ledger = TestLedger::new();
    let store = Store::open(Box::new(engine), Arc::clone(&ledger) as _, env()).await.unwrap();
    let node = Arc::new(Node::new(env()));
    let (to_node, mut at_node) = mpsc::channel(64);
    let (to_store, mut at_store) = mpsc::channel(64);
    let subscription = store.subscribe(&[Kind::Revocation]);
    spawn(async move { feed::serve(subscription, &mut at_store, &to_node).await });
    let follower = Arc::clone(&node);
    spawn(async move { feed::follow(&follower, &mut at_node, &to_store).await });

    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        move || read(&store, &stop)
    });
    let writers: Vec<_> = (0..WRITERS).map(|w| spawn(count_up(store.clone(), w))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    reader.join().unwrap();

    let end = store.snapshot();
    let counter = end.get::<Revocation>(account(1), "counter").unwrap();
    assert_eq!(counter.before.secs(), WRITERS * COMMITS, "no update was lost");
    until("the node is there", || node.lease().is_ok_and(|s| s.revision() == end.revision())).await;
    let sorted = |snapshot: &writ_store::Snapshot| -> Vec<(Object, Revision)> {
        let mut all: Vec<_> = snapshot.objects().collect();
        all.sort_by_key(|(object, _)| object.id());
        all
    };
    assert_eq!(sorted(&node.lease().unwrap()), sorted(&end));
    let mut places: Vec<_> = ledger.rows().iter().map(|r| (r.revision, r.ordinal)).collect();
    assert!(places.is_sorted(), "records reach the ledger in the order of the commits");
    places.dedup();
    assert_eq!(places.len() as u64, WRITERS * COMMITS);
}
