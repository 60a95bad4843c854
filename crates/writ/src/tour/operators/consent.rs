//! Chapter: the customer sees who touched what of theirs, and is asked first from then on.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::super::history;
use super::super::reply::Reply;
use super::super::story::Story;
use super::session::ENDS_WITHIN;
use super::{Shift, request};

/// What the customer's own log says of a session.
const TOLD: [&str; 4] = [
    "OperatorAccessGranted",
    "OperatorSessionStarted",
    "OperatorSessionEnded",
    "OperatorAccessEnded",
];
const ROUNDS_MAX: usize = 50;
const ROUND: Duration = Duration::from_millis(200);

/// The chapter.
pub fn chapter(story: &mut Story, shift: &Shift<'_>, granted: &str) -> Result<()> {
    story.chapter("The customer: sees every touch, and decides", "C-10");
    let seen =
        writ(shift, "ListOperatorAccess", &json!({})).and_then(|reply| touch(&reply, granted));
    story.check("ListOperatorAccess: who, why, approved by how many", seen);
    story.check("LookupEvents: grant, sessions and their ends", told(shift));
    mode(shift, "STREAMLINED")?;
    let (id, told) = request::approved(shift)?;
    let waits = match told.contains("missing: ") {
        true => Ok(told),
        false => Err(anyhow::anyhow!("IT WAS GRANTED: {told}")),
    };
    story.check("PutLockbox: two operators are not enough any more", waits);
    let refused = shift.is_refused("anna", &shift.login(), "no grant lets `anna` log in");
    story.attack("anna logs in before the customer has answered", refused);
    let shown = writ(shift, "GetOperatorAccess", &json!({ "RequestId": id }))?;
    let digest = shown.text("/OperatorAccess/RequestDigest")?;
    let named = json!({ "RequestId": id, "RequestDigest": digest });
    let other = json!({ "RequestId": id, "RequestDigest": "0".repeat(digest.len()) });
    let approve = |input: &Value| shift.client.writ("ApproveOperatorAccess", input);
    let refused = shift.client.call(&shift.people.owner, &approve(&other))?;
    story.attack("a consent to another request's digest", refused.refused("ValidationException"));
    story.about("C-12");
    let refused = shift.client.call(&shift.people.stranger, &approve(&named))?;
    let refused = refused.refused("ResourceNotFoundException");
    story.attack("another customer consents", refused);
    story.about("C-10");
    let consented = writ(shift, "ApproveOperatorAccess", &named).and_then(|reply| state(&reply));
    story.check("ApproveOperatorAccess, signed by the customer", consented);
    let visit = shift.enter("anna")?;
    let running = visit.begin();
    let _running =
        story.need("anna is in", running, |_| "a program on the host answers".to_owned())?;
    writ(shift, "WithdrawOperatorAccess", &named)?;
    let ended = visit.ends(ENDS_WITHIN);
    story.check(
        "WithdrawOperatorAccess: the running session dies",
        ended.map(|(said, took)| format!("{} ms after the call, told: {said}", took.as_millis())),
    );
    mode(shift, "OFF")
}

fn writ(shift: &Shift<'_>, operation: &str, input: &Value) -> Result<Reply> {
    shift.client.ok(&shift.people.owner, &shift.client.writ(operation, input))
}

fn mode(shift: &Shift<'_>, mode: &str) -> Result<()> {
    let reply = writ(shift, "PutLockbox", &json!({ "Mode": mode }))?;
    ensure!(reply.text("/Lockbox/Mode")? == mode, "the lockbox is not {mode}");
    Ok(())
}

fn state(reply: &Reply) -> Result<String> {
    let state = reply.text("/OperatorAccess/State")?;
    ensure!(state == "GRANTED", "it is {state}");
    Ok(format!("{state}, decided by {}", reply.text("/OperatorAccess/Decision/By")?))
}

/// The touch of the session before, as its customer sees it.
fn touch(reply: &Reply, granted: &str) -> Result<String> {
    let listed = reply.json()?;
    let all = listed.pointer("/OperatorAccess").and_then(Value::as_array);
    let mut all = all.into_iter().flatten();
    let named = |one: &&Value| one.get("RequestId").and_then(Value::as_str) == Some(granted);
    let one = all.find(named).context("the request is not there")?;
    let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or("-");
    let approvers = one.get("Approvers").and_then(Value::as_u64).unwrap_or_default();
    ensure!(approvers == 2, "it names {approvers} approvers");
    ensure!(!one.to_string().contains("anna"), "it names the person");
    Ok(format!(
        "{} on {}, {} {}, {approvers} approvers, {} ({})",
        text("Operator"),
        one.get("Hosts").map(Value::to_string).unwrap_or_default(),
        text("ReasonType"),
        text("Ticket"),
        text("State"),
        text("EndReason"),
    ))
}

fn told(shift: &Shift<'_>) -> Result<String> {
    let mut missing = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let events = history::all(shift.client, &shift.people.owner)?;
        missing = TOLD.to_vec();
        missing.retain(|name| {
            !events.iter().any(|event| event.get("eventName").and_then(Value::as_str) == Some(name))
        });
        if missing.is_empty() {
            return Ok(TOLD.join(", "));
        }
        std::thread::sleep(ROUND);
    }
    bail!("these are missing: {}", missing.join(", "))
}
