//! The roster of a running installation, changed by `writ roster` and by nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::Signed;
use writ_tests::site::{self, ANN, BOB, Verdict};
use writ_tests::{Options, Site, until};

use super::access::Shift;

/// A desk at which people propose, sign and send in.
pub(crate) struct Desk<'s> {
    site: &'s Site,
}

impl<'s> Desk<'s> {
    pub(crate) fn at(site: &'s Site) -> Desk<'s> {
        Desk { site }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.home().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Verdict {
        let data = self.site.dir().to_str().unwrap();
        site::run(&[&["roster"], arguments, &["--data", data]].concat())
    }

    pub(crate) fn show(&self) -> String {
        let shown = self.run(&["show", "--genesis", self.site.genesis()]);
        assert_eq!(shown.code, 0, "{}", shown.text);
        shown.text
    }

    /// Proposes; answers the file of the statement.
    pub(crate) fn propose(&self, wish: &[&str]) -> PathBuf {
        let file = self.path("statement.roster");
        let out = ["--out", file.to_str().unwrap(), "--overwrite"];
        let proposed = self.run(&[&["propose"], wish, &out].concat());
        assert_eq!(proposed.code, 0, "{}", proposed.text);
        file
    }

    pub(crate) fn sign(&self, file: &Path, founder: u32) -> Verdict {
        self.run(&["sign", file.to_str().unwrap(), "--founder", &founder.to_string()])
    }

    /// Signs with a key file, through ssh-keygen.
    fn sign_with(&self, file: &Path, key: &Path) -> Verdict {
        self.run(&["sign", file.to_str().unwrap(), "--key", key.to_str().unwrap()])
    }

    pub(crate) fn submit(&self, file: &Path) -> Verdict {
        self.run(&["submit", file.to_str().unwrap()])
    }

    /// Proposes, signs with these founders, sends in.
    pub(crate) fn change(&self, wish: &[&str], founders: &[u32]) -> Verdict {
        let file = self.propose(wish);
        for founder in founders {
            let signed = self.sign(&file, *founder);
            assert_eq!(signed.code, 0, "{}", signed.text);
        }
        self.submit(&file)
    }

    #[track_caller]
    pub(crate) fn changes(&self, wish: &[&str]) {
        let done = self.change(wish, &[1, 2]);
        assert_eq!(done.code, 0, "{wish:?}: {}\n{}", done.text, self.site.log());
    }

    /// A person with a new key of their own, enrolled by the first two founders; answers the key's file.
    pub(crate) fn enrol(&self, person: &str) -> PathBuf {
        let key = self.key(person);
        let public = self.path(&format!("{person}.pub"));
        self.changes(&["enrol", "--person", person, "--key", public.to_str().unwrap()]);
        key
    }

    /// A new key; answers its file, beside which lies its public half.
    pub(crate) fn key(&self, person: &str) -> PathBuf {
        let key = self.path(person);
        let make = ["-q", "-t", "ed25519", "-N", "", "-C", person, "-f"];
        let made = Command::new("ssh-keygen").args(make).arg(&key).status().unwrap();
        assert!(made.success());
        key
    }

    /// A group for sessions on `web-*`, owned by two people who are enrolled for it.
    pub(crate) fn staff(&self) {
        self.enrol("anna");
        self.enrol("boris");
        self.changes(&SUPPORT);
    }
}

const SUPPORT: [&str; 13] = [
    "add-group",
    "support",
    "--title=Support",
    "--tier=privileged",
    "--owner=anna",
    "--owner=boris",
    "--slot=security:2:group:founders",
    "--slot=manager:1:manager",
    "--host=web-*",
    "--login=support",
    "--kind=ssh",
    "--kind=runbook",
    "--max-hours=4",
];

fn one_account() -> Site {
    Site::with(Options { accounts: vec![ANN.to_owned()], ..Options::default() })
}

fn join(person: &str) -> [&str; 7] {
    ["add-member", "--group", "support", "--person", person, "--days", "90"]
}

#[track_caller]
fn assert_refused(verdict: &Verdict, why: &str) {
    assert!(verdict.code != 0 && verdict.text.contains(why), "{why}: {}", verdict.text);
}

#[test]
fn roster_is_changed_by_two_founders_and_outlives_keyd() {
    let mut site = one_account();
    let desk = Desk::at(&site);
    assert!(desk.show().contains("statement 0"));
    desk.staff();
    site.kill("keyd");
    site.wait_until_served();
    desk.changes(&join("founder-3"));
    let key = desk.key("web-1-key").with_extension("pub");
    let host = ["add-host", "web-1", "--address=10.0.0.7:22", "--account", ANN, "--key"];
    desk.changes(&[&host[..], &[key.to_str().unwrap()]].concat());
    let shown = desk.show();
    for line in [
        "statement 5",
        "support (Support, privileged)",
        "reaches    customers' data",
        "web-1  10.0.0.7:22",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(shown.contains("member     founder-3  until "), "{shown}");
    assert!(shown.contains("anna  enrolled"), "{shown}");
    let https = site.endpoint("sts").replace("http://", "https://");
    let ca = site.dir().join("ca.pem");
    let by_tls = ["roster", "show", "--endpoint", &https, "--genesis", site.genesis(), "--ca"];
    let by_tls = site::run(&[&by_tls[..], &[ca.to_str().unwrap()]].concat());
    assert_eq!((by_tls.code, by_tls.text.as_str()), (0, shown.as_str()));
    let other = ["show", "--genesis", &"0".repeat(64)];
    assert_refused(&Desk::at(&site).run(&other), "genesis statement");
    site.kill("front");
    site.wait_until_served();
    assert_eq!(Desk::at(&site).show(), shown);
    assert!(site.stop().success());
    // Of a stopped installation the ledger is read.
    assert_eq!(Desk::at(&site).show(), shown);
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    assert!(verdict.text.contains("statement 5"), "{}", verdict.text);
    // A customer's bundle has the statements, and none of what was refused.
    let bundle = site.home().join("bundle");
    let exported = site::export(site.dir(), ANN, &bundle);
    assert_eq!(exported.code, 0, "{}", exported.text);
    let seen = site.home().join("seen-bundle");
    let verdict = site::verify_bundle(&bundle, ANN, site.genesis(), &seen);
    assert!(verdict.code == 0 && verdict.text.contains("statement 5"), "{}", verdict.text);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    let desk = Desk::at(&site);
    desk.changes(&["remove-member", "--group", "support", "--person", "founder-3"]);
    assert!(desk.show().contains("member     nobody"));
    assert!(!site.log().contains("keyd has no roster"), "{}", site.log());
}

#[test]
fn statement_of_too_few_people_is_refused_and_recorded() {
    let site = one_account();
    let desk = Desk::at(&site);
    let anna = desk.enrol("anna");
    let boris = desk.enrol("boris");
    let make = ["-q", "-t", "ecdsa", "-N", "", "-f"];
    let key = site.home().join("carla");
    assert!(Command::new("ssh-keygen").args(make).arg(&key).status().unwrap().success());
    let public = site.home().join("carla.pub");
    let public = public.to_str().unwrap();
    let carla = ["enrol", "--person", "carla", "--key", public];

    assert_refused(&desk.change(&carla, &[]), "nobody has signed it");
    assert_refused(&desk.change(&carla, &[1]), "counted: founder-1; not counted: nobody");
    let file = desk.propose(&carla);
    assert_eq!(desk.sign(&file, 1).code, 0);
    assert_refused(&desk.sign(&file, 1), "has signed it already");
    // Whoever is enrolled is no founder for that.
    for key in [&anna, &boris] {
        assert_eq!(desk.sign_with(&file, key).code, 0);
    }
    assert_refused(&desk.submit(&file), "not counted: anna (not in the group that signs), boris");
    // Nobody signs for what they get.
    let own = ["add-key", "--person=founder-1", "--key", public];
    assert_refused(&desk.change(&own, &[1, 2]), "not counted: founder-1 (it gives them something)");
    assert_eq!(desk.change(&own, &[2, 3]).code, 0);
    // The founder's second key is the same person.
    let file = desk.propose(&["end-enrolment", "--person=boris"]);
    assert_eq!(desk.sign(&file, 1).code, 0);
    assert_eq!(desk.sign_with(&file, &key).code, 0);
    assert_refused(&desk.submit(&file), "counted: founder-1; not counted: nobody");
    // What was made for an older roster is not taken.
    let old = site.home().join("old.roster");
    std::fs::copy(&file, &old).unwrap();
    desk.changes(&["add-member", "--group=founders", "--person=anna"]);
    assert_eq!(desk.sign(&old, 2).code, 0);
    assert_refused(&desk.submit(&old), "propose it anew");
    // Now anna counts, with a key of OpenSSH's.
    let file = desk.propose(&["end-enrolment", "--person=boris"]);
    assert_eq!(desk.sign(&file, 2).code, 0);
    assert_eq!(desk.sign_with(&file, &anna).code, 0);
    assert_eq!(desk.submit(&file).code, 0);
    // Sent again it counts once.
    assert_eq!(desk.submit(&file).code, 0);
    assert!(desk.show().contains("statement 5"));

    let refused = site.ledger().wait("a refused statement", |event| {
        event.text("/eventName") == "SubmitStatement"
            && event.error() == "Refused"
            && event.text("/requestParameters/signers") == "founder-1"
    });
    assert_eq!(refused.log, "operator");
    assert_eq!(refused.text("/eventSource"), "roster.writ.internal");
    assert_eq!(refused.text("/requestParameters/change"), "Enrol");
    site.ledger().wait("a statement that was taken", |event| {
        event.text("/eventName") == "SubmitStatement"
            && event.error().is_empty()
            && event.text("/requestParameters/subject") == "founders anna"
    });
}

#[test]
fn statement_verifies_with_stock_ssh_keygen() {
    let site = one_account();
    let desk = Desk::at(&site);
    let anna = desk.enrol("anna");
    let file = desk.propose(&["end-enrolment", "--person=anna"]);
    assert_eq!(desk.sign(&file, 2).code, 0);
    assert_eq!(desk.sign_with(&file, &anna).code, 0);
    let parts = site.home().join("parts");
    let (file, folder) = (file.to_str().unwrap(), parts.to_str().unwrap());
    let split = site::run(&["roster", "inspect", file, "--split", folder]);
    assert_eq!(split.code, 0, "{}", split.text);
    let seed = std::fs::read(site.dir().join("founders/founder-2.seed")).unwrap();
    let founder = SoftKey::from_seed(&seed.try_into().unwrap()).unwrap();
    let founder = SshPublicKey::Ed25519(founder.public_key().0).to_string();
    let anna = std::fs::read_to_string(site.home().join("anna.pub")).unwrap();
    let allowed = site.home().join("allowed");
    std::fs::write(&allowed, format!("founder-2 {founder}\nanna {anna}")).unwrap();
    let verify = |who: &str, signature: &str, namespace: &str| {
        let body = std::fs::File::open(parts.join("body")).unwrap();
        let status = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", who, "-n", namespace, "-f"])
            .arg(&allowed)
            .arg("-s")
            .arg(parts.join(signature))
            .stdin(body)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    };
    assert!(verify("founder-2", "1.sig", "roster@writ"));
    assert!(verify("anna", "2.sig", "roster@writ"));
    assert!(!verify("anna", "1.sig", "roster@writ"));
    assert!(!verify("founder-2", "1.sig", "approval@writ"));
}

#[test]
fn listener_refuses_what_is_no_statement_and_shows_the_roster() {
    let site = one_account();
    let http = site.http("sts");
    let send = |method: &str, path: &str, query: &str, kind: &str, body: &[u8]| -> (u16, Value) {
        let mut request = http.request(method, path, query, body);
        request.headers.push(("content-type".to_owned(), kind.as_bytes().to_vec()));
        let reply = http.exchange(&request).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    };
    let cbor = "application/cbor";
    let (post, read) = ("/writ/v1/statements", "/writ/v1/roster");
    let genesis = std::fs::read(site.dir().join("genesis")).unwrap();
    type Case<'c> = (&'c str, &'c str, &'c str, &'c str, &'c [u8], u16, &'c str);
    let table: [Case<'_>; 8] = [
        ("POST", post, "", cbor, b"", 400, "Malformed"),
        ("POST", post, "", cbor, b"junk", 400, "Malformed"),
        ("POST", post, "", cbor, &[0; 70_000], 413, "BodyRefused"),
        ("POST", post, "", "text/plain", b"x", 415, "UnsupportedMediaType"),
        ("GET", post, "", cbor, b"", 405, "MethodNotAllowed"),
        ("POST", read, "", cbor, b"", 405, "MethodNotAllowed"),
        ("GET", read, "after=x", cbor, b"", 400, "BadQuery"),
        ("POST", post, "", cbor, &genesis, 400, "UnknownKind"),
    ];
    for (method, path, query, kind, body, status, code) in table {
        let (found, told) = send(method, path, query, kind, body);
        assert_eq!((found, told["error"].as_str()), (status, Some(code)), "{method} {path}");
        assert!(!told["message"].as_str().unwrap().is_empty());
    }
    let (status, roster) = send("GET", read, "", cbor, b"");
    assert_eq!(
        (status, roster["seq"].as_u64(), roster["more"].as_bool()),
        (200, Some(0), Some(false))
    );
    assert_eq!(roster["head"].as_str(), Some(site.genesis()));
    for name in ["SubmitStatement", "GetRoster"] {
        let event = site.ledger().wait(name, |event| event.text("/eventName") == name);
        assert_eq!(event.log, "operator");
    }
    until("a stranger's statement to be recorded", || {
        let events = site.ledger().events();
        events.iter().find(|event| event.error() == "Malformed").map(|_| ())
    });
}

/// What anybody may post waits for nobody's mutation before it is known to be good, and holds none up.
#[test]
fn statement_that_is_refused_holds_up_no_mutation() {
    let failpoints = "access.slow_consent".to_owned();
    let site = Site::with(Options { failpoints, ..Options::default() });
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    let (ann, bob) = (site.root(ANN), site.root(BOB));
    let http = site.http("sts");
    let send = |body: &[u8]| {
        let mut request = http.request("POST", "/writ/v1/statements", "", body);
        request.headers.push(("content-type".to_owned(), b"application/cbor".to_vec()));
        let reply = http.exchange(&request).unwrap();
        (reply.status, serde_json::from_slice::<Value>(&reply.body).unwrap_or_default())
    };
    // In its place, and signed by a stranger, by junk, and one time too few; and one that is in force.
    let file = desk.propose(&["end-enrolment", "--person=dora"]);
    let proposed = Signed::from_bytes(&std::fs::read(&file).unwrap()).unwrap();
    let stranger = SoftKey::from_seed(&[77; 32]).unwrap();
    let mut strange = proposed.clone();
    strange.sign(&stranger).unwrap();
    assert_eq!(desk.sign(&file, 1).code, 0);
    let few = std::fs::read(&file).unwrap();
    let roster = http.exchange(&http.request("GET", "/writ/v1/roster", "", b"")).unwrap();
    let roster: Value = serde_json::from_slice(&roster.body).unwrap();
    let known = STANDARD.decode(roster["statements"][0].as_str().unwrap()).unwrap();
    let garbage: [(Vec<u8>, u16); 4] =
        [(proposed.to_bytes(), 400), (strange.to_bytes(), 403), (few, 403), (known, 200)];

    let id = shift.ask(&[]);
    let (signed, _) = shift.request(&id);
    let body = json!({"RequestId": id, "RequestDigest": signed.digest().to_string()});
    let writ = site.http("writ");
    let target = "Writ_20261101.ApproveOperatorAccess";
    std::thread::scope(|scope| {
        // A mutation of one account that takes its time.
        let slow = scope.spawn(|| writ.json(&ann, target, &body).unwrap().status);
        until("the mutation to be in work", || site.log().contains("slow_consent").then_some(()));
        let posted: Vec<_> = garbage.iter().map(|(body, _)| scope.spawn(|| send(body))).collect();
        for (posted, (_, status)) in posted.into_iter().zip(&garbage) {
            let told = posted.join().unwrap();
            assert_eq!(told.0, *status, "{told:?}");
        }
        let user = "Action=CreateUser&UserName=tom&Version=2010-05-08";
        let made = site.http("iam").query(&bob, user).unwrap();
        assert_eq!(made.status, 200, "{}", made.text());
        assert!(!slow.is_finished(), "it waited for another account's mutation");
        assert_eq!(slow.join().unwrap(), 200);
    });
}

/// What nobody could sign into force is said to who proposes it, before anybody signs.
#[test]
fn proposal_that_cannot_be_is_refused_at_once() {
    let site = one_account();
    let desk = Desk::at(&site);
    let genesis = site.dir().join("genesis");
    let private = desk.enrol("anna");
    let (genesis, private) = (genesis.to_str().unwrap(), private.to_str().unwrap());
    let anna = format!("{private}.pub");
    let table: [(&[&str], &str); 11] = [
        (&["add-member", "--group=support", "--person=anna", "--days=9"], "no group `support`"),
        (&["add-member", "--group=founders", "--person=x", "--days=9"], "`x` is not enrolled"),
        (&["add-group", "g", "--title=G", "--owner=anna"], "at least two owners"),
        (&["add-group", "g", "--title=G", "--owner=anna", "--slot=a:b"], "NAME:COUNT:FROM"),
        (&["add-group", "g", "--title=G", "--owner=anna", "--kind=root"], "ssh"),
        (
            &["add-group", "g", "--title=G", "--owner=anna", "--kind=playback"],
            "reaches no host: add --host",
        ),
        (&["add-host", "h", "--address=h", "--key", &anna], "is the key of `anna`"),
        (&["enrol", "--person=b", "--key", private], ".pub"),
        (&["add-key", "--person=anna", "--key", genesis], "cannot be read"),
        (&["remove-key", "--person=anna", "--key=SHA256:x"], "does not have the key"),
        (&["end-enrolment", "--person=nobody"], "`nobody` is not enrolled"),
    ];
    for (wish, why) in table {
        let file = site.home().join("never");
        let out = ["--out", file.to_str().unwrap()];
        assert_refused(&desk.run(&[&["propose"], wish, &out].concat()), why);
        assert!(!file.exists(), "{wish:?}");
    }
    // A file says the same as flags.
    let file = site.home().join("change.toml");
    std::fs::write(&file, "change = \"end-enrolment\"\nperson = \"anna\"\n").unwrap();
    desk.changes(&["file", file.to_str().unwrap()]);
    std::fs::write(&file, "change = \"end-enrolment\"\nperson = \"anna\"\nsoon = 1\n").unwrap();
    assert_refused(&desk.run(&["propose", "file", file.to_str().unwrap()]), "is no change");
}

/// A statement that somebody has signed is not lost to the next one that is proposed.
#[test]
fn signed_statement_is_not_overwritten_by_a_proposal() {
    let site = one_account();
    let desk = Desk::at(&site);
    desk.enrol("anna");
    let file = desk.propose(&["end-enrolment", "--person=anna"]);
    let path = file.to_str().unwrap();
    let again = ["propose", "end-enrolment", "--person=anna", "--out", path];
    // Nobody has signed it.
    assert_eq!(desk.run(&again).code, 0);
    let signed = desk.sign(&file, 1);
    assert!(signed.text.contains("1 of 2 signatures; next: `writ roster sign"), "{}", signed.text);
    let before = std::fs::read(&file).unwrap();
    assert_refused(&desk.run(&again), "exists and is signed by 1: sign or submit it");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let signed = desk.sign(&file, 2);
    assert!(signed.text.contains("next: `writ roster submit"), "{}", signed.text);
    assert_eq!(desk.run(&[&again[..], &["--overwrite"]].concat()).code, 0);
    assert_refused(&desk.submit(&file), "");
}

/// front dies with the statement on its disk and in no ledger, or in the ledger and told to nobody.
#[test]
fn statement_whose_reply_was_lost_in_a_crash_is_in_force_everywhere() {
    for failpoint in ["store.after_commit", "store.before_publish"] {
        let mut site = one_account();
        Desk::at(&site).enrol("anna");
        assert!(site.stop().success());
        site.start_again(failpoint).unwrap_or_else(|failure| panic!("{}", failure.log));
        let desk = Desk::at(&site);
        let file = desk.propose(&["add-member", "--group=founders", "--person=anna"]);
        assert!([1, 2].iter().all(|founder| desk.sign(&file, *founder).code == 0));
        assert_refused(&desk.submit(&file), "no answer");
        until("the statement to be in force", || {
            let shown = desk.run(&["show", "--genesis", site.genesis()]);
            shown.text.contains("statement 2").then_some(())
        });
        until("keyd to have it", || {
            let status = site::run(&["status", "--data", site.dir().to_str().unwrap()]);
            status.text.contains("statement 2, keyd at 2").then_some(())
        });
        let again = desk.submit(&file);
        assert_eq!(again.code, 0, "{failpoint}: {}", again.text);
        assert!(desk.show().contains("statement 2"));
        assert!(site.stop().success());
        let verdict = site.verify();
        assert_eq!(verdict.code, 0, "{failpoint}: {}", verdict.text);
    }
}
