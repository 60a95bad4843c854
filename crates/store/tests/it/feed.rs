//! Nodes: what they get, when they may decide, and when they must stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use writ_model::env::TestEnv;
use writ_model::limits::STALENESS_MAX;
use writ_model::{Env, Revision, Timestamp};
use writ_store::engine::{MemoryDisk, MemoryEngine};
use writ_store::{Kind, Node, Object, Stale, Store, Subscription, feed};

use crate::support::{
    TestLedger, account, env, memory_store, revocation, spawn, transaction, until, user,
};

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

#[tokio::test]
async fn barrier_waits_for_a_node_that_still_decides_from_before() {
    let (store, _disk) = memory_store(&TestLedger::new()).await;
    let node = Arc::new(Node::new(env()));
    let (to_node, mut at_node) = mpsc::channel(64);
    let (to_store, mut at_store) = mpsc::channel(64);
    let subscription = store.subscribe(Kind::ALL);
    spawn(async move { feed::serve(subscription, &mut at_store, &to_node).await });
    let follower = Arc::clone(&node);
    let follow = spawn(async move { feed::follow(&follower, &mut at_node, &to_store).await });
    until("the node has a lease", || node.lease().is_ok()).await;

    let revision = store.commit(transaction().put(revocation("a", 1))).await.unwrap().revision;
    tokio::time::timeout(STALENESS_MAX, store.barrier(revision)).await.unwrap();
    assert!(node.lease().unwrap().revocation(account(1), "a").is_some());

    let held = node.lease().unwrap();
    let revision = store.commit(transaction().put(revocation("b", 1))).await.unwrap().revision;
    // A decision holds the old snapshot: the barrier returns only when its lease must be over.
    let early = tokio::time::timeout(STALENESS_MAX, store.barrier(revision)).await;
    assert!(early.is_err());
    drop(held);
    follow.abort();
    // A node that is gone holds nobody up for longer than its lease.
    let revision = store.commit(transaction().put(revocation("c", 1))).await.unwrap().revision;
    tokio::time::timeout(STALENESS_MAX * 2, store.barrier(revision)).await.unwrap();
}
