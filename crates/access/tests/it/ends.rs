//! Ends.

use std::collections::BTreeSet;

use writ_access::ends::{due, ended_early, of_person, of_ticket, revoke};
use writ_access::{GrantState, live, state};
use writ_model::{AccountId, Revision, Timestamp, Ulid};
use writ_proof::at_most::AtMost;
use writ_proof::roster::{Accounts, Change, EnrolmentId, MemberId};
use writ_store::state::{AccessGrant, AccessRequest, EndReason, GrantEnd, RequestState};
use writ_store::{Object, Snapshot};

use crate::world::{World, account, group, host, id, slot, time};

#[test]
fn grant_is_live_in_its_window_and_without_an_end() {
    let mut world = World::new();
    let mut grant = world.granted(1);
    grant.not_before = time(100);
    grant.not_after = time(200);
    for (at, wanted) in [
        (99, GrantState::Scheduled),
        (100, GrantState::Live),
        (199, GrantState::Live),
        (200, GrantState::Ended),
    ] {
        assert_eq!(state(&grant, time(at)), wanted, "{at}");
    }
    grant.end = Some(GrantEnd { reason: EndReason::Revoked, at: time(150), by: None });
    assert_eq!(state(&grant, time(150)), GrantState::Ended);
    // What is damaged gives nothing.
    let damaged = AccessGrant { digest: "x".to_owned(), end: None, ..grant };
    assert_eq!(state(&damaged, time(150)), GrantState::Ended);
}

#[test]
fn each_cause_ends_a_grant_with_its_reason() {
    type Harm = fn(&mut World);
    let harms: [(EndReason, Harm); 10] = [
        (EndReason::Expired, |w| w.later(3600)),
        (EndReason::Suspended, |w| {
            w.words.away.insert(id(4));
        }),
        (EndReason::PolicyChanged, |w| {
            let rule = vec![slot("peers", 2, "approvers")];
            w.change(Change::SetGroup(Box::new(group("oncall", rule))));
        }),
        (EndReason::PolicyChanged, |w| {
            let member = MemberId { group: "oncall".parse().unwrap(), person: id(4) };
            w.change(Change::RemoveMember(member));
        }),
        (EndReason::PolicyChanged, |w| {
            let enrolment = EnrolmentId { person: id(4), number: 1 };
            w.change(Change::EndEnrolment(enrolment));
        }),
        (EndReason::PolicyChanged, |w| {
            w.change(Change::RemoveHost("web-1".parse().unwrap()));
        }),
        (EndReason::PolicyChanged, |w| w.change(host(Accounts::All))),
        (EndReason::PolicyChanged, |w| {
            w.change(host(Accounts::Only(AtMost(vec![account(1), account(2)]))));
        }),
        // Nobody writes this; if somebody did, the grant would not outlive its request.
        (EndReason::Revoked, |w| {
            let grant = live(&w.snapshot, w.now).next().unwrap().request;
            let stored = w.judged().request(grant).unwrap().value.as_ref().clone();
            w.put(AccessRequest { state: RequestState::Withdrawn, ..stored });
        }),
        (EndReason::TicketClosed, |w| {
            let closed = writ_access::ticket::close(&w.judged(), "OPS-17", &id(1)).unwrap();
            w.put(closed);
        }),
    ];
    for (reason, harm) in harms {
        let mut world = World::new();
        world.granted(1);
        assert!(due(&world.judged()).is_empty());
        harm(&mut world);
        let ends = due(&world.judged());
        assert_eq!(ends.grants[0].end.as_ref().unwrap().reason, reason);
        // What ended before its time is what others have to know.
        let early = usize::from(reason != EndReason::Expired);
        assert_eq!(ends.digests(world.now).len(), early, "{reason:?}");
        world.put(ends.grants[0].clone());
        assert!(due(&world.judged()).is_empty());
        assert_eq!(ended_early(&world.snapshot, world.now).count(), early);
        assert_eq!(live(&world.snapshot, world.now).count(), 0);
        world.later(7200);
        assert_eq!(ended_early(&world.snapshot, world.now).count(), 0, "its window is over");
    }
    // Hired again and back in the group is another enrolment: what the earlier one had stays ended.
    let mut world = World::new();
    world.granted(1);
    world.rehire(4);
    let ends = due(&world.judged());
    assert_eq!(ends.grants[0].end.as_ref().unwrap().reason, EndReason::PolicyChanged);
    // A host that holds less data than before changes nothing.
    let mut world = World::new();
    world.granted(1);
    world.change(host(Accounts::Only(AtMost(Vec::new()))));
    assert!(due(&world.judged()).is_empty());
}

#[test]
fn ends_take_what_is_meant_and_nothing_else() {
    let mut world = World::new();
    let grant = world.granted(1);
    world.filed(2);
    let ended = |ends: writ_access::Ends| (ends.requests.len(), ends.grants.len());
    let (snapshot, now) = (&world.snapshot, world.now);
    assert_eq!(ended(of_person(snapshot, "p4", EndReason::Leaver, now)), (1, 1));
    assert_eq!(ended(of_person(snapshot, "p5", EndReason::Leaver, now)), (0, 0));
    assert_eq!(ended(of_ticket(snapshot, "OPS-17", &id(1), now)), (1, 1));
    assert_eq!(ended(of_ticket(snapshot, "OPS-1", &id(1), now)), (0, 0));
    let ends = revoke(&world.judged(), grant.request, &id(8)).unwrap();
    let end = ends.grants[0].end.clone().unwrap();
    assert_eq!((end.reason, end.by), (EndReason::Revoked, Some(id(8))));
    world.put(ends.grants[0].clone());
    assert!(revoke(&world.judged(), grant.request, &id(8)).is_err(), "once");
}

/// Overlapping grants of one person with random windows and ends: access at every instant is their union, and ending one
/// takes nothing from another.
#[test]
fn access_is_the_union_of_ten_thousand_grants_at_every_instant() {
    let mut world = World::new();
    let sample = world.granted(1);
    let mut random = 7u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    let grants = (0..10_000u64).map(|n| {
        let (from, length, ends) = (next(1000), 1 + next(50), next(3) == 0);
        let mut bytes = sample.request.bytes();
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        let end = GrantEnd { reason: EndReason::Revoked, at: time(0), by: None };
        AccessGrant {
            request: Ulid::from_bytes(bytes),
            person: id(4 + u8::from(next(50) != 0)),
            not_before: time(from),
            not_after: time(from + length),
            end: ends.then_some(end),
            ..sample.clone()
        }
    });
    let all: Vec<AccessGrant> = grants.collect();
    let object =
        |grant: &AccessGrant| (Object::new(AccountId::PLATFORM, grant.clone()), Revision(1));
    let epoch = world.snapshot.epoch();
    let snapshot = Snapshot::build(epoch, Revision(1), all.iter().map(object));
    let of_p4 = || all.iter().filter(|grant| grant.person == id(4));
    // Where one begins or ends, and the instant before that.
    let edges = of_p4().take(20).flat_map(|grant| [grant.not_before, grant.not_after]);
    let edges = edges.flat_map(|at| [at, Timestamp::from_millis(at.millis() - 1)]);
    for now in edges {
        let naive = |grant: &&AccessGrant| {
            grant.end.is_none() && grant.not_before <= now && now < grant.not_after
        };
        let found = live(&snapshot, now).filter(|grant| grant.person == id(4));
        let found: BTreeSet<Ulid> = found.map(|grant| grant.request).collect();
        let wanted: BTreeSet<Ulid> = of_p4().filter(naive).map(|grant| grant.request).collect();
        assert_eq!(found, wanted, "{now}");
    }
}
