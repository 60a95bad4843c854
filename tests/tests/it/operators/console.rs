//! The console in a real browser: signing in with a passkey, and deciding with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use writ_proof::roster::PersonKey;
use writ_proof::sshsig::signed_blob;
use writ_tests::{Browser, Site};

use super::access::{ASK, Shift, id_of, judge_evidence};
use super::enrol::{Waiting, console, proposed};
use super::roster::Desk;

/// Somebody at their own browser, with a security key of their own.
pub(crate) struct Seat {
    pub(crate) browser: Browser,
    pub(crate) key: PersonKey,
    home: String,
}

impl Seat {
    /// Enrols a passkey of a person, who may have keys already.
    pub(crate) fn of(site: &Site, person: &str) -> Seat {
        let folder = site.home().join(format!("{person}-browser"));
        std::fs::create_dir(&folder).unwrap();
        let mut browser = Browser::start(&folder);
        let waiting = Waiting::begin(site, person);
        let link = waiting.link.clone();
        browser.go(&link);
        browser.click("make");
        browser.until("!document.getElementById('send').disabled");
        browser.click("send");
        let done = waiting.end();
        assert_eq!(done.code, 0, "{}", done.text);
        let home = site.ready["console"].as_str().unwrap().to_owned();
        Seat { browser, key: proposed(site, &link), home }
    }

    pub(crate) fn open(&mut self, path: &str) {
        let url = format!("{}{path}", self.home);
        self.browser.go(&url);
    }

    /// Signs in at the page of a path.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, path: &str) {
        self.open(path);
        self.browser.click("go");
        self.browser.until("document.querySelector('form.who') !== null");
    }

    /// Presses a button, and waits until the page says how it went.
    #[track_caller]
    pub(crate) fn decide(&mut self, button: &str) -> String {
        self.browser.eval("window.before = true");
        self.browser.click(button);
        self.browser.until(
            "document.readyState === 'complete' && (window.before === undefined || \
             document.getElementById('said').className === 'status bad')",
        );
        self.browser.text()
    }

    /// A request of the page itself, with its cookie: status and text.
    pub(crate) fn fetch(&mut self, path: &str, options: &str) -> (u64, String) {
        let script = format!(
            "(async () => {{ const reply = await fetch('{path}', {options}); \
             return [reply.status, await reply.text()]; }})()"
        );
        let said = self.browser.eval(&script);
        (said[0].as_u64().unwrap(), said[1].as_str().unwrap().to_owned())
    }

    /// The same of a body in JSON, for programs: status and reply.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> (u64, Value) {
        let options = json!({
            "method": "POST",
            "headers": { "content-type": "application/json" },
            "body": body.to_string(),
        });
        let (status, text) = self.fetch(path, &options.to_string());
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// What the security key answers when it is to sign a message in a namespace.
    pub(crate) fn answer(&mut self, message: &[u8], namespace: &str) -> Value {
        self.asked(message, namespace, "required")
    }

    /// The same without having its holder verified.
    pub(crate) fn careless(&mut self, message: &[u8], namespace: &str) -> Value {
        self.asked(message, namespace, "discouraged")
    }

    fn asked(&mut self, message: &[u8], namespace: &str, verification: &str) -> Value {
        let passkey = self.key.passkey.as_ref().unwrap();
        let script = format!(
            "(async () => {{
                const bytes = (text) => Uint8Array.from(
                    atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
                const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
                    .replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
                const answer = await navigator.credentials.get({{ publicKey: {{
                    challenge: bytes('{}'),
                    rpId: 'localhost',
                    allowCredentials: [{{ type: 'public-key', id: bytes('{}') }}],
                    userVerification: '{verification}',
                }}}});
                const said = answer.response;
                return {{ credentialId: text(answer.rawId), clientDataJSON: text(said.clientDataJSON),
                    authenticatorData: text(said.authenticatorData), signature: text(said.signature) }};
            }})()",
            URL_SAFE_NO_PAD.encode(signed_blob(message, namespace)),
            URL_SAFE_NO_PAD.encode(&passkey.credential_id),
        );
        self.browser.eval(&script)
    }

    /// The installation's name, as the page says it.
    pub(crate) fn site(&mut self) -> String {
        let site = self.browser.eval("document.querySelector('.site').firstChild.textContent");
        site.as_str().unwrap().to_owned()
    }

    /// The cookie as a thief would have it.
    pub(crate) fn cookie(&mut self) -> String {
        self.browser.cookie()
    }
}

/// What somebody who does not see the page, or has no mouse, needs of it.
#[track_caller]
pub(crate) fn assert_sound(browser: &mut Browser) {
    let faults = browser.eval(
        "(() => {
            const all = (what) => [...document.querySelectorAll(what)];
            const named = (e) => (e.textContent.trim() || e.getAttribute('aria-label') || '') !== '';
            const levels = all('h1, h2, h3, h4').filter((e) => e.offsetParent !== null).map((e) => Number(e.tagName[1]));
            return [
                [document.documentElement.lang === 'en', 'language'],
                [document.title.endsWith('Writ') && document.title.length > 8, 'title'],
                [all('h1').filter((e) => e.offsetParent !== null).length === 1 && all('main').length === 1 && all('header').length === 1, 'landmarks'],
                [levels.every((level, n) => n === 0 || level <= levels[n - 1] + 1), 'headings'],
                [all('input:not([type=hidden]), select, textarea').every((e) => e.labels.length > 0), 'labels'],
                [all('button, a, summary').every(named), 'names'],
                [all('[tabindex]').every((e) => e.tabIndex <= 0), 'order'],
                [all('table').every((e) => e.caption && e.querySelector('th[scope]')), 'tables'],
                [new Set(all('[id]').map((e) => e.id)).size === all('[id]').length, 'ids'],
                [all('[aria-labelledby]').every(
                    (e) => document.getElementById(e.getAttribute('aria-labelledby'))), 'sections'],
                [all('[style], style, script:not([src]), [onclick]').length === 0, 'inline'],
            ].filter(([holds]) => !holds).map(([, what]) => what).join(' ');
        })()",
    );
    assert_eq!(faults, "", "{}", browser.text());
}

/// A page as a program asks for it.
pub(crate) fn get(site: &Site, path: &str, more: &str) -> (u16, String) {
    console(site, &format!("GET {path} HTTP/1.1\nhost: HOST{more}"), "")
}

const MARKUP: &str = "--reason=<img src=x onerror=alert(1)> & \"more\"\nsecond line";

#[test]
fn request_is_approved_in_the_browser_and_openssh_verifies_it() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let site = &site;
    let mut boris = Seat::of(site, "boris");
    boris.open("/");
    boris.browser.look("console-sign-in");
    assert_sound(&mut boris.browser);
    boris.sign_in("/");
    assert!(boris.browser.text().contains("Nothing waits for you"), "{}", boris.browser.text());
    boris.browser.look("console-inbox-empty");
    let signed_in = site.ledger().wait("the sign-in", |event| {
        event.text("/eventName") == "SignIn" && event.error().is_empty()
    });
    assert_eq!(signed_in.text("/requestParameters/personId"), "boris");
    assert_eq!(signed_in.log, "operator");

    let id = shift.ask(&["--command=df -h", "--shell"]);
    let other = ASK.map(|word| if word.starts_with("--reason") { MARKUP } else { word });
    let other = id_of(&shift.ok("anna", &other));
    boris.open("/");
    let inbox = boris.browser.text();
    assert!(inbox.contains("2 requests wait for you"), "{inbox}");
    boris.browser.look("console-inbox");
    assert_sound(&mut boris.browser);
    boris.open(&format!("/requests/{id}"));
    let page = boris.browser.text();
    for line in [
        "anna wants a shell on web-1 as svc",
        "Locked. Nobody gets in by it yet: peers needs 2 more of the group approvers",
        "data of 111111111111",
        "the disk is full",
        "The disk of web-1 is full",
        "df -h",
        "2 of the group approvers (slot peers)",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    // The code is the one that the requester's command printed.
    let checked = shift.ok("carla", &["approve", &id, "--check"]);
    let code = checked.lines().find_map(|line| line.trim().strip_prefix("code      ")).unwrap();
    let code = code.split_whitespace().next().unwrap();
    assert!(page.contains(code), "{code}: {page}");
    boris.browser.look("console-request");
    assert_sound(&mut boris.browser);
    boris.browser.eval("document.getElementById('minutes').value = '30'");
    let after = boris.decide("approve");
    assert!(after.contains("You have approved it. Another decision replaces"), "{after}");
    assert!(after.contains("peers needs 1 more"), "{after}");
    assert!(after.contains("with a passkey"), "{after}");
    boris.browser.look("console-request-decided");
    let text = shift.ok("carla", &["approve", &id]);
    assert!(text.contains("granted: ") && text.contains("(30m"), "{text}");
    boris.open(&format!("/requests/{id}"));
    assert!(boris.browser.text().contains("Open. anna may get in until"));
    boris.browser.look("console-request-granted");
    judge_evidence(&shift, &id);

    // Text of people is text.
    boris.open(&format!("/requests/{other}"));
    assert!(boris.browser.text().contains("<img src=x onerror=alert(1)> & \"more\""));
    assert_eq!(boris.browser.eval("document.querySelectorAll('main img').length"), 0);
    let denied = boris.decide("deny");
    assert!(denied.contains("The request was denied by boris, 2"), "{denied}");
    boris.browser.look("console-request-denied");
    every_page_is_shown_and_recorded(&mut boris, site);
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

fn every_page_is_shown_and_recorded(boris: &mut Seat, site: &Site) {
    for (path, name) in [
        ("/requests", "requests"),
        ("/grants", "grants"),
        ("/tickets", "tickets"),
        ("/groups", "groups"),
        ("/people", "people"),
    ] {
        boris.open(path);
        boris.browser.look(&format!("console-{name}"));
        assert!(!boris.browser.text().contains("cannot be shown"), "{path}");
        assert_sound(&mut boris.browser);
    }
    for name in ["ReadRequests", "ReadGrants", "ReadTickets", "ReadGroups", "ReadPersons"] {
        site.ledger().wait(name, |event| {
            event.text("/eventName") == name && event.text("/requestParameters/reader") == "boris"
        });
    }
    boris.browser.eval("document.querySelector('form.who button').click()");
    boris.browser.until("document.getElementById('go') !== null");
    site.ledger().wait("the sign-out", |event| event.text("/eventName") == "SignOut");
}

/// Who may fill two slots says which; one human fills one.
#[test]
fn slot_is_chosen_in_the_browser_where_there_are_several() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    desk.changes(&[
        "add-group",
        "oncall",
        "--title=On call",
        "--tier=sensitive",
        "--owner=anna",
        "--owner=boris",
        "--slot=peers:1:group:approvers",
        "--slot=seconds:1:group:approvers",
        "--host=web-*",
        "--login=svc",
        "--kind=ssh",
        "--max-hours=4",
    ]);
    let id = shift.ask(&[]);
    let mut boris = Seat::of(&site, "boris");
    boris.sign_in(&format!("/requests/{id}"));
    assert_sound(&mut boris.browser);
    boris.browser.look("console-request-slots");
    boris.browser.eval("document.getElementById('slot').value = 'seconds'");
    let after = boris.decide("approve");
    assert!(after.contains("boris in the slot seconds"), "{after}");
    assert!(after.contains("peers needs 1 more"), "{after}");
    shift.ok("carla", &["approve", &id, "--slot", "peers"]);
    assert!(shift.stored("grant", &id).is_some());
}
