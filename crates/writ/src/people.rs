//! `writ people`: who is known, in which state, and what the HR feed last brought.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use writ_console::caller::READ;
use writ_model::Timestamp;
use writ_people::{Format, feed};
use writ_proof::sshsig::SshSig;
use writ_store::state::{HrFeed, Person};

use crate::front::people::api::{CONFIRM, CONFIRM_NAMESPACE, Listed, PATH, Shown};
use crate::roster::client::Client;
use crate::roster::sign;
use crate::up::ready;

/// The software founder who reads in mode `dev`.
const DEV_FOUNDER: u32 = 1;

/// `writ people …`.
#[derive(Args)]
pub struct PeopleArgs {
    /// What to do; without it all persons are listed.
    #[command(subcommand)]
    command: Option<PeopleCommand>,
    /// The data directory of a running `writ up`.
    #[arg(long, value_name = "DIR", default_value = "writ-data", global = true)]
    data: PathBuf,
    /// Your own enrolled SSH key, as ssh-keygen -Y sign -f takes it; in mode dev the first founder's if
    /// not given.
    #[arg(long, value_name = "PATH", global = true)]
    key: Option<PathBuf>,
}

#[derive(Subcommand)]
enum PeopleCommand {
    /// Show one person, with the receipt if they left.
    Show {
        /// The person's id.
        id: String,
    },
    /// Confirm a mass change: who waits for a human's word is ended for good.
    Confirm {
        /// SHA-256 of the feed's file, as the list shows it.
        digest: String,
    },
    /// Say what is wrong with an HR feed; it takes no effect. Exit code 1 if anything is.
    Check {
        /// The file, `.csv` or `.json`.
        file: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// Nothing serves, the key opens nothing, or the file cannot be read.
pub fn run(args: &PeopleArgs) -> Result<ExitCode> {
    match &args.command {
        None => list(args)?,
        Some(PeopleCommand::Show { id }) => show(args, id)?,
        Some(PeopleCommand::Confirm { digest }) => confirm(args, digest)?,
        Some(PeopleCommand::Check { file }) => return check(file),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &PeopleArgs) -> Result<()> {
    let listed: Listed = serde_json::from_slice(&ask(args, "GET", READ, PATH)?)?;
    say(&table(&listed))
}

fn show(args: &PeopleArgs, id: &str) -> Result<()> {
    let shown: Shown = serde_json::from_slice(&ask(args, "GET", READ, &format!("{PATH}/{id}"))?)?;
    say(&describe(&shown))
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn confirm(args: &PeopleArgs, digest: &str) -> Result<()> {
    ask(args, "POST", CONFIRM_NAMESPACE, &format!("{CONFIRM}{digest}"))?;
    println!("confirmed: whom this delivery terminated has left; `writ people` shows it");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn check(file: &Path) -> Result<ExitCode> {
    let shown = file.display();
    let format = Format::of(file)
        .with_context(|| format!("`{shown}` ends in neither .csv nor .json: name it so"))?;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{shown}`"))?;
    let feed = match feed::parse(&bytes, format) {
        Ok(feed) => feed,
        Err(refused) => {
            println!("{refused}\nthe whole file would be refused, and nobody's state would change");
            return Ok(ExitCode::FAILURE);
        }
    };
    for problem in &feed.problems {
        println!("{problem}");
    }
    println!("{} of {} lines are good", feed.rows.len(), feed.lines);
    if !feed.is_damaged() {
        return Ok(ExitCode::SUCCESS);
    }
    let more = feed.problem_count.saturating_sub(feed.problems.len());
    if more > 0 {
        println!("and {more} more problems");
    }
    println!("wrong lines would take no effect; nobody would join or move until they are mended");
    Ok(ExitCode::FAILURE)
}

/// Asks front, with the proof of an enrolled person.
fn ask(args: &PeopleArgs, method: &'static str, namespace: &str, path: &str) -> Result<Vec<u8>> {
    let client = client(args)?;
    let [date, proof] = sign::proof((method, path, b""), |message| match &args.key {
        Some(key) => sign::by_key(message, namespace, key),
        None => {
            let founder = sign::founder(&args.data, DEV_FOUNDER);
            let founder = founder.context("name your own enrolled key with --key")?;
            Ok(SshSig::sign(message, namespace, &founder)?)
        }
    })?;
    client.exchange(method, path, &[(date.0, &date.1), (proof.0, &proof.1)], b"")
}

fn client(args: &PeopleArgs) -> Result<Client> {
    let ready = ready::read(&args.data, "")?;
    Client::new(&ready.endpoint, Some(&ready.ca))
}

/// Prints; whoever reads the first lines alone, as `head` does, has read enough.
fn say(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn table(listed: &Listed) -> String {
    let mut text = describe_feed(listed.feed.as_ref());
    let row = |cells: [&str; 7]| {
        let [id, state, since, manager, team, due, note] = cells;
        let line = format!("{id:16} {state:24} {since:20} {manager:16} {team:16} {due:20} {note}");
        format!("{}\n", line.trim_end())
    };
    text.push_str(&row(["PERSON", "STATE", "SINCE", "MANAGER", "TEAM", "NEXT DEADLINE", "NOTE"]));
    for shown in &listed.persons {
        let person = &shown.person;
        let (manager, due) = (person.manager.as_deref().unwrap_or("-"), next_deadline(person));
        let since = person.since.iso();
        let cells = [&person.id, &state(shown), &since, manager, &person.team, &due, &note(shown)];
        text.push_str(&row(cells));
    }
    text
}

fn describe_feed(feed: Option<&HrFeed>) -> String {
    let Some(feed) = feed else { return "no HR feed has been taken yet\n\n".to_owned() };
    let mut text = format!(
        "HR feed of {}: {} good lines, {} problems\n",
        feed.taken.iso(),
        feed.rows,
        feed.problems
    );
    let mut say = |line: &str| text.push_str(line);
    if feed.problems > 0 {
        say("  joiners and movers are frozen; the record TakeHrFeed names the lines\n");
    }
    if feed.shrunk {
        say("  too many persons are missing from it: nobody is suspended for that\n");
    }
    if let Some(alarm) = &feed.alarm {
        say(&format!("  ALARM: {alarm}\n"));
    }
    if let Some(mass) = &feed.mass_change {
        let (persons, at) = (mass.persons, mass.at.iso());
        say(&format!("  {persons} terminations of {at} wait for a human, who says so with\n"));
        say(&format!("  writ people confirm {}\n", mass.digest));
    }
    text.push('\n');
    text
}

fn state(shown: &Shown) -> String {
    let person = &shown.person;
    match person.why {
        Some(why) => format!("{} ({})", person.state.as_str(), why.as_str()),
        None => person.state.as_str().to_owned(),
    }
}

fn next_deadline(person: &Person) -> String {
    let dates = person.reapprovals.values().map(|due| due.deadline);
    let next: Option<Timestamp> = dates.chain(person.valid_until).min();
    next.map_or_else(|| "-".to_owned(), Timestamp::iso)
}

fn note(shown: &Shown) -> String {
    let mut notes = Vec::new();
    if !shown.open_gates.is_empty() {
        notes.push(format!("open gates: {}", shown.open_gates.join(", ")));
    }
    if let Some(since) = shown.person.absent_since {
        notes.push(format!("missing from the feed since {}", since.iso()));
    }
    notes.join("; ")
}

fn describe(shown: &Shown) -> String {
    let person = &shown.person;
    let mut text = format!(
        "person      {}\nstate       {} since {}\nepoch       {}\nHR says     {}\nname        {} ({})\n\
         employment  {}\nmanager     {}\nteam        {}\njob code    {}\n",
        person.id,
        state(shown),
        person.since.iso(),
        person.epoch,
        person.hr_state.as_str(),
        person.display_name,
        person.user_name,
        person.employment.as_str(),
        person.manager.as_deref().unwrap_or("-"),
        person.team,
        person.job_code,
    );
    // Writing into a string cannot fail.
    if let Some(until) = person.valid_until {
        writeln!(text, "valid until {}", until.iso()).ok();
    }
    let note = note(shown);
    if !note.is_empty() {
        writeln!(text, "note        {note}").ok();
    }
    match &shown.denied {
        Some(why) => writeln!(text, "may act     no: {why}").ok(),
        None => writeln!(text, "may act     as far as the roster allows it").ok(),
    };
    for (group, due) in &person.reapprovals {
        writeln!(text, "re-approve  {group} until {}", due.deadline.iso()).ok();
    }
    if let Some(receipt) = &person.receipt {
        writeln!(text, "receipt     epoch {}, found {}", receipt.epoch, receipt.found).ok();
        for item in &receipt.ended {
            let at =
                item.at.map_or_else(|| "not known to keyd yet".to_owned(), |at| at.to_string());
            writeln!(text, "  ended     {} {} at {at}", item.what, item.id).ok();
        }
    }
    text
}
