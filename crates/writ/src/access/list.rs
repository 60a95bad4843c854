//! `writ requests` and `writ grants`: what there is, and what waits for whoever asks.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use writ_model::Ulid;
use writ_store::state::RequestState;

use super::{WhoArgs, bundle, describe, read};
use crate::front::access::api::{GRANTS, REQUESTS};
use crate::front::access::show::{Listed, ShownGrant, ShownRequest};
use crate::up::data::write_durably;

/// What `writ requests` takes.
#[derive(clap::Args)]
pub struct RequestsArgs {
    /// All requests, and not only those that wait for you.
    #[arg(long, conflicts_with = "mine")]
    all: bool,
    /// Your own requests.
    #[arg(long)]
    mine: bool,
    /// Only what comes before this id, the `next` of the page before.
    #[arg(long, value_name = "ID")]
    before: Option<Ulid>,
    #[command(flatten)]
    who: WhoArgs,
}

/// What `writ grants` takes.
#[derive(clap::Args)]
pub struct GrantsArgs {
    /// One grant, by the id of its request.
    id: Option<Ulid>,
    /// All people's grants, and not only your own.
    #[arg(long)]
    all: bool,
    /// Only what comes before this id, the `next` of the page before.
    #[arg(long, value_name = "ID")]
    before: Option<Ulid>,
    /// Write the request, what was decided on it and all signatures into a tar file that `ssh-keygen` alone can check.
    #[arg(long, value_name = "FILE", requires = "id")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    who: WhoArgs,
}

/// Lists requests.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn requests(args: &RequestsArgs) -> Result<()> {
    let of = match (args.all, args.mine) {
        (true, _) => "all",
        (_, true) => "mine",
        _ => "inbox",
    };
    let before = args.before.map_or(String::new(), |id| format!("&before={id}"));
    let listed: Listed<ShownRequest> = read(&args.who, &format!("{REQUESTS}?of={of}{before}"))?;
    if listed.items.is_empty() {
        match of {
            "inbox" => println!("nothing waits for you; --all lists all requests"),
            _ => println!("there are no requests"),
        }
    }
    for shown in &listed.items {
        println!(
            "{}  {:<9} {}  {}  {}",
            shown.id,
            shown.state.as_str(),
            shown.requester,
            shown.scope.place(),
            describe::window(shown.not_before, shown.not_after),
        );
        println!("    {} {}: {}", shown.ticket, shown.basis, first(&shown.reason));
        if shown.state == RequestState::Pending {
            println!("    code {}, reaches data of {}", shown.code, shown.touches);
            shown.missing.iter().for_each(|missing| println!("    missing: {missing}"));
        }
        if let Some(why) = &shown.why {
            println!("    {why}");
        }
        if !shown.waits_for_you.is_empty() {
            println!("    waits for you: writ approve {}", shown.id);
        }
    }
    if let Some(next) = listed.next {
        println!("more: --before {next}");
    }
    Ok(())
}

/// Lists grants, or writes the evidence of one.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn grants(args: &GrantsArgs) -> Result<()> {
    if let (Some(id), Some(file)) = (args.id, &args.bundle) {
        return write_bundle(args, id, file);
    }
    if let Some(id) = args.id {
        let shown: ShownGrant = read(&args.who, &format!("{GRANTS}/{id}"))?;
        print!("{}", line(&shown));
        println!("    digest {}", shown.digest);
        return Ok(());
    }
    let of = if args.all { "all" } else { "mine" };
    let before = args.before.map_or(String::new(), |id| format!("&before={id}"));
    let listed: Listed<ShownGrant> = read(&args.who, &format!("{GRANTS}?of={of}{before}"))?;
    if listed.items.is_empty() {
        println!("there are no grants{}", if args.all { "" } else { " of yours; --all lists all" });
    }
    listed.items.iter().for_each(|shown| print!("{}", line(shown)));
    if let Some(next) = listed.next {
        println!("more: --before {next}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn write_bundle(args: &GrantsArgs, id: Ulid, file: &std::path::Path) -> Result<()> {
    let (_, roster) = args.who.source.roster()?;
    let shown: ShownRequest = read(&args.who, &format!("{REQUESTS}/{id}"))?;
    if shown.state != RequestState::Approved {
        bail!("{id} is {}: there is no grant", shown.state.as_str());
    }
    let bytes = bundle::make(&shown, &roster)?;
    write_durably(&std::path::absolute(file)?, &bytes, 0o644)
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    println!("written to {}: unpack it with tar, and read README", file.display());
    Ok(())
}

fn line(shown: &ShownGrant) -> String {
    let end = shown.end.as_ref().map_or(String::new(), |end| {
        let by = end.by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
        format!(" ({} {}{by})", end.reason.as_str(), end.at.iso())
    });
    format!(
        "{}  {}{end}  {}  {}@{}  {}  {}\n",
        shown.id,
        shown.state,
        shown.person,
        shown.login,
        shown.hosts.join(","),
        shown.ticket,
        describe::window(shown.not_before, shown.not_after),
    )
}

fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
