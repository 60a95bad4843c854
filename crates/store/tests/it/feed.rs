//! Nodes: what they get, when they may decide, and when they must stop.

use std::sync::Arc;
use std::time::Duration;

use writ_model::env::TestEnv;
use writ_model::limits::STALENESS_MAX;
use writ_model::{Env, Revision, Timestamp};
use writ_store::engine::{MemoryDisk, MemoryEngine};
use writ_store::{Kind, Node, Object, Stale, Store, Subscription};

use crate::support::{TestLedger, account, env, memory_store, revocation, transaction, user};

/// A store and a node over one clock that moves when told.
struct Pair {
    clock: Arc<TestEnv>,
    store: Store,
    feed: Subscription,
    node: Node,
}

async fn pair() -> Pair {
    let clock = Arc::new(TestEnv::new(Timestamp::from_secs(1_000_000), 1));
    let engine = Box::new(MemoryEngine::open(&MemoryDisk::new(&clock)));
    let store = Store::open(engine, TestLedger::new(), Arc::clone(&clock) as _).await.unwrap();
    let node = Node::new(Arc::clone(&clock) as _);
    let mut feed = store.subscribe(Kind::ALL);
    node.apply(&feed.next().await.unwrap()).unwrap();
    Pair { clock, store, feed, node }
}

impl Pair {
    async fn deliver(&mut self) {
        self.node.apply(&self.feed.next().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn lease_counts_from_the_sending_of_the_poll() {
    let mut pair = pair().await;
    assert_eq!(pair.node.lease().unwrap_err(), Stale { age: None }, "a load proves nothing");
    let poll = pair.node.poll();
    pair.clock.advance(Duration::from_millis(300));
    pair.feed.polled(&poll).unwrap();
    pair.clock.advance(Duration::from_millis(200));
    pair.deliver().await;
    pair.node.lease().unwrap();
    pair.clock.advance(STALENESS_MAX - Duration::from_millis(500));
    pair.node.lease().unwrap();
    pair.clock.advance(Duration::from_millis(1));
    let age = Some(STALENESS_MAX + Duration::from_millis(1));
    assert_eq!(pair.node.lease().unwrap_err(), Stale { age });
}

#[tokio::test]
async fn beat_that_lay_in_a_queue_gives_no_lease() {
    let mut pair = pair().await;
    pair.feed.polled(&pair.node.poll()).unwrap();
    let beat = pair.feed.next().await.unwrap();
    pair.clock.advance(Duration::from_secs(5));
    pair.node.apply(&beat).unwrap();
    assert!(pair.node.lease().is_err());
}

#[tokio::test]
async fn beat_counts_only_when_its_revision_is_reached() {
    let mut pair = pair().await;
    pair.store.commit(transaction().put(revocation("a", 1))).await.unwrap();
    let poll = pair.node.poll();
    pair.feed.polled(&poll).unwrap();
    let (change, beat) = (pair.feed.next().await.unwrap(), pair.feed.next().await.unwrap());
    // The transport keeps the order; a node that gets the proof first must not trust it.
    pair.node.apply(&beat).unwrap();
    assert!(pair.node.lease().is_err());
    pair.node.apply(&change).unwrap();
    assert_eq!(pair.node.lease().unwrap().revision(), Revision(1));
}

#[tokio::test]
async fn node_whose_wall_clock_is_wrong_gets_no_lease() {
    for (skew_ms, leased) in [(0, true), (400, true), (600, false)] {
        let mut pair = pair().await;
        let now = pair.clock.now();
        let poll = pair.node.poll();
        pair.clock.set_now(now.plus(Duration::from_millis(skew_ms)));
        pair.feed.polled(&poll).unwrap();
        pair.clock.set_now(now);
        pair.deliver().await;
        assert_eq!(pair.node.lease().is_ok(), leased, "{skew_ms}");
    }
}

#[tokio::test]
async fn restored_store_ends_the_lease_until_it_is_loaded() {
    let mut pair = pair().await;
    pair.feed.polled(&pair.node.poll()).unwrap();
    pair.deliver().await;
    pair.node.lease().unwrap();
    let (other, _disk) = memory_store(&TestLedger::new()).await;
    let mut feed = other.subscribe(Kind::ALL);
    pair.node.connected();
    pair.node.apply(&feed.next().await.unwrap()).unwrap();
    assert_eq!(pair.node.lease().unwrap_err(), Stale { age: None });
}

#[tokio::test]
async fn damaged_frame_ends_the_lease() {
    let mut pair = pair().await;
    pair.feed.polled(&pair.node.poll()).unwrap();
    pair.deliver().await;
    assert!(pair.node.apply(b"\xff").is_err());
    assert!(pair.node.lease().is_err());
}

#[tokio::test]
async fn gap_in_the_feed_ends_the_lease() {
    let mut pair = pair().await;
    pair.store.commit(transaction().put(revocation("a", 1))).await.unwrap();
    pair.store.commit(transaction().put(revocation("b", 1))).await.unwrap();
    let _lost = pair.feed.next().await.unwrap();
    let second = pair.feed.next().await.unwrap();
    assert!(pair.node.apply(&second).is_err());
}

#[tokio::test]
async fn node_gets_only_its_kinds_and_every_revision() {
    let (store, _disk) = memory_store(&TestLedger::new()).await;
    for i in 0..600 {
        store.commit(transaction().put(revocation(&format!("s{i}"), 1))).await.unwrap();
    }
    store.commit(transaction().put(Object::new(account(1), user("bob")))).await.unwrap();
    let node = Node::new(env());
    let mut feed = store.subscribe(&[Kind::Revocation]);
    for _ in 0..2 {
        node.apply(&feed.next().await.unwrap()).unwrap();
    }
    store.commit(transaction().put(Object::new(account(1), user("eve")))).await.unwrap();
    feed.polled(&node.poll()).unwrap();
    for _ in 0..2 {
        node.apply(&feed.next().await.unwrap()).unwrap();
    }
    let seen = node.lease().unwrap();
    assert_eq!((seen.revision(), seen.object_count()), (Revision(602), 600));
}

/// Long enough for a barrier that need not wait, too short for one that waits for leases to end.
const SOON: Duration = Duration::from_millis(400);

#[tokio::test]
async fn barrier_waits_for_a_node_that_may_still_decide_from_before() {
    let mut pair = pair().await;
    pair.feed.polled(&pair.node.poll()).unwrap();
    pair.deliver().await;
    let held = pair.node.lease().unwrap();
    let commit = transaction().put(revocation("a", 1));
    let revision = pair.store.commit(commit).await.unwrap().revision;
    let returns_soon =
        async |store: &Store| tokio::time::timeout(SOON, store.barrier(revision)).await.is_ok();
    assert!(!returns_soon(&pair.store).await, "the node has not said that it has the revision");
    pair.deliver().await;
    pair.feed.polled(&pair.node.poll()).unwrap();
    assert!(!returns_soon(&pair.store).await, "a decision still holds the old snapshot");
    drop(held);
    pair.feed.polled(&pair.node.poll()).unwrap();
    assert!(returns_soon(&pair.store).await);
}

#[tokio::test]
async fn barrier_waits_for_a_gone_node_only_while_its_lease_may_run() {
    let mut pair = pair().await;
    pair.feed.polled(&pair.node.poll()).unwrap();
    pair.deliver().await;
    drop(pair.feed);
    let commit = transaction().put(revocation("a", 1));
    let revision = pair.store.commit(commit).await.unwrap().revision;
    assert!(tokio::time::timeout(SOON, pair.store.barrier(revision)).await.is_err());
    pair.clock.advance(STALENESS_MAX * 2);
    assert!(tokio::time::timeout(SOON, pair.store.barrier(revision)).await.is_ok());
}

#[tokio::test]
async fn store_that_is_closed_proves_nothing() {
    let mut pair = pair().await;
    drop(pair.store);
    let poll = pair.node.poll();
    for _ in 0..1000 {
        if let Err(error) = pair.feed.polled(&poll) {
            assert!(matches!(error, writ_store::StoreError::Closed), "{error}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the feed goes on without a store");
}
