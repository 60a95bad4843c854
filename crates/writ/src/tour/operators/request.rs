//! Chapter: anna asks for access, two others agree.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::site::Finished;
use super::super::story::Story;
use super::host::NAME;
use super::trace::parameter;
use super::{Shift, crew::text};

/// How often, and how far apart, a host is tried that front does not know to be watched yet.
const WORD_TRIES: u32 = 20;
/// See [`WORD_TRIES`].
const WORD_PAUSE: Duration = Duration::from_millis(250);

/// The ticket of the work.
pub const TICKET: &str = "OPS-17";

/// The chapter. Gives back the id of the request that is granted.
pub fn chapter(story: &mut Story, shift: &Shift<'_>) -> Result<String> {
    story.chapter("Access: asked for with a reason, agreed to by two others", "C-05");
    let mut refused = shift.is_refused("anna", &shift.login(), "no grant lets `anna` log in");
    for _ in 0..WORD_TRIES {
        // front hears of a host a moment after watch itself does.
        let early = |error: &anyhow::Error| format!("{error:#}").contains("is not watched now");
        if !refused.as_ref().is_err_and(early) {
            break;
        }
        std::thread::sleep(WORD_PAUSE);
        refused = shift.is_refused("anna", &shift.login(), "no grant lets `anna` log in");
    }
    story.attack("anna logs in without having asked", refused);
    shift.trace.begin()?;
    let refused = file(shift).and_then(|done| done.refusing("no ticket"));
    story.attack("a request without a ticket", shift.trace.of(refused, "RequestAccess"));
    let opened = shift.crew.run_as("anna", &["ticket", "open", TICKET, "The disk is full"]);
    story.check("a ticket is opened", opened.and_then(|done| done.saying(TICKET)));
    shift.trace.begin()?;
    let filed = file(shift)?;
    let code = filed.saying("code  ")?.trim_start_matches("code").trim().to_owned();
    let id = story.need("anna asks: 45 minutes, one host, a reason", id_of(&filed), |id| {
        format!("request {id}, code {code}")
    })?;
    let checked = shift.crew.run_as("boris", &["approve", &id, "--check"]);
    let seen = checked.and_then(|done| done.saying(&code));
    story.check("boris sees the same code before he signs", seen);
    let first = shift.crew.run_as("boris", &["approve", &id]);
    story.check("boris agrees; one is not enough", first.and_then(|done| done.saying("needs 1")));
    let second = shift.crew.run_as("carla", &["approve", &id]);
    let second = second.and_then(|done| done.saying("granted: "));
    story.need("carla agrees: the grant", second, String::clone)?;
    story.about("C-03");
    let told = ["RequestAccess", "ApproveAccess"]
        .map(|name| shift.trace.event(name, |event| parameter(event, "requestId") == id));
    let told = told.into_iter().collect::<Result<Vec<_>>>();
    story.check(
        "each of it is in the ledger, with the signatures",
        told.map(|events| format!("{} kinds of events name the request", events.len())),
    );
    Ok(id)
}

/// A request of anna's that boris and carla have approved; what carla was told.
pub fn approved(shift: &Shift<'_>) -> Result<(String, String)> {
    let id = ask(shift)?;
    shift.crew.run_as("boris", &["approve", &id])?.saying("needs 1")?;
    let told = shift.crew.run_as("carla", &["approve", &id])?;
    let told = told.saying("granted: ").or_else(|_| told.saying("missing: "))?;
    Ok((id, told))
}

/// A request of anna's; its id.
pub fn ask(shift: &Shift<'_>) -> Result<String> {
    id_of(&file(shift)?)
}

/// Runs `writ request` as anna.
pub fn file(shift: &Shift<'_>) -> Result<Finished> {
    let login = format!("--login={}", shift.host.login);
    let files = format!("--file=ro:{}/", text(&shift.crew.home)?);
    let host = format!("--host={NAME}");
    let ticket = format!("--ticket={TICKET}");
    let words = [
        "request",
        "--group=oncall",
        &host,
        &login,
        &ticket,
        "--reason=find out what fills the disk",
        "--basis=service",
        "--shell",
        &files,
        "--for=45m",
    ];
    shift.crew.run_as("anna", &words)
}

/// The id in what `writ request` printed.
pub fn id_of(filed: &Finished) -> Result<String> {
    let line = filed.saying("writ approve ")?;
    let id = line.split_whitespace().last().context("it names no request")?;
    Ok(id.to_owned())
}
