//! `writ request`: makes a request, signs it, files it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use writ_model::{AccountId, Env as _, SystemEnv, Timestamp, Ulid};
use writ_proof::access::{
    Asked, Basis, FileRule, OWN_TICKETS, PlaybackScope, Request, Scope, SshScope, Ticket,
};
use writ_proof::at_most::AtMost;
use writ_proof::roster::{GroupName, HostName, Roster};
use writ_proof::statement::{Namespace, Signed};

use super::{WhoArgs, describe, json, read, seconds};
use crate::front::access::api::REQUESTS;
use crate::front::access::playback::{SESSIONS, ShownSession};

/// What `writ request` takes.
#[derive(clap::Args)]
pub struct RequestArgs {
    /// The group as whose member you ask; it says what may be asked for, and who must agree.
    #[arg(long)]
    group: GroupName,
    /// A host; repeatable.
    #[arg(long, value_name = "NAME", required_unless_present = "playback")]
    host: Vec<HostName>,
    /// The login role on the hosts.
    #[arg(long, value_name = "ROLE", required_unless_present = "playback")]
    login: Option<String>,
    /// The recording of this session instead, to be read with `writ play`.
    #[arg(long, value_name = "SESSION", conflicts_with_all = ["host", "login", "shell", "command", "file"])]
    playback: Option<Ulid>,
    /// A shell, and with it any command. It is what is asked for without --command and --file.
    #[arg(long)]
    shell: bool,
    /// One command, exactly as it will be run; repeatable.
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
    /// Files over SFTP, such as `read,list:/var/log/` or `ro:/etc/hosts`; repeatable.
    #[arg(long, value_name = "RIGHT,RIGHT:PATH")]
    file: Vec<FileRule>,
    /// For how long, such as 45m or 1h30m.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    length: String,
    /// From when on, in UTC, such as 2026-12-01T20:00:00Z; now if not given.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// The ticket of the work: an id of `writ ticket open`, or SYSTEM/ID.
    #[arg(long, value_name = "ID")]
    ticket: String,
    /// Why, in words that the approvers and the customer read.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The kind of reason: service, customer-support, review or legal-order.
    #[arg(long, value_name = "KIND", default_value = "service", value_parser = basis)]
    basis: Basis,
    /// The customer's account, if the work is for one.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    #[command(flatten)]
    who: WhoArgs,
}

/// What a request was answered with.
#[derive(Deserialize)]
struct Filed {
    id: Ulid,
    pending_until: Timestamp,
}

/// A kind of reason, by its name.
///
/// # Errors
/// There is no such kind.
pub fn basis(text: &str) -> Result<Basis, String> {
    let found = Basis::ALL.into_iter().find(|known| known.as_str() == text);
    found.ok_or_else(|| {
        let all = Basis::ALL.map(Basis::as_str).join(", ");
        format!("the kinds of reason are {all}")
    })
}

/// Does what the command line says.
///
/// # Errors
/// What is wrong and what to do.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(args: &RequestArgs) -> Result<()> {
    let (_, roster) = args.who.source.roster()?;
    let request = request(args, &roster)?;
    let mut signed = Signed::new(&request)?;
    print!("{}", describe::request(&request, &roster));
    println!("  code      {}", signed.code());
    signed.add(&args.who.sign(signed.body(), Namespace::Request.as_str())?)?;
    Asked::verify(&signed, &roster, SystemEnv.now()).context("nobody would take this")?;
    let filed: Filed = json(&args.who.send(REQUESTS, &signed)?)?;
    println!("\nfiled; it waits for decisions until {}", filed.pending_until.iso());
    println!("approvers run    writ approve {}", filed.id);
    println!("and compare the code {} with you", signed.code());
    Ok(())
}

fn request(args: &RequestArgs, roster: &Roster) -> Result<Request> {
    let requester = args.who.person(roster)?;
    let enrolment = roster.enrolment(&requester);
    let enrolment = enrolment.with_context(|| format!("`{requester}` is not enrolled"))?;
    let revision = roster.group_revision(&args.group).with_context(|| {
        format!("there is no group `{}`: `writ roster show` lists them", args.group)
    })?;
    let created = SystemEnv.now();
    let not_before = match &args.start {
        None => Timestamp::from_secs(created.secs()),
        Some(text) => Timestamp::parse_iso(text)
            .with_context(|| format!("`{text}` is no time such as 2026-12-01T20:00:00Z"))?,
    };
    let not_after = not_before.plus(Duration::from_secs(seconds(&args.length)?));
    Ok(Request {
        v: Default::default(),
        site: roster.site().clone(),
        id: Ulid::new(&SystemEnv),
        requester,
        enrolment,
        group: args.group.clone(),
        revision,
        basis: args.basis,
        reason: args.reason.clone(),
        ticket: ticket(&args.ticket),
        account: args.account,
        scope: scope(args)?,
        not_before,
        not_after,
        created,
    })
}

/// What the recording says of itself, front says again; keyd compares it with the recording's own seal.
fn recording(args: &RequestArgs, session: Ulid) -> Result<Scope> {
    let shown: ShownSession = read(&args.who, &format!("{SESSIONS}/{session}"))?;
    if !shown.ended {
        bail!("the session has not ended: there is no whole recording yet");
    }
    let host = shown.host.parse().context("the reply names no host")?;
    let accounts = shown.accounts.map(|mut accounts| {
        accounts.sort();
        accounts.dedup();
        AtMost(accounts)
    });
    Ok(Scope::Playback(PlaybackScope { session, host, accounts }))
}

fn scope(args: &RequestArgs) -> Result<Scope> {
    if let Some(session) = args.playback {
        return recording(args, session);
    }
    let Some(login) = args.login.clone().filter(|_| !args.host.is_empty()) else {
        bail!("name a host with --host and the login role with --login");
    };
    Ok(Scope::Ssh(SshScope {
        hosts: AtMost(args.host.clone()),
        login,
        interactive: args.shell || (args.command.is_empty() && args.file.is_empty()),
        commands: AtMost(args.command.clone()),
        files: AtMost(args.file.clone()),
    }))
}

/// A ticket, as `SYSTEM/ID`, or by its id of the tickets that Writ keeps.
pub fn ticket(text: &str) -> Ticket {
    let (system, id) = text.split_once('/').unwrap_or((OWN_TICKETS, text));
    Ticket { system: system.to_owned(), id: id.to_owned() }
}
