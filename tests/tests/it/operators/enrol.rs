//! Enrolment: a link, a passkey that a real browser makes, an SSH key, and what is refused.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use writ_proof::cbor;
use writ_proof::hash::sha256;
use writ_proof::roster::{Change, PersonKey};
use writ_proof::sshsig::{SshSig, signed_blob};
use writ_proof::statement::Signed;
use writ_tests::site::{self, ANN, Verdict};
use writ_tests::{Browser, Options, Site, until};

use super::roster::Desk;

fn one_account() -> Site {
    Site::with(Options { accounts: vec![ANN.to_owned()], ..Options::default() })
}

/// `writ enrol PERSON` that waits for its page.
pub(crate) struct Waiting {
    child: Child,
    out: PathBuf,
    pub(crate) link: String,
}

impl Waiting {
    pub(crate) fn begin(site: &Site, person: &str) -> Waiting {
        let out = site.home().join(format!("{person}.out"));
        let sink = File::create(&out).unwrap();
        let child = Command::new(site::binary())
            .args(["enrol", person, "--yes", "--data"])
            .arg(site.dir())
            .stdin(Stdio::null())
            .stdout(sink.try_clone().unwrap())
            .stderr(sink)
            .spawn()
            .unwrap();
        let link = until("a link", || {
            let text = std::fs::read_to_string(&out).unwrap();
            let (_, rest) = text.split_once("http://")?;
            let (link, _) = rest.split_once('\n')?;
            Some(format!("http://{link}"))
        });
        Waiting { child, out, link }
    }

    pub(crate) fn end(mut self) -> Verdict {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Verdict { code, text: std::fs::read_to_string(&self.out).unwrap() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A key pair that `ssh-keygen` makes: the private half; the public one is beside it.
pub(crate) fn new_key(site: &Site, name: &str, kind: &str) -> PathBuf {
    let key = site.home().join(name);
    let make = ["-q", "-t", kind, "-N", "", "-C", name, "-f"];
    assert!(Command::new("ssh-keygen").args(make).arg(&key).status().unwrap().success());
    key
}

pub(crate) fn enrol_key(site: &Site, person: &str, key: &Path, more: &[&str]) -> Verdict {
    let (data, public) = (site.dir().to_str().unwrap(), key.with_extension("pub"));
    let of = ["enrol", person, "--data", data, "--ssh-key", public.to_str().unwrap()];
    site::run(&[&of[..], more].concat())
}

/// A request to the console as a program sends it: status and body.
pub(crate) fn console(site: &Site, head: &str, body: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let origin = site.ready["console"].as_str().unwrap();
    let port: u16 = origin.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = head.replace("HOST", &format!("localhost:{port}")).replace('\n', "\r\n");
    let length = body.len();
    let end = format!("\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(format!("{head}{end}").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let status = reply.get(9..12).and_then(|code| code.parse().ok());
    (status.unwrap_or_default(), reply)
}

fn path_of(link: &str) -> &str {
    &link[link.find("/enrol/").unwrap()..]
}

fn post(site: &Site, link: &str, body: &Value) -> (u16, String) {
    let head =
        format!("POST {} HTTP/1.1\nhost: HOST\ncontent-type: application/json", path_of(link));
    console(site, &head, &body.to_string())
}

fn state(site: &Site, link: &str) -> Value {
    let head = format!("GET {}/state HTTP/1.1\nhost: HOST", path_of(link));
    let (status, reply) = console(site, &head, "");
    assert_eq!(status, 200, "{reply}");
    serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The one key that a link has proposed.
pub(crate) fn proposed(site: &Site, link: &str) -> PersonKey {
    let change = state(site, link)["change"].as_str().unwrap().to_owned();
    let change: Change = cbor::from_slice(&STANDARD.decode(change).unwrap()).unwrap();
    match change {
        Change::Enrol(enrolment) => enrolment.keys.0[0].clone(),
        Change::AddKey(key) => key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ssh_key_enrolled_without_a_browser_is_in_the_roster() {
    let mut site = one_account();
    let anna = new_key(&site, "anna", "ed25519");
    // Without --yes nobody signs: the statement goes to the two who do.
    let file = site.home().join("anna.roster");
    let asked = enrol_key(&site, "anna", &anna, &["--out", file.to_str().unwrap()]);
    assert_eq!(asked.code, 0, "{}", asked.text);
    let code = asked.text.lines().find_map(|line| line.strip_prefix("code  ")).unwrap();
    let desk = Desk::at(&site);
    let signed = desk.sign(&file, 1);
    assert!(signed.text.contains(&format!("code {code}")), "{code}: {}", signed.text);
    assert!(!desk.show().contains("anna  enrolled"));
    assert_eq!(desk.sign(&file, 3).code, 0);
    assert_eq!(desk.submit(&file).code, 0);
    assert!(desk.show().contains("anna  enrolled"));

    // A second key, opened by anna herself and signed by the founders.
    let second = new_key(&site, "anna-2", "ecdsa");
    let by = anna.to_str().unwrap();
    let added = enrol_key(&site, "anna", &second, &["--yes", "--by", by]);
    assert_eq!(added.code, 0, "{}", added.text);
    assert!(added.text.contains("anna gets a software key"), "{}", added.text);
    let event = site.ledger().wait("the opening", |event| {
        event.text("/eventName") == "OpenEnrolment"
            && event.text("/requestParameters/openedBy") == "anna"
    });
    assert_eq!(event.log, "operator");
    let proposal = site.ledger().wait("the proposal", |event| {
        event.text("/eventName") == "ProposeEnrolment"
            && event.text("/requestParameters/change") == "AddKey"
    });
    // Both say where the request came from, and not that the platform asked itself.
    for event in [event, proposal] {
        assert_eq!(event.text("/sourceIPAddress"), "127.0.0.1");
    }

    // What is refused.
    let stranger = new_key(&site, "stranger", "ed25519");
    let by = enrol_key(&site, "boris", &stranger, &["--yes", "--by", stranger.to_str().unwrap()]);
    assert!(by.code != 0 && by.text.contains("not in the roster"), "{}", by.text);
    let again = enrol_key(&site, "boris", &anna, &["--yes"]);
    assert!(again.code != 0 && again.text.contains("is or was `anna`'s"), "{}", again.text);
    let other = stranger.to_str().unwrap();
    let other = enrol_key(&site, "boris", &new_key(&site, "boris", "ed25519"), &["--key", other]);
    assert!(other.code != 0 && other.text.contains("is not the private half"), "{}", other.text);
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

#[test]
fn link_is_good_once_and_for_an_hour() {
    let mut site = one_account();
    let first = Waiting::begin(&site, "anna");
    let link = first.link.clone();
    // A newer link ends the older one.
    let second = Waiting::begin(&site, "anna");
    let ended = first.end();
    assert!(ended.code != 0 && ended.text.contains("has ended"), "{}", ended.text);
    assert_eq!(post(&site, &link, &json!({ "passkey": null, "ssh": "x" })).0, 410);

    let key = new_key(&site, "anna", "ed25519");
    let (status, page) =
        console(&site, &format!("GET {} HTTP/1.1\nhost: HOST", path_of(&second.link)), "");
    assert_eq!(status, 200, "{page}");
    let (_, rest) = page.split_once("printf %s &#39;").or(page.split_once("printf %s '")).unwrap();
    let message = rest.split_once('\'').unwrap().0;
    let proof = |message: &str, namespace: &str| {
        let file = site.home().join("message");
        std::fs::write(&file, message).unwrap();
        let sign = ["-q", "-Y", "sign", "-n", namespace, "-f"];
        let signed = Command::new("ssh-keygen").args(sign).arg(&key).arg(&file).output().unwrap();
        assert!(signed.status.success());
        let made = site.home().join("message.sig");
        let armor = std::fs::read_to_string(&made).unwrap();
        std::fs::remove_file(made).unwrap();
        json!({ "passkey": null, "ssh": armor })
    };
    let offers = [
        (proof(message, "roster@writ"), "another namespace"),
        (proof("enrol anna", "enrol@writ"), "does not hold"),
        (json!({ "passkey": null, "ssh": null }), "show a passkey"),
        (json!({ "ssh": null, "more": 1 }), "the body is not"),
    ];
    for (offer, why) in offers {
        let (status, reply) = post(&site, &second.link, &offer);
        assert!(status == 400 && reply.contains(why), "{why}: {reply}");
    }
    let good = proof(message, "enrol@writ");
    assert_eq!(post(&site, &second.link, &good).0, 200);
    let (status, reply) = post(&site, &second.link, &good);
    assert!(status == 409 && reply.contains("was used"), "{reply}");
    let link = second.link.clone();
    let done = second.end();
    assert_eq!(done.code, 0, "{}", done.text);
    assert_eq!(state(&site, &link)["state"], "done");
    site.ledger().wait("the refusal", |event| {
        event.text("/eventName") == "ProposeEnrolment" && event.error() == "Used"
    });

    // The hour of a link that nobody used is over.
    let third = Waiting::begin(&site, "boris");
    let link = third.link.clone();
    drop(third);
    assert!(site.stop().success());
    let database = rusqlite::Connection::open(site.dir().join("front/state.sqlite")).unwrap();
    let changed = database.execute(
        "UPDATE object SET body = json_set(body, '$.body.expires', body ->> '$.body.opened') \
         WHERE kind = 'enrolment'",
        [],
    );
    assert_eq!(changed.unwrap(), 3);
    drop(database);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    let (status, page) =
        console(&site, &format!("GET {} HTTP/1.1\nhost: HOST", path_of(&link)), "");
    assert!(status == 410 && page.contains("This link has ended"), "{page}");
    assert_eq!(post(&site, &link, &good).0, 410);
}

#[test]
fn console_answers_to_its_name_alone() {
    let site = one_account();
    let get =
        |host: &str, path: &str| console(&site, &format!("GET {path} HTTP/1.1\nhost: {host}"), "");
    let port = site.ready["console"].as_str().unwrap().rsplit_once(':').unwrap().1;
    let (status, reply) = get(&format!("127.0.0.1:{port}"), "/enrol/x");
    assert_eq!(status, 307, "{reply}");
    assert!(reply.contains(&format!("location: http://localhost:{port}/enrol/x\r\n")), "{reply}");
    // A name that somebody else has let lead here.
    for host in ["evil.example", "localhost", &format!("localhost.evil.example:{port}")] {
        assert_eq!(get(host, "/").0, 421, "{host}");
    }
    let (status, reply) = get("HOST", "/");
    assert_eq!(status, 200);
    for field in ["content-security-policy: default-src 'self'; frame-ancestors 'none'", "nosniff"]
    {
        assert!(reply.contains(field), "{reply}");
    }
    assert!(!reply.contains("<script>") && !reply.contains("<style"), "{reply}");
    assert_eq!(get("HOST", "/enrol/AAAA").0, 404);
    assert_eq!(console(&site, "PUT / HTTP/1.1\nhost: HOST", "").0, 405);
    let open = "POST /writ/v1/enrolments HTTP/1.1\nhost: HOST\ncontent-type: application/json";
    let body = "{\"person\":\"anna\",\"nonce\":\"0123456789abcdef\"}";
    assert_eq!(console(&site, open, body).0, 403);
    let foreign = format!("{open}\norigin: https://evil.example");
    assert!(console(&site, &foreign, body).1.contains("another site"));
    let form = "POST /writ/v1/enrolments HTTP/1.1\nhost: HOST\ncontent-type: text/plain";
    assert_eq!(console(&site, form, body).0, 415);
    assert_eq!(console(&site, open, &"x".repeat(70_000)).0, 413);
}

#[test]
fn passkey_made_in_chromium_signs_what_openssh_verifies() {
    let site = one_account();
    let mut browser = Browser::start(site.home());
    let waiting = Waiting::begin(&site, "anna");
    let link = waiting.link.clone();
    browser.go(&link);
    browser.look("enrol-open");
    // A key that does not verify its user makes no passkey here.
    browser.verifies_user(false);
    browser.click("make");
    browser.until("document.getElementById('made').className === 'status bad'");
    assert!(browser.text().contains("No passkey was made"), "{}", browser.text());
    browser.verifies_user(true);
    browser.click("make");
    browser.until("!document.getElementById('send').disabled");
    browser.look("enrol-made");
    browser.click("send");
    browser.until(
        "document.title.startsWith('Code for anna') || document.title.startsWith('anna is')",
    );
    browser.look("enrol-code");
    let done = waiting.end();
    assert_eq!(done.code, 0, "{}", done.text);
    let code = done.text.lines().find_map(|line| line.strip_prefix("code  ")).unwrap();
    browser.until("document.title.startsWith('anna is enrolled')");
    assert!(browser.text().contains(code), "{code}: {}", browser.text());
    browser.look("enrol-done");
    let desk = Desk::at(&site);
    let shown = desk.show();
    let key = proposed(&site, &link);
    assert!(shown.contains(&format!("passkey {}", key.key.fingerprint())), "{shown}");

    // With it anna signs a statement in the same browser.
    desk.changes(&["add-member", "--group=founders", "--person=anna"]);
    let file = desk.propose(&["remove-member", "--group=founders", "--person=founder-3"]);
    assert_eq!(desk.sign(&file, 1).code, 0);
    let mut statement = Signed::from_bytes(&std::fs::read(&file).unwrap()).unwrap();
    let signature = sign(&mut browser, &key, statement.body(), "roster@writ");
    judge(site.home(), &key, statement.body(), &signature);
    statement.add(&signature).unwrap();
    std::fs::write(&file, statement.to_bytes()).unwrap();
    let sent = desk.submit(&file);
    assert_eq!(sent.code, 0, "{}", sent.text);

    // A link that nobody has opened.
    browser.go(&link.replace(&link[link.len() - 6..], "AAAAAA"));
    assert!(browser.text().contains("This link is unknown"), "{}", browser.text());
    browser.look("enrol-unknown");
}

#[test]
fn passkey_whose_user_was_not_verified_is_refused() {
    let site = one_account();
    let mut browser = Browser::start(site.home());
    let waiting = Waiting::begin(&site, "anna");
    browser.go(&waiting.link);
    browser.authenticator(false);
    // A page that somebody has changed asks for less than ours.
    let made = browser.eval(
        "(async () => {
            const { toBytes, toText } = await import('/static/common.js');
            const data = document.getElementById('enrol').dataset;
            const credential = await navigator.credentials.create({ publicKey: {
                challenge: toBytes(data.challenge),
                rp: { id: 'localhost', name: 'x' },
                user: { id: toBytes(data.user), name: 'x', displayName: 'x' },
                pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
                authenticatorSelection: { userVerification: 'discouraged', residentKey: 'discouraged' },
            }});
            return [toText(credential.response.clientDataJSON),
                toText(credential.response.attestationObject)];
        })()",
    );
    let offer = json!({
        "passkey": { "clientDataJSON": made[0], "attestationObject": made[1] },
        "ssh": null,
    });
    let (status, reply) = post(&site, &waiting.link, &offer);
    assert!(status == 400 && reply.contains("did not verify its user"), "{reply}");
}

/// Has the browser's authenticator sign a statement: the challenge is what `ssh-keygen` would sign.
pub(crate) fn sign(browser: &mut Browser, key: &PersonKey, body: &[u8], namespace: &str) -> SshSig {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let passkey = key.passkey.as_ref().unwrap();
    let script = format!(
        "(async () => {{
            const bytes = (text) => Uint8Array.from(
                atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
            const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
            const assertion = await navigator.credentials.get({{ publicKey: {{
                challenge: bytes('{}'),
                rpId: '{}',
                allowCredentials: [{{ type: 'public-key', id: bytes('{}') }}],
                userVerification: 'required',
            }}}});
            const said = assertion.response;
            return [said.clientDataJSON, said.authenticatorData, said.signature].map(text);
        }})()",
        encode(&signed_blob(body, namespace)),
        passkey.rp_id,
        encode(&passkey.credential_id),
    );
    let said = browser.eval(&script);
    let part = |n: usize| STANDARD.decode(said[n].as_str().unwrap()).unwrap();
    let (client_data, data, der) = (part(0), part(1), part(2));
    assert_eq!(data[..32], sha256(passkey.rp_id.as_bytes()).0);
    assert_eq!(data.len(), 37);
    let origin: Value = serde_json::from_slice(&client_data).unwrap();
    let origin = origin["origin"].as_str().unwrap();
    // The integers of DER and of SSH have one form.
    let r = &der[4..4 + usize::from(der[3])];
    let s = &der[6 + r.len()..];
    let inner = [
        string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"),
        string(&[string(r), string(s)].concat()),
        data[32..].to_vec(),
        string(origin.as_bytes()),
        string(&client_data),
        string(b""),
    ]
    .concat();
    let blob = [
        b"SSHSIG\0\0\0\x01".to_vec(),
        string(&key.key.to_blob()),
        string(namespace.as_bytes()),
        string(b""),
        string(b"sha512"),
        string(&inner),
    ]
    .concat();
    SshSig::from_bytes(&blob).unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Stock OpenSSH says whose signature it is, and that it is not one of something else.
fn judge(home: &Path, key: &PersonKey, body: &[u8], signature: &SshSig) {
    let (signers, armor) = (home.join("allowed_signers"), home.join("statement.sig"));
    let line = format!("anna namespaces=\"roster@writ\" {}\n", key.key);
    std::fs::write(&signers, line).unwrap();
    std::fs::write(&armor, signature.to_armor()).unwrap();
    for (bytes, holds) in [(body.to_vec(), true), ([body, b"!"].concat(), false)] {
        let file = home.join("statement.body");
        std::fs::write(&file, bytes).unwrap();
        let judged = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "anna", "-n", "roster@writ", "-f"])
            .arg(&signers)
            .arg("-s")
            .arg(&armor)
            .stdin(File::open(&file).unwrap())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&judged.stdout).into_owned();
        assert_eq!(judged.status.success(), holds, "{text}");
        if holds {
            assert!(
                text.contains("Good \"roster@writ\" signature for anna with ECDSA-SK"),
                "{text}"
            );
        }
    }
}
