//! `writ tour`: the main job from end to end, with attacks, on a temporary directory.
//!
//! A table of contents: [`tell`] is the list of chapters, each in a module of its own. The tour is an
//! ordinary customer: it knows what `writ up` writes for customers, speaks to the public ports, and runs
//! `writ verify` as a customer would. In the middle it is the operators, with the commands and keys that
//! they have. Only in the last chapters it has more: there it is somebody with the disk in their hands.

mod bundle;
pub mod client;
mod history;
mod identity;
mod keys;
mod ledger;
mod objects;
mod operators;
pub mod reply;
mod running;
mod search;
mod signatures;
mod site;
mod story;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use client::Client;
use site::TourDir;
use story::Story;

/// `writ tour`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  writ tour\n\n\
    It needs nothing but this binary, takes under a minute, and exits with 0 only if all held.")]
pub struct TourArgs {
    /// Leave the temporary directory there; after a failure it always stays.
    #[arg(long)]
    keep: bool,
    /// Use the tour's own minimal SSH host, also where an sshd is installed.
    #[arg(long)]
    built_in_host: bool,
}

/// Tells the story and says whether all of it held.
pub fn run(args: &TourArgs) -> Result<ExitCode> {
    let mut dir = TourDir::new()?;
    let mut story = Story::new();
    story.line(
        "a step a line: how it went, the promise that it is about (they stand at the end), \
         what was done; below it what was seen",
    );
    story.line(&format!("everything happens in {}", dir.path().display()));
    if let Err(error) = tell(&mut story, dir.path(), args.built_in_host) {
        story.failed(&error);
    }
    if !story.held() {
        story.line("");
        story.line("the last lines of the processes' log:");
        site::log_tail(dir.path()).iter().for_each(|line| story.quote(line));
    }
    story.summary();
    if args.keep || !story.held() {
        dir.keep();
        story.line(&format!("kept: {}", dir.path().display()));
        story.line("look at: up.log (all processes), agent.log, host/log, data/");
    }
    Ok(if story.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(story: &mut Story, base: &Path, built_in_host: bool) -> Result<()> {
    let site = running::start(story, base)?;
    let client = Client::new(&site.ready)?;
    let people = identity::chapter(story, &client, &site)?;
    let key = keys::chapter(story, &client, &people)?;
    let objects = objects::chapter(story, &client, &people, &key, base)?;
    let repeated = signatures::chapter(story, &client, &people, &key, &objects)?;
    history::chapter(story, &client, &people, &objects, &repeated)?;
    operators::chapters(story, &client, &people, &site, base, built_in_host)?;
    let seen = running::stop_and_verify(story, site, base, &people)?;
    let earlier = running::restart(story, base, &seen, &people, &key, &objects)?;
    ledger::chapter(story, base, &earlier, &seen)?;
    bundle::chapter(story, base, &earlier, &seen)
}
