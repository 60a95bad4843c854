//! The HR feed against the real processes: joiners, movers, leavers, and files that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use writ_tests::database::{self, Stored};
use writ_tests::ledger::Event;
use writ_tests::site::{Verdict, passable_dir, run};
use writ_tests::{Options, Site, until};

const HEADER: &str = "person_id,user_name,display_name,email,employment,state,manager,team,job_code,\
    cost_center,valid_until,nda,policy,training_until,screening\n";

/// Good evidence for every gate.
const GATES: &str = "2026-01-02,1@2026-01-02,2099-12-31,not_required";

/// From the moment at which the feed is there to the publication of what it ends.
const DEADLINE: Duration = Duration::from_secs(1);

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
        let new = self.feed.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
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
            event.text("/eventName") == name
                && event.text("/requestParameters/personId") == person
        })
    }

    /// The newest event of this name with this text in a parameter.
    fn told(&self, name: &str, parameter: &str, part: &str) -> Event {
        let pointer = format!("/requestParameters/{parameter}");
        self.site.ledger().wait(&format!("{name} with {part}"), |event| {
            event.text("/eventName") == name && event.text(&pointer).contains(part)
        })
    }

    fn cli(&self, more: &[&str]) -> Verdict {
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
