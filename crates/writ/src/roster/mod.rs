//! `writ roster …`: who may do what, and the statements that change it.
//!
//! A statement is proposed against the roster as it is, signed by as many people as its rule wants, each
//! on their own machine, and sent in. Nothing here has a right of its own: the signatures have.

pub mod client;
pub mod describe;
mod show;
pub mod sign;
pub mod source;
mod wish;

use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use writ_model::{Env as _, SystemEnv};
use writ_proof::roster::{Change, Host, Roster, RosterStatement};
use writ_proof::statement::{Namespace, Signed};

use crate::up::data::write_durably;
use source::SourceArgs;
use wish::Wish;

/// `writ roster …`.
#[derive(clap::Subcommand)]
pub enum RosterCommand {
    /// Say who is enrolled, with which keys, who is in which group, and which hosts there are.
    #[command(after_help = "Examples:\n  writ roster show --data ./writ-data\n  \
        writ roster show --endpoint https://writ.example:8440 --ca ./ca.pem --genesis SHA256\n\n\
        Everything is replayed from genesis and every signature is checked here. With --data the running \
        installation is asked; of a stopped one the ledger is read.")]
    Show(SourceArgs),
    /// Make a statement that changes the roster, for people to sign.
    #[command(after_help = PROPOSE_HELP)]
    Propose {
        /// What changes.
        #[command(subcommand)]
        wish: Box<Proposal>,
    },
    /// Sign a statement with an SSH key or security key, through ssh-keygen.
    #[command(
        after_help = "Examples:\n  writ roster sign ./statement.roster --key ~/.ssh/id_ed25519_sk\n  \
        writ roster sign ./statement.roster --founder 2 --data ./writ-data    (mode dev)\n\n\
        The statement is printed first. What is signed is its body in the namespace roster@writ."
    )]
    Sign(sign::SignArgs),
    /// Print a statement; with --split also write its body and signatures for ssh-keygen -Y verify.
    #[command(
        after_help = "Example:\n  writ roster inspect ./statement.roster --split ./parts\n  \
        ssh-keygen -Y verify -f allowed_signers -I founder-1 -n roster@writ \\\n      \
        -s parts/1.sig < parts/body"
    )]
    Inspect {
        /// The statement.
        file: PathBuf,
        /// A folder for `body` and `1.sig`, `2.sig`, …
        #[arg(long, value_name = "DIR")]
        split: Option<PathBuf>,
    },
    /// Send a signed statement in.
    #[command(
        after_help = "Example:\n  writ roster submit ./statement.roster --data ./writ-data\n\n\
        --data takes the address from the ready.json of a running `writ up`. What was sent twice counts once."
    )]
    Submit {
        /// The signed statement.
        file: PathBuf,
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// `writ roster propose …`.
#[derive(clap::Subcommand)]
pub enum Proposal {
    /// Read the change from a TOML file: `change = "add-member"` and the flags of that subcommand as keys.
    File {
        /// The file.
        path: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// What the flags say.
    #[command(flatten)]
    Flags(Box<FlagWish>),
}

/// A change with where it comes from and where it goes.
#[derive(clap::Subcommand)]
pub enum FlagWish {
    /// Make or change a group.
    AddGroup(WithCommon<wish::AddGroup>),
    /// Make or change a host.
    AddHost(WithCommon<wish::AddHost>),
    /// Give an enrolled person a further key.
    AddKey(WithCommon<wish::KeyOf>),
    /// Take a person into a group, or keep them in it for longer.
    AddMember(WithCommon<wish::AddMember>),
    /// End a person's enrolment, with all keys and memberships.
    EndEnrolment(WithCommon<wish::Somebody>),
    /// Enrol a person with their first keys.
    Enrol(WithCommon<wish::Enrol>),
    /// Remove a group.
    RemoveGroup(WithCommon<wish::Named>),
    /// Remove a host.
    RemoveHost(WithCommon<wish::Named>),
    /// Take a key from a person.
    RemoveKey(WithCommon<wish::KeyOf>),
    /// Take a person out of a group.
    RemoveMember(WithCommon<wish::MemberOf>),
    /// Say at which pages browsers may sign.
    SetOrigins(WithCommon<wish::Origins>),
    /// Say who signs statements of a kind.
    SetRule(WithCommon<wish::SetRule>),
}

/// What one change takes, and what all take.
#[derive(clap::Args)]
pub struct WithCommon<T: clap::Args> {
    #[command(flatten)]
    wish: T,
    #[command(flatten)]
    common: Common,
}

/// What all proposals take.
#[derive(clap::Args)]
pub struct Common {
    /// Where the statement is written.
    #[arg(long, value_name = "FILE", default_value = "statement.roster")]
    out: PathBuf,
    /// Replace that file also where people have signed it.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    source: SourceArgs,
}

const PROPOSE_HELP: &str = "\
Examples:
  writ roster propose enrol --person e1042 --key ./anna.pub --data ./writ-data
  writ roster propose add-group support --title 'Support' --tier privileged \\
      --owner e1042 --owner e1077 --slot security:2:group:founders \\
      --host 'web-*' --login support --kind ssh --max-hours 4
  writ roster propose add-member --group support --person e1042 --days 90
  writ roster propose add-host web-1 --address 10.0.0.7:22 --key ./ssh_host_ed25519_key.pub \\
      --account 123456789012
  writ roster propose file ./change.toml --out ./statement.roster

Then each signer:  writ roster sign ./statement.roster --key ~/.ssh/id_ed25519_sk
and one of them:   writ roster submit ./statement.roster

A statement names the one before it: it is good until another one is taken, and for 24 hours.";

/// Does what the command line says.
///
/// # Errors
/// What is wrong and what to do.
pub fn run(command: RosterCommand) -> Result<()> {
    match command {
        RosterCommand::Show(source) => show::run(&source),
        RosterCommand::Propose { wish } => propose(*wish),
        RosterCommand::Sign(args) => sign::run(&args),
        RosterCommand::Inspect { file, split } => inspect(&file, split.as_deref()),
        RosterCommand::Submit { file, source } => submit(&file, &source),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn propose(proposal: Proposal) -> Result<()> {
    let (wish, common) = match proposal {
        Proposal::File { path, common } => (wish::read(&path)?, common),
        Proposal::Flags(flags) => split(*flags),
    };
    if !common.overwrite {
        spare_signed(&common.out, "submit")?;
    }
    let (_, roster) = common.source.roster()?;
    let now = SystemEnv.now();
    let statement = RosterStatement {
        v: Default::default(),
        site: roster.site().clone(),
        seq: roster.seq() + 1,
        prev: roster.head(),
        // Never before the statement before it, whatever this machine's clock says.
        created: now.max(roster.created()),
        change: wish.change(&roster, now)?,
    };
    roster.would_change(&statement).context("nobody could sign this into force")?;
    let signed = Signed::new(&statement)?;
    write_durably(&std::path::absolute(&common.out)?, &signed.to_bytes(), 0o644)
        .with_context(|| format!("cannot write `{}`", common.out.display()))?;
    print!("{}", describe::statement(&statement));
    println!("\nwritten to {}\n{}", common.out.display(), who_signs(&roster));
    if let Change::SetHost(host) = &statement.change {
        warn_of_unknown_address(host);
    }
    Ok(())
}

/// A slip in the address would show at the first session only. It is a warning: names can be others where bastion runs.
#[expect(clippy::print_stderr, reason = "a warning beside what the command prints")]
fn warn_of_unknown_address(host: &Host) {
    let address = host.socket();
    if let Err(error) = address.to_socket_addrs() {
        eprintln!(
            "\nwarning: `{address}` does not resolve on this machine ({error}). Unless it does where bastion runs, \
             propose {} again with another --address.",
            host.name
        );
    }
}

fn split(flags: FlagWish) -> (Wish, Common) {
    macro_rules! pairs {
        ($($name:ident),*) => {
            match flags {
                $(FlagWish::$name(WithCommon { wish, common }) => (Wish::$name(wish), common),)*
            }
        };
    }
    pairs!(
        AddGroup,
        AddHost,
        AddKey,
        AddMember,
        EndEnrolment,
        Enrol,
        RemoveGroup,
        RemoveHost,
        RemoveKey,
        RemoveMember,
        SetOrigins,
        SetRule
    )
}

/// Whose signatures a roster statement needs.
fn who_signs(roster: &Roster) -> String {
    let Some(rule) = roster.rule(Namespace::Roster) else { return String::new() };
    let of = rule.group.as_ref().map_or(String::new(), |group| format!(" of the group `{group}`"));
    let how = if rule.hardware { ", each with a hardware key" } else { "" };
    format!(
        "it needs the signatures of {} people{of}{how}; whoever it gives something to does not count",
        rule.threshold
    )
}

/// Fails if `out` is a statement that people have signed: what they did would be lost.
pub fn spare_signed(out: &Path, send: &str) -> Result<()> {
    let held = std::fs::read(out).ok().and_then(|bytes| Signed::from_bytes(&bytes).ok());
    match held.map_or(0, |signed| signed.signatures().len()) {
        0 => Ok(()),
        n => bail!(
            "`{}` exists and is signed by {n}: sign or {send} it, name another file with --out, or --overwrite",
            out.display()
        ),
    }
}

/// Reads a statement, whose signatures are checked by whoever uses it.
fn read(file: &Path) -> Result<(Signed, RosterStatement)> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let signed = Signed::from_bytes(&bytes).with_context(|| {
        format!("`{}` is no statement; `writ roster propose` makes one", file.display())
    })?;
    if signed.namespace() != Namespace::Roster {
        bail!("`{}` is a statement of kind {}", file.display(), signed.namespace());
    }
    let statement = writ_proof::cbor::from_slice(signed.body())
        .with_context(|| format!("`{}` is no roster statement", file.display()))?;
    Ok((signed, statement))
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn inspect(file: &Path, split: Option<&Path>) -> Result<()> {
    let (signed, statement) = read(file)?;
    print!("{}", describe::statement(&statement));
    print!("{}", describe::signatures(&signed));
    let Some(folder) = split else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let folder = std::path::absolute(folder)?;
    write_durably(&folder.join("body"), signed.body(), 0o644)?;
    for (n, signature) in (1..).zip(signed.signatures()) {
        let armor = writ_proof::sshsig::SshSig::from_bytes(signature)?.to_armor();
        write_durably(&folder.join(format!("{n}.sig")), armor.as_bytes(), 0o644)?;
    }
    println!("written to {}: body, and one .sig for each signature", folder.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn submit(file: &Path, source: &SourceArgs) -> Result<()> {
    let (signed, _) = read(file)?;
    let accepted = source.client()?.submit(&signed.to_bytes())?;
    println!("statement {} is in force, digest {}", accepted.seq, accepted.digest);
    if !accepted.keyd {
        println!("keyd does not have it yet: it is loaded again, see `writ status`");
    }
    Ok(())
}
