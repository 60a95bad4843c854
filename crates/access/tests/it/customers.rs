//! What follows from customers' words. `web-1` holds the data of account 1.

use writ_access::ends::{due, of_customers};
use writ_access::{Refusal, settle};
use writ_proof::access::{Consent, Decision};
use writ_store::state::{EndReason, RequestState};

use crate::world::{World, account, time};

const YES: Consent = Consent { decision: Decision::Approve, not_after: None };
const NO: Consent = Consent { decision: Decision::Deny, not_after: None };

#[test]
fn customers_word_is_all_that_was_missing() {
    let mut world = World::new();
    world.words.lockboxes.insert(account(1));
    let filed = world.filed(1);
    let id = filed.request.id;
    world.words.consents.insert(account(1), YES);
    assert!(settle(&world.judged(), id).unwrap().grant.is_none(), "no operator has agreed");
    world.words.consents.clear();
    world.decided(&filed, 6, Decision::Approve);
    world.decided(&filed, 7, Decision::Approve);
    let waiting = settle(&world.judged(), id).unwrap();
    assert!(waiting.grant.is_none() && waiting.request.state == RequestState::Pending);
    let until = time(600);
    world.words.consents.insert(account(1), Consent { not_after: Some(until), ..YES });
    let made = settle(&world.judged(), id).unwrap().grant.unwrap();
    assert_eq!((made.grant.not_after, made.approvers), (until, 2));
    world.words.consents.insert(account(1), NO);
    let denied = settle(&world.judged(), id).unwrap();
    assert_eq!(denied.request.state, RequestState::Denied);
    // What holds no more for the operators is not completed by the customer.
    world.words.consents.insert(account(1), YES);
    world.words.away.insert(crate::world::id(4));
    assert!(matches!(settle(&world.judged(), id), Err(Refusal::Refused(_))));
}

#[test]
fn disabled_support_role_stops_each_step() {
    let mut world = World::new();
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    world.words.disabled.insert(account(1));
    let why = |refused: Result<(), Refusal>| refused.unwrap_err().to_string();
    let text = "has disabled the support role";
    assert!(why(world.judge(&world.request(2)).map(drop)).contains(text));
    let last = world.approval(&filed, 7, Decision::Approve);
    assert!(why(world.decide(&last, 7).map(drop)).contains(text));
    assert!(why(settle(&world.judged(), filed.request.id).map(drop)).contains(text));
    world.words.disabled = [account(2)].into();
    assert!(world.decide(&last, 7).unwrap().grant.is_some(), "another customer's is no matter");
}

#[test]
fn grant_ends_with_the_customers_word() {
    type Word = fn(&mut World);
    let words: [(Option<EndReason>, Word); 7] = [
        (None, |_| {}),
        (Some(EndReason::RoleDisabled), |w| w.words.disabled.extend([account(1)])),
        (None, |w| w.words.disabled.extend([account(2)])),
        (Some(EndReason::LockboxWithdrawn), |w| w.words.lockboxes.extend([account(1)])),
        (None, |w| w.words.lockboxes.extend([account(2)])),
        (None, |w| {
            w.words.lockboxes.insert(account(1));
            w.words.consents.insert(account(1), YES);
        }),
        (Some(EndReason::LockboxWithdrawn), |w| {
            w.words.consents.insert(account(1), NO);
        }),
    ];
    for (n, (reason, word)) in words.into_iter().enumerate() {
        let mut world = World::new();
        world.granted(1);
        word(&mut world);
        for ends in [of_customers(&world.judged()), due(&world.judged())] {
            let found = ends.grants.first().map(|grant| grant.end.as_ref().unwrap().reason);
            assert_eq!(found, reason, "{n}");
        }
    }
}
