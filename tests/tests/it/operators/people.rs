//! The HR feed against the real processes: joiners, movers, leavers, and files that are wrong.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_proof::ed25519::SoftKey;
use writ_proof::hash::sha256;
use writ_proof::sshsig::SshSig;
use writ_tests::database::{self, Stored};
use writ_tests::ledger::Event;
use writ_tests::site::{Verdict, passable_dir, run};
use writ_tests::{Options, Site, process, until};

use super::enrol::{enrol_key, new_key};

const HEADER: &str = "person_id,user_name,display_name,email,employment,state,manager,team,job_code,\
    cost_center,valid_until,nda,policy,training_until,screening\n";

/// Good evidence for every gate.
pub(crate) const GATES: &str = "2026-01-02,1@2026-01-02,2099-12-31,not_required";

/// A site with an HR feed.
pub(crate) struct Staffed {
    pub(crate) site: Site,
    feed: PathBuf,
    _home: TempDir,
}

/// A line of somebody whose gates are all passed.
pub(crate) fn line(id: &str, state: &str, manager: &str) -> String {
    format!("{id},{id},The {id},,employee,{state},{manager},t1,j1,,,{GATES}\n")
}

impl Staffed {
    pub(crate) fn start() -> Staffed {
        let home = passable_dir();
        let folder = home.path().join("hr");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let feed = folder.join("feed.csv");
        let config = format!("[people]\nfeed = \"{}\"\n", feed.display());
        let options = Options { accounts: Vec::new(), config: Some(config), ..Options::default() };
        Staffed { site: Site::with(options), feed, _home: home }
    }

    /// Renames a whole file into place, as HR should.
    pub(crate) fn deliver(&self, lines: &[String]) {
        self.replace(format!("{HEADER}{}", lines.concat()).as_bytes());
    }

    fn replace(&self, bytes: &[u8]) {
        self.replace_as(bytes, 0o644);
    }

    fn replace_as(&self, bytes: &[u8], mode: u32) {
        let new = self.feed.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(&new, &self.feed).unwrap();
    }

    /// The stored person.
    pub(crate) fn person(&self, id: &str) -> Option<Value> {
        let is = |stored: &Stored| stored.kind == "person" && stored.id == id;
        database::read(self.site.dir()).into_iter().find(is).map(|stored| stored.body)
    }

    pub(crate) fn state(&self, id: &str) -> String {
        self.person(id).map_or_else(String::new, |p| p["state"].as_str().unwrap().to_owned())
    }

    pub(crate) fn wait_for(&self, id: &str, state: &str) -> Value {
        until(&format!("{id} to be {state}"), || {
            self.person(id).filter(|person| person["state"] == state)
        })
    }

    /// The event of this name about this person.
    pub(crate) fn event(&self, name: &str, person: &str) -> Event {
        self.site.ledger().wait(&format!("{name} of {person}"), |event| {
            event.text("/eventName") == name && event.text("/requestParameters/personId") == person
        })
    }

    /// The newest event of this name with this text in a parameter.
    pub(crate) fn told(&self, name: &str, parameter: &str, part: &str) -> Event {
        let pointer = format!("/requestParameters/{parameter}");
        self.site.ledger().wait(&format!("{name} with {part}"), |event| {
            let text = event.text(&pointer);
            event.text("/eventName") == name && !text.is_empty() && text.contains(part)
        })
    }

    /// The field `authorization` by which the first founder proves a request without a body.
    pub(crate) fn proof(&self, method: &str, path: &str, date: &str, namespace: &str) -> String {
        self.proof_of(1, method, path, date, namespace)
    }

    /// The same, of another founder.
    fn proof_of(
        &self,
        founder: u32,
        method: &str,
        path: &str,
        date: &str,
        namespace: &str,
    ) -> String {
        let file = self.site.dir().join(format!("founders/founder-{founder}.seed"));
        let seed = fs::read(file).unwrap();
        let key = SoftKey::from_seed(seed.as_slice().try_into().unwrap()).unwrap();
        let signed = format!("{method} {path}\n{date}\n{}", sha256(b""));
        let signature = SshSig::sign(signed.as_bytes(), namespace, &key).unwrap();
        format!("SSHSIG {}", STANDARD.encode(signature.to_bytes()))
    }

    pub(crate) fn cli(&self, more: &[&str]) -> Verdict {
        let data = self.site.dir().to_str().unwrap();
        run(&[&["people", "--data", data], more].concat())
    }
}

#[test]
fn joiner_is_disabled_until_hr_says_active_and_gates_are_passed() {
    let staffed = Staffed::start();
    let boss = line("boss", "active", "");
    staffed.deliver(&[boss.clone(), line("ann", "requested", "boss")]);
    staffed.wait_for("boss", "enabled");
    staffed.wait_for("ann", "requested");
    let gated = "ann,ann,The ann,,employee,active,boss,t1,j1,,,,1@2026-01-02,2020-01-01,pending\n";
    staffed.deliver(&[boss.clone(), gated.to_owned()]);
    staffed.wait_for("ann", "gated");
    let event = staffed.event("PersonGated", "ann");
    assert_eq!(event.log, "operator");
    assert_eq!(event.text("/eventSource"), "people.writ.internal");
    assert_eq!(event.text("/requestParameters/openGates"), "nda,screening,training");
    staffed.deliver(&[boss, line("ann", "active", "boss")]);
    staffed.wait_for("ann", "enabled");
    let listed = staffed.cli(&[]);
    assert_eq!(listed.code, 0, "{}", listed.text);
    assert!(listed.text.contains("boss") && listed.text.contains("enabled"), "{}", listed.text);
    // The record names ids and no names.
    let names = |event: &Event| event.record.to_string().contains("The ann");
    assert!(!staffed.site.ledger().events().iter().any(names));
    let verdict = staffed.site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

#[test]
fn mover_is_recorded_and_gains_nothing() {
    let staffed = Staffed::start();
    let (ann, boss) = (line("ann", "active", ""), line("boss", "active", ""));
    staffed.deliver(&[ann.clone(), boss.clone()]);
    staffed.wait_for("ann", "enabled");
    staffed.deliver(&[line("ann", "active", "boss").replace(",t1,j1,", ",t2,j2,"), boss]);
    let event = staffed.event("PersonMoved", "ann");
    assert_eq!(event.text("/requestParameters/to"), "enabled");
    let person = staffed.person("ann").unwrap();
    assert_eq!((&person["team"], &person["manager"]), (&"t2".into(), &"boss".into()));
    assert!(person["moved_at"].is_u64());
}

/// `count` persons, the first of whom are in another state.
fn crowd(count: usize, others: usize, state: &str) -> Vec<String> {
    let state_of = |n| if n < others { state } else { "active" };
    (0..count).map(|n| line(&format!("p{n}"), state_of(n), "")).collect()
}

#[test]
fn bad_line_is_named_and_stops_no_termination() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(3, 0, ""));
    staffed.wait_for("p2", "enabled");
    let mut lines = crowd(3, 1, "terminated");
    lines.push("p9,p9,The p9,,employee,active,,t1\n".to_owned());
    lines.push(line("p8", "active", "nobody"));
    lines.push(line("p7", "active", ""));
    staffed.deliver(&lines);
    staffed.wait_for("p0", "left");
    let event = staffed.told("TakeHrFeed", "problemList", "line 5");
    let problems = event.text("/requestParameters/problemList");
    assert!(problems.contains("line 5: it has 8 fields, the header has 15"), "{problems}");
    assert!(problems.contains("line 6, `manager`: the file has no person"), "{problems}");
    assert_eq!(event.text("/requestParameters/frozen"), "joiners and movers");
    assert!(staffed.person("p7").is_none() && staffed.person("p9").is_none());
    let checked = run(&["people", "check", staffed.feed.to_str().unwrap()]);
    assert_eq!(checked.code, 1, "{}", checked.text);
    assert!(checked.text.contains("line 6, `manager`"), "{}", checked.text);
    // Mended, it brings the joiner.
    lines.retain(|line| !(line.starts_with("p9") || line.starts_with("p8")));
    staffed.deliver(&lines);
    staffed.wait_for("p7", "enabled");
    assert_eq!(run(&["people", "check", staffed.feed.to_str().unwrap()]).code, 0);
}

#[test]
fn absence_is_no_termination() {
    let staffed = Staffed::start();
    let all = crowd(20, 0, "");
    staffed.deliver(&all);
    staffed.wait_for("p19", "enabled");
    staffed.deliver(&all[1..]);
    let event = staffed.event("PersonAbsent", "p0");
    assert_eq!(event.text("/requestParameters/to"), "enabled");
    let listed = staffed.cli(&[]);
    assert!(listed.text.contains("missing from the feed since"), "{}", listed.text);
    // Half of the file is gone: nothing at all is concluded from that.
    staffed.deliver(&all[10..]);
    staffed.told("TakeHrFeed", "absences", "nobody is suspended");
    let enabled = |n: &usize| staffed.state(&format!("p{n}")) == "enabled";
    assert_eq!((0..20).filter(enabled).count(), 20);
    staffed.deliver(&all);
    staffed.event("PersonReturned", "p0");
}

#[test]
fn file_that_is_empty_or_gone_ends_nobody() {
    let staffed = Staffed::start();
    staffed.told("MissHrFeedFile", "reason", "there is no file");
    staffed.deliver(&crowd(3, 0, ""));
    staffed.wait_for("p2", "enabled");
    for (bytes, reason) in [
        (&b""[..], "the file is empty"),
        (b"person_id,salary\n", "no column `salary`"),
        (HEADER.as_bytes(), "the file is empty"),
    ] {
        staffed.replace(bytes);
        staffed.told("RefuseHrFeed", "reason", reason);
    }
    fs::remove_file(&staffed.feed).unwrap();
    let gone = |event: &Event| event.text("/eventName") == "MissHrFeedFile";
    let count = || staffed.site.ledger().events().iter().filter(|event| gone(event)).count();
    until("the file to be missed", || (count() == 2).then_some(()));
    let listed = staffed.cli(&[]);
    assert!(listed.text.contains("ALARM: there is no file"), "{}", listed.text);
    assert_eq!(["p0", "p1", "p2"].map(|id| staffed.state(id)), ["enabled"; 3]);
    // A file that front may not read is told too, and taken once it may.
    if rustix::process::geteuid().is_root() {
        let text = format!("{HEADER}{}", crowd(3, 1, "terminated").concat());
        staffed.replace_as(text.as_bytes(), 0o600);
        staffed.told("RefuseHrFeed", "reason", "cannot be read");
        fs::set_permissions(&staffed.feed, fs::Permissions::from_mode(0o644)).unwrap();
        staffed.wait_for("p0", "left");
    }
}

#[test]
fn mass_change_suspends_at_once_and_can_be_undone() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(20, 0, ""));
    staffed.wait_for("p19", "enabled");
    staffed.deliver(&crowd(20, 8, "terminated"));
    staffed.told("TakeHrFeed", "massChange", "8 persons wait");
    for n in 0..8 {
        let person = staffed.person(&format!("p{n}")).unwrap();
        assert_eq!(
            (&person["state"], &person["why"]),
            (&"suspended".into(), &"mass_change".into())
        );
    }
    assert!(staffed.cli(&[]).text.contains("8 terminations"));
    staffed.deliver(&crowd(20, 0, ""));
    staffed.wait_for("p7", "enabled");
    assert_eq!(staffed.state("p0"), "enabled");
}

#[test]
fn mass_change_is_final_after_a_humans_word() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(20, 0, ""));
    staffed.wait_for("p19", "enabled");
    assert_ne!(staffed.cli(&["confirm", &"0".repeat(64)]).code, 0);
    staffed.deliver(&crowd(20, 8, "terminated"));
    let event = staffed.told("TakeHrFeed", "massChange", "8 persons wait");
    let digest = event.text("/requestParameters/feedDigest");
    // Nobody who is not enrolled says it.
    let key = new_key(&staffed.site, "stranger", "ed25519");
    let refused = staffed.cli(&["confirm", digest, "--key", key.to_str().unwrap()]);
    assert!(refused.code != 0 && staffed.state("p0") == "suspended", "{}", refused.text);
    let confirmed = staffed.cli(&["confirm", digest]);
    assert_eq!(confirmed.code, 0, "{}", confirmed.text);
    staffed.wait_for("p7", "left");
    let left = |n: &usize| staffed.state(&format!("p{n}")) == "left";
    assert_eq!((0..20).filter(left).count(), 8);
    let event = staffed.told("ConfirmMassChange", "persons", "8");
    assert_eq!(event.text("/requestParameters/by"), "founder-1");
    assert_ne!(staffed.cli(&["confirm", digest]).code, 0, "once is enough");
}

/// Two people who confirm what nobody waits for are in the ledger, and so is who may not act any more.
#[test]
fn refused_confirmation_is_on_record_with_who_signed() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(3, 0, ""));
    staffed.wait_for("p2", "enabled");
    let digest = "0".repeat(64);
    let path = format!("/writ/v1/people/confirm/{digest}");
    let date = SystemEnv.now().basic();
    let [first, second] =
        [1, 2].map(|founder| staffed.proof_of(founder, "POST", &path, &date, "confirm@writ"));
    let both = format!("{first},{}", second.trim_start_matches("SSHSIG "));
    let http = staffed.site.http("sts");
    let mut request = http.request("POST", &path, "", b"");
    let fields = [("x-writ-date", &date), ("authorization", &both)];
    request.headers.extend(fields.map(|(name, value)| (name.to_owned(), value.clone().into())));
    let reply = http.exchange(&request).unwrap();
    assert_eq!(reply.status, 409, "{}", reply.text());
    let event = staffed.told("ConfirmMassChange", "feedDigest", &digest);
    assert_eq!(event.error(), "NothingWaits");
    assert_eq!(event.text("/requestParameters/by"), "founder-1,founder-2");
    let all = staffed.site.ledger().events();
    let of_it = |event: &&Event| event.text("/eventName") == "ConfirmMassChange";
    assert_eq!(all.iter().filter(of_it).count(), 1);

    let key = new_key(&staffed.site, "p0", "ed25519");
    assert_eq!(enrol_key(&staffed.site, "p0", &key, &["--yes"]).code, 0);
    staffed.deliver(&crowd(3, 1, "terminated"));
    staffed.wait_for("p0", "left");
    let read = staffed.cli(&["--key", key.to_str().unwrap()]);
    assert!(read.code != 0 && read.text.contains("`p0` may not act now"), "{}", read.text);
    assert_eq!(staffed.told("ReadPersons", "reader", "p0").error(), "AccessDenied");
}

/// What a confirmation has begun it ends, with its record, also when nobody waits for the answer.
#[test]
fn confirmation_whose_client_hangs_up_is_carried_out_whole() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(20, 0, ""));
    staffed.wait_for("p19", "enabled");
    staffed.deliver(&crowd(20, 8, "terminated"));
    let event = staffed.told("TakeHrFeed", "massChange", "8 persons wait");
    let path = format!("/writ/v1/people/confirm/{}", event.text("/requestParameters/feedDigest"));
    let date = SystemEnv.now().basic();
    let proof = staffed.proof("POST", &path, &date, "confirm@writ");
    let address = staffed.site.endpoint("sts").trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-writ-date: {date}\r\nauthorization: {proof}\r\n\
         content-length: 0\r\n\r\n"
    );
    // With a frozen ledger it begins and cannot end; the client waits a while and goes.
    let trail = staffed.site.pid("trail");
    assert!(process::signal(trail, Signal::STOP));
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "it was answered without the ledger");
    drop(stream);
    assert!(process::signal(trail, Signal::CONT));
    staffed.told("ConfirmMassChange", "persons", "8");
    let left = |n: &usize| staffed.state(&format!("p{n}")) == "left";
    assert_eq!((0..20).filter(left).count(), 8);
}

/// Keys that `ssh-keygen` made, of both kinds that need no token, open what their owner may see, and no
/// more once HR says that the owner has left.
#[test]
fn enrolled_person_reads_with_their_own_ssh_key() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(3, 0, ""));
    staffed.wait_for("p2", "enabled");
    let keys = [("p0", "ed25519"), ("p1", "ecdsa")].map(|(person, kind)| {
        let key = new_key(&staffed.site, person, kind);
        let enrolled = enrol_key(&staffed.site, person, &key, &["--yes"]);
        assert_eq!(enrolled.code, 0, "{}", enrolled.text);
        let with = key.to_str().unwrap().to_owned();
        let read = staffed.cli(&["show", "p2", "--key", &with]);
        assert!(read.code == 0 && read.text.contains("enabled"), "{}", read.text);
        let event = staffed.told("ReadPersons", "reader", person);
        assert_eq!(event.text("/requestParameters/personId"), "p2");
        with
    });
    staffed.deliver(&crowd(3, 1, "terminated"));
    staffed.wait_for("p0", "left");
    let read = staffed.cli(&["--key", &keys[0]]);
    assert!(read.code != 0 && read.text.contains("`p0` may not act now"), "{}", read.text);
    let unknown = staffed.cli(&["show", "nobody", "--key", &keys[1]]);
    assert!(unknown.code != 0 && unknown.text.contains("nobody has this id"), "{}", unknown.text);
}

#[test]
fn rehire_begins_anew() {
    let staffed = Staffed::start();
    staffed.deliver(&crowd(3, 0, ""));
    staffed.wait_for("p2", "enabled");
    staffed.deliver(&crowd(3, 1, "terminated"));
    let left = staffed.wait_for("p0", "left");
    assert_eq!(left["epoch"], 2);
    // The old evidence opens no gate; new evidence does.
    staffed.deliver(&crowd(3, 0, ""));
    let gated = staffed.wait_for("p0", "gated");
    assert_eq!(gated["epoch"], 3);
    let event = staffed.event("PersonRehired", "p0");
    assert_eq!(event.text("/requestParameters/openGates"), "nda,policy");
    let at = left["since"].as_u64().unwrap();
    let after = Timestamp::from_secs(at / 1000 + 1);
    let now = after.iso();
    let mut lines = crowd(3, 0, "");
    lines[0] =
        format!("p0,p0,The p0,,employee,active,,t1,j1,,,{now},2@{now},2099-12-31,not_required\n");
    until("the evidence to be of the past", || (SystemEnv.now() > after).then_some(()));
    staffed.deliver(&lines);
    staffed.wait_for("p0", "enabled");
    let shown = staffed.cli(&["show", "p0"]);
    assert!(shown.text.contains("epoch       3"), "{}", shown.text);
    assert!(shown.text.contains("ended     enrolment p0/1"), "{}", shown.text);
}

#[test]
fn front_goes_on_where_it_was_cut_off() {
    let mut staffed = Staffed::start();
    staffed.deliver(&crowd(40, 0, ""));
    // All of them: whom the cut-off kept from being stored, the next file could not end.
    staffed.told("TakeHrFeed", "good", "40");
    staffed.site.kill_all();
    staffed.deliver(&crowd(40, 3, "terminated"));
    staffed.site.start_again("").unwrap();
    staffed.wait_for("p2", "left");
    assert_eq!(["p0", "p1", "p3"].map(|id| staffed.state(id)), ["left", "left", "enabled"]);
    let verdict = staffed.site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}
