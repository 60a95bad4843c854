//! C-05 in the browser: what a passkey signed counts, and nothing else does. The cookie reads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use writ_proof::access::Approval;
use writ_proof::cbor;
use writ_tests::Site;
use writ_tests::wait::within;

use crate::operators::access::Shift;
use crate::operators::console::{Seat, get};
use crate::operators::enrol::{console, sign};
use crate::operators::people::{Staffed, line};
use crate::operators::roster::Desk;

const APPROVAL: &str = "approval@writ";
const SIGN_IN: &str = "sign-in@writ";

/// The statement that front gives out for a decision.
fn statement(seat: &mut Seat, id: &str, wish: &Value) -> (u64, Value) {
    seat.post(&format!("/requests/{id}/statement"), wish)
}

fn approve() -> Value {
    json!({ "decision": "approve", "slot": null, "minutes": null })
}

/// The statement that somebody may sign now.
#[track_caller]
fn given(seat: &mut Seat, id: &str) -> Vec<u8> {
    let (status, told) = statement(seat, id, &approve());
    assert_eq!(status, 200, "{told}");
    URL_SAFE_NO_PAD.decode(told["statement"].as_str().unwrap()).unwrap()
}

/// Sends a decision in: these bytes, with a passkey's answer.
fn decide(seat: &mut Seat, id: &str, bytes: &[u8], passkey: &Value) -> (u64, Value) {
    let body = json!({ "statement": URL_SAFE_NO_PAD.encode(bytes), "passkey": passkey });
    seat.post(&format!("/requests/{id}/decision"), &body)
}

#[track_caller]
fn assert_refused((status, told): (u64, Value), code: &str, why: &str) {
    let text = told["message"].as_str().unwrap_or_default();
    assert!(status >= 400 && told["error"] == code && text.contains(why), "{why}: {told}");
}

fn changed(bytes: &[u8], change: impl FnOnce(&mut Approval)) -> Vec<u8> {
    let mut said: Approval = cbor::from_slice(bytes).unwrap();
    change(&mut said);
    cbor::to_vec(&said)
}

#[test]
fn c05_browser_own_request_and_others_words_are_refused() {
    let site = Site::start();
    let shift = Shift::at(&site);
    Desk::at(&site).changes(&["add-member", "--group=approvers", "--person=anna"]);
    let (mut anna, mut boris) = (Seat::of(&site, "anna"), Seat::of(&site, "boris"));
    let id = shift.ask(&[]);
    anna.sign_in(&format!("/requests/{id}"));
    let page = anna.browser.text();
    assert!(page.contains("You cannot decide: nobody approves their own request"), "{page}");
    assert_eq!(anna.browser.eval("document.querySelectorAll('[data-decision]').length"), 0);
    anna.browser.look("console-request-own");
    let own = "nobody approves their own request";
    assert_refused(statement(&mut anna, &id, &approve()), "Refused", own);
    shift.event("BeginDecision", &id, "Refused");

    // What boris was given: signed by anna as his, as hers, and by boris with a nonce of carla's.
    boris.sign_in("/");
    let his = given(&mut boris, &id);
    let passkey = anna.answer(&his, APPROVAL);
    assert_refused(decide(&mut anna, &id, &his, &passkey), "AccessDenied", "a decision of `boris`");
    let hers = changed(&his, |said| said.approver = "anna".parse().unwrap());
    let passkey = anna.answer(&hers, APPROVAL);
    assert_refused(decide(&mut anna, &id, &hers, &passkey), "Refused", own);
    // Her answer in his session.
    let passkey = anna.answer(&his, APPROVAL);
    assert_refused(decide(&mut boris, &id, &his, &passkey), "AccessDenied", "none of `boris`");
    let carlas = shift.right("carla", &id);
    let borrowed = changed(&his, |said| said.nonce = carlas.nonce);
    let passkey = boris.answer(&borrowed, APPROVAL);
    assert_refused(decide(&mut boris, &id, &borrowed, &passkey), "BadNonce", "its nonce");
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "pending");
    let event = shift.event("ApproveAccess", &id, "BadNonce");
    assert_eq!(event.text("/requestParameters/signers"), "boris");
}

#[test]
fn c05_browser_signature_over_other_bytes_is_refused_by_front_and_by_openssh() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let mut boris = Seat::of(&site, "boris");
    let (id, other) = (shift.ask(&[]), shift.ask(&[]));
    boris.sign_in("/");
    let shown = given(&mut boris, &id);
    let passkey = boris.answer(&shown, APPROVAL);
    // front changes what he signed: a longer window, another host's bytes, another request.
    let mut flipped = shown.clone();
    let at = shown.windows(5).position(|part| part == b"web-1").unwrap() + 4;
    flipped[at] ^= 3;
    let denied = changed(&shown, |said| said.decision = writ_proof::access::Decision::Deny);
    for bytes in [&flipped, &denied] {
        assert_refused(decide(&mut boris, &id, bytes, &passkey), "BadSignature", "not of this");
    }
    shift.event("ApproveAccess", &id, "BadSignature");
    let elsewhere = decide(&mut boris, &other, &shown, &passkey);
    assert_refused(elsewhere, "AccessDenied", "another request");
    let signature = sign(&mut boris.browser, &boris.key, &shown, APPROVAL);
    for bytes in [&flipped, &denied] {
        assert!(!good(&site, &boris, bytes, &signature));
    }
    assert!(good(&site, &boris, &shown, &signature));
    // Signed to sign in, it approves nothing.
    let passkey = boris.answer(&shown, SIGN_IN);
    assert_refused(decide(&mut boris, &id, &shown, &passkey), "BadSignature", "not of this");
    // A key that has not verified who holds it; a signature of another form.
    boris.browser.verifies_user(false);
    let careless = boris.careless(&shown, APPROVAL);
    assert_refused(decide(&mut boris, &id, &shown, &careless), "Refused", "");
    boris.browser.verifies_user(true);
    let mut cut = boris.answer(&shown, APPROVAL);
    cut["signature"] = json!("AAAA");
    assert_refused(decide(&mut boris, &id, &shown, &cut), "Malformed", "not DER");
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "pending");
    assert!(shift.stored("approval", &format!("{id}/boris")).is_none());
    // The right one is taken, and the same bytes again add nothing.
    let passkey = boris.answer(&shown, APPROVAL);
    assert_eq!(decide(&mut boris, &id, &shown, &passkey).0, 200);
    let again = decide(&mut boris, &id, &shown, &passkey);
    assert_eq!((again.0, &again.1["state"]), (200, &json!("pending")));
    assert!(shift.stored("grant", &id).is_none());
    let second = boris.answer(&shown, APPROVAL);
    assert_refused(decide(&mut boris, &id, &shown, &second), "BadNonce", "was used");
    assert_eq!(site.verify().code, 0);
}

fn good(site: &Site, seat: &Seat, bytes: &[u8], signature: &writ_proof::sshsig::SshSig) -> bool {
    let home = site.home();
    let file = |name: &str| home.join(name);
    std::fs::write(file("signers"), format!("boris {}\n", seat.key.key)).unwrap();
    std::fs::write(file("its.sig"), signature.to_armor()).unwrap();
    std::fs::write(file("its.body"), bytes).unwrap();
    let verify = ["-Y", "verify", "-I", "boris", "-n", APPROVAL, "-f"];
    let judged = std::process::Command::new("ssh-keygen")
        .args(verify)
        .arg(file("signers"))
        .arg("-s")
        .arg(file("its.sig"))
        .stdin(std::fs::File::open(file("its.body")).unwrap())
        .output();
    judged.unwrap().status.success()
}

#[test]
fn c05_browser_cookie_alone_reads_and_changes_nothing() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.ask(&[]);
    let live = shift.granted();
    let mut boris = Seat::of(&site, "boris");
    boris.sign_in("/");
    let cookie = boris.cookie();
    let home = site.ready["console"].as_str().unwrap().to_owned();
    let path = format!("/requests/{id}");
    let (status, page) = get(&site, &path, &format!("\ncookie: {cookie}"));
    assert!(status == 200 && page.contains("anna wants"), "{page}");
    // Scripts do not see it.
    assert_eq!(boris.browser.eval("document.cookie"), "");

    let json = "\ncontent-type: application/json";
    let post = |path: &str, more: &str, body: &str| {
        let head = format!("POST {path} HTTP/1.1\nhost: HOST\ncookie: {cookie}{more}");
        console(&site, &head, body)
    };
    let wish = approve().to_string();
    let ours = format!("{json}\norigin: {home}");
    for (more, why) in [
        (json.to_owned(), "NoOrigin"),
        (format!("{json}\norigin: https://evil.example"), "OtherOrigin"),
        (format!("{json}\norigin: null"), "OtherOrigin"),
        (format!("{json}\norigin: {home}.evil.example"), "OtherOrigin"),
        (format!("\ncontent-type: text/plain\norigin: {home}"), "UnsupportedMediaType"),
        (
            format!("\ncontent-type: application/x-www-form-urlencoded\norigin: {home}"),
            "UnsupportedMediaType",
        ),
    ] {
        let (status, told) = post(&format!("{path}/statement"), &more, &wish);
        assert!(status >= 400 && told.contains(why), "{why}: {told}");
        for path in ["/call", "/call/message", "/requests/check", "/requests/file"] {
            let (status, told) = post(path, &more, "{}");
            assert!(status >= 400 && told.contains(why), "{path} {why}: {told}");
        }
    }
    let (status, _) = post("/sign-out", "\ncontent-type: application/x-www-form-urlencoded", "");
    assert_eq!(status, 403, "without an origin nobody is signed out");
    let (status, told) = post(&format!("{path}/statement"), &ours, &wish);
    assert_eq!(status, 200, "{told}");
    // A statement without its signature, or with one that is made up.
    let told: Value = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    let credential = &told["passkeys"][0];
    let made_up = json!({ "credentialId": credential, "clientDataJSON": "e30", "authenticatorData": "AA",
        "signature": "MAYCAQECAQE" });
    for body in [
        json!({ "statement": told["statement"] }),
        json!({ "statement": told["statement"], "passkey": made_up }),
    ] {
        let (status, told) = post(&format!("{path}/decision"), &ours, &body.to_string());
        assert_eq!(status, 400, "{told}");
    }
    // The interface of programs does not know the cookie.
    for (path, body) in [
        ("/writ/v1/approvals".to_owned(), wish.as_str()),
        (format!("/writ/v1/requests/{id}/challenge"), &wish),
        (format!("/writ/v1/requests/{id}/withdraw"), ""),
        (format!("/writ/v1/grants/{live}/revoke"), ""),
        ("/writ/v1/tickets".to_owned(), "{\"id\":\"OPS-18\",\"title\":\"x\"}"),
        ("/writ/v1/tickets/OPS-17/close".to_owned(), ""),
        ("/writ/v1/enrolments".to_owned(), "{\"person\":\"eve\",\"nonce\":\"0123456789abcdef\"}"),
    ] {
        let (status, told) = post(&path, &ours, body);
        assert!(matches!(status, 403 | 415), "{path}: {told}");
    }
    assert_eq!(get(&site, "/writ/v1/requests", &format!("\ncookie: {cookie}")).0, 403);
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "pending");
    assert!(shift.stored("grant", &live).unwrap()["end"].is_null());
    // Signing out ends it for whoever has a copy.
    boris.browser.eval("document.querySelector('form.who button').click()");
    boris.browser.until("document.getElementById('go') !== null");
    assert_eq!(get(&site, &path, &format!("\ncookie: {cookie}")).0, 401);
}

#[test]
fn c05_browser_sign_in_works_once_and_with_the_persons_own_verified_key() {
    let site = Site::start();
    Desk::at(&site).enrol("boris");
    let mut boris = Seat::of(&site, "boris");
    boris.open("/");
    let (_, told) = boris.fetch("/sign-in", "{}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let challenge = told["challenge"].as_str().unwrap().to_owned();
    let site_name = boris.site();
    let home = site.ready["console"].as_str().unwrap().to_owned();
    let message = |origin: &str| format!("sign in to {site_name} at {origin}\n{challenge}");
    let send = |boris: &mut Seat, challenge: &str, passkey: &Value| {
        boris.post("/sign-in", &json!({ "challenge": challenge, "passkey": passkey }))
    };
    // For another page, in another namespace, by a holder who was not verified, with a key that nobody has.
    let elsewhere = boris.answer(message("https://evil.example").as_bytes(), SIGN_IN);
    assert_refused(send(&mut boris, &challenge, &elsewhere), "AccessDenied", "does not hold");
    let other = boris.answer(message(&home).as_bytes(), APPROVAL);
    assert_refused(send(&mut boris, &challenge, &other), "AccessDenied", "does not hold");
    boris.browser.verifies_user(false);
    let careless = boris.careless(message(&home).as_bytes(), SIGN_IN);
    assert_refused(send(&mut boris, &challenge, &careless), "AccessDenied", "");
    boris.browser.verifies_user(true);
    let good = boris.answer(message(&home).as_bytes(), SIGN_IN);
    let mut stranger = good.clone();
    stranger["credentialId"] = json!("AAAA");
    assert_refused(send(&mut boris, &challenge, &stranger), "AccessDenied", "not in the roster");
    let made_up = URL_SAFE_NO_PAD.encode([7; 56]);
    assert_refused(send(&mut boris, &made_up, &good), "AccessDenied", "does not hold");
    assert_eq!(send(&mut boris, &challenge, &good).0, 200);
    assert_refused(send(&mut boris, &challenge, &good), "BadChallenge", "was used");
    let refusals = |event: &writ_tests::ledger::Event| {
        event.text("/eventName") == "SignIn" && event.error() == "BadChallenge"
    };
    assert_eq!(site.ledger().wait("the replay", refusals).log, "operator");

    // A restart of front forgets who was signed in.
    boris.open("/");
    assert!(boris.browser.text().contains("Inbox"));
    site.kill("front");
    site.wait_until_served();
    boris.open("/");
    assert!(boris.browser.text().contains("Sign in with a passkey"), "{}", boris.browser.text());
}

/// Who leaves reads nothing more, whatever cookie they have; nor does who loses the passkey.
#[test]
fn c05_browser_session_ends_with_leaver_and_with_the_key() {
    let crew = |state: &str| {
        vec![line("boris", state, ""), line("carla", "active", ""), line("anna", "active", "")]
    };
    let staffed = Staffed::start();
    staffed.deliver(&crew("active"));
    staffed.wait_for("anna", "enabled");
    let site = &staffed.site;
    let desk = Desk::at(site);
    for person in ["boris", "carla"] {
        desk.enrol(person);
    }
    let (mut boris, mut carla) = (Seat::of(site, "boris"), Seat::of(site, "carla"));
    let reads = |cookie: &str| get(site, "/people", &format!("\ncookie: {cookie}")).0 == 200;
    boris.sign_in("/");
    carla.sign_in("/");
    let (his, hers) = (boris.cookie(), carla.cookie());
    assert!(reads(&his) && reads(&hers));
    staffed.deliver(&crew("terminated"));
    let second = std::time::Duration::from_secs(1);
    let out = within(second, || (!reads(&his)).then_some(()));
    assert!(out.is_some(), "the leaver still reads after a second");
    boris.open("/");
    boris.browser.click("go");
    boris.browser.until("document.getElementById('said').className === 'status bad'");
    assert!(boris.browser.text().contains("may not act now"), "{}", boris.browser.text());
    // Back again, the old cookie opens nothing.
    staffed.deliver(&crew("active"));
    staffed.wait_for("boris", "gated");
    assert!(!reads(&his) && reads(&hers));
    let print = carla.key.key.fingerprint();
    desk.changes(&["remove-key", "--person=carla", "--key", &print]);
    assert!(!reads(&hers), "the passkey is gone");
}

/// Each path of the console, asked by nobody and by somebody who may not: refused, and told.
#[test]
fn c05_browser_every_page_refuses_strangers_and_records_it() {
    let site = Site::start();
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let request = format!("/requests/{id}");
    for (path, event) in [
        ("/alarms", "ReadAlarms"),
        ("/requests", "ReadRequests"),
        ("/requests/new", "ReadRequests"),
        (request.as_str(), "ReadRequests"),
        ("/grants", "ReadGrants"),
        ("/tickets", "ReadTickets"),
        ("/groups", "ReadGroups"),
        ("/people", "ReadPersons"),
    ] {
        for cookie in ["", "\ncookie: writ=AAAA", "\ncookie: writ=%; other=1"] {
            let (status, page) = get(&site, path, cookie);
            assert!(status == 401 && page.contains("Sign in"), "{path}: {page}");
            assert!(!page.contains("set-cookie"), "{page}");
        }
        let told = site
            .ledger()
            .wait(event, |told| told.text("/eventName") == event && told.error() == "NotSignedIn");
        assert_eq!(told.log, "operator");
    }
    let origin = site.ready["console"].as_str().unwrap();
    let post = |path: &str, body: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\nhost: HOST\ncontent-type: application/json\norigin: {origin}"
        );
        console(&site, &head, body).0
    };
    for part in ["statement", "decision", "other"] {
        assert_eq!(post(&format!("{request}/{part}"), &approve().to_string()), 401, "{part}");
    }
    for path in ["/call", "/call/message", "/requests/check", "/requests/file"] {
        assert_eq!(post(path, "{}"), 401, "{path}");
    }
    for body in ["", "{}", "[]", "{\"challenge\":1}"] {
        assert_eq!(post("/sign-in", body), 400, "{body}");
    }
    for (event, code) in [("ApproveAccess", "NotSignedIn"), ("SignIn", "Malformed")] {
        site.ledger().wait(event, |told| told.text("/eventName") == event && told.error() == code);
    }
    // The way in itself tells nothing of anybody.
    let (status, page) = get(&site, "/", "");
    assert!(status == 200 && !page.contains("founder"), "{page}");
    let (status, told) = get(&site, "/sign-in", "");
    assert!(status == 200 && !told.contains("founder"), "{told}");
    for field in ["content-security-policy: default-src 'self'", "x-frame-options: DENY"] {
        assert!(page.contains(field), "{page}");
    }
    assert!(!page.contains("<script>") && !page.contains(" style=") && !page.contains(" onclick"));
}
