//! Listings.

use std::time::Instant;

use writ_access::pages;
use writ_model::Ulid;
use writ_store::state::AccessRequest;

use crate::world::{World, id};

#[test]
fn pages_of_a_hundred_thousand_requests_are_whole_and_quick() {
    let mut world = World::new();
    let filed = world.filed(1).request;
    let objects = (0..100_000u64).map(|n| {
        let mut bytes = filed.id.bytes();
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        let requester = id(if n % 1000 == 0 { 5 } else { 4 });
        // What was signed plays no part in finding a page.
        let (id, statement) = (Ulid::from_bytes(bytes), Vec::new().into());
        let request = AccessRequest { id, requester, statement, ..filed.clone() };
        (writ_store::Object::new(writ_model::AccountId::PLATFORM, request), writ_model::Revision(1))
    });
    let epoch = world.snapshot.epoch();
    let snapshot = writ_store::Snapshot::build(epoch, writ_model::Revision(1), objects);
    let began = Instant::now();
    let page = pages::requests(&snapshot, None, None);
    println!("first page of 100,000 requests: {:?}", began.elapsed());
    assert_eq!(page.entries.len(), 100);
    // Newest first, and no entry twice or never.
    let (mut before, mut all, mut slowest) = (None, Vec::new(), std::time::Duration::ZERO);
    loop {
        let began = Instant::now();
        let page = pages::requests(&snapshot, before.as_deref(), Some(&id(5)));
        slowest = slowest.max(began.elapsed());
        all.extend(page.entries.iter().map(|entry| entry.id));
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    println!("slowest page of one person's: {slowest:?}");
    assert_eq!(all.len(), 100);
    assert!(all.is_sorted_by(|a, b| a > b));
}
