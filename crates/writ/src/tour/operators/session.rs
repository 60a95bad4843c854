//! Chapter: anna works on the host, through the bastion, until somebody ends it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use writ_model::{Env as _, SystemEnv};

use super::super::search::search;
use super::super::site::write;
use super::super::story::Story;
use super::crew::text;
use super::trace::parameter;
use super::{Shift, playback, sftp};

/// From the end of a grant to the end of its sessions (C-08).
pub const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// What the host prints; it must turn up in no file but the session's own end.
pub const MARKER: &str = "what-the-host-prints-4711";
/// How long the ledger's files may be behind.
const BEHIND_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// The chapter.
pub fn chapter(story: &mut Story, shift: &Shift<'_>, request: &str) -> Result<()> {
    story.chapter("A session: recorded before anything is forwarded", "C-06");
    let command = format!("echo {MARKER}; exit 0");
    let said = shift.enter("anna").and_then(|visit| visit.run(&command));
    let said = said.and_then(|said| {
        ensure!(said.trim() == MARKER, "the host said `{said}`");
        Ok(format!("`echo` on the host printed {} bytes", said.len()))
    });
    story.need("anna is in, and runs a command", said, String::clone)?;
    let start =
        shift.trace.event("StartSession", |event| parameter(event, "accessRequestId") == request);
    let what = "the ledger names the request, the session and the person";
    let start = story.need(what, start, |event| {
        format!("session {}, {}", parameter(event, "sessionId"), parameter(event, "person"))
    })?;
    story.about("C-07");
    story.check("the host's own log names them, too", named_by_host(shift, request));
    files(story, shift)?;
    story.about("C-06");
    let recordings = search(&shift.crew.data.join("bastion"), MARKER.as_bytes());
    let refused = recordings.and_then(|found| found.found_nothing());
    story.attack("reading the recording off the disk", refused);
    playback::steps(story, shift, parameter(&start, "sessionId"))?;
    revoked(story, shift, request)?;
    story.about("C-07");
    story.check("`writ sessions` tells how each one ended", listed(shift, request));
    Ok(())
}

fn named_by_host(shift: &Shift<'_>, request: &str) -> Result<String> {
    let log = std::fs::read_to_string(&shift.host.log)?;
    let name = format!("req={request};user=anna;ses=");
    let line = log.lines().find(|line| line.contains(&name)).context("it does not")?;
    let id = line.split_whitespace().find(|word| word.contains(&name));
    Ok(id.unwrap_or(line).trim_matches('"').to_owned())
}

/// A file that the grant gives, and one that it does not.
fn files(story: &mut Story, shift: &Shift<'_>) -> Result<()> {
    story.about("C-05");
    let note = shift.crew.home.join("note");
    write(&note, b"a note on the host\n")?;
    let get = |path: &str| -> Result<Vec<u8>> {
        let visit = shift.enter("anna")?;
        let channel = visit.sftp()?;
        visit.wait("the file", sftp::read(&channel, path))
    };
    let read = get(text(&note)?).and_then(|bytes| {
        ensure!(bytes == b"a note on the host\n", "{} other bytes came", bytes.len());
        Ok(format!("{} bytes over SFTP", bytes.len()))
    });
    story.check("a file that the grant names", read);
    shift.trace.begin()?;
    let refused = match get("/etc/hostname") {
        Ok(bytes) => bail!("IT CAME: {} bytes", bytes.len()),
        Err(error) => Ok(format!("{error:#}")),
    };
    let refused = shift.trace.of(refused, "RefuseFileOperation");
    story.attack("a file that it does not name", refused);
    Ok(())
}

/// A running session ends with its grant.
fn revoked(story: &mut Story, shift: &Shift<'_>, request: &str) -> Result<()> {
    story.about("C-08");
    let visit = shift.enter("anna")?;
    let running = visit.begin();
    let _running = story
        .need("a session that runs", running, |_| "a program on the host answers".to_owned())?;
    shift.crew.run_as("carla", &["revoke", request])?.saying("has ended")?;
    let ended = visit.ends(ENDS_WITHIN);
    story.check(
        "carla revokes: the running session dies",
        ended
            .map(|(said, took)| format!("{} ms after the command, told: {said}", took.as_millis())),
    );
    let refused = shift.is_refused("anna", &shift.login(), "no grant lets `anna` log in");
    story.attack("a session after the revocation", refused);
    Ok(())
}

fn listed(shift: &Shift<'_>, request: &str) -> Result<String> {
    let began = SystemEnv.monotonic();
    loop {
        let done = shift.crew.run(&["sessions", "--request", request])?;
        let ended = done.lines.iter().filter(|line| line.contains("ended ")).count();
        let open = done.lines.iter().filter(|line| line.contains("has not ended")).count();
        if ended > 0 && open == 0 {
            let revoked = done.saying("revoked")?;
            return Ok(format!("{ended} sessions; the last one: {revoked}"));
        }
        if SystemEnv.monotonic().saturating_sub(began) > BEHIND_MAX {
            bail!("{ended} ended, {open} did not: {}", done.lines.join(" "));
        }
        std::thread::sleep(POLL);
    }
}
