//! The customer's page in a real browser: their own credentials sign its calls, and nothing else does.

use serde_json::Value;
use writ_tests::clients::Credentials;
use writ_tests::site::ANN;
use writ_tests::{Browser, Site, until};

use super::access::Shift;
use super::console::assert_sound;
use super::gate::{Gate, site};
use crate::claims::user;

/// All that the page needs.
pub(crate) const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Action": ["writ:*", "cloudtrail:LookupEvents"], "Resource": "*"}]}"#;

/// A customer at the page.
pub(crate) struct Customer {
    pub(crate) browser: Browser,
}

impl Customer {
    pub(crate) fn at(site: &Site, name: &str) -> Customer {
        let folder = site.home().join(format!("{name}-customer"));
        std::fs::create_dir(&folder).unwrap();
        let mut browser = Browser::start(&folder);
        let home = site.ready["console"].as_str().unwrap().to_owned();
        browser.go(&format!("{home}/customer"));
        Customer { browser }
    }

    /// Types credentials, and presses the button.
    pub(crate) fn enter(&mut self, who: &Credentials) {
        for (field, value) in [
            ("key-id", &*who.id),
            ("secret", &*who.secret),
            ("token", who.token.as_deref().unwrap_or_default()),
        ] {
            self.browser.eval(&format!("document.getElementById('{field}').value = '{value}'"));
        }
        self.browser.click("go");
        self.browser.until("!document.getElementById('go').disabled");
    }

    #[track_caller]
    pub(crate) fn sign_in(&mut self, who: &Credentials) {
        self.enter(who);
        self.browser.until("!document.getElementById('inside').hidden");
    }

    /// Presses the button of a part of the page, says yes where it asks, and waits for what came of it.
    #[track_caller]
    pub(crate) fn press(&mut self, place: &str, text: &str, asks: bool) -> String {
        self.browser.eval("document.getElementById('done').textContent = ''");
        let button = format!(
            "[...document.querySelectorAll('#{place} button')].find((b) => b.textContent === '{text}')"
        );
        // After a question that was answered with no, it takes a moment until it can be pressed again.
        self.browser.until(&format!("{button} !== undefined && !{button}.disabled"));
        self.browser.eval(&format!("{button}.click()"));
        if asks {
            self.browser.until("document.getElementById('confirm').open");
            self.browser.click("confirm-yes");
        }
        self.browser.until("document.getElementById('done').textContent !== ''");
        self.said()
    }

    pub(crate) fn said(&mut self) -> String {
        let said = self.browser.eval("document.getElementById('done').textContent");
        said.as_str().unwrap().to_owned()
    }

    pub(crate) fn refresh(&mut self) {
        self.browser.eval("document.getElementById('done').textContent = ''");
        self.browser.click("refresh");
        self.browser.until("document.getElementById('done').textContent !== ''");
    }

    /// The text of a part of the page.
    pub(crate) fn part(&mut self, id: &str) -> String {
        let text = self.browser.eval(&format!("document.getElementById('{id}').innerText"));
        text.as_str().unwrap().to_owned()
    }
}

fn ended(shift: &Shift<'_>, id: &str) -> String {
    let grant = shift.stored("grant", id).unwrap_or_default();
    grant["end"]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn customer_sees_a_recorded_session_and_ends_the_access() {
    let site = site();
    let gate = Gate::at(&site);
    let id = gate.grant(&["--shell", "--file=ro:/var/log/"], "1h");
    gate.runs(gate.ssh("anna", &[], &["echo hi"]));
    let end = gate.event("OperatorSessionEnded", |_| true);
    let head = end.text("/requestParameters/recordingHead").to_owned();
    let operator = end.text("/requestParameters/operator").to_owned();
    let olga = user(&site, "olga", Some(POLICY)).who;

    let mut page = Customer::at(&site, "olga");
    page.browser.look("customer-sign-in");
    assert_sound(&mut page.browser);
    // A wrong secret is told apart, and forgotten by the form.
    let wrong = Credentials {
        secret: olga.secret.replace(|c: char| c.is_ascii_digit(), "x"),
        ..olga.clone()
    };
    page.enter(&wrong);
    assert!(
        page.part("said").contains("does not belong to this access key"),
        "{}",
        page.part("said")
    );
    assert_eq!(page.browser.eval("document.getElementById('secret').value"), "");
    page.browser.look("customer-sign-in-refused");

    page.sign_in(&olga);
    let live = page.part("live");
    for line in [
        &*operator,
        "may use a shell and files on web-1",
        "The provider's own operation, ticket writ/OPS-17",
        "2 people of the provider",
        "list,read,stat /var/log/",
        &head,
        "the operator left",
    ] {
        assert!(live.contains(line), "{line}: {live}");
    }
    assert!(!page.browser.text().contains("anna"), "a pseudonym is all that customers see");
    page.browser.look("customer-live");
    assert_sound(&mut page.browser);
    kept_nowhere(&mut page, &olga);

    // A session that runs is shown as such, and ends with the access.
    let shell = gate.shell("anna");
    page.refresh();
    assert!(page.part("live").contains("live"), "{}", page.part("live"));
    let said = page.press("live", "End this access now", true);
    assert!(said.starts_with("Ended."), "{said}");
    until("the session to end", || (gate.events("EndSession").len() == 2).then_some(()));
    drop(shell);
    assert_eq!(ended(&gate.shift, &id), "lockbox_withdrawn");
    // Nothing is said of nobody before the trail tells that the last session is over.
    until("the page to say that nobody has access", || {
        page.refresh();
        page.part("live").contains("Nobody of the provider has access").then_some(())
    });
    until("the second session in the page", || {
        page.refresh();
        page.part("history").contains("2 sessions").then_some(())
    });
    let history = page.part("history");
    assert!(history.contains("you took it back"), "{history}");
    page.browser.eval("document.querySelectorAll('details').forEach((one) => (one.open = true))");
    page.browser.look("customer-history");
    assert_sound(&mut page.browser);
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// The secret is in no field, no storage, no cookie, no address; and no script can read its key out.
fn kept_nowhere(page: &mut Customer, who: &Credentials) {
    let held = page.browser.eval(
        "JSON.stringify([...document.querySelectorAll('input, textarea')].map((e) => e.value)) + document.cookie + \
         JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href + document.body.outerHTML",
    );
    assert!(!held.as_str().unwrap().contains(&who.secret));
    let exported = page.browser.eval(
        "import('/static/sigv4.js').then(async (sigv4) => {
            const made = await sigv4.credentials('AKIA', 'secret', null);
            try { await crypto.subtle.exportKey('raw', made.key); return 'read'; } catch (e) { return e.name; }
        })",
    );
    assert_eq!(exported, "InvalidAccessError");
    assert_eq!(page.browser.cookie(), "");
}

/// Requests that are newer and over, more than a page of them.
const NEWER: usize = 51;

#[test]
fn live_access_behind_a_page_of_newer_requests_is_seen_by_the_customer() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let live = shift.granted();
    for _ in 0..NEWER {
        let request = shift.clone_of(&live);
        let (status, told) = shift.file(&shift.signed(&request, "anna"));
        assert_eq!(status, 200, "{told}");
        let target = format!("/writ/v1/requests/{}/withdraw", request.id);
        let (status, told) = shift.call("anna", "call@writ", ("POST", &target), &Value::Null);
        assert_eq!(status, 200, "{told}");
    }
    let olga = user(&site, "olga", Some(POLICY)).who;
    let mut page = Customer::at(&site, "olga");
    page.sign_in(&olga);
    let standing = page.part("standing");
    assert!(standing.starts_with("One operator's access can lead to your data now"), "{standing}");
    assert!(page.part("live").contains("may use a shell on web-1"), "{}", page.part("live"));
    assert!(!page.browser.text().contains("Nobody"), "{}", page.browser.text());

    // Pages that never end are not looked at for ever, and say nothing of nobody.
    page.browser.eval(
        "(() => { window.whole = window.fetch;
            const empty = JSON.stringify({ OperatorAccess: [], NextToken: '01JD0000000000000000000000' });
            window.fetch = (path, how) => how && String(how.body).includes('GRANTED')
                ? Promise.resolve(new Response(empty)) : window.whole(path, how); })()",
    );
    page.refresh();
    let standing = page.part("standing");
    assert!(standing.starts_with("It is not known whether operators can get at"), "{standing}");
    assert!(!page.browser.text().contains("Nobody"), "{}", page.browser.text());
    page.browser.eval("(() => { window.fetch = window.whole; })()");
    page.refresh();

    page.press("live", "End this access now", true);
    assert_eq!(ended(&shift, &live), "lockbox_withdrawn");
    let standing = page.part("standing");
    assert_eq!(standing, "Nobody of the provider can get at your data now.");
}

#[test]
fn customer_is_asked_by_the_lockbox_and_keeps_operators_out_in_the_browser() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let olga = user(&site, "olga", Some(POLICY)).who;
    let mut page = Customer::at(&site, "olga");
    page.sign_in(&olga);
    page.browser.look("customer-empty");
    assert_sound(&mut page.browser);
    assert!(page.part("lockbox").contains("Off. You are told"), "{}", page.part("lockbox"));
    let granted = shift.granted();
    let said = page.press("lockbox", "Switch the lockbox on", false);
    assert_eq!(said, "The lockbox is on. One access has ended by it.");
    assert_eq!(ended(&shift, &granted), "lockbox_withdrawn");

    let (id, other) = (shift.ask(&["--command=df -h"]), shift.ask(&[]));
    for id in [&id, &other] {
        shift.ok("boris", &["approve", id]);
        shift.ok("carla", &["approve", id]);
        assert!(shift.stored("grant", id).is_none());
    }
    page.refresh();
    let pending = page.part("pending");
    assert!(pending.contains("asks for commands on web-1"), "{pending}");
    assert!(!pending.contains("the disk is full"), "the words may speak of others: {pending}");
    page.browser.look("customer-pending");
    assert_sound(&mut page.browser);
    // The newest stands first: that is the other one.
    page.press("pending", "Refuse", true);
    assert_eq!(shift.stored("request", &other).unwrap()["state"], "denied");
    page.browser.eval(&format!("document.getElementById('for-{id}').value = '15'"));
    let said = page.press("pending", "Approve", false);
    assert_eq!(said, "Approved. The access is granted.");
    let grant = shift.stored("grant", &id).unwrap();
    let length = millis(&grant["not_after"]) - millis(&grant["granted"]);
    assert!(length <= 15 * 60 * 1000, "{grant}");
    assert!(page.part("live").contains("and you (user/olga)"), "{}", page.part("live"));

    let said = page.press("support", "Disable the support role", true);
    assert!(
        said.starts_with("The support role is disabled.") && said.contains("One access"),
        "{said}"
    );
    assert_eq!(ended(&shift, &id), "role_disabled");
    page.browser.look("customer-disabled");
    assert_sound(&mut page.browser);
    assert!(page.press("support", "Enable the support role", false).contains("enabled"));
    // Who thinks better of it, changes nothing.
    page.browser.eval("[...document.querySelectorAll('#lockbox button')][0].click()");
    page.browser.until("document.getElementById('confirm').open");
    page.browser.look("customer-confirm");
    page.browser.press("Escape");
    page.browser.until("!document.getElementById('confirm').open");
    assert!(page.part("lockbox").contains("On."), "{}", page.part("lockbox"));
    assert!(page.press("lockbox", "Switch the lockbox off", true).contains("off"));
    let event = site.ledger().wait("the customer's own record", |event| {
        event.text("/eventName") == "PutLockbox" && event.log == ANN
    });
    assert_eq!(event.text("/userIdentity/userName"), "olga");
    // Signing out forgets everything.
    page.browser.click("leave");
    page.browser.until(
        "document.getElementById('inside') !== null && document.getElementById('inside').hidden",
    );
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

fn millis(time: &Value) -> u64 {
    time.as_u64().unwrap_or_else(|| {
        let text = time.as_str().unwrap_or_default();
        writ_model::Timestamp::parse_iso(text).unwrap().millis()
    })
}
