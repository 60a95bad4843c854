//! Requests, decisions, grants and tickets of a running installation, with the keys of OpenSSH.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use writ_proof::access::Request;
use writ_tests::ledger::Event;
use writ_tests::site::{self, ANN, BOB, Verdict};
use writ_tests::{Options, Site, database, until};

use super::roster::Desk;

/// A site with a host, people who may ask (`anna`, `dora`), people who approve (`boris`, `carla`), and an open ticket.
pub(crate) struct Shift<'s> {
    pub(crate) site: &'s Site,
}

pub(crate) const ASK: [&str; 9] = [
    "request",
    "--group=oncall",
    "--host=web-1",
    "--login=svc",
    "--ticket=OPS-17",
    "--reason=the disk is full",
    "--basis=service",
    "--for",
    "1h",
];

impl<'s> Shift<'s> {
    /// Staffs a site, which has the account of [`ANN`] or none.
    pub(crate) fn at(site: &'s Site) -> Shift<'s> {
        let desk = Desk::at(site);
        for person in ["anna", "boris", "carla", "dora"] {
            desk.enrol(person);
        }
        let owners = ["--owner=anna", "--owner=boris"];
        let approvers = ["add-group", "approvers", "--title=Approvers", "--tier=privileged"];
        desk.changes(&[&approvers[..], &owners].concat());
        let key = desk.key("web-1-key").with_extension("pub");
        let host = ["add-host", "web-1", "--address=10.0.0.7:22", "--account", ANN, "--key"];
        desk.changes(&[&host[..], &[key.to_str().unwrap()]].concat());
        let group = [
            "add-group",
            "oncall",
            "--title=On call",
            "--tier=sensitive",
            "--slot=peers:2:group:approvers",
            "--host=web-*",
            "--login=svc",
            "--kind=ssh",
            "--max-hours=4",
        ];
        desk.changes(&[&group[..], &owners].concat());
        for person in ["boris", "carla"] {
            desk.changes(&["add-member", "--group=approvers", "--person", person]);
        }
        for person in ["anna", "dora"] {
            desk.changes(&["add-member", "--group=oncall", "--person", person, "--days=90"]);
        }
        let shift = Shift { site };
        shift.ok("anna", &["ticket", "open", "OPS-17", "The disk of web-1 is full"]);
        shift
    }

    pub(crate) fn key(&self, person: &str) -> PathBuf {
        self.site.home().join(person)
    }

    /// Runs the binary as a person, with their key.
    pub(crate) fn run(&self, person: &str, arguments: &[&str]) -> Verdict {
        let (key, data) = (self.key(person), self.site.dir().to_str().unwrap());
        site::run(&[arguments, &["--key", key.to_str().unwrap(), "--data", data]].concat())
    }

    #[track_caller]
    pub(crate) fn ok(&self, person: &str, arguments: &[&str]) -> String {
        let done = self.run(person, arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {}\n{}", done.text, self.site.log());
        done.text
    }

    #[track_caller]
    pub(crate) fn refused(&self, person: &str, arguments: &[&str], why: &str) {
        let done = self.run(person, arguments);
        assert!(done.code != 0 && done.text.contains(why), "{why}: {}", done.text);
    }

    /// Files a request as `anna`; answers its id.
    #[track_caller]
    pub(crate) fn ask(&self, more: &[&str]) -> String {
        id_of(&self.ok("anna", &[&ASK[..], more].concat()))
    }

    /// A grant of `anna`'s, approved by two.
    #[track_caller]
    pub(crate) fn granted(&self) -> String {
        let id = self.ask(&[]);
        self.ok("boris", &["approve", &id]);
        let text = self.ok("carla", &["approve", &id]);
        assert!(text.contains("granted: "), "{text}");
        id
    }

    /// A stored object of this kind.
    pub(crate) fn stored(&self, kind: &str, id: &str) -> Option<Value> {
        let all = database::read(self.site.dir());
        all.into_iter().find(|one| one.kind == kind && one.id == id).map(|one| one.body)
    }

    pub(crate) fn event(&self, name: &str, request: &str, error: &str) -> Event {
        self.site.ledger().wait(&format!("{name} of {request} {error}"), |event| {
            event.text("/eventName") == name
                && event.text("/requestParameters/requestId") == request
                && event.error() == error
        })
    }
}

/// The id in what `writ request` printed.
pub(crate) fn id_of(text: &str) -> String {
    let id = text.split_once("writ approve ").map(|(_, rest)| rest.get(..26).unwrap().to_owned());
    id.unwrap_or_else(|| panic!("no id: {text}"))
}

#[test]
fn request_becomes_a_grant_with_two_approvals_and_is_revoked() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let filed = shift.ok("anna", &ASK);
    let id = id_of(&filed);
    for line in [
        "anna, as a member of `oncall`",
        "reason    the disk is full",
        "ticket    writ/OPS-17",
        "host      web-1 (holds data of 111111111111)",
        "reaches   data of 111111111111",
        "needs     2 of the group `approvers` (slot `peers`)",
    ] {
        assert!(filed.contains(line), "{line}: {filed}");
    }
    let code = filed.lines().find_map(|line| line.trim().strip_prefix("code      ")).unwrap();
    // The approver sees the same code; looking signs nothing.
    let checked = shift.ok("boris", &["approve", &id, "--check"]);
    assert!(checked.contains(code), "{code}: {checked}");
    assert!(checked.contains("`peers` needs 2 more of the group `approvers`"), "{checked}");
    assert!(checked.contains("you may fill: peers"), "{checked}");
    let inbox = shift.ok("boris", &["requests"]);
    assert!(inbox.contains(&id) && inbox.contains("waits for you"), "{inbox}");
    assert!(shift.ok("dora", &["requests"]).contains("nothing waits for you"));

    let first = shift.ok("boris", &["approve", &id]);
    assert!(first.contains("`peers` needs 1 more"), "{first}");
    let again = shift.ok("boris", &["approve", &id]);
    let still = "you have approved this already; still missing: `peers` needs 1 more";
    assert!(again.contains(still), "{again}");
    assert!(shift.ok("boris", &["requests"]).contains("nothing waits for you"));
    let second = shift.ok("carla", &["approve", &id, "--for", "30m"]);
    assert!(second.contains("granted: "), "{second}");
    let grant = shift.stored("grant", &id).unwrap();
    assert_eq!(grant["person"], "anna");
    let request = shift.stored("request", &id).unwrap();
    assert_eq!(request["state"], "approved");
    let listed = shift.ok("anna", &["grants"]);
    assert!(listed.contains(&id) && listed.contains("live"), "{listed}");
    // The shortest of all windows counts.
    let length = grant["not_after"].as_u64().unwrap() - grant["not_before"].as_u64().unwrap();
    assert!((1_800_000..1_900_000).contains(&length), "{length}");

    let asked = shift.event("RequestAccess", &id, "");
    assert_eq!(asked.log, "operator");
    assert_eq!(asked.text("/eventSource"), "access.writ.internal");
    assert_eq!(asked.text("/requestParameters/touches"), ANN);
    let told = shift.site.ledger().wait("the customer to be told", |event| {
        event.text("/eventName") == "OperatorAccessGranted"
    });
    assert_eq!(told.log, ANN);
    let operator = told.text("/requestParameters/operator").to_owned();
    assert!(operator.starts_with("op-") && operator.len() == 13, "{operator}");
    assert!(!told.record.to_string().contains("anna"), "{}", told.record);
    assert_eq!(told.text("/requestParameters/approvers"), "2");
    assert_eq!(told.text("/requestParameters/accessRequestId"), id);

    shift.ok("dora", &["revoke", &id]);
    let listed = shift.ok("anna", &["grants"]);
    assert!(listed.contains("ended (revoked") && listed.contains("by dora"), "{listed}");
    shift.refused("dora", &["revoke", &id], "has ended already");
    assert_eq!(shift.event("EndGrant", &id, "").text("/requestParameters/reason"), "revoked");
    let told = shift.site.ledger().wait("the customer to be told of the end", |event| {
        event.text("/eventName") == "OperatorAccessEnded"
    });
    assert_eq!((told.log.as_str(), told.text("/requestParameters/operator")), (ANN, &*operator));
    let verdict = shift.site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
    // Another customer's log says nothing of it.
    let others = shift.site.ledger().events();
    let of_access = |event: &&Event| event.text("/eventName").starts_with("OperatorAccess");
    assert!(!others.iter().filter(of_access).any(|event| event.log == BOB));
}

/// A customer's consent makes the grant between the look at the request and the commit that takes it back.
#[test]
fn withdrawal_that_a_grant_overtakes_takes_nothing_back() {
    let failpoints = "access.slow_consent,access.slow_withdrawal".to_owned();
    let site = Site::with(Options { failpoints, ..Options::default() });
    let shift = Shift::at(&site);
    let (ann, writ) = (site.root(ANN), site.http("writ"));
    let call = |operation: &str, body: &Value| {
        let reply = writ.json(&ann, &format!("Writ_20261101.{operation}"), body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    call("PutLockbox", &json!({"Mode": "STREAMLINED"}));
    let id = shift.ask(&[]);
    shift.ok("boris", &["approve", &id]);
    shift.ok("carla", &["approve", &id]);
    let named = json!({
        "RequestId": id,
        "RequestDigest": shift.request(&id).0.digest().to_string(),
    });
    std::thread::scope(|scope| {
        let consent = scope.spawn(|| call("ApproveOperatorAccess", &named));
        until("the consent to be in work", || site.log().contains("slow_consent").then_some(()));
        std::thread::sleep(std::time::Duration::from_secs(1));
        shift.refused("anna", &["withdraw", &id], "it was changed at the same moment");
        consent.join().unwrap();
    });
    assert!(site.log().contains("slow_withdrawal"));
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "approved");
    assert!(shift.stored("grant", &id).unwrap()["end"].is_null());
    shift.refused("anna", &["withdraw", &id], "is approved");
    assert_eq!(site.verify().code, 0);
}

/// The same where many requests end together: the others end all the same, and the grant with what ended them.
#[test]
fn end_of_a_ticket_that_a_grant_overtakes_ends_the_grant() {
    let failpoints = "access.slow_consent,access.slow_end".to_owned();
    let site = Site::with(Options { failpoints, ..Options::default() });
    let shift = Shift::at(&site);
    let (ann, writ) = (site.root(ANN), site.http("writ"));
    let call = |operation: &str, body: &Value| {
        let reply = writ.json(&ann, &format!("Writ_20261101.{operation}"), body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    call("PutLockbox", &json!({"Mode": "STREAMLINED"}));
    let (id, other) = (shift.ask(&[]), shift.ask(&[]));
    shift.ok("boris", &["approve", &id]);
    shift.ok("carla", &["approve", &id]);
    let named = json!({
        "RequestId": id,
        "RequestDigest": shift.request(&id).0.digest().to_string(),
    });
    std::thread::scope(|scope| {
        let consent = scope.spawn(|| call("ApproveOperatorAccess", &named));
        until("the consent to be in work", || site.log().contains("slow_consent").then_some(()));
        std::thread::sleep(std::time::Duration::from_secs(1));
        shift.ok("dora", &["ticket", "close", "OPS-17"]);
        consent.join().unwrap();
    });
    let state = |id: &str| shift.stored("request", id).unwrap()["state"].clone();
    assert_eq!((state(&id), state(&other)), (json!("approved"), json!("withdrawn")));
    until("the grant to end with its ticket", || {
        (shift.stored("grant", &id).unwrap()["end"]["reason"] == "ticket_closed").then_some(())
    });
    assert_eq!(site.verify().code, 0);
}

/// OpenSSH's software token, of the Debian package `openssh-tests`. It touches, and never asks for a PIN.
const TOKEN: &str = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

/// A security key signs through `ssh-keygen` as any other key does, and stock `ssh-keygen` verifies it.
#[test]
fn approval_is_made_with_a_security_key() {
    if !std::path::Path::new(TOKEN).exists() {
        println!("left out: no {TOKEN}");
        return;
    }
    let site = Site::start();
    let shift = Shift::at(&site);
    let desk = Desk::at(&site);
    let make = |kind: &str| {
        let key = shift.key(kind);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-w", TOKEN, "-O", "application=ssh:writ", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let person = kind.replace("-sk", "");
        let public = format!("{}.pub", key.display());
        desk.changes(&["enrol", "--person", &person, "--key", &public]);
        desk.changes(&["add-member", "--group=approvers", "--person", &person]);
        key
    };
    let keys = [make("ecdsa-sk"), make("ed25519-sk")];
    let id = shift.ask(&[]);
    for key in &keys {
        let approved = Command::new(site::binary())
            .args(["approve", &id, "--data", site.dir().to_str().unwrap(), "--key"])
            .arg(key)
            .env("SSH_SK_PROVIDER", TOKEN)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&approved.stderr).into_owned();
        assert!(approved.status.success(), "{text}");
        assert!(!text.contains("Signing data"), "{text}");
    }
    assert_eq!(shift.stored("request", &id).unwrap()["state"], "approved");
    let tar = site.home().join("evidence.tar");
    shift.ok("anna", &["grants", &id, "--bundle", tar.to_str().unwrap()]);
    let check = "tar xf evidence.tar && grep ^ssh-keygen README > check && sh -e check";
    let checked = Command::new("sh").args(["-c", check]).current_dir(site.home()).output().unwrap();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && text.matches("Good ").count() == 3, "{text}");
    assert!(text.contains("ECDSA-SK") && text.contains("ED25519-SK"), "{text}");
}

/// A customer's bundle holds the statements that concerned them; another's has none of them, and verifies all the same.
#[test]
fn bundle_of_a_customer_holds_the_requests_that_concerned_them() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.granted();
    let never = Request { reason: "never granted".to_owned(), ..shift.clone_of(&id) };
    assert_eq!(shift.file(&shift.signed(&never, "anna")).0, 200);
    shift.site.ledger().wait("the customer to be told", |event| {
        event.text("/eventName") == "OperatorAccessGranted"
    });
    let (_, request) = shift.request(&id);
    let find = |bundle: &[u8], text: &str| {
        bundle.windows(text.len()).any(|window| window == text.as_bytes())
    };
    for (account, holds) in [(ANN, true), (BOB, false)] {
        let path = site.home().join(account);
        let bundle = until("a bundle that has what is told", || {
            std::fs::remove_file(&path).ok();
            let exported = site::export(site.dir(), account, &path);
            assert_eq!(exported.code, 0, "{}", exported.text);
            let bundle = std::fs::read(&path).unwrap();
            (!holds || find(&bundle, "OperatorAccessGranted")).then_some(bundle)
        });
        assert_eq!(find(&bundle, &request.reason), holds, "{account}");
        assert!(!find(&bundle, "never granted"), "{account}");
        let seen = site.home().join(format!("seen-{account}"));
        let verdict = site::verify_bundle(&path, account, site.genesis(), &seen);
        assert_eq!(verdict.code, 0, "{}", verdict.text);
    }
}

/// What was signed is what `ssh-keygen` says Good to, and nothing else.
#[test]
fn evidence_of_a_grant_verifies_with_stock_ssh_keygen() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.granted();
    judge_evidence(&shift, &id);
}

/// Stock OpenSSH on the evidence of a grant with two approvals.
pub(crate) fn judge_evidence(shift: &Shift<'_>, id: &str) {
    let tar = shift.site.home().join("evidence.tar");
    shift.ok("anna", &["grants", id, "--bundle", tar.to_str().unwrap()]);
    let folder = shift.site.home().join("evidence");
    std::fs::create_dir(&folder).unwrap();
    let unpacked = Command::new("tar").arg("xf").arg(&tar).arg("-C").arg(&folder).status();
    assert!(unpacked.unwrap().success());
    let readme = std::fs::read_to_string(folder.join("README")).unwrap();
    let commands: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("ssh-keygen")).collect();
    assert_eq!(commands.len(), 3, "{readme}");
    let run = |command: &str| {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", command]).current_dir(&folder).stderr(Stdio::null());
        let output = shell.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    for command in &commands {
        let (good, text) = run(command);
        assert!(good && text.starts_with("Good "), "{command}: {text}");
        // In the other's namespace, as somebody else, or with one byte changed it is not.
        let other = match command.contains("request@writ") {
            true => command.replace("request@writ", "approval@writ"),
            false => command.replace("approval@writ", "request@writ"),
        };
        assert!(!run(&other).0, "{other}");
        assert!(!run(&command.replace("-I ", "-I x")).0);
    }
    let path = folder.join("request");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(!run(commands[0]).0);
    assert!(run(commands[1]).0);
}
