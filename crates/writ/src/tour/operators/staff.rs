//! Chapter: who the people are, by HR's word, and who may do what, by people's signatures.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use writ_model::{Env as _, SystemEnv};

use super::super::site::{ACCOUNT, write};
use super::super::story::Story;
use super::crew::{Crew, PEOPLE, text};
use super::host::{Host, NAME};
use super::trace::Trace;

const HEADER: &str = "person_id,user_name,display_name,email,employment,state,manager,team,\
    job_code,cost_center,valid_until,nda,policy,training_until,screening\n";
/// How long HR's word may take to be known.
const FEED_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// The chapter. Gives back the managed host.
pub fn chapter(
    story: &mut Story,
    crew: &Crew,
    trace: &Trace,
    base: &Path,
    built_in: bool,
) -> Result<Host> {
    story.chapter("Operators: people by HR's word, rights by people's signatures", "C-07");
    let wrong = crew.home.join("wrong.csv");
    write(&wrong, feed(&["active"; 4]).replacen(",employee,", ",robot,", 1).as_bytes())?;
    let checked = super::super::site::run(&["people", "check", text(&wrong)?]);
    let refused = checked.and_then(|checked| checked.refusing("line 2"));
    story.attack("an HR feed with a wrong line", refused);
    let known = deliver(crew, &["active"; 4]).and_then(|()| wait_for(crew, "enabled", 4));
    story.need("HR delivers its feed", known, String::clone)?;
    for person in PEOPLE {
        enrol(crew, person)?;
    }
    let enrolled = crew.run(&["roster", "show"])?.saying("dora  enrolled");
    story.need("four people enrol their keys", enrolled, |_| {
        "each proves to hold the key, two founders sign (software keys: mode dev)".to_owned()
    })?;
    story.about("C-05");
    trace.begin()?;
    let alone = crew.change(&["end-enrolment", "--person", "dora"], &["1"])?;
    let refused = alone.refusing("counted: founder-1");
    story.attack("a founder changes the roster alone", trace.of(refused, "SubmitStatement"));
    let host = Host::start(&crew.data, &base.join("host"), built_in);
    let host = story
        .need("a managed host that trusts keyd's authority", host, |host| host.what.clone())?;
    let statements = rights(crew, &host);
    story.need("host, groups and members, signed by two founders each", statements, |count| {
        format!("{count} statements: anna and dora may ask, boris and carla must agree")
    })?;
    Ok(host)
}

/// HR's file for the four, in these states.
fn feed(states: &[&str; 4]) -> String {
    let gates = "2026-01-02,1@2026-01-02,2099-12-31,not_required";
    let line = |(id, state): (&&str, &&str)| {
        format!("{id},{id},The {id},,employee,{state},,sre,j1,,,{gates}\n")
    };
    let lines = PEOPLE.iter().zip(states).map(line);
    format!("{HEADER}{}", lines.collect::<String>())
}

/// Renames a whole file into place, as HR should.
pub fn deliver(crew: &Crew, states: &[&str; 4]) -> Result<()> {
    let folder = crew.data.join("hr");
    let new = folder.join("feed.new");
    write(&new, feed(states).as_bytes())?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o644))?;
    Ok(std::fs::rename(new, folder.join("feed.csv"))?)
}

/// Waits until `writ people` lists so many in this state.
fn wait_for(crew: &Crew, state: &str, count: usize) -> Result<String> {
    let began = SystemEnv.monotonic();
    loop {
        let listed = crew.run(&["people"])?;
        let found = listed.lines.iter().filter(|line| line.contains(state)).count();
        let took = SystemEnv.monotonic().saturating_sub(began);
        if found == count {
            return Ok(format!("{count} people are {state} after {:.1} s", took.as_secs_f64()));
        }
        if took > FEED_MAX {
            bail!("{found} of {count} are {state}: {}", listed.lines.join(" "));
        }
        std::thread::sleep(POLL);
    }
}

fn enrol(crew: &Crew, person: &str) -> Result<()> {
    let (key, public) = (crew.key(person), crew.public(person));
    let words = ["enrol", person, "--ssh-key", text(&public)?, "--key", text(&key)?, "--yes"];
    crew.run(&words)?.saying("is enrolled").map(|_| ())
}

/// The host, who may ask for it, and who must agree.
fn rights(crew: &Crew, host: &Host) -> Result<usize> {
    let (address, login) = (host.address.to_string(), format!("--login={}", host.login));
    let files = format!("--file=ro:{}/", text(&crew.home)?);
    let owners = ["--owner=anna", "--owner=boris"];
    let key = text(&host.key)?;
    let add_host = ["add-host", NAME, "--address", &address, "--account", ACCOUNT, "--key", key];
    let approvers = ["add-group", "approvers", "--title=Approvers", "--tier=privileged"];
    let oncall = ["add-group", "oncall", "--title=On call", "--tier=sensitive"];
    let rule = ["--slot=peers:2:group:approvers", "--host=web-*", "--kind=ssh", "--max-hours=4"];
    let review = ["add-group", "review", "--title=Review", "--tier=sensitive"];
    let reading =
        ["--slot=peers:2:group:approvers", "--host=web-*", "--kind=playback", "--max-hours=4"];
    let mut changes: Vec<Vec<&str>> = vec![
        add_host.to_vec(),
        [&approvers[..], &owners].concat(),
        [&oncall[..], &owners, &rule, &[files.as_str(), login.as_str()]].concat(),
        [&review[..], &owners, &reading].concat(),
    ];
    let member = |group, person| vec!["add-member", group, "--person", person, "--days=30"];
    changes.extend(["boris", "carla"].map(|person| member("--group=approvers", person)));
    changes.extend(["anna", "dora"].map(|person| member("--group=oncall", person)));
    changes.push(member("--group=review", "dora"));
    for change in &changes {
        crew.change(change, &["1", "2"])?.saying("is in force")?;
    }
    ensure!(!changes.is_empty(), "nothing was changed");
    Ok(changes.len())
}
