//! Filing.

use writ_access::{Refusal, limits};
use writ_proof::access::Request;
use writ_store::state::RequestState;

use crate::world::{World, id, signed_by, time};

#[test]
fn request_is_filed_and_sent_again_it_is_the_same() {
    let mut world = World::new();
    let filed = world.filed(1);
    assert_eq!((filed.request.state, filed.repeated), (RequestState::Pending, false));
    assert_eq!(filed.request.pending_until, time(3660));
    let again = world.judge(&world.request(1)).unwrap();
    assert!(again.repeated);
    let other = Request { reason: "another".to_owned(), ..world.request(1) };
    assert!(matches!(world.judge(&other), Err(Refusal::Taken(_))));
}

#[test]
fn request_waits_an_hour_and_not_beyond_its_window() {
    let mut world = World::new();
    let half = time(60 + 1800);
    let short = Request { not_after: half, ..world.request(1) };
    assert_eq!(world.judge(&short).unwrap().request.pending_until, half);
    let filed = world.filed(2);
    world.now = filed.request.pending_until;
    let ends = writ_access::ends::due(&world.judged());
    assert_eq!(ends.requests[0].state, RequestState::Expired);
}

#[test]
fn request_needs_hr_ticket_and_its_time() {
    let mut world = World::new();
    let refused = |world: &World, request: &Request, why: &str| {
        let refusal = world.judge(request).unwrap_err().to_string();
        assert!(refusal.contains(why), "{why}: {refusal}");
        // Who looks before signing hears the same.
        let before = writ_access::request::check(request, &world.judged()).unwrap_err();
        assert_eq!(before.to_string(), refusal);
    };
    let right = world.request(1);
    writ_access::request::check(&right, &world.judged()).unwrap();
    world.now = time(60 + 15 * 60 + 1);
    refused(&world, &right, "more than 15 minutes ago");
    world.now = time(60);
    let mut early = [9; 16];
    early[0] = 0;
    let odd = Request { id: writ_model::Ulid::from_bytes(early), ..world.request(1) };
    refused(&world, &odd, "its id is of another time");
    let mut other = world.request(1);
    other.ticket.system = "jira".to_owned();
    refused(&world, &other, "`jira` is not known");
    other = world.request(1);
    other.ticket.id = "OPS-1".to_owned();
    refused(&world, &other, "writ ticket open OPS-1");
    world.words.away.insert(id(4));
    refused(&world, &world.request(1), "may not act in `oncall` now");
    world.words.away.clear();
    let closed = writ_access::ticket::close(&world.judged(), "OPS-17", &id(1)).unwrap();
    world.put(closed);
    refused(&world, &world.request(1), "the ticket `OPS-17` is closed");
    let approval = signed_by(&world.request(1), &[5]);
    let refusal = writ_access::file(&approval, &world.judged()).unwrap_err();
    assert!(refusal.to_string().contains("is `p5`'s"), "{refusal}");
}

#[test]
fn one_person_has_only_so_many_open() {
    let mut world = World::new();
    let most = u8::try_from(limits::PERSON_MAX_OPEN).unwrap();
    for n in 1..=most {
        world.filed(n);
    }
    assert!(matches!(world.judge(&world.request(99)), Err(Refusal::TooMany(_))));
    // All of them end in one commit with the person.
    let reason = writ_store::state::EndReason::Leaver;
    let ends = writ_access::ends::of_person(&world.snapshot, "p4", reason, world.now);
    assert_eq!(ends.len(), usize::from(most));
}
