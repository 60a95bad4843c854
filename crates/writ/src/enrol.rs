//! `writ enrol PERSON`: a link that takes a person's keys, and the statement that gives them.
//!
//! Whoever runs it opens the link with their own key. What comes of it is a change of the roster that
//! others sign; in mode `dev` the software founders do, once the code was shown.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use writ_console::caller;
use writ_model::{Env as _, PersonId, SystemEnv, Timestamp};
use writ_proof::cbor;
use writ_proof::roster::{Change, Mode, PersonKey, Roster, RosterStatement};
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_proof::statement::{Namespace, Signed};

use crate::roster::client::Client;
use crate::roster::source::SourceArgs;
use crate::roster::{describe, sign};
use crate::up::data::write_durably;
use crate::up::ready;

/// Where links are opened.
const OPEN: &str = "/writ/v1/enrolments";
/// How often it is asked whether the page is done.
const POLL: Duration = Duration::from_secs(1);
/// How long it goes on asking after the link's end.
const GRACE: Duration = Duration::from_secs(30);

/// What `writ enrol` takes.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct EnrolArgs {
    /// The person's id, as in the HR feed.
    person: PersonId,
    /// Your own enrolled SSH key, as ssh-keygen -Y sign -f takes it; in mode dev the first founder's if
    /// not given.
    #[arg(long, value_name = "PATH")]
    by: Option<PathBuf>,
    /// Enrol this SSH public key without a browser; you need its private half.
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// The private half of --ssh-key; without it ssh-keygen looks beside the public one and in the agent.
    #[arg(long, value_name = "PATH", requires = "ssh_key")]
    key: Option<PathBuf>,
    /// In mode dev have the software founders sign without asking.
    #[arg(long)]
    yes: bool,
    /// Where the statement is written for the two who sign; PERSON.roster if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The console, such as `https://writ.example:8441`; that of the data directory if not given.
    #[arg(long, value_name = "URL")]
    console: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

const HELP: &str = "\
Examples:
  writ enrol e1042 --data ./writ-data                       a link for the browser
  writ enrol e1042 --ssh-key ./anna.pub --yes               no browser, mode dev
  writ enrol e1042 --by ~/.ssh/id_ed25519_sk --out ./anna.roster

The link is good once and for an hour. The code that the page and this command show must be the same as the one
that `writ roster sign` shows to the two who sign.";

#[derive(Deserialize)]
struct Opened {
    link: String,
    token: String,
    expires: String,
}

#[derive(Deserialize)]
struct Shown {
    state: String,
    change: Option<String>,
}

/// Does what the command line says.
///
/// # Errors
/// What is wrong and what to do.
pub fn run(args: &EnrolArgs) -> Result<()> {
    let (_, roster) = args.source.roster()?;
    let console = console(args)?;
    let opened = open(args, &roster, &console)?;
    let change = match &args.ssh_key {
        Some(public) => offer(args, &roster, &console, &opened, public)?,
        None => wait(&console, &opened)?,
    };
    if person_of(&change) != Some(&args.person) {
        bail!(
            "the console proposes keys for somebody else: do not sign, and tell your security people"
        );
    }
    print_change(&change);
    // Others may have changed the roster while the page was open.
    let (_, roster) = args.source.roster()?;
    let statement = statement(&roster, change);
    roster.would_change(&statement).context("nobody could sign this into force")?;
    let mut signed = Signed::new(&statement)?;
    if roster.mode() == Mode::Dev && args.source.endpoint.is_none() && confirmed(args)? {
        return finish_dev(args, &roster, &mut signed);
    }
    hand_over(args, &signed)
}

fn console(args: &EnrolArgs) -> Result<Client> {
    if let Some(url) = &args.console {
        return Client::new(url, args.source.ca.as_deref());
    }
    let ready = ready::read(&args.source.data, "; or name its console with --console")?;
    Client::new(&ready.console, Some(&ready.ca))
}

/// Opens a link, with the proof of whoever runs this.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn open(args: &EnrolArgs, roster: &Roster, console: &Client) -> Result<Opened> {
    let nonce = hex::encode(SystemEnv.nonce().0);
    let body = json!({ "person": args.person.as_str(), "nonce": nonce }).to_string().into_bytes();
    let [date, proof] = sign::proof(("POST", OPEN, &body), |message| match &args.by {
        Some(key) => sign::by_key(message, caller::READ, key),
        None if roster.mode() == Mode::Dev => {
            let founder = sign::founder(&args.source.data, 1)?;
            Ok(SshSig::sign(message, caller::READ, &founder)?)
        }
        None => bail!("name your own enrolled key with --by"),
    })?;
    let fields = [("content-type", "application/json"), (date.0, &date.1), (proof.0, &proof.1)];
    let reply = console.exchange("POST", OPEN, &fields, &body)?;
    let opened: Opened = serde_json::from_slice(&reply).context("the reply cannot be read")?;
    if args.ssh_key.is_none() {
        println!("Open this link as {}; it is good once, until {}:", args.person, opened.expires);
        println!("\n  {}\n", opened.link);
    }
    Ok(opened)
}

/// Enrols an SSH key through the link, without a browser.
fn offer(
    args: &EnrolArgs,
    roster: &Roster,
    console: &Client,
    opened: &Opened,
    public: &Path,
) -> Result<Change> {
    let key = public_key(public)?;
    let token = URL_SAFE_NO_PAD.decode(&opened.token).context("the link has no token")?;
    let message = writ_console::possession(roster.site(), &args.person, &token);
    let private = args.key.clone().unwrap_or_else(|| beside(public));
    let proof = sign::by_key(message.as_bytes(), writ_console::NAMESPACE, &private)?;
    if *proof.key() != key {
        bail!("`{}` is not the private half of `{}`", private.display(), public.display());
    }
    let body = json!({ "passkey": null, "ssh": proof.to_armor() }).to_string();
    let path = format!("/enrol/{}", opened.token);
    let fields = [("content-type", "application/json")];
    let reply = console.exchange("POST", &path, &fields, body.as_bytes())?;
    let change = read_state(&reply)?.1.context("the console has not kept the key")?;
    let expected = PersonKey { person: args.person.clone(), key, passkey: None };
    if keys(&change) != [expected] {
        bail!(
            "the console proposes another key than was shown: do not sign, and tell your security people"
        );
    }
    Ok(change)
}

/// `ssh-keygen` takes a public key whose private half is in the agent, so that is the second choice.
fn beside(public: &Path) -> PathBuf {
    let private = public.with_extension("");
    if private.is_file() { private } else { public.to_owned() }
}

fn public_key(path: &Path) -> Result<SshPublicKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the public key `{}` cannot be read", path.display()))?;
    if text.contains("PRIVATE KEY") {
        bail!("`{}` is a private key: name the .pub file beside it", path.display());
    }
    text.parse().with_context(|| format!("`{}` is no public key that is taken", path.display()))
}

/// Waits until the holder of the link has sent keys.
#[expect(clippy::print_stderr, reason = "the progress of what somebody waits for")]
fn wait(console: &Client, opened: &Opened) -> Result<Change> {
    let expires = Timestamp::parse_iso(&opened.expires)?;
    let path = format!("/enrol/{}/state", opened.token);
    let terminal = std::io::stderr().is_terminal();
    loop {
        let now = SystemEnv.now();
        let (state, change) = match console.exchange("GET", &path, &[], b"") {
            Ok(reply) => read_state(&reply)?,
            // It may be starting again.
            Err(error) if now > expires.plus(GRACE) => return Err(error),
            Err(_) => ("open".to_owned(), None),
        };
        if terminal {
            let minutes = expires.since(now).as_secs().div_ceil(60);
            eprint!("\rwaiting for the page to be filled in; {minutes} min left   ");
        }
        match (state.as_str(), change) {
            ("proposed" | "done", Some(change)) => {
                if terminal {
                    eprintln!();
                }
                return Ok(change);
            }
            ("expired", _) => {
                bail!("the link has ended without keys; run this again for a new one")
            }
            _ if now > expires.plus(GRACE) => bail!("the link has ended; run this again"),
            _ => std::thread::sleep(POLL),
        }
    }
}

/// What the console says of a link: its state, and the change that was proposed.
fn read_state(reply: &[u8]) -> Result<(String, Option<Change>)> {
    let shown: Shown = serde_json::from_slice(reply).context("the reply cannot be read")?;
    let change = shown.change.map(|text| anyhow::Ok(cbor::from_slice(&STANDARD.decode(text)?)?));
    Ok((shown.state, change.transpose()?))
}

fn person_of(change: &Change) -> Option<&PersonId> {
    match change {
        Change::AddKey(key) => Some(&key.person),
        Change::Enrol(enrolment) => Some(&enrolment.id.person),
        _ => None,
    }
}

fn keys(change: &Change) -> &[PersonKey] {
    match change {
        Change::AddKey(key) => std::slice::from_ref(key),
        Change::Enrol(enrolment) => &enrolment.keys.0,
        _ => &[],
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print_change(change: &Change) {
    print!("{}", describe::change(change));
    println!("\ncode  {}\n", change.code());
}

/// The statement that follows the roster as it is.
fn statement(roster: &Roster, change: Change) -> RosterStatement {
    RosterStatement {
        v: Default::default(),
        site: roster.site().clone(),
        seq: roster.seq().saturating_add(1),
        prev: roster.head(),
        created: SystemEnv.now().max(roster.created()),
        change,
    }
}

/// In mode `dev`: true if the software founders shall sign now.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn confirmed(args: &EnrolArgs) -> Result<bool> {
    if args.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    print!(
        "Is it the code that {} sees? Then the software founders sign (mode dev) [y/N] ",
        args.person
    );
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Has as many software founders sign as the rule wants, and sends the statement in.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn finish_dev(args: &EnrolArgs, roster: &Roster, signed: &mut Signed) -> Result<()> {
    let rule = roster.rule(Namespace::Roster).context("the roster has no rule for its changes")?;
    for number in 1..=rule.threshold {
        signed.sign(&sign::founder(&args.source.data, number)?)?;
    }
    let accepted = args.source.client()?.submit(&signed.to_bytes())?;
    println!("signed by {} software founders (mode dev)", rule.threshold);
    println!("{} is enrolled: statement {}, digest {}", args.person, accepted.seq, accepted.digest);
    if !accepted.keyd {
        println!("keyd does not have it yet: it is loaded again, see `writ status`");
    }
    Ok(())
}

/// Writes the statement for those who sign.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn hand_over(args: &EnrolArgs, signed: &Signed) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| format!("{}.roster", args.person).into());
    write_durably(&std::path::absolute(&out)?, &signed.to_bytes(), 0o644)
        .with_context(|| format!("cannot write `{}`", out.display()))?;
    println!(
        "written to {}. Each of the people who sign compares the code, and runs",
        out.display()
    );
    println!("  writ roster sign {} --key ~/.ssh/id_ed25519_sk", out.display());
    println!("and the last of them\n  writ roster submit {}", out.display());
    println!("It is good for 24 hours, and until another statement is taken.");
    Ok(())
}
