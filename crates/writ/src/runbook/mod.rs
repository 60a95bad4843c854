//! `writ runbook …` and `writ run`: the catalogue of what hosts do without anybody on them, and asking for it.

mod make;
mod run;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use writ_console::caller::{CALL, READ};
use writ_model::{Env as _, SystemEnv};
use writ_proof::cbor;
use writ_proof::roster::Roster;
use writ_proof::runbook::{Argument, Entry, FieldKind, Published};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::{Namespace, Signed};

use crate::access::WhoArgs;
use crate::front::access::show::Listed;
use crate::front::runs::api::RUNBOOKS;
use crate::front::runs::show::ShownRunbook;
use crate::roster::describe;
use crate::roster::sign::{Enough, next};
use crate::up::data::write_durably;

pub use run::{RunArgs, RunsArgs, run, runs};

/// `writ runbook …`.
#[derive(clap::Subcommand)]
pub enum RunbookCommand {
    /// List the catalogue.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Make the entry of a runbook that comes with Writ, for people to sign.
    #[command(after_help = MAKE_HELP)]
    Make(Box<make::MakeArgs>),
    /// Send a signed entry in.
    #[command(
        after_help = "Example:\n  writ runbook publish ./disk-usage.entry --data ./writ-data"
    )]
    Publish {
        /// The signed entry.
        file: PathBuf,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Print an entry: of a file, or of the catalogue as `NAME` or `NAME/VERSION`.
    Show {
        /// Which.
        what: String,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Sign an entry with your own key; it is printed first.
    #[command(
        after_help = "Examples:\n  writ runbook sign ./disk-usage.entry --key ~/.ssh/id_writ_sk\n  \
        writ runbook sign ./disk-usage.entry --founder 2 --data ./writ-data    (mode dev)"
    )]
    Sign {
        /// The entry; the signature is added to it.
        file: PathBuf,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Withdraw a version at once; any enrolled person may, and nothing undoes it.
    #[command(
        after_help = "Example:\n  writ runbook withdraw service-restart/2 --key ~/.ssh/id_writ_sk"
    )]
    Withdraw {
        /// `NAME/VERSION`.
        what: String,
        #[command(flatten)]
        who: WhoArgs,
    },
}

const MAKE_HELP: &str = "\
Examples:
  writ runbook make disk-usage --group oncall --mount root --mount var --program /usr/bin/writ
  writ runbook make service-status --group oncall --service nginx --service cron \\
      --supervisor systemd
  writ runbook make service-restart --group oncall --service web --supervisor runit \\
      --folder /etc/service

Then each signer:  writ runbook sign ./disk-usage.entry --key ~/.ssh/id_writ_sk
and one of them:   writ runbook publish ./disk-usage.entry

An owner of the group signs it, and the people who sign the catalogue: `writ roster propose set-rule` says who those are.
What services and folders may be named later is what is named here. The program's digest is taken from this machine's
file unless --digest gives that of the hosts'.";

#[derive(Deserialize)]
struct Accepted {
    name: String,
    version: u64,
    digest: String,
}

/// Does what the command line says.
///
/// # Errors
/// What is wrong and what to do.
#[expect(clippy::print_stdout, reason = "this is what the commands are for")]
pub fn command(command: &RunbookCommand) -> Result<()> {
    match command {
        RunbookCommand::List { json, who } => list(*json, who)?,
        RunbookCommand::Make(args) => make::run(args)?,
        RunbookCommand::Publish { file, who } => {
            let (signed, _) = read(file)?;
            let accepted: Accepted = serde_json::from_slice(&who.send(RUNBOOKS, &signed)?)?;
            println!(
                "{} version {} is in force, entry {}",
                accepted.name, accepted.version, accepted.digest
            );
        }
        RunbookCommand::Show { what, who } => show(what, who)?,
        RunbookCommand::Sign { file, who } => add(file, who)?,
        RunbookCommand::Withdraw { what, who } => {
            let (name, version) = what.split_once('/').context("name it as NAME/VERSION")?;
            who.call(CALL, "POST", &format!("{RUNBOOKS}/{name}/{version}/withdraw"), b"")?;
            println!("{what} is withdrawn: nothing is ordered from it any more");
        }
    }
    Ok(())
}

/// The catalogue, as front has it.
fn catalogue(who: &WhoArgs) -> Result<Vec<ShownRunbook>> {
    let listed: Listed<ShownRunbook> =
        serde_json::from_slice(&who.call(READ, "GET", RUNBOOKS, b"")?)?;
    Ok(listed.items)
}

/// One version, checked against the roster: the newest in force where none is named.
fn entry(what: &str, who: &WhoArgs, roster: &Roster) -> Result<Published> {
    let (name, version) = match what.split_once('/') {
        Some((name, version)) => {
            (name, Some(version.parse::<u64>().context("versions are numbers")?))
        }
        None => (what, None),
    };
    let all = catalogue(who)?;
    let named = all.iter().filter(|shown| shown.name == name);
    let found = match version {
        Some(version) => named.clone().find(|shown| shown.version == version),
        None => {
            named.clone().filter(|shown| shown.withdrawn_by.is_none()).max_by_key(|s| s.version)
        }
    };
    let Some(found) = found else {
        bail!("{}", absent(what, all.iter().map(|shown| shown.name.as_str())));
    };
    if let Some(by) = &found.withdrawn_by {
        bail!("`{what}` was withdrawn by {by}");
    }
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(&found.statement)?;
    let published = Published::verify(&Signed::from_bytes(&bytes)?, roster, SystemEnv.now());
    published.with_context(|| format!("`{what}` is not signed by who must sign it"))
}

/// That there is no such entry, and what there is.
fn absent<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    if names.is_empty() {
        return format!(
            "the catalogue has no `{what}` in force; the catalogue is empty: `writ runbook publish`"
        );
    }
    let names: Vec<&str> = names.into_iter().collect();
    format!("the catalogue has no `{what}` in force; it has: {}", names.join(", "))
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn list(json: bool, who: &WhoArgs) -> Result<()> {
    let all = catalogue(who)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    if all.is_empty() {
        println!("the catalogue is empty: `writ runbook make` makes an entry");
    }
    for shown in all {
        let state = match &shown.withdrawn_by {
            Some(by) => format!("WITHDRAWN by {by}"),
            None => "in force".to_owned(),
        };
        println!(
            "{}/{}  {}  {}  for {}",
            shown.name, shown.version, shown.class, state, shown.group
        );
        println!("    {}", shown.title);
        for (name, kind) in &shown.parameters {
            println!("    --param {name}=…   {kind}");
        }
        println!("    tells at most {} bits, entry {}", shown.bits, shown.digest);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn show(what: &str, who: &WhoArgs) -> Result<()> {
    let path = Path::new(what);
    if path.is_file() {
        let (signed, entry) = read(path)?;
        print!("{}{}", words(&entry), describe::signatures(&signed));
        return Ok(());
    }
    let (_, roster) = who.source.roster()?;
    let published = entry(what, who, &roster)?;
    let signers: Vec<&str> = published.signers().iter().map(|person| person.as_str()).collect();
    print!("{}", words(published.entry()));
    println!("  signed by {}", signers.join(", "));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn add(file: &Path, who: &WhoArgs) -> Result<()> {
    let (mut signed, entry) = read(file)?;
    print!("{}", words(&entry));
    let signature = who.sign(signed.body(), Namespace::Catalogue.as_str())?;
    let held = signed.signatures().iter().filter_map(|bytes| SshSig::from_bytes(bytes).ok());
    if held.into_iter().any(|known| known.key() == signature.key()) {
        bail!("{:?} has signed it already; another person must", signature.key());
    }
    signed.add(&signature).context("the signature does not hold")?;
    write_durably(&std::path::absolute(file)?, &signed.to_bytes(), 0o644)?;
    let enough = match who.source.roster() {
        Ok((_, roster)) if *roster.site() == entry.site => {
            match Published::verify(&signed, &roster, SystemEnv.now()) {
                Ok(_) => Enough::Yes,
                Err(error) => {
                    Enough::No(roster.rule(Namespace::Catalogue).cloned(), error.to_string())
                }
            }
        }
        _ => Enough::Unknown,
    };
    let file = file.display();
    let (sign, send) =
        (format!("writ runbook sign {file}"), format!("writ runbook publish {file}"));
    println!("written to {file}\n{}", next(signed.signatures().len(), &enough, &sign, &send));
    Ok(())
}

/// Reads an entry, whose signatures are checked by whoever uses it.
fn read(file: &Path) -> Result<(Signed, Entry)> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let signed = Signed::from_bytes(&bytes).with_context(|| {
        format!("`{}` is no statement; `writ runbook make` makes one", file.display())
    })?;
    if signed.namespace() != Namespace::Catalogue {
        bail!("`{}` is a statement of kind {}", file.display(), signed.namespace());
    }
    let entry = cbor::from_slice(signed.body())
        .with_context(|| format!("`{}` is no entry of the catalogue", file.display()))?;
    Ok((signed, entry))
}

/// An entry, whole, for those who sign it.
fn words(entry: &Entry) -> String {
    use std::fmt::Write as _;
    let mut text = format!("runbook {} version {} of {}\n", entry.name, entry.version, entry.site);
    let mut line = |name: &str, value: &str| {
        // Writing into a string cannot fail.
        writeln!(text, "  {name:<9} {value}").ok();
    };
    line("title", &entry.title);
    entry.description.lines().for_each(|part| line("does", part));
    line("class", &format!("{}: {}", entry.class.as_str(), entry.class.describe()));
    line("group", entry.group.as_str());
    for parameter in &entry.parameters.0 {
        line("told", &format!("{}: {}", parameter.name, parameter.kind));
    }
    line("program", &format!("{} ({})", entry.program.path, entry.program.digest));
    let arguments = entry.arguments.0.iter().map(|argument| match argument {
        Argument::Literal(text) => text.clone(),
        Argument::Parameter(name) => format!("<{name}>"),
    });
    line("runs", &arguments.collect::<Vec<_>>().join(" "));
    line("as", &format!("{}, {} s, {} MiB", entry.run_as, entry.seconds, entry.memory_mib));
    for field in &entry.output.fields.0 {
        let kind = match &field.kind {
            FieldKind::Bool => "true or false".to_owned(),
            FieldKind::Enum(words) => format!("one of {}", words.0.join(", ")),
            FieldKind::Int(steps) => {
                format!("{} to {} in steps of {}", steps.min, steps.max, steps.step)
            }
            FieldKind::Time(step) => format!("a time in steps of {step} s"),
        };
        let optional = if field.optional { ", or absent" } else { "" };
        line("answers", &format!("{}: {kind}{optional}", field.name));
    }
    line("tells", &format!("{} bits at most", entry.bits()));
    line("entry", &entry.digest().to_string());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_catalogue_is_called_empty() {
        let said = absent("disk-usage", [].into_iter());
        assert!(said.ends_with("the catalogue is empty: `writ runbook publish`"), "{said}");
        assert!(absent("x", ["b", "a", "b"].into_iter()).ends_with("it has: a, b"));
    }
}
