//! `writ approve` and `writ deny`: one human's decision on a request.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use writ_console::caller::CALL;
use writ_model::{Env as _, Nonce, SystemEnv, Timestamp, Ulid};
use writ_proof::access::{Approval, Asked, Decision, LedgerHead, Request};
use writ_proof::cbor;
use writ_proof::roster::{Roster, SlotName};
use writ_proof::statement::{Namespace, Signed};

use super::{WhoArgs, describe, read, seconds};
use crate::front::access::api::{APPROVALS, REQUESTS};
use crate::front::access::show::{Before, ShownRequest};

/// What `writ approve` takes.
#[derive(clap::Args)]
pub struct ApproveArgs {
    /// The request's id, as `writ requests` shows it.
    id: Ulid,
    /// The slot of the rule that you fill; only needed if you may fill several.
    #[arg(long)]
    slot: Option<SlotName>,
    /// Agree for a shorter time than was asked for, from its beginning, such as 30m.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<String>,
    /// Print what would be signed, and who has still to agree, and sign nothing.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    who: WhoArgs,
}

/// What `writ deny` takes.
#[derive(clap::Args)]
pub struct DenyArgs {
    /// The request's id, as `writ requests` shows it.
    id: Ulid,
    /// The slot of the rule as whose member you speak; only needed if you may fill several.
    #[arg(long)]
    slot: Option<SlotName>,
    #[command(flatten)]
    who: WhoArgs,
}

/// What an approver needs to sign.
#[derive(Deserialize)]
struct Challenge {
    statement: String,
    nonce: String,
    slots: Vec<String>,
    /// What the same person has said before.
    #[serde(default)]
    before: Option<Before>,
    ledger: Head,
}

#[derive(Deserialize)]
struct Head {
    origin: String,
    size: u64,
    root: String,
}

/// What a decision was answered with.
#[derive(Deserialize)]
struct Decided {
    state: String,
    why: Option<String>,
    missing: Vec<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

/// What is decided, by whom.
struct Wish<'a> {
    id: Ulid,
    decision: Decision,
    slot: Option<&'a SlotName>,
    length: Option<&'a str>,
    who: &'a WhoArgs,
}

/// Agrees to a request.
///
/// # Errors
/// What is wrong and what to do.
pub fn approve(args: &ApproveArgs) -> Result<()> {
    let ApproveArgs { id, slot, length, who, .. } = args;
    if args.check {
        return check(*id, who);
    }
    let (slot, length) = (slot.as_ref(), length.as_deref());
    run(&Wish { id: *id, decision: Decision::Approve, slot, length, who })
}

/// Says no to a request, for good.
///
/// # Errors
/// What is wrong and what to do.
pub fn deny(args: &DenyArgs) -> Result<()> {
    let DenyArgs { id, slot, who } = args;
    let (slot, length) = (slot.as_ref(), None);
    run(&Wish { id: *id, decision: Decision::Deny, slot, length, who })
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn check(id: Ulid, who: &WhoArgs) -> Result<()> {
    let (_, roster) = who.source.roster()?;
    let shown: ShownRequest = read(who, &format!("{REQUESTS}/{id}"))?;
    let signed = statement(shown.statement.as_deref().unwrap_or_default())?;
    print(id, &signed, &roster)?;
    println!("  state     {}", shown.state.as_str());
    for decision in &shown.decisions {
        println!(
            "  decided   {} by {} in `{}`",
            decision.decision, decision.approver, decision.slot
        );
    }
    shown.missing.iter().for_each(|missing| println!("  missing   {missing}"));
    match shown.waits_for_you.as_slice() {
        [] => println!("\nnothing of it waits for you"),
        slots => println!("\nyou may fill: {}. Nothing was signed", slots.join(", ")),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn run(wish: &Wish<'_>) -> Result<()> {
    let (_, roster) = wish.who.source.roster()?;
    let approver = wish.who.person(&roster)?;
    let challenge = challenge(wish)?;
    let request = statement(&challenge.statement)?;
    let asked = print(wish.id, &request, &roster)?;
    let slot = slot(wish, &challenge.slots)?;
    let approval = approval(wish, &asked, &challenge, approver, slot)?;
    if let Some(before) = challenge.before.as_ref().filter(|before| is_same(before, &approval)) {
        println!("\n{}", already(before));
        return Ok(());
    }
    let mut signed = Signed::new(&approval)?;
    print!("\n{}", describe::approval(&approval));
    println!("  code      {}", signed.code());
    signed.add(&wish.who.sign(signed.body(), Namespace::Approval.as_str())?)?;
    let decided: Decided = super::json(&wish.who.send(APPROVALS, &signed)?)?;
    println!("\n{}", outcome(&decided));
    Ok(())
}

/// The approval that a person would sign now, with a fresh nonce. Nothing is printed, signed or sent.
///
/// # Errors
/// What is wrong and what to do.
pub fn draft(id: Ulid, who: &WhoArgs) -> Result<Approval> {
    let wish = Wish { id, decision: Decision::Approve, slot: None, length: None, who };
    let (_, roster) = who.source.roster()?;
    let challenge = challenge(&wish)?;
    let signed = statement(&challenge.statement)?;
    let request = cbor::from_slice(signed.body()).context("the request is damaged")?;
    let slot = slot(&wish, &challenge.slots)?;
    approval(&wish, &(request, signed.digest()), &challenge, who.person(&roster)?, slot)
}

fn challenge(wish: &Wish<'_>) -> Result<Challenge> {
    let path = format!("{REQUESTS}/{}/challenge", wish.id);
    let body = json!({ "decision": wish.decision.as_str() }).to_string();
    super::json(&wish.who.call(CALL, "POST", &path, body.as_bytes())?)
}

/// Prints a request, whose signature is checked here.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(id: Ulid, signed: &Signed, roster: &Roster) -> Result<(Request, writ_proof::Hash)> {
    let request: Request = cbor::from_slice(signed.body()).context("the request is damaged")?;
    if request.id != id {
        bail!("another request than `{id}` was sent: sign nothing, and tell your security people");
    }
    print!("{}", describe::request(&request, roster));
    println!("  code      {}   (compare it with {})", signed.code(), request.requester);
    // A request that is over may be looked at, too.
    if let Err(error) = Asked::verify(signed, roster, SystemEnv.now()) {
        println!("  HOLDS NOT {error}");
    }
    Ok((request, signed.digest()))
}

fn statement(text: &str) -> Result<Signed> {
    let bytes = STANDARD.decode(text).context("the reply has no request")?;
    Signed::from_bytes(&bytes).context("the request is damaged")
}

fn slot(wish: &Wish<'_>, slots: &[String]) -> Result<SlotName> {
    let slot = match (wish.slot, slots) {
        (Some(wanted), _) if slots.iter().any(|slot| slot == wanted.as_str()) => wanted.as_str(),
        (Some(wanted), _) => bail!("you may not fill `{wanted}`, but {}", slots.join(", ")),
        (None, [only]) => only,
        (None, _) => {
            let all = slots.join(", ");
            bail!("you may fill several slots: name one of {all} with --slot")
        }
    };
    slot.parse().context("the reply names no slot")
}

fn approval(
    wish: &Wish<'_>,
    (request, digest): &(Request, writ_proof::Hash),
    challenge: &Challenge,
    approver: writ_model::PersonId,
    slot: SlotName,
) -> Result<Approval> {
    let not_after = match wish.length {
        None => request.not_after,
        Some(text) => {
            let length = Duration::from_secs(seconds(text)?);
            let begin = Timestamp::from_secs(request.not_before.max(SystemEnv.now()).secs());
            begin.plus(length).min(request.not_after)
        }
    };
    let nonce = hex::decode(&challenge.nonce).ok().and_then(|bytes| bytes.try_into().ok());
    Ok(Approval {
        v: Default::default(),
        site: request.site.clone(),
        request: request.id,
        request_digest: *digest,
        requester: request.requester.clone(),
        approver,
        decision: wish.decision,
        slot,
        scope: request.scope.clone(),
        account: request.account,
        not_before: request.not_before,
        not_after,
        ticket: request.ticket.clone(),
        revision: request.revision,
        nonce: Nonce(nonce.context("the reply has no nonce")?),
        ledger: LedgerHead {
            origin: challenge.ledger.origin.clone(),
            size: challenge.ledger.size,
            root: challenge.ledger.root.parse().context("the reply has no head of the ledger")?,
        },
        signed: SystemEnv.now(),
    })
}

/// True if nothing would be another way.
fn is_same(before: &Before, approval: &Approval) -> bool {
    before.decision == approval.decision.as_str()
        && before.slot == approval.slot.as_str()
        && (before.not_before, before.not_after) == (approval.not_before, approval.not_after)
}

fn already(before: &Before) -> String {
    let what = if before.decision == Decision::Deny.as_str() { "denied" } else { "approved" };
    format!("you have {what} this already; still missing: {}", before.missing.join("; "))
}

fn outcome(decided: &Decided) -> String {
    if let (Some(from), Some(to)) = (decided.not_before, decided.not_after) {
        return format!("granted: {}", describe::window(from, to));
    }
    let why = decided.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
    let mut text = format!("taken; the request is {}{why}", decided.state);
    for missing in &decided.missing {
        text.push_str(&format!("\nmissing: {missing}"));
    }
    text
}
