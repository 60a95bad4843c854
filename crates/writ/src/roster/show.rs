//! `writ roster show`: the roster at a glance.

use std::fmt::Write as _;

use anyhow::Result;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_proof::roster::{GroupName, Roster};
use writ_proof::statement::Namespace;

use super::describe;
use super::source::SourceArgs;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Prints the roster.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(source: &SourceArgs) -> Result<()> {
    let (_, roster) = source.roster()?;
    let compared =
        if source.genesis.is_some() { "as given" } else { "NOT compared: give --genesis" };
    println!("site {}, genesis {compared}", roster.site());
    print!("{}", text(&roster, SystemEnv.now()));
    Ok(())
}

/// Everything that the roster says, as of `now`.
fn text(roster: &Roster, now: Timestamp) -> String {
    let mut text = format!("statement {}, head {}\n", roster.seq(), roster.head());
    text.push_str("\npeople\n");
    for (person, known) in roster.people() {
        if !known.enrolled {
            writeln!(text, "  {person}  not enrolled any more (number {})", known.enrolment).ok();
            continue;
        }
        writeln!(text, "  {person}  enrolled {} (number {})", known.since.iso(), known.enrolment)
            .ok();
        for key in &known.keys {
            writeln!(text, "    {}", describe::key(key)).ok();
        }
    }
    text.push_str("\ngroups\n");
    for group in roster.groups() {
        text.push_str(&describe::group(group, "  "));
        if roster.reaches_customers(&group.name) {
            text.push_str("    reaches    customers' data\n");
        }
        members(roster, &group.name, now, &mut text);
    }
    text.push_str("\nrules\n");
    for namespace in Namespace::ALL {
        let Some(rule) = roster.rule(*namespace) else { continue };
        let of = rule.group.as_ref().map_or("anybody enrolled".to_owned(), |g| format!("`{g}`"));
        let how = if rule.hardware { ", hardware keys" } else { "" };
        writeln!(text, "  {namespace}  {} of {of}{how}", rule.threshold).ok();
    }
    text.push_str("\nhosts\n");
    for host in roster.hosts() {
        writeln!(text, "  {}", describe::host(host)).ok();
    }
    if roster.hosts().next().is_none() {
        text.push_str("  none\n");
    }
    let short = roster.understaffed(now);
    if !short.is_empty() {
        text.push_str("\ntoo few people\n");
        for each in &short {
            writeln!(text, "  {each}").ok();
        }
    }
    text
}

fn members(roster: &Roster, group: &GroupName, now: Timestamp, text: &mut String) {
    let mut any = false;
    for (person, member) in roster.members(group) {
        any = true;
        let until = match member.expires {
            None => "for good".to_owned(),
            Some(at) if at <= now => format!("EXPIRED {}", at.iso()),
            Some(at) => {
                let days = at.millis().saturating_sub(now.millis()) / DAY_MS;
                format!("until {} ({days} days)", at.iso())
            }
        };
        writeln!(text, "    member     {person}  {until}").ok();
    }
    if !any {
        text.push_str("    member     nobody\n");
    }
}
