//! `writ run` and `writ runs`: asks for a run, waits for the others' agreement, and prints what comes back.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use writ_console::caller::{CALL, READ};
use writ_model::{AccountId, Env as _, SystemEnv, Timestamp, Ulid};
use writ_proof::access::{Asked, Basis, Request, Scope};
use writ_proof::at_most::AtMost;
use writ_proof::roster::{HostName, Roster};
use writ_proof::runbook::{Published, RunScope, Setting};
use writ_proof::statement::{Namespace, Signed};

use super::entry;
use crate::access::{WhoArgs, ask, describe, seconds};
use crate::front::access::api::REQUESTS;
use crate::front::access::show::Listed;
use crate::front::runs::api::RUNS;
use crate::front::runs::show::{Progress, ShownRun};

/// How often it is asked how far a run is.
const ASK: Duration = Duration::from_millis(500);

/// What `writ run` takes.
#[derive(clap::Args)]
pub struct RunArgs {
    /// The runbook: NAME, or NAME/VERSION; the newest in force if no version is named.
    runbook: String,
    /// A host; repeatable.
    #[arg(long, value_name = "NAME", required_unless_present = "request")]
    host: Vec<HostName>,
    /// What it is told, as `writ runbook list` shows it; repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// The ticket of the work: an id of `writ ticket open`, or SYSTEM/ID.
    #[arg(long, value_name = "ID", required_unless_present = "request")]
    ticket: Option<String>,
    /// Why, in words that the approvers and the customer read.
    #[arg(long, value_name = "TEXT", required_unless_present = "request")]
    reason: Option<String>,
    /// The kind of reason: service, customer-support, review or legal-order.
    #[arg(long, value_name = "KIND", default_value = "service", value_parser = ask::basis)]
    basis: Basis,
    /// The customer's account, if the work is for one.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// For how long the approval may last, such as 30m; one run on each host begins within it.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    length: String,
    /// Go on with a request that was filed before.
    #[arg(long, value_name = "ID", conflicts_with_all = ["host", "param", "ticket", "reason"])]
    request: Option<Ulid>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: WhoArgs,
}

/// What `writ runs` takes.
#[derive(clap::Args)]
pub struct RunsArgs {
    /// One run.
    id: Option<Ulid>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: WhoArgs,
}

#[derive(Deserialize)]
struct Wanted {
    token: String,
}

/// Does what the command line says.
///
/// # Errors
/// What is wrong and what to do.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let id = match args.request {
        Some(id) => id,
        None => file(args)?,
    };
    let body = json!({ "request": id }).to_string();
    let wanted = args.who.call(CALL, "POST", RUNS, body.as_bytes())?;
    let wanted: Wanted = serde_json::from_slice(&wanted).context("the reply cannot be read")?;
    let done = wait(args, id, &wanted.token)?;
    print(&done, args.json)?;
    let well = !done.is_empty() && done.iter().all(|run| run.state == "ok");
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the request, signs it and files it.
fn file(args: &RunArgs) -> Result<Ulid> {
    let (_, roster) = args.who.source.roster()?;
    let published = entry(&args.runbook, &args.who, &roster)?;
    let request = request(args, &roster, &published)?;
    let mut signed = Signed::new(&request)?;
    eprint!("{}", describe::request(&request, &roster));
    eprintln!("  code      {}", signed.code());
    signed.add(&args.who.sign(signed.body(), Namespace::Request.as_str())?)?;
    Asked::verify(&signed, &roster, SystemEnv.now()).context("nobody would take this")?;
    args.who.send(REQUESTS, &signed)?;
    eprintln!("\nfiled; approvers run    writ approve {}", request.id);
    eprintln!("and compare the code {} with you", signed.code());
    Ok(request.id)
}

fn request(args: &RunArgs, roster: &Roster, published: &Published) -> Result<Request> {
    let entry = published.entry();
    let requester = args.who.person(roster)?;
    let enrolment = roster.enrolment(&requester);
    let enrolment = enrolment.with_context(|| format!("`{requester}` is not enrolled"))?;
    let revision = roster.group_revision(&entry.group);
    let revision = revision.with_context(|| format!("there is no group `{}`", entry.group))?;
    let scope = RunScope {
        hosts: AtMost(args.host.clone()),
        runbook: entry.name.clone(),
        version: entry.version,
        entry: published.digest(),
        class: entry.class,
        settings: AtMost(settings(args, published)?),
    };
    entry.check_scope(&scope, &entry.group)?;
    let created = SystemEnv.now();
    let not_before = Timestamp::from_secs(created.secs());
    Ok(Request {
        v: Default::default(),
        site: roster.site().clone(),
        id: Ulid::new(&SystemEnv),
        requester,
        enrolment,
        group: entry.group.clone(),
        revision,
        basis: args.basis,
        reason: args.reason.clone().unwrap_or_default(),
        ticket: ask::ticket(args.ticket.as_deref().unwrap_or_default()),
        account: args.account,
        scope: Scope::Runbook(scope),
        not_before,
        not_after: not_before.plus(Duration::from_secs(seconds(&args.length)?)),
        created,
    })
}

fn settings(args: &RunArgs, published: &Published) -> Result<Vec<Setting>> {
    let known = &published.entry().parameters.0;
    let mut settings = Vec::new();
    for text in &args.param {
        let (name, value) = text.split_once('=').context("--param takes NAME=VALUE")?;
        let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
            let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
            bail!("`{}` is not told `{name}`; it is told: {}", args.runbook, names.join(", "));
        };
        settings.push(Setting { name: name.to_owned(), value: parameter.parse(value)? });
    }
    for parameter in known {
        if !settings.iter().any(|setting| setting.name == parameter.name) {
            bail!("--param {}=… is missing: {}", parameter.name, parameter.kind);
        }
    }
    Ok(settings)
}

/// Waits until all runs have ended, with a line for each step.
fn wait(args: &RunArgs, id: Ulid, token: &str) -> Result<Vec<ShownRun>> {
    let client = args.who.source.client()?;
    let path = format!("{RUNS}/of/{id}?token={token}");
    let mut last = String::new();
    loop {
        let progress: Progress =
            serde_json::from_slice(&client.exchange("GET", &path, &[], b"")?)
                .context("the reply cannot be read")?;
        let line = line(&progress);
        if line != last {
            eprintln!("{line}");
            last = line;
        }
        // Before its state: a grant whose runs have ended is over.
        if !progress.runs.is_empty() && progress.runs.iter().all(|run| run.ended.is_some()) {
            return Ok(progress.runs);
        }
        match progress.state.as_str() {
            "pending" | "approved" => {}
            state => {
                let why = progress.why.map_or(String::new(), |why| format!(": {why}"));
                bail!("{state}{why}");
            }
        }
        std::thread::sleep(ASK);
    }
}

fn line(progress: &Progress) -> String {
    if progress.runs.is_empty() {
        return match progress.missing.as_slice() {
            [] => "approved; waiting for the order".to_owned(),
            missing => format!("waiting for approval: {}", missing.join("; ")),
        };
    }
    let each = progress.runs.iter().map(|run| format!("{} {}", run.host, run.state));
    each.collect::<Vec<_>>().join(", ")
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(runs: &[ShownRun], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(runs)?);
        return Ok(());
    }
    for run in runs {
        let cause = run.cause.as_deref().map_or(String::new(), |cause| format!(" ({cause})"));
        let field = run.field.as_deref().map_or(String::new(), |field| format!(", field {field}"));
        println!(
            "{}  {}  {}  {}/{}  {}{cause}{field}  run {}",
            run.ordered.iso(),
            run.person,
            run.host,
            run.runbook,
            run.version,
            run.state,
            run.id
        );
        let Some(Value::Object(answer)) = &run.answer else { continue };
        let width = answer.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in answer {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            println!("    {name:<width$}  {value}");
        }
    }
    Ok(())
}

/// Lists runs.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn runs(args: &RunsArgs) -> Result<()> {
    if let Some(id) = args.id {
        let reply = args.who.call(READ, "GET", &format!("{RUNS}/{id}"), b"")?;
        return print(&[serde_json::from_slice(&reply)?], args.json);
    }
    let reply = args.who.call(READ, "GET", RUNS, b"")?;
    let listed: Listed<ShownRun> = serde_json::from_slice(&reply)?;
    if listed.items.is_empty() && !args.json {
        println!("there are no runs");
    }
    print(&listed.items, args.json)
}
