//! Asking, taking back, revoking and keeping tickets in a real browser, each signed by the person's passkey.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_proof::access::Request;
use writ_proof::cbor;
use writ_proof::hash::sha256;
use writ_tests::Site;

use super::access::Shift;
use super::console::{Seat, assert_sound, get};
use super::crook::assert_refused;
use super::roster::Desk;

const REASON: &str = "<img src=x onerror=alert(1)> find out what fills it";

const CALL: &str = "call@writ";

/// What the command line would sign.
fn message(method: &str, target: &str, date: &str, body: &[u8]) -> String {
    format!("{method} {target}\n{date}\n{}", hex::encode(sha256(body).0))
}

impl Seat {
    /// Fills in the form of a request and has it checked.
    fn check(&mut self, reason: &str) {
        self.browser.eval(&format!(
            "(() => {{
                const set = (id, value) => {{ document.getElementById(id).value = value; }};
                document.querySelectorAll('input[name=host]').forEach((box) => (box.checked = true));
                document.getElementById('shell').checked = true;
                set('commands', 'df -h\\n');
                set('reason', '{reason}');
                set('ticket', 'OPS-17');
                set('minutes', '30');
            }})()"
        ));
        self.browser.click("check");
        self.browser.until("document.getElementById('said').className !== 'status '");
    }

    /// Presses the one button of a form of calls, and waits until the page is another or says why not.
    #[track_caller]
    fn call(&mut self, form: &str) -> String {
        self.browser.eval("window.before = true");
        self.browser
            .eval(&format!("document.querySelector('{form} .status').className = 'status'"));
        self.browser.eval(&format!("document.querySelector('{form} button').click()"));
        self.browser.until(&format!(
            "document.readyState === 'complete' && (window.before === undefined || \
             document.querySelector('{form} .status').className === 'status bad')",
        ));
        self.browser.text()
    }

    /// Sends a call with the key's answer to a message, which may be another one.
    fn called(&mut self, wanted: &Value, date: &str, said: &str, namespace: &str) -> (u16, Value) {
        let passkey = self.answer(said.as_bytes(), namespace);
        self.offer(wanted, date, &passkey)
    }

    fn offer(&mut self, wanted: &Value, date: &str, passkey: &Value) -> (u16, Value) {
        let mut body = wanted.clone();
        body["date"] = date.into();
        body["passkey"] = passkey.clone();
        let (status, told) = self.post("/call", &body);
        (u16::try_from(status).unwrap(), told)
    }
}

#[test]
fn request_is_checked_signed_taken_back_and_revoked_in_the_browser() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let mut anna = Seat::of(&site, "anna");
    anna.sign_in("/");
    anna.open("/requests/new");
    anna.browser.look("console-ask");
    assert_sound(&mut anna.browser);
    // What is missing is said before anything is signed.
    anna.browser.click("check");
    anna.browser.until("document.getElementById('said').className === 'status bad'");
    assert!(anna.browser.text().contains("Refused: choose a host at least."));
    anna.browser.look("console-ask-refused");

    anna.check(REASON);
    let page = anna.browser.text();
    for line in [
        "Check before you sign",
        "data of 111111111111",
        "can now: boris, carla",
        "2 of the group approvers (slot peers)",
        "df -h",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let code = anna.browser.eval("document.querySelector('#draft .code').textContent");
    let code = code.as_str().unwrap().to_owned();
    anna.browser.look("console-ask-checked");
    assert_sound(&mut anna.browser);
    anna.browser.eval("document.querySelector('#file button').click()");
    anna.browser.until("location.pathname.length === '/requests/'.length + 26");
    anna.browser
        .until("document.readyState === 'complete' && document.querySelector('h1') !== null");
    let id = anna.browser.eval("location.pathname.slice('/requests/'.length)");
    let id = id.as_str().unwrap().to_owned();
    let page = anna.browser.text();
    assert!(page.contains("anna wants a shell on web-1") && page.contains(&code), "{page}");
    assert!(page.contains("<img src=x onerror=alert(1)>"), "{page}");
    assert_eq!(anna.browser.eval("document.querySelectorAll('main img').length"), 0);
    anna.browser.look("console-request-mine");
    assert_sound(&mut anna.browser);
    // Others see the same code, and the statement is one like any other.
    let checked = shift.ok("carla", &["approve", &id, "--check"]);
    assert!(checked.contains(&code) && !checked.contains("HOLDS NOT"), "{checked}");
    shift.event("RequestAccess", &id, "");

    let after = anna.call("form.call");
    assert!(after.contains("The request was withdrawn"), "{after}");
    let event = shift.event("WithdrawRequest", &id, "");
    assert_eq!(event.text("/requestParameters/requester"), "anna");

    // Anybody who is enrolled revokes, with their own passkey.
    let granted = shift.granted();
    let mut dora = Seat::of(&site, "dora");
    dora.sign_in("/grants");
    dora.browser.look("console-grants-live");
    assert_sound(&mut dora.browser);
    let after = dora.call("form.call");
    assert!(after.contains("ended revoked") && after.contains("by dora"), "{after}");
    assert_eq!(shift.stored("grant", &granted).unwrap()["end"]["by"], "dora");
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// Who has no mouse gets everywhere, and sees where they are.
#[test]
fn console_is_used_with_the_keyboard_alone() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (granted, id) = (shift.granted(), shift.ask(&[]));
    let mut boris = Seat::of(&site, "boris");
    boris.open("/customer");
    assert_eq!(boris.browser.unreached(), "");
    boris.open("/");
    assert_eq!(boris.browser.unreached(), "");
    boris.browser.eval("document.getElementById('go').focus()");
    boris.browser.press("Enter");
    boris.browser.until("document.querySelector('form.who') !== null");
    let request = format!("/requests/{id}");
    for path in ["/", &request, "/grants", "/tickets", "/alarms", "/groups", "/people"] {
        boris.open(path);
        assert_eq!(boris.browser.unreached(), "", "{path}");
    }
    boris.open(&format!("/requests/{granted}"));
    boris.browser.eval("document.querySelector('form.call button').focus()");
    boris.browser.press("Enter");
    boris.browser.until("document.body.innerText.includes('revoked by boris')");
    let mut anna = Seat::of(&site, "anna");
    anna.sign_in("/requests/new");
    assert_eq!(anna.browser.unreached(), "");
    // Return in the field of a new ticket opens it.
    anna.open("/tickets");
    anna.browser.eval("document.getElementById('id').focus()");
    anna.browser.types("OPS-18");
    anna.browser.press("Tab");
    anna.browser.types("The disk of web-2");
    anna.browser.press("Enter");
    anna.browser.until("document.body.innerText.includes('The disk of web-2')");
    assert_eq!(shift.stored("ticket", "OPS-18").unwrap()["opened_by"], "anna");
}

#[test]
fn ticket_is_opened_and_closed_in_the_browser() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let mut anna = Seat::of(&site, "anna");
    anna.sign_in("/tickets");
    anna.browser.look("console-tickets-open");
    assert_sound(&mut anna.browser);
    let open = "form[data-act=open-ticket]";
    assert!(anna.call(open).contains("Fill in: Id."));
    let set = |id: &str, value: &str| format!("document.getElementById('{id}').value = '{value}'");
    anna.browser.eval(&set("id", "a b"));
    anna.browser.eval(&set("title", "<b>The disk</b> of web-2"));
    let refused = anna.call(open);
    assert!(refused.contains("Refused: a ticket's id has 1 to 64 letters"), "{refused}");
    anna.browser.look("console-tickets-refused");
    anna.browser.eval(&set("id", "OPS-18"));
    let after = anna.call(open);
    assert!(after.contains("<b>The disk</b> of web-2"), "{after}");
    assert_eq!(shift.stored("ticket", "OPS-18").unwrap()["opened_by"], "anna");
    // With OPS-17 ends what names it.
    let id = shift.granted();
    anna.open("/tickets");
    let after = anna.call("form[data-id=\"OPS-17\"]");
    assert!(after.contains("closed by anna"), "{after}");
    assert_eq!(shift.stored("grant", &id).unwrap()["end"]["reason"], "ticket_closed");
    // A browser's key that does not verify its holder signs nothing.
    anna.browser.verifies_user(false);
    let after = anna.call("form[data-id=\"OPS-18\"]");
    assert!(after.contains("Nothing was signed"), "{after}");
    assert!(shift.stored("ticket", "OPS-18").unwrap()["closed"].is_null());
}

#[test]
fn c05_browser_call_without_the_right_signature_changes_nothing() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (mut anna, mut boris) = (Seat::of(&site, "anna"), Seat::of(&site, "boris"));
    let (id, other) = (shift.granted(), shift.ask(&[]));
    let wanted = json!({ "act": "revoke", "id": id });
    let date = SystemEnv.now().basic();
    let target = format!("/writ/v1/grants/{id}/revoke");
    let right = message("POST", &target, &date, b"");
    // Nobody is signed in; then the cookie alone, and a program with the cookie.
    boris.open("/sign-in");
    let signed = boris.answer(right.as_bytes(), CALL);
    boris.open("/");
    assert_refused(boris.offer(&wanted, &date, &signed), "NotSignedIn", "nobody is signed in");
    boris.sign_in("/");
    let (status, told) = boris.post("/call", &wanted);
    assert_refused((u16::try_from(status).unwrap(), told), "Malformed", "the body is not");
    let head = format!(
        "POST /call HTTP/1.1\nhost: HOST\ncontent-type: application/json\ncookie: {}",
        boris.cookie()
    );
    let (status, text) = super::enrol::console(&site, &head, &wanted.to_string());
    assert!(status == 403 && text.contains("NoOrigin"), "{text}");
    let foreign = format!("{head}\norigin: https://evil.example");
    let (status, text) = super::enrol::console(&site, &foreign, &wanted.to_string());
    assert!(status == 403 && text.contains("OtherOrigin"), "{text}");
    // A right signature of another call, of another time, in another namespace, of another person.
    let bad = "BadSignature";
    let elsewhere = message("POST", &format!("/writ/v1/requests/{other}/withdraw"), &date, b"");
    assert_refused(boris.called(&wanted, &date, &elsewhere, CALL), bad, "not of this call");
    let with_body = message("POST", &target, &date, b"{}");
    assert_refused(boris.called(&wanted, &date, &with_body, CALL), bad, "not of this call");
    for namespace in ["sign-in@writ", "read@writ", "approval@writ"] {
        assert_refused(boris.called(&wanted, &date, &right, namespace), bad, "not of this call");
    }
    let old = Timestamp::from_secs(SystemEnv.now().secs() - 301).basic();
    let late = message("POST", &target, &old, b"");
    assert_refused(boris.called(&wanted, &old, &late, CALL), bad, "more than five minutes");
    boris.browser.verifies_user(false);
    let careless = boris.careless(right.as_bytes(), CALL);
    assert_refused(boris.offer(&wanted, &date, &careless), bad, "");
    boris.browser.verifies_user(true);
    let annas = anna_answers(&mut anna, &right);
    assert_refused(boris.offer(&wanted, &date, &annas), "AccessDenied", "none of `boris`");
    // To take back what another has asked for is not his, whatever he signs.
    let withdraw = json!({ "act": "withdraw", "id": other });
    assert_refused(boris.called(&withdraw, &date, &elsewhere, CALL), "Refused", "of `anna`");
    // A page asks for no other call of the API.
    let challenge = json!({ "act": "challenge", "id": other });
    assert_refused(boris.offer(&challenge, &date, &signed), "Malformed", "not known here");
    assert!(shift.stored("grant", &id).unwrap()["end"].is_null());
    assert_eq!(shift.stored("request", &other).unwrap()["state"], "pending");
    site.ledger().wait("a refusal", |event| {
        event.text("/eventName") == "EndGrant"
            && event.error() == bad
            && event.text("/requestParameters/signers") == "boris"
    });
    // The right one counts once.
    let done = boris.called(&wanted, &date, &right, CALL);
    assert_eq!(done.0, 200, "{}", done.1);
    assert_refused(boris.called(&wanted, &date, &right, CALL), "Over", "ended already");
}

fn anna_answers(anna: &mut Seat, said: &str) -> Value {
    anna.open("/");
    anna.answer(said.as_bytes(), CALL)
}

#[test]
fn c05_browser_request_counts_as_it_was_checked_and_signed_by_its_requester() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let (mut anna, mut boris) = (Seat::of(&site, "anna"), Seat::of(&site, "boris"));
    anna.sign_in("/");
    boris.sign_in("/");
    let form = |group: &str, login: &str| {
        json!({
            "group": group, "hosts": ["web-1"], "login": login, "shell": true, "commands": [], "files": [],
            "ticket": "OPS-17", "basis": "service", "account": "", "reason": "the disk", "start": "",
            "minutes": 30,
        })
    };
    let asked = |seat: &mut Seat, form: &Value| {
        let (status, told) = seat.post("/requests/check", form);
        (u16::try_from(status).unwrap(), told)
    };
    // Who is no member gets no statement; nor does who asks for more than the group gives.
    assert_refused(
        asked(&mut boris, &form("oncall", "svc")),
        "Refused",
        "not a member of `oncall`",
    );
    assert_refused(asked(&mut anna, &form("oncall", "root")), "Refused", "login role `root`");
    assert_refused(asked(&mut anna, &form("approvers", "svc")), "Refused", "not a member");
    let (status, told) = asked(&mut anna, &form("oncall", "svc"));
    assert_eq!(status, 200, "{told}");
    let bytes = URL_SAFE_NO_PAD.decode(told["statement"].as_str().unwrap()).unwrap();
    let file = |seat: &mut Seat, bytes: &[u8], passkey: &Value| {
        let body = json!({ "statement": URL_SAFE_NO_PAD.encode(bytes), "passkey": passkey });
        let (status, told) = seat.post("/requests/file", &body);
        (u16::try_from(status).unwrap(), told)
    };
    let namespace = "request@writ";
    let hers = anna.answer(&bytes, namespace);
    // In another's session, of another's key, over other bytes, in another namespace.
    assert_refused(file(&mut boris, &bytes, &hers), "AccessDenied", "a request of `anna`");
    let his = boris.answer(&bytes, namespace);
    assert_refused(file(&mut anna, &bytes, &his), "AccessDenied", "none of `anna`");
    let mut longer: Request = cbor::from_slice(&bytes).unwrap();
    longer.not_after = Timestamp::from_secs(longer.not_after.secs() + 3600);
    let longer = cbor::to_vec(&longer);
    assert_refused(file(&mut anna, &longer, &hers), "BadSignature", "not of this");
    let other = anna.answer(&bytes, "approval@writ");
    assert_refused(file(&mut anna, &bytes, &other), "BadSignature", "not of this");
    // Signed by herself, it is still judged as any other: a day is more than the group gives.
    let mut day: Request = cbor::from_slice(&bytes).unwrap();
    day.not_after = Timestamp::from_secs(day.not_before.secs() + 24 * 3600);
    let day = cbor::to_vec(&day);
    let signed = anna.answer(&day, namespace);
    assert_refused(file(&mut anna, &day, &signed), "Refused", "at most 4 h");
    let id = cbor::from_slice::<Request>(&bytes).unwrap().id.to_string();
    assert!(shift.stored("request", &id).is_none());
    let (status, told) = file(&mut anna, &bytes, &hers);
    assert_eq!((status, &told["id"]), (200, &json!(id)), "{told}");
    // Nobody who is not signed in sees the form.
    let (status, text) = get(&site, "/requests/new", "");
    assert!(status == 401 && !text.contains("id=\"ask\""), "{text}");
}

/// Who is in several groups asks as a member of one.
#[test]
fn group_is_chosen_before_the_form_of_a_request() {
    let site = Site::start();
    let _shift = Shift::at(&site);
    let mut anna = Seat::of(&site, "anna");
    anna.sign_in("/");
    let desk = Desk::at(&site);
    desk.changes(&[
        "add-group",
        "files",
        "--title=Files of web hosts",
        "--tier=sensitive",
        "--owner=anna",
        "--owner=boris",
        "--slot=peers:2:group:approvers",
        "--host=web-*",
        "--login=svc",
        "--kind=ssh",
        "--command=df *",
        "--file=ro:/var/log/",
        "--max-hours=2",
    ]);
    desk.changes(&["add-member", "--group=files", "--person=anna", "--days=30"]);
    anna.open("/requests/new");
    anna.browser.look("console-ask-groups");
    assert_sound(&mut anna.browser);
    anna.open("/requests/new?group=files");
    anna.browser.look("console-ask-files");
    assert_sound(&mut anna.browser);
}
