//! C-05: HR makes somebody a manager, an approver, a founder: nothing follows.

use std::fs;

use writ_tests::ledger::Event;
use writ_tests::site::run;
use writ_tests::until;

use crate::operators::enrol::new_key;
use crate::operators::people::{GATES, Staffed, line};

/// Everybody reports to mallory, whose job is to approve, and who bears a founder's name.
#[test]
fn c05_hr_made_approver_approves_and_reads_nothing() {
    let staffed = Staffed::start();
    let mallory =
        format!("mallory,founder-2,founder-2,,employee,active,,roster,approver,,,{GATES}\n");
    staffed.deliver(&[mallory, line("ann", "active", "mallory"), line("bob", "active", "mallory")]);
    staffed.wait_for("bob", "enabled");
    staffed.wait_for("mallory", "enabled");
    // A key of mallory's own is not enrolled, whatever the feed says.
    let key = new_key(&staffed.site, "mallory", "ed25519");
    let data = staffed.site.dir().to_str().unwrap();
    let read = run(&["people", "--data", data, "--key", key.to_str().unwrap()]);
    assert_ne!(read.code, 0);
    assert!(read.text.contains("not in the roster"), "{}", read.text);
    let denied = |event: &Event| event.error() == "AccessDenied" && event.log == "operator";
    staffed.site.ledger().wait("the refused read", denied);
    // The roster and its rules are as genesis made them: nothing was appended to the statements.
    let roster = |event: &Event| event.text("/eventSource").starts_with("roster");
    assert!(!staffed.site.ledger().events().iter().any(roster));
    assert_eq!(staffed.site.verify().code, 0);
}

/// A line that names a founder can take from the founder; it gives nothing to anybody.
#[test]
fn c05_feed_that_names_a_founder_only_takes_away() {
    let staffed = Staffed::start();
    let lines =
        |state: &str| vec![line("founder-1", state, ""), line("ann", "active", "founder-1")];
    staffed.deliver(&lines("requested"));
    staffed.wait_for("founder-1", "requested");
    assert_ne!(staffed.cli(&[]).code, 0, "who is only announced reads nothing");
    staffed.deliver(&lines("active"));
    staffed.wait_for("founder-1", "enabled");
    until("the founder to read", || (staffed.cli(&[]).code == 0).then_some(()));
}

/// Requests without proof, with an old one, and with one for something else.
#[test]
fn c05_persons_are_read_with_proof_alone() {
    let staffed = Staffed::start();
    staffed.deliver(&[line("ann", "active", "")]);
    staffed.wait_for("ann", "enabled");
    let http = staffed.site.http("sts");
    let proof_of = |method: &str, path: &str, date: &str, namespace: &str| {
        use base64::Engine as _;
        use writ_proof::{ed25519::SoftKey, hash::sha256, sshsig::SshSig};
        let seed = fs::read(staffed.site.dir().join("founders/founder-1.seed")).unwrap();
        let key = SoftKey::from_seed(seed.as_slice().try_into().unwrap()).unwrap();
        let signed = format!("{method} {path}\n{date}\n{}", sha256(b""));
        let signature = SshSig::sign(signed.as_bytes(), namespace, &key).unwrap().to_bytes();
        format!("SSHSIG {}", base64::engine::general_purpose::STANDARD.encode(signature))
    };
    let proof = |path: &str, date: &str, name: &str| proof_of("GET", path, date, name);
    const CONFIRM: &str = "/writ/v1/people/confirm/00";
    let path = "/writ/v1/people";
    let now = writ_model::Env::now(&writ_model::SystemEnv);
    let date = now.basic();
    let old = writ_model::Timestamp::from_millis(now.millis() - 301_000).basic();
    let cases = [
        ("GET", path, date.clone(), Some(proof(path, &date, "read@writ")), 200),
        (
            "GET",
            "/writ/v1/people/ann",
            date.clone(),
            Some(proof("/writ/v1/people/ann", &date, "read@writ")),
            200,
        ),
        ("GET", path, date.clone(), Some(proof(path, &date, "confirm@writ")), 403),
        ("GET", path, date.clone(), None, 403),
        ("GET", path, old.clone(), Some(proof(path, &old, "read@writ")), 403),
        ("GET", path, date.clone(), Some(proof(path, &old, "read@writ")), 403),
        ("GET", path, date.clone(), Some(proof("/writ/v1/people/ann", &date, "read@writ")), 403),
        ("GET", path, date.clone(), Some(proof(path, &date, "roster@writ")), 403),
        ("POST", CONFIRM, date.clone(), Some(proof_of("POST", CONFIRM, &date, "read@writ")), 403),
        ("POST", path, date.clone(), Some(proof_of("POST", path, &date, "read@writ")), 403),
        ("GET", path, date.clone(), Some("SSHSIG AAAA".to_owned()), 403),
    ];
    for (method, path, date, proof, wanted) in cases {
        let mut request = http.request(method, path, "", b"");
        request.headers.push(("x-writ-date".to_owned(), date.into_bytes()));
        request.headers.extend(proof.map(|p| ("authorization".to_owned(), p.into_bytes())));
        let reply = http.exchange(&request).unwrap();
        assert_eq!(reply.status, wanted, "{method} {path}");
        if wanted != 200 {
            let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(told["error"], "AccessDenied", "{told}");
        }
    }
    // What waits under no digest, whom nobody knows, and a body that nothing wants.
    let confirm = "confirm@writ";
    let cases = [
        ("POST", CONFIRM, confirm, &b""[..], 409, "NothingWaits"),
        ("GET", "/writ/v1/people/nobody", "read@writ", b"", 404, "NotFound"),
        ("POST", CONFIRM, confirm, b"{}", 413, "BodyRefused"),
    ];
    for (method, path, namespace, body, wanted, code) in cases {
        let mut request = http.request(method, path, "", body);
        let proof = proof_of(method, path, &date, namespace);
        request.headers.push(("x-writ-date".to_owned(), date.clone().into_bytes()));
        request.headers.push(("authorization".to_owned(), proof.into_bytes()));
        let reply = http.exchange(&request).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, told["error"].as_str()), (wanted, Some(code)), "{told}");
    }
    let read = |event: &Event| event.text("/eventName") == "ReadPersons";
    let event = staffed.site.ledger().wait("the read", read);
    assert_eq!(event.text("/requestParameters/reader"), "founder-1");
    assert_eq!(event.record["readOnly"], true);
}
