//! C-05: no access without approvals by other humans, each over the exact request. Everything that is tried here is
//! signed by somebody's own key, and sent by a client that is not ours.

use std::sync::Barrier;

use serde_json::json;
use writ_model::{Env as _, Nonce, SystemEnv, Timestamp, Ulid};
use writ_proof::access::{Approval, Decision, Request, Scope};
use writ_proof::ed25519::SoftKey;
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;
use writ_tests::{Site, until};

use crate::operators::access::{ASK, Shift, id_of};
use crate::operators::crook::assert_refused;
use crate::operators::roster::Desk;

fn forged(signed: &Signed, from: &[u8], to: &[u8]) -> Signed {
    let mut bytes = signed.to_bytes();
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
    Signed::from_bytes(&bytes).unwrap()
}

#[test]
fn c05_nobody_approves_their_own_request() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    desk.changes(&["add-member", "--group=approvers", "--person=anna"]);
    // A second key is the same human.
    desk.key("second");
    let public = site.home().join("second.pub");
    desk.changes(&["add-key", "--person=anna", "--key", public.to_str().unwrap()]);
    let id = shift.ask(&[]);
    for key in ["anna", "second"] {
        shift.refused(key, &["approve", &id], "nobody approves their own request");
        let told = shift.challenge(key, &id, "approve");
        assert_refused(told, "Refused", "nobody approves their own request");
    }
    // With the nonce of somebody else, in their own name and in the other's.
    let right = shift.right("boris", &id);
    let own = Approval { approver: "anna".parse().unwrap(), ..right.clone() };
    for key in ["anna", "second"] {
        let told = shift.decide(&shift.signed(&own, key));
        assert_refused(told, "Refused", "nobody approves their own request");
        let told = shift.decide(&shift.signed(&right, key));
        assert_refused(told, "Refused", "the key that signed it is `anna`'s");
    }
    let event = shift.event("ApproveAccess", &id, "Refused");
    assert_eq!(event.text("/requestParameters/signers"), "anna");
    assert_eq!(event.log, "operator");
    // boris alone is not enough, and his second word is not a second human.
    assert_eq!(shift.decide(&shift.signed(&right, "boris")).0, 200);
    let again = shift.right("boris", &id);
    let (status, told) = shift.decide(&shift.signed(&again, "boris"));
    assert_eq!((status, &told["state"]), (200, &json!("pending")), "{told}");
    assert!(shift.stored("grant", &id).is_none());
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "pending");
}

#[test]
fn c05_scope_changed_after_signing_is_refused() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.ask(&[]);
    let right = shift.right("boris", &id);
    let signed = shift.signed(&right, "boris");
    // One byte, after the signature.
    for (from, to) in [(&b"web-1"[..], &b"web-2"[..]), (b"svc", b"svd"), (b"OPS-17", b"OPS-18")] {
        let (status, told) = shift.decide(&forged(&signed, from, to));
        assert!(status == 403, "{told}");
    }
    // Signed by the approver, and not what was asked for.
    let Scope::Ssh(scope) = right.scope.clone() else { panic!() };
    let wider = {
        let mut scope = scope;
        scope.login = "root".to_owned();
        Scope::Ssh(scope)
    };
    let later = right.not_after.plus(std::time::Duration::from_secs(1));
    let cases: [(Approval, &str); 5] = [
        (Approval { scope: wider, ..right.clone() }, "something else"),
        (Approval { not_after: later, ..right.clone() }, "wider than what was asked for"),
        (Approval { account: Some("222222222222".parse().unwrap()), ..right.clone() }, "else"),
        (Approval { request_digest: writ_proof::Hash([7; 32]), ..right.clone() }, "else"),
        (Approval { slot: "other".parse().unwrap(), ..right.clone() }, "no slot `other`"),
    ];
    for (approval, why) in cases {
        assert_refused(shift.decide(&shift.signed(&approval, "boris")), "Refused", why);
    }
    // A request is held to what its requester signed, too.
    let (asked, _) = shift.request(&id);
    let (status, told) = shift.file(&forged(&asked, b"web-1", b"web-2"));
    assert!(status == 403, "{told}");
    assert_eq!(shift.decide(&signed).0, 200, "the right one is still good");
}

#[test]
fn c05_approval_is_good_once_for_one_request_decision_and_human() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (id, other) = (shift.ask(&[]), shift.ask(&[]));
    let right = shift.right("boris", &id);
    let signed = shift.signed(&right, "boris");
    let nonce = |approval: &Approval, who: &str| {
        let told = shift.decide(&shift.signed(approval, who));
        assert_refused(told, "BadNonce", "run `writ approve` again");
    };
    // The nonce with another decision, another human, another request, a made-up one, another head.
    nonce(&Approval { decision: Decision::Deny, ..right.clone() }, "boris");
    nonce(&Approval { approver: "carla".parse().unwrap(), ..right.clone() }, "carla");
    let (cloned, _) = shift.request(&other);
    let on_clone = Approval {
        request: other.parse().unwrap(),
        request_digest: cloned.digest(),
        not_before: shift.request(&other).1.not_before,
        not_after: shift.request(&other).1.not_after,
        ..right.clone()
    };
    nonce(&on_clone, "boris");
    nonce(&Approval { nonce: Nonce([3; 16]), ..right.clone() }, "boris");
    let mut elsewhere = right.clone();
    elsewhere.ledger.size += 1;
    nonce(&elsewhere, "boris");
    // A cloned request in the requester's own name, with the old digest.
    let clone = shift.signed(&shift.clone_of(&id), "anna");
    assert_eq!(shift.file(&clone).0, 200);
    let request: Request = writ_proof::cbor::from_slice(clone.body()).unwrap();
    let told =
        shift.decide(&shift.signed(&Approval { request: request.id, ..right.clone() }, "boris"));
    assert_refused(told, "Refused", "another request");
    // Once; the same bytes again change nothing, and the nonce with others is spent.
    assert_eq!(shift.decide(&signed).0, 200);
    let (status, told) = shift.decide(&signed);
    assert_eq!((status, &told["repeated"]), (200, &json!(true)), "{told}");
    nonce(&Approval { signed: Timestamp::from_secs(1), ..right.clone() }, "boris");
    assert!(shift.stored("grant", &id).is_none());
    // An approval that was taken is worth nothing in another namespace, or as a request.
    let as_request = shift.send(
        "POST",
        "/writ/v1/requests",
        &[("content-type", "application/cbor")],
        &signed.to_bytes(),
    );
    assert_refused(as_request, "Malformed", "is no request");
    shift.ok("carla", &["approve", &id]);
    assert!(shift.stored("grant", &id).is_some());
    // A denial is final, and an ended grant's request opens nothing again.
    shift.ok("boris", &["deny", &other]);
    shift.refused("carla", &["approve", &other], "the request is denied");
    shift.ok("anna", &["revoke", &id]);
    let (asked, _) = shift.request(&id);
    assert_eq!(shift.file(&asked).1["state"], "approved", "it is the old one");
    assert_refused(shift.challenge("boris", &id, "approve"), "Over", "is approved");
    assert!(!shift.stored("grant", &id).unwrap()["end"].is_null());
    assert_eq!(shift.event("DenyAccess", &other, "").log, "operator");
    assert_eq!(shift.event("ApproveAccess", &id, "BadNonce").log, "operator");
}

#[test]
fn c05_approver_counts_only_by_the_roster_and_from_before_the_request() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    let id = shift.ask(&[]);
    desk.enrol("eve");
    desk.changes(&["add-member", "--group=approvers", "--person=eve"]);
    desk.changes(&["add-member", "--group=approvers", "--person=dora"]);
    shift.refused("eve", &["approve", &id], "was enrolled after the request was made");
    shift.refused("dora", &["approve", &id], "became a member of `approvers` after the request");
    let (_, challenge) = shift.challenge("boris", &id, "approve");
    for (who, why) in [("eve", "enrolled after"), ("dora", "after the request was made")] {
        let approval = shift.approval(who, &id, &challenge);
        assert_refused(shift.decide(&shift.signed(&approval, who)), "Refused", why);
    }
    // A stranger's key, and anna's colleague who approves nothing.
    desk.key("stranger");
    let approval = shift.approval("boris", &id, &challenge);
    let told = shift.decide(&shift.signed(&approval, "stranger"));
    assert_refused(told, "Refused", "not in the roster");
    assert_refused(
        shift.challenge("stranger", &id, "approve"),
        "AccessDenied",
        "not in the roster",
    );
    // Who has left the approvers does not count any more, whatever they signed before.
    assert_eq!(shift.decide(&shift.signed(&approval, "boris")).0, 200);
    desk.changes(&["remove-member", "--group=approvers", "--person=boris"]);
    let text = shift.ok("carla", &["approve", &id]);
    assert!(text.contains("`peers` needs 1 more"), "{text}");
    assert!(shift.stored("grant", &id).is_none());
    // A group that was changed is another one.
    let after = shift.ask(&[]);
    desk.changes(&[
        "add-group",
        "oncall",
        "--title=On call",
        "--tier=sensitive",
        "--slot=peers:2:group:approvers",
        "--host=web-*",
        "--login=svc",
        "--kind=ssh",
        "--max-hours=2",
        "--owner=anna",
        "--owner=boris",
    ]);
    shift.refused("carla", &["approve", &after], "was changed since it was made");
}

#[test]
fn c05_request_that_may_not_be_made_is_refused_and_recorded() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.ask(&[]);
    let base = || shift.clone_of(&id);
    let hours =
        |from: Timestamp, hours: u64| from.plus(std::time::Duration::from_secs(hours * 3600));
    let with = |change: &dyn Fn(&mut Request)| {
        let mut request = base();
        change(&mut request);
        request
    };
    fn ssh(request: &mut Request) -> &mut writ_proof::access::SshScope {
        let Scope::Ssh(scope) = &mut request.scope else { panic!() };
        scope
    }
    type Case = (&'static str, Request, &'static str);
    let cases: [Case; 12] = [
        ("host", with(&|r| ssh(r).hosts.0 = vec!["web-9".parse().unwrap()]), "no host `web-9`"),
        ("reach", with(&|r| ssh(r).hosts.0 = vec!["db-1".parse().unwrap()]), "does not reach"),
        ("group", with(&|r| r.group = "admins".parse().unwrap()), "no group `admins`"),
        ("login", with(&|r| ssh(r).login = "root".to_owned()), "login role `root`"),
        ("long", with(&|r| r.not_after = hours(r.not_before, 5)), "at most 4 h"),
        ("ahead", with(&|r| r.created = hours(r.created, 1)), "dated ahead"),
        (
            "far",
            with(&|r| {
                r.not_before = hours(r.not_before, 15 * 24);
                r.not_after = hours(r.not_before, 1);
            }),
            "more than 14 days",
        ),
        ("old", with(&|r| r.created = Timestamp::from_secs(r.created.secs() - 1000)), "15 minutes"),
        ("id", with(&|r| r.id = Ulid::from_bytes([1; 16])), "its id is of another time"),
        ("ticket", with(&|r| r.ticket.id = "OPS-99".to_owned()), "no ticket `OPS-99`"),
        ("system", with(&|r| r.ticket.system = "jira".to_owned()), "system `jira` is not known"),
        ("reason", with(&|r| r.reason = " ".to_owned()), "it needs a reason"),
    ];
    for (name, request, why) in cases {
        assert_refused(shift.file(&shift.signed(&request, "anna")), "Refused", why);
        let event = shift.event("RequestAccess", &request.id.to_string(), "Refused");
        assert_eq!(event.text("/requestParameters/signers"), "anna", "{name}");
        assert!(shift.stored("request", &request.id.to_string()).is_none(), "{name}");
    }
    // A closed ticket, here and by the command line.
    shift.ok("dora", &["ticket", "close", "OPS-17"]);
    shift.refused("anna", &ASK, "the ticket `OPS-17` is closed");
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "withdrawn");
    // Another request under a known id.
    let taken = with(&|r| r.id = id.parse().unwrap());
    assert_refused(shift.file(&shift.signed(&taken, "anna")), "Taken", "another request");
}

#[test]
fn c05_hundred_approvals_at_once_fill_a_quorum_once() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.ask(&[]);
    let signed: Vec<Signed> =
        ["boris", "carla"].iter().map(|who| shift.signed(&shift.right(who, &id), who)).collect();
    let start = Barrier::new(100);
    let answers: Vec<(u16, serde_json::Value)> = std::thread::scope(|scope| {
        let send = |n: usize| {
            let (start, shift, signed) = (&start, &shift, &signed[n % 2]);
            scope.spawn(move || {
                start.wait();
                loop {
                    match shift.decide(signed) {
                        (503, _) => std::thread::sleep(std::time::Duration::from_millis(50)),
                        answer => return answer,
                    }
                }
            })
        };
        let threads: Vec<_> = (0..100).map(send).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let first = |(_, told): &&(u16, serde_json::Value)| told["repeated"] == json!(false);
    assert_eq!(answers.iter().filter(first).count(), 2);
    let granting = answers.iter().filter(|(_, told)| !told["not_after"].is_null());
    assert_eq!(granting.count(), 1);
    until("both decisions to be in the ledger", || {
        let events = site.ledger().events();
        let taken = |e: &&writ_tests::ledger::Event| {
            e.text("/eventName") == "ApproveAccess" && e.error().is_empty()
        };
        let told = |e: &&writ_tests::ledger::Event| e.text("/eventName") == "OperatorAccessGranted";
        let (taken, told) =
            (events.iter().filter(taken).count(), events.iter().filter(told).count());
        assert!(taken <= 2 && told <= 1);
        ((taken, told) == (2, 1)).then_some(())
    });
}

/// front dies with the last approval on its disk and in no ledger, in the ledger and told to nobody.
#[test]
fn c05_grant_whose_reply_was_lost_in_a_crash_is_one_grant() {
    for failpoint in ["store.after_commit", "store.before_publish"] {
        let mut site = Site::start();
        let (id, second) = {
            let shift = Shift::at(&site);
            let id = shift.ask(&[]);
            shift.ok("boris", &["approve", &id]);
            (id, ())
        };
        let () = second;
        assert!(site.stop().success());
        site.start_again(failpoint).unwrap_or_else(|failure| panic!("{}", failure.log));
        let shift = Shift { site: &site };
        let challenge = shift.challenge("carla", &id, "approve");
        assert_eq!(challenge.0, 200, "{}", challenge.1);
        let signed = shift.signed(&shift.approval("carla", &id, &challenge.1), "carla");
        let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shift.decide(&signed)));
        assert!(lost.is_err() || lost.unwrap().0 != 200, "{failpoint}");
        site.wait_until_served();
        let grant = until("the grant", || shift.stored("grant", &id));
        assert!(grant["end"].is_null());
        let (status, told) = shift.decide(&signed);
        assert_eq!((status, &told["repeated"]), (200, &json!(true)), "{failpoint}: {told}");
        let grants = shift.ok("anna", &["grants"]);
        assert!(grants.contains("live"), "{grants}");
        assert!(site.stop().success());
        let verdict = site.verify();
        assert_eq!(verdict.code, 0, "{failpoint}: {}", verdict.text);
    }
}

/// Whoever has front's disk writes themselves a grant's approvals: front judges the bytes anew.
#[test]
fn c05_approval_put_into_the_database_counts_for_nothing() {
    let mut site = Site::start();
    let (id, forged) = {
        let shift = Shift::at(&site);
        let id = shift.ask(&[]);
        let right = shift.right("boris", &id);
        let mut signed = Signed::new(&right).unwrap();
        let stranger = SoftKey::from_seed(&[7; 32]).unwrap();
        let namespace = signed.namespace();
        let signature = SshSig::sign(signed.body(), namespace.as_str(), &stranger).unwrap();
        signed.add(&signature).unwrap();
        (id, signed)
    };
    assert!(site.stop().success());
    use base64::Engine as _;
    let statement = base64::engine::general_purpose::STANDARD.encode(forged.to_bytes());
    let body = json!({"v": 1, "body": {"request": id, "approver": "boris", "decision": "approve",
        "statement": statement, "at": SystemEnv.now().millis()}});
    let connection = rusqlite::Connection::open(site.dir().join("front/state.sqlite")).unwrap();
    let row = ("000000000000", "approval", format!("{id}/boris"), body.to_string());
    let insert =
        "INSERT INTO object (account, kind, id, revision, body) VALUES (?1, ?2, ?3, 1, ?4)";
    assert_eq!(connection.execute(insert, row).unwrap(), 1);
    drop(connection);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    site.wait_until_served();
    let shift = Shift { site: &site };
    let text = shift.ok("carla", &["approve", &id]);
    assert!(text.contains("`peers` needs 1 more"), "{text}");
    assert!(shift.stored("grant", &id).is_none());
    assert_eq!(id_of(&format!("writ approve {id}")), id);
}
