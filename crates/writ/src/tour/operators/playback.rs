//! The part of the session's chapter that reads its recording: others must agree to that, too.

use anyhow::Result;

use super::super::story::Story;
use super::Shift;
use super::request::{TICKET, id_of};
use super::session::MARKER;

/// dora reads the recording of a session of anna's.
pub fn steps(story: &mut Story, shift: &Shift<'_>, session: &str) -> Result<()> {
    story.about("C-05");
    shift.trace.begin()?;
    let refused = play(shift, session).and_then(|done| done.refusing("no grant lets you read"));
    let refused = refused.and_then(|refused| {
        // It is refused before anything is opened; that she looked is told all the same.
        shift.trace.event("ReadSessions", |_| true)?;
        Ok(format!("{refused}\nin the ledger: ReadSessions"))
    });
    story.attack("dora plays the recording", refused);
    let ticket = format!("--ticket={TICKET}");
    let ask = ["request", "--group=review", "--playback", session, &ticket];
    let why = ["--reason=what was changed", "--basis=review", "--for=1h"];
    let id = id_of(&shift.crew.run_as("dora", &[&ask[..], &why].concat())?)?;
    shift.crew.run_as("boris", &["approve", &id])?.saying("needs 1")?;
    shift.crew.run_as("carla", &["approve", &id])?.saying("granted: ")?;
    story.about("C-06");
    let played = play(shift, session).and_then(|done| {
        let how = done.saying("verified: ")?;
        Ok(format!("{}\n{how}", done.saying(MARKER)?))
    });
    story.check("… after two others have agreed to it", played);
    Ok(())
}

fn play(shift: &Shift<'_>, session: &str) -> Result<super::super::site::Finished> {
    shift.crew.run_as("dora", &["play", session, "--list"])
}
