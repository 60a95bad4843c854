//! C-10: no operator touches an account against its customer's word, whoever of the operator agreed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use writ_tests::http::{Http, Request};
use writ_tests::site::{ANN, BOB};
use writ_tests::wait::within;
use writ_tests::{Client, Site, until};

use super::{allow, refused_and_recorded, user};
use crate::operations::{Actor, text};
use crate::operators::access::Shift;
use crate::operators::roster::Desk;

/// From the customer's call to the end of the grant.
const DEADLINE: Duration = Duration::from_secs(1);

fn customer<'s>(site: &'s Site, account: &str) -> Actor<'s> {
    Actor::root(site, Client::Boto, account)
}

fn lockbox(customer: &Actor<'_>, mode: &str) -> Value {
    customer.ok("writ", "PutLockbox", json!({"Mode": mode}))
}

fn seen(customer: &Actor<'_>, id: &str) -> Value {
    customer.ok("writ", "GetOperatorAccess", json!({"RequestId": id}))["OperatorAccess"].clone()
}

/// The parameters of a decision on a request.
fn naming(customer: &Actor<'_>, id: &str) -> Value {
    json!({"RequestId": id, "RequestDigest": text(&seen(customer, id), "/RequestDigest")})
}

/// A request that both operators have approved.
fn approved(shift: &Shift<'_>, more: &[&str]) -> String {
    let id = shift.ask(more);
    shift.ok("boris", &["approve", &id]);
    shift.ok("carla", &["approve", &id]);
    id
}

fn ended_for(shift: &Shift<'_>, id: &str) -> String {
    let grant = shift.stored("grant", id).unwrap_or_default();
    grant["end"]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn c10_request_waits_for_the_customer_whose_consent_completes_it() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (ann, bob) = (customer(&site, ANN), customer(&site, BOB));
    lockbox(&ann, "STREAMLINED");
    let id = approved(&shift, &[]);
    assert!(shift.stored("grant", &id).is_none(), "two operators are not enough");
    let pending = seen(&ann, &id);
    assert_eq!(pending["State"], "PENDING");
    assert_eq!(pending["Hosts"], json!(["web-1"]));
    assert_eq!(pending["Approvers"], 2);
    let operator = text(&pending, "/Operator");
    assert!(operator.starts_with("op-") && !operator.contains("anna"), "{operator}");
    assert_eq!(pending["Reason"], Value::Null, "the words may speak of others");
    // Another customer neither sees it nor decides.
    let foreign = naming(&ann, &id);
    let code = "ResourceNotFoundException";
    refused_and_recorded(
        &site,
        &bob,
        ("writ", "GetOperatorAccess"),
        json!({"RequestId": id}),
        code,
    );
    refused_and_recorded(&site, &bob, ("writ", "ApproveOperatorAccess"), foreign.clone(), code);
    assert!(shift.stored("grant", &id).is_none());

    let done = ann.ok("writ", "ApproveOperatorAccess", foreign);
    assert_eq!(done["OperatorAccess"]["State"], "GRANTED");
    assert_eq!(done["OperatorAccess"]["Decision"]["By"], format!("arn:aws:iam::{ANN}:root"));
    assert!(shift.stored("grant", &id).unwrap()["end"].is_null());
    let granted = site.ledger().wait("the customer's event", |event| {
        event.text("/eventName") == "OperatorAccessGranted" && event.log == ANN
    });
    assert_eq!(granted.text("/requestParameters/operator"), operator);
    shift.event("CustomerApproveAccess", &id, "");
    let listed = ann.ok("writ", "ListOperatorAccess", json!({"State": "GRANTED"}));
    assert_eq!(listed["OperatorAccess"][0]["RequestId"], id.as_str());
    let of_bob = bob.ok("writ", "ListOperatorAccess", json!({}));
    assert_eq!(of_bob["OperatorAccess"], json!([]));
    let verified = site.verify();
    assert_eq!(verified.code, 0, "{}", verified.text);
}

#[test]
fn c10_consent_counts_with_its_own_digest_and_right_alone() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let ann = customer(&site, ANN);
    lockbox(&ann, "STREAMLINED");
    let (id, other) = (approved(&shift, &[]), shift.ask(&[]));
    let mut wrong = naming(&ann, &other);
    wrong["RequestId"] = json!(id);
    let operation = ("writ", "ApproveOperatorAccess");
    refused_and_recorded(&site, &ann, operation, wrong, "ValidationException");
    // Who may look may not decide.
    let reader = allow("writ:*OperatorAccess", "*").replace("writ:*", "writ:Get");
    let tom = user(&site, "tom", Some(&reader));
    let right = naming(&tom, &id);
    refused_and_recorded(&site, &tom, operation, right.clone(), "AccessDeniedException");
    let nobody = user(&site, "nobody", None);
    for operation in ["PutLockbox", "DisableSupportRole", "RefuseOperatorAccess"] {
        let params = match operation {
            "PutLockbox" => json!({"Mode": "OFF"}),
            "DisableSupportRole" => json!({}),
            _ => right.clone(),
        };
        let code = "AccessDeniedException";
        refused_and_recorded(&site, &nobody, ("writ", operation), params, code);
    }
    assert_eq!(seen(&ann, &id)["State"], "PENDING");
    assert!(shift.stored("grant", &id).is_none());

    // A policy that names the request gives just that.
    let one = format!("arn:aws:writ::{ANN}:operator-access/{id}");
    let jane = user(&site, "jane", Some(&allow("writ:ApproveOperatorAccess", &one)));
    let elsewhere = naming(&ann, &other);
    refused_and_recorded(&site, &jane, operation, elsewhere, "AccessDeniedException");
    let done = jane.ok("writ", "ApproveOperatorAccess", right);
    assert_eq!(done["OperatorAccess"]["State"], "GRANTED");
}

#[test]
fn c10_withdrawn_consent_ends_the_grant_within_a_second_for_good() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let ann = customer(&site, ANN);
    lockbox(&ann, "STREAMLINED");
    let id = approved(&shift, &[]);
    let named = naming(&ann, &id);
    refused_and_recorded(
        &site,
        &ann,
        ("writ", "WithdrawOperatorAccess"),
        named.clone(),
        "ConflictException",
    );
    ann.ok("writ", "ApproveOperatorAccess", named.clone());
    let begun = Instant::now();
    let done = ann.ok("writ", "WithdrawOperatorAccess", named.clone());
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    assert_eq!(done["OperatorAccess"]["State"], "ENDED");
    assert_eq!(done["OperatorAccess"]["EndReason"], "lockbox_withdrawn");
    assert_eq!(ended_for(&shift, &id), "lockbox_withdrawn");
    let ended = site.ledger().wait("the customer's event", |event| {
        event.text("/eventName") == "OperatorAccessEnded" && event.log == ANN
    });
    assert_eq!(ended.text("/requestParameters/reason"), "lockbox_withdrawn");
    refused_and_recorded(
        &site,
        &ann,
        ("writ", "ApproveOperatorAccess"),
        named,
        "ConflictException",
    );
    assert_eq!(site.verify().code, 0);
}

#[test]
fn c10_refusal_is_final_and_nobody_overrules_it() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let ann = customer(&site, ANN);
    // Without a lockbox a customer is not asked, and may still say no.
    let id = shift.ask(&[]);
    let named = naming(&ann, &id);
    let done = ann.ok("writ", "RefuseOperatorAccess", named.clone());
    assert_eq!(done["OperatorAccess"]["State"], "DENIED");
    shift.refused("boris", &["approve", &id], "the request is denied");
    refused_and_recorded(
        &site,
        &ann,
        ("writ", "ApproveOperatorAccess"),
        named,
        "ConflictException",
    );
    // What is live ends.
    let id = approved(&shift, &[]);
    assert_eq!(seen(&ann, &id)["State"], "GRANTED");
    let done = ann.ok("writ", "RefuseOperatorAccess", naming(&ann, &id));
    assert_eq!(done["OperatorAccess"]["State"], "ENDED");
    assert_eq!(ended_for(&shift, &id), "lockbox_withdrawn");
}

#[test]
fn c10_lockbox_that_goes_on_ends_what_the_customer_has_not_approved() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (ann, bob) = (customer(&site, ANN), customer(&site, BOB));
    let (unasked, agreed) = (approved(&shift, &[]), approved(&shift, &[]));
    ann.ok("writ", "ApproveOperatorAccess", naming(&ann, &agreed));
    lockbox(&bob, "STREAMLINED");
    assert_eq!(ended_for(&shift, &unasked), "", "bob has nothing on that host");
    let done = lockbox(&ann, "STREAMLINED");
    assert_eq!(done["EndedAccess"], json!([unasked]));
    assert_eq!(ended_for(&shift, &unasked), "lockbox_withdrawn");
    assert_eq!(ended_for(&shift, &agreed), "", "ann has agreed to it");
    lockbox(&ann, "OFF");
    assert_eq!(seen(&ann, &unasked)["State"], "ENDED", "what has ended stays ended");
}

#[test]
fn c10_host_that_is_mapped_to_nobody_is_everybodys() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    let key = desk.key("web-2-key").with_extension("pub");
    let host = ["add-host", "web-2", "--address=10.0.0.8:22", "--key"];
    desk.changes(&[&host[..], &[key.to_str().unwrap()]].concat());
    let (ann, bob) = (customer(&site, ANN), customer(&site, BOB));
    lockbox(&ann, "STREAMLINED");
    lockbox(&bob, "STREAMLINED");
    let id = approved(&shift, &["--host=web-2"]);
    ann.ok("writ", "ApproveOperatorAccess", naming(&ann, &id));
    assert_eq!(seen(&ann, &id)["State"], "PENDING", "bob is asked, too");
    assert_eq!(seen(&bob, &id)["Hosts"], json!(["web-2"]), "web-1 is none of bob's");
    let done = bob.ok("writ", "ApproveOperatorAccess", naming(&bob, &id));
    assert_eq!(done["OperatorAccess"]["State"], "GRANTED");
}

#[test]
fn c10_disabled_support_role_ends_grants_at_once_and_lets_none_begin() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = approved(&shift, &[]);
    let ann = customer(&site, ANN);
    assert_eq!(seen(&ann, &id)["State"], "GRANTED", "and boto3 has read its models");
    let begun = Instant::now();
    let done = ann.ok("writ", "DisableSupportRole", json!({}));
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    assert_eq!(done["EndedAccess"], json!([id]));
    assert_eq!(ended_for(&shift, &id), "role_disabled");
    let why = "has disabled the support role";
    shift.refused("anna", &crate::operators::access::ASK, why);
    // keyd's restart forgets nothing of it, since front shows what it holds.
    site.kill("keyd");
    site.wait_until_served();
    shift.refused("anna", &crate::operators::access::ASK, why);
    let ann = customer(&site, ANN);
    ann.ok("writ", "EnableSupportRole", json!({}));
    assert_eq!(seen(&ann, &id)["State"], "ENDED");
    let id = approved(&shift, &[]);
    assert_eq!(seen(&ann, &id)["State"], "GRANTED");
    // To delete the role is to disable it; a pending request goes nowhere then.
    let pending = shift.ask(&[]);
    shift.ok("boris", &["approve", &pending]);
    ann.ok("iam", "DeleteRole", json!({"RoleName": "WritSupport"}));
    assert_eq!(ended_for(&shift, &id), "role_disabled");
    shift.refused("carla", &["approve", &pending], why);
    assert!(shift.stored("grant", &pending).is_none());
    assert_eq!(site.verify().code, 0);
}

#[test]
fn c10_shorter_consent_shortens_the_grant() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let ann = customer(&site, ANN);
    lockbox(&ann, "STREAMLINED");
    let id = approved(&shift, &[]);
    let mut named = naming(&ann, &id);
    let until_then = writ_model::Env::now(&writ_model::SystemEnv).secs() + 4;
    named["NotAfter"] = json!(until_then);
    let done = ann.ok("writ", "ApproveOperatorAccess", named);
    assert_eq!(done["OperatorAccess"]["State"], "GRANTED");
    let over =
        within(Duration::from_secs(8), || (seen(&ann, &id)["State"] == "EXPIRED").then_some(()));
    assert!(over.is_some(), "{}", seen(&ann, &id));
    until("the stored end", || (ended_for(&shift, &id) == "expired").then_some(()));
}

fn signable(http: &Http, target: &str, body: &Value) -> Request {
    let mut request = http.request("POST", "/", "", body.to_string().as_bytes());
    request.headers.push(("content-type".to_owned(), b"application/x-amz-json-1.1".to_vec()));
    request.headers.push(("x-amz-target".to_owned(), target.as_bytes().to_vec()));
    request
}

#[test]
fn c10_signed_consent_sent_again_changes_nothing_again() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let ann = customer(&site, ANN);
    lockbox(&ann, "STREAMLINED");
    let id = approved(&shift, &[]);
    let named = naming(&ann, &id);
    let http = site.http("writ");
    let call = |operation: &str, body: &Value| {
        let target = format!("Writ_20261101.{operation}");
        http.sign(&site.root(ANN), &signable(&http, &target, body))
    };
    let yes = call("ApproveOperatorAccess", &named);
    assert_eq!(http.exchange(&yes).unwrap().status, 200);
    // A proxy, or front itself, has kept the signed call; the customer takes it back.
    ann.ok("writ", "WithdrawOperatorAccess", named.clone());
    let again = http.exchange(&yes).unwrap();
    assert_ne!(again.status, 200, "{}", again.text());
    assert_eq!(seen(&ann, &id)["State"], "ENDED");
    // The same signature over another request's digest is no signature.
    let mut edited = call("RefuseOperatorAccess", &named);
    edited.body =
        String::from_utf8(edited.body).unwrap().replace(&id, &shift.ask(&[])).into_bytes();
    let reply = http.exchange(&edited).unwrap();
    assert_eq!(reply.code(), "InvalidSignatureException", "{}", reply.text());
}
