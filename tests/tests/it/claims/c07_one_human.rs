//! C-07: every action names one human being. Nobody asks, approves, takes back or reads as somebody else.

use serde_json::{Value, json};
use writ_proof::access::Request;
use writ_tests::Site;

use crate::operators::access::Shift;
use crate::operators::crook::assert_refused;

#[test]
fn c07_nobody_files_in_anothers_name() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.ask(&[]);
    let request = shift.clone_of(&id);
    // dora signs what says that anna asks.
    let told = shift.file(&shift.signed(&request, "dora"));
    assert_refused(told, "Refused", "the key that signed it is `dora`'s");
    let event = shift.event("RequestAccess", &request.id.to_string(), "Refused");
    assert_eq!(event.text("/requestParameters/signers"), "dora");
    // Both sign it: a request is one human's.
    let mut both = shift.signed(&request, "anna");
    both.add(&shift.signature("dora", "request@writ", both.body())).unwrap();
    assert_refused(shift.file(&both), "Refused", "its requester signs it, and nobody else");
    // An earlier enrolment of the same person has not asked; somebody who is no member may not.
    let old = Request { enrolment: 2, ..shift.clone_of(&id) };
    assert_refused(shift.file(&shift.signed(&old, "anna")), "Refused", "enrolment that has ended");
    let boris = Request { requester: "boris".parse().unwrap(), ..shift.clone_of(&id) };
    assert_refused(
        shift.file(&shift.signed(&boris, "boris")),
        "Refused",
        "not a member of `oncall`",
    );
    // Nobody takes another's request back.
    shift.refused("dora", &["withdraw", &id], "it is the request of `anna`");
    shift.ok("anna", &["withdraw", &id]);
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "withdrawn");
    assert_eq!(shift.event("WithdrawRequest", &id, "").log, "operator");
}

/// Each endpoint without proof, with a stranger's, and with the proof of a read where something changes.
#[test]
fn c07_endpoints_of_access_name_who_asks() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (id, key) = (shift.ask(&[]), crate::operators::roster::Desk::at(&site).key("stranger"));
    assert!(key.exists());
    let one = |rest: &str| format!("/writ/v1/requests/{id}{rest}");
    let grant = |rest: &str| format!("/writ/v1/grants/{id}{rest}");
    let ticket = json!({"id": "OPS-1", "title": "t"});
    let table: [(&str, String, Value, &str); 11] = [
        ("GET", "/writ/v1/requests".to_owned(), Value::Null, "ReadRequests"),
        ("GET", "/writ/v1/requests?of=inbox".to_owned(), Value::Null, "ReadRequests"),
        ("GET", one(""), Value::Null, "ReadRequests"),
        ("POST", one("/challenge"), json!({"decision": "approve"}), "BeginDecision"),
        ("POST", one("/withdraw"), Value::Null, "WithdrawRequest"),
        ("GET", "/writ/v1/grants".to_owned(), Value::Null, "ReadGrants"),
        ("GET", grant(""), Value::Null, "ReadGrants"),
        ("POST", grant("/revoke"), Value::Null, "EndGrant"),
        ("GET", "/writ/v1/tickets".to_owned(), Value::Null, "ReadTickets"),
        ("POST", "/writ/v1/tickets".to_owned(), ticket, "OpenTicket"),
        ("POST", "/writ/v1/tickets/OPS-17/close".to_owned(), Value::Null, "CloseTicket"),
    ];
    let denied = |name: &str| {
        let events = site.ledger().events();
        let is = |e: &&writ_tests::ledger::Event| {
            e.text("/eventName") == name && e.error() == "AccessDenied" && e.log == "operator"
        };
        events.iter().filter(is).count()
    };
    let mut wanted = std::collections::BTreeMap::<&str, usize>::new();
    for (method, target, body, event) in &table {
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        let (status, told) = shift.send(method, target, &[], bytes.as_bytes());
        assert_eq!((status, &told["error"]), (403, &json!("AccessDenied")), "{method} {target}");
        let right = if *method == "GET" { "read@writ" } else { "call@writ" };
        let wrong = if *method == "GET" { "call@writ" } else { "read@writ" };
        let told = shift.call("stranger", right, (method, target), body);
        assert_refused(told, "AccessDenied", "not in the roster");
        let told = shift.call("boris", wrong, (method, target), body);
        assert_refused(told, "AccessDenied", "does not hold");
        *wanted.entry(event).or_default() += 3;
    }
    // Statements: nobody's, and none at all.
    for path in ["/writ/v1/requests", "/writ/v1/approvals"] {
        let kind = [("content-type", "application/cbor")];
        assert_refused(
            shift.send("POST", path, &kind, b"junk"),
            "Malformed",
            "no signed statement",
        );
        assert_eq!(shift.send("POST", path, &[], b"junk").0, 415);
        assert_eq!(shift.send("POST", path, &kind, &[0; 70_000]).0, 413);
    }
    assert_eq!(shift.send("POST", "/writ/v1/grants", &[], b"").0, 404);
    for (name, count) in wanted {
        // Strangers' records are bounded by a rate; this test stays below it.
        writ_tests::until(name, || (denied(name) >= count.min(3)).then_some(()));
    }
    // A target with another query than was signed.
    let date = "x";
    assert_ne!(shift.send("GET", "/writ/v1/requests", &[("x-writ-date", date)], b"").0, 200);
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "pending");
    // Who may, reads; and each read names the reader.
    assert_eq!(shift.call("boris", "read@writ", ("GET", "/writ/v1/grants"), &Value::Null).0, 200);
    let read = site.ledger().wait("the read", |event| {
        event.text("/eventName") == "ReadGrants" && event.error().is_empty()
    });
    assert_eq!(read.text("/requestParameters/reader"), "boris");
}
