//! Decisions.

use writ_access::{Refusal, pseudonym};
use writ_model::{AccountId, Nonce, Timestamp};
use writ_proof::access::{Approval, Consent, Decision};
use writ_proof::roster::{Approver, Change, MemberId, Slot};
use writ_store::state::{AccessApproval, RequestState};

use crate::world::{World, account, group, id, slot, time};

#[track_caller]
fn refused(result: Result<writ_access::Decided, Refusal>, why: &str) {
    let refusal = result.unwrap_err().to_string();
    assert!(refusal.contains(why), "{why}: {refusal}");
}

#[test]
fn two_approvals_make_one_grant_of_their_common_window() {
    let mut world = World::new();
    let filed = world.filed(1);
    let first = world.decided(&filed, 6, Decision::Approve);
    assert!(first.grant.is_none());
    let entry = world.judged().request(filed.request.id).unwrap().clone();
    let before = |n| writ_access::decision::said_before(&entry, &id(n), &world.judged());
    assert_eq!((before(6), before(7)), (Some(first.said.clone()), None));
    assert_eq!(first.missing[0].to_string(), "`peers` needs 1 more of the group `approvers`");
    let mut short = world.approval(&filed, 7, Decision::Approve);
    short.not_after = time(1000);
    let second = world.decide(&short, 7).unwrap();
    let grant = second.grant.unwrap();
    assert_eq!((grant.person, grant.not_after), (id(4), time(1000)));
    assert_eq!(grant.digest, filed.request.digest);
    assert_eq!((second.approvers, second.request.state), (2, RequestState::Approved));
}

/// Who agrees once more, for less, has agreed to that alone.
#[test]
fn newest_decision_of_a_person_is_the_one_that_counts() {
    let mut world = World::new();
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    let mut less = world.approval(&filed, 6, Decision::Approve);
    less.not_after = time(900);
    let again = world.decide(&less, 6).unwrap();
    assert!(again.grant.is_none() && again.approvers == 1, "one human is one human");
    world.put(again.approval);
    let last = world.approval(&filed, 7, Decision::Approve);
    assert_eq!(world.decide(&last, 7).unwrap().grant.unwrap().not_after, time(900));
}

/// A quorum that holds without somebody is proven without them; nobody's denial is left out.
#[test]
fn evidence_of_a_grant_has_none_that_counts_no_more() {
    let mut world = World::new();
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    let member = MemberId { group: "approvers".parse().unwrap(), person: id(6) };
    world.change(Change::RemoveMember(member));
    world.decided(&filed, 7, Decision::Approve);
    let decided = world.decided(&filed, 8, Decision::Approve);
    assert!(decided.grant.is_some());
    let evidence = |world: &World| {
        writ_access::decision::evidence(&world.snapshot, &world.roster, &filed.asked, world.now)
    };
    let stored = |world: &World, n| {
        let entry = AccessApproval::id_of(filed.request.id, &id(n));
        let held = world.snapshot.get::<AccessApproval>(AccountId::PLATFORM, &entry).unwrap();
        AccessApproval::clone(&held.value)
    };
    let bytes = |one: AccessApproval| one.statement.as_slice().to_vec();
    let both = vec![bytes(stored(&world, 7)), bytes(stored(&world, 8))];
    assert_eq!(evidence(&world), both);
    let denial = AccessApproval { decision: "deny".to_owned(), ..stored(&world, 6) };
    world.put(denial);
    assert_eq!(evidence(&world).len(), 3);
}

/// keyd has been told of leavers, and takes no evidence with one; of an earlier employment it says nothing.
#[test]
fn evidence_of_a_grant_has_no_leaver() {
    let mut world = World::new();
    let filed = world.filed(1);
    for n in [6, 7] {
        world.decided(&filed, n, Decision::Approve);
    }
    let evidence = |world: &World| {
        let (roster, now) = (&world.roster, world.now);
        writ_access::decision::evidence(&world.snapshot, roster, &filed.asked, now).len()
    };
    for (enrolment, count) in [(None, 2), (Some(2), 2), (Some(1), 1)] {
        world.leave(7, enrolment);
        assert_eq!(evidence(&world), count, "{enrolment:?}");
    }
}

#[test]
fn nonce_is_good_once_for_one_decision_and_five_minutes() {
    let mut world = World::new();
    let (filed, other) = (world.filed(1), world.filed(2));
    let right = world.approval(&filed, 6, Decision::Approve);
    let bad = "was not given out for this decision, or was used";
    refused(world.decide(&Approval { nonce: Nonce([9; 16]), ..right.clone() }, 6), bad);
    let deny = Approval { decision: Decision::Deny, ..right.clone() };
    refused(world.decide(&deny, 6), bad);
    refused(world.decide(&Approval { approver: id(7), ..right.clone() }, 7), bad);
    let request = other.asked.request().id;
    let request_digest = other.asked.digest();
    refused(world.decide(&Approval { request, request_digest, ..right.clone() }, 6), bad);
    let mut elsewhere = right.clone();
    elsewhere.ledger.size += 1;
    refused(world.decide(&elsewhere, 6), "another state of the ledger");
    world.later(300);
    refused(world.decide(&right, 6), "older than 5 minutes");
    let right = world.decided(&filed, 6, Decision::Approve).said;
    refused(world.decide(&Approval { signed: Timestamp::from_secs(1), ..right.clone() }, 6), bad);
    assert!(world.decide(&right, 6).unwrap().repeated);
}

#[test]
fn whoever_may_not_approve_at_the_end_does_not_count() {
    let mut world = World::new();
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    let last = |world: &mut World| {
        let approval = world.approval(&filed, 7, Decision::Approve);
        world.decide(&approval, 7).map(|decided| decided.grant.is_some())
    };
    assert_eq!(last(&mut world), Ok(true));
    // Suspended since.
    world.words.away.insert(id(6));
    assert_eq!(last(&mut world), Ok(false));
    world.words.away.clear();
    // The requester, too.
    world.words.away.insert(id(4));
    assert!(last(&mut world).unwrap_err().to_string().contains("does not hold any more"));
    world.words.away.clear();
    let member = MemberId { group: "approvers".parse().unwrap(), person: id(6) };
    world.change(Change::RemoveMember(member));
    assert_eq!(last(&mut world), Ok(false));
}

#[test]
fn denial_is_final_and_nobody_decides_what_is_over() {
    let mut world = World::new();
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    // Who has agreed may still say no.
    let denied = world.decided(&filed, 6, Decision::Deny);
    assert_eq!((denied.request.state, denied.grant), (RequestState::Denied, None));
    let late = world.approval(&filed, 7, Decision::Approve);
    refused(world.decide(&late, 7), "the request is denied");
    let filed = world.filed(2);
    let late = world.approval(&filed, 7, Decision::Approve);
    world.now = filed.request.pending_until;
    refused(world.decide(&late, 7), "the request is expired");
    let world_at = world.judged();
    let may = writ_access::decision::may_decide(&world_at, filed.request.id, &id(7));
    assert!(may.is_err());
}

#[test]
fn own_request_and_no_slot_get_no_nonce() {
    let mut world = World::new();
    let filed = world.filed(1);
    let may = |world: &World, n: u8| {
        writ_access::decision::may_decide(&world.judged(), filed.request.id, &id(n))
    };
    assert_eq!(may(&world, 6).unwrap()[0].as_str(), "peers");
    let own = may(&world, 4).unwrap_err().to_string();
    assert!(own.contains("nobody approves their own request"), "{own}");
    assert!(may(&world, 5).unwrap_err().to_string().contains("is not a member of `approvers`"));
    world.words.away.insert(id(6));
    assert!(may(&world, 6).unwrap_err().to_string().contains("may not act now"));
}

/// Whom HR names nobody as manager of, has nobody in that slot: what keyd cannot know, front does not wave through.
#[test]
fn managers_slot_is_filled_by_the_manager_alone() {
    let mut world = World::new();
    let manager =
        Slot { slot: "manager".parse().unwrap(), count: 1, from: Approver::ManagerOfRequester };
    let rule = vec![slot("peers", 2, "approvers"), manager];
    world.change(Change::SetGroup(Box::new(group("oncall", rule))));
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    world.decided(&filed, 8, Decision::Approve);
    let mut by_manager = world.approval(&filed, 7, Decision::Approve);
    by_manager.slot = "manager".parse().unwrap();
    refused(world.decide(&by_manager, 7), "HR names no manager of `p4`");
    world.words.managers.insert(id(4), id(8));
    refused(world.decide(&by_manager, 7), "is not the manager of `p4`");
    world.words.managers.insert(id(4), id(7));
    assert!(world.decide(&by_manager, 7).unwrap().grant.is_some());
}

#[test]
fn customer_who_wants_to_be_asked_is_waited_for() {
    let mut world = World::new();
    world.words.lockboxes.extend([account(1), account(2)]);
    let filed = world.filed(1);
    world.decided(&filed, 6, Decision::Approve);
    let last = world.approval(&filed, 7, Decision::Approve);
    let waiting = world.decide(&last, 7).unwrap();
    assert!(waiting.grant.is_none());
    let missing: Vec<String> = waiting.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["`customer` needs 1 more of the customer 000000000001"]);
    let yes = Consent { decision: Decision::Approve, not_after: Some(time(600)) };
    world.words.consents.insert(account(1), yes);
    assert_eq!(world.decide(&last, 7).unwrap().grant.unwrap().not_after, time(600));
}

#[test]
fn pseudonym_is_stable_and_of_one_site() {
    let (here, there) = ("site-1".parse().unwrap(), "site-2".parse().unwrap());
    let name = pseudonym(&here, &id(4));
    assert!(name.len() == 13 && name.starts_with("op-"), "{name}");
    assert_eq!(name, pseudonym(&here, &id(4)));
    assert_ne!(name, pseudonym(&here, &id(5)));
    assert_ne!(name, pseudonym(&there, &id(4)));
}
