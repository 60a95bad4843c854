//! Chapter: the host's agent reports to watch, and watch notices when it does not.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use writ_model::limits::AGENT_KILLED_ALARM;
use writ_model::{Env as _, SystemEnv};

use super::super::site::{self, Site, write};
use super::super::story::Story;
use super::Shift;
use super::crew::text;
use super::host::NAME;

/// How long an agent may take until it is heard.
const HEARD_MAX: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// The host's agent. It is killed at the latest when this value goes.
pub struct Agent {
    child: Child,
    folder: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // After the attack this finds it dead.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Gives the host an agent, which follows the host's log.
pub fn enrol(story: &mut Story, shift: &Shift<'_>, site: &Site, base: &Path) -> Result<Agent> {
    story.about("C-09");
    let folder = base.join("agent");
    let token = shift.crew.run(&["watch", "token", NAME])?;
    let token = token.lines.first().context("watch gave no token")?.clone();
    let dir = text(&folder)?;
    let config = format!(
        "watch = \"{}\"\nspool-mib = 64\nsegment-mib = 1\n\n[[file]]\nname = \"sshd\"\npath = \"{}\"\n",
        site.ready.agents,
        text(&shift.host.log)?
    );
    std::fs::create_dir_all(&folder)?;
    write(&folder.join("agent.toml"), config.as_bytes())?;
    let logs = text(shift.host.log.parent().context("the log has no folder")?)?;
    let words = ["agent", "enroll", "--watch", &site.ready.agents, "--token", &token];
    site::run(&[&words[..], &["--dir", dir, "--readable", logs]].concat())?
        .saying("This host is")?;
    let child = site::start(&["agent", "run", "--dir", dir], &base.join("agent.log"))?;
    let agent = Agent { child, folder };
    let heard = wait("the agent to be heard", HEARD_MAX, || {
        Ok(hosts(shift)?.filter(|host| host.get("unwatched").is_none_or(Value::is_null)))
    });
    story.need("its agent reports to watch, under watch's own authority", heard, |(_, took)| {
        format!("heard after {:.1} s", took.as_secs_f64())
    })?;
    Ok(agent)
}

/// The chapter.
pub fn chapter(story: &mut Story, shift: &Shift<'_>, mut agent: Agent) -> Result<Agent> {
    story.chapter("Watch: independent, and awake", "C-09");
    let frames = wait("the host's log at watch", HEARD_MAX, || {
        let count = hosts(shift)?.and_then(|host| lines(&host)).unwrap_or_default();
        Ok((count > 0).then_some(count))
    });
    story.check(
        "watch holds what the host logged of the session",
        frames.map(|(count, _)| format!("{count} lines of its sshd's log")),
    );
    let status = site::run(&["agent", "status", "--dir", text(&agent.folder)?]);
    let status = status.and_then(|done| done.saying("acknowledged"));
    story.check("… and has acknowledged it after its fsync", status);
    agent.child.kill()?;
    let alarm = wait("an alarm", AGENT_KILLED_ALARM, || {
        let alarms = shift.crew.run(&["watch", "alarms"])?;
        Ok(alarms.saying("agent-killed").ok())
    });
    story.attack(
        "the agent is killed (kill -9)",
        alarm
            .map(|(alarm, took)| format!("alarm after {} ms: {}", took.as_millis(), words(&alarm))),
    );
    let health = shift.crew.run(&["watch", "health", NAME]);
    story.check(
        "the host counts as not watched",
        health.and_then(|done| done.refusing("NOT watched")),
    );
    let refused = wait("a refusal", HEARD_MAX, || {
        Ok(shift.door.refuses(shift.crew.soft("anna")?, &shift.login(), "is not watched now").ok())
    });
    story.attack("a login to a host that nobody watches", refused.map(|(why, _)| why));
    agent.child.wait()?;
    let log = agent.folder.with_file_name("agent.log");
    agent.child = site::start(&["agent", "run", "--dir", text(&agent.folder)?], &log)?;
    let again = wait("the host to be watched again", HEARD_MAX, || {
        Ok(shift.door.refuses(shift.crew.soft("anna")?, &shift.login(), "no grant lets").ok())
    });
    story.need("the agent runs again, and the bastion goes by it", again, |(_, took)| {
        format!("after {:.1} s", took.as_secs_f64())
    })?;
    Ok(agent)
}

/// What watch says of the host.
fn hosts(shift: &Shift<'_>) -> Result<Option<Value>> {
    let listed = shift.crew.run(&["watch", "hosts", "--json"])?;
    let answer: Value = serde_json::from_str(&listed.lines.join("\n"))
        .with_context(|| format!("watch answers strangely: {}", listed.lines.join(" ")))?;
    let hosts = answer.get("hosts").and_then(Value::as_array).into_iter().flatten();
    let own = |host: &&Value| host.get("host").and_then(Value::as_str) == Some(NAME);
    Ok(hosts.into_iter().find(own).cloned())
}

/// Frames of the host's own log.
fn lines(host: &Value) -> Option<u64> {
    let mut sources = host.get("sources")?.as_array()?.iter();
    let sshd = sources.find(|one| one.get("name").and_then(Value::as_str) == Some("sshd"))?;
    sshd.get("frames")?.as_u64()
}

/// An alarm without number and time.
fn words(alarm: &str) -> String {
    alarm.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
}

/// Looks until there is something; how long it took.
fn wait<T>(
    what: &str,
    most: Duration,
    look: impl Fn() -> Result<Option<T>>,
) -> Result<(T, Duration)> {
    let began = SystemEnv.monotonic();
    loop {
        let found = look()?;
        let took = SystemEnv.monotonic().saturating_sub(began);
        match found {
            Some(found) => return Ok((found, took)),
            None if took > most => bail!("{what}: nothing after {:.1} s", took.as_secs_f64()),
            None => std::thread::sleep(POLL),
        }
    }
}
