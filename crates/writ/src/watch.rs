//! `writ watch …`: what the security organisation asks of its watch, over the socket in watch's own folder. No key
//! and no role of the control side has a part in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use writ_proof::roster::HostName;

/// The subcommands.
#[derive(Subcommand)]
pub enum WatchCommand {
    /// List alarms that nobody has taken note of.
    Alarms {
        /// Those that somebody has taken note of, too.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Take note of an alarm.
    Ack {
        /// Its number.
        alarm: u64,
        /// Who you are.
        #[arg(long, value_name = "NAME")]
        by: String,
        #[command(flatten)]
        at: At,
    },
    /// Raise an alarm that means nothing, to see whether it reaches everybody.
    Test {
        /// Who you are.
        #[arg(long, value_name = "NAME")]
        by: String,
        #[command(flatten)]
        at: At,
    },
    /// Show what happened in a day: who had which access, what they did, and which alarms are open.
    ///
    /// Example: writ watch summary --day 2026-11-21 --manager boris --html summary.html
    Summary {
        /// The day in UTC, such as 2026-11-22; today without.
        #[arg(long, value_name = "DAY")]
        day: Option<String>,
        /// Only the people whom `watch.toml` says are this manager's.
        #[arg(long, value_name = "PERSON")]
        manager: Option<String>,
        /// Write it as HTML into this file instead of printing it.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
    /// List hosts, whether they are watched now, and what their agents cannot read.
    Hosts {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Say whether a host is watched now.
    Health {
        /// Its name.
        host: HostName,
        #[command(flatten)]
        at: At,
    },
    /// Sign what a host is to report. Its agent gets it at once, and reads it when it is started again.
    ///
    /// Example: writ watch configure web-1 --file web-1.toml --by dora
    Configure {
        /// The host; it need not be enrolled yet.
        host: HostName,
        /// The configuration, as docs/watch.md describes it.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Who you are.
        #[arg(long, value_name = "NAME")]
        by: String,
        #[command(flatten)]
        at: At,
    },
    /// Print what a host is to report, as it was signed last.
    Config {
        /// The host.
        host: HostName,
        #[command(flatten)]
        at: At,
    },
    /// Make a one-time token by which a host enrols, good for an hour.
    Token {
        /// The name that the host shall have.
        host: HostName,
        #[command(flatten)]
        at: At,
    },
    /// Expect a host's agent to stop.
    Window {
        /// The host.
        host: HostName,
        /// For how long, from now on.
        #[arg(long, value_name = "MINUTES")]
        minutes: u64,
        /// Who you are.
        #[arg(long, value_name = "NAME")]
        by: String,
        #[command(flatten)]
        at: At,
    },
    /// Let a host's agent connect no more.
    Remove {
        /// The host.
        host: HostName,
        /// Who you are.
        #[arg(long, value_name = "NAME")]
        by: String,
        #[command(flatten)]
        at: At,
    },
}

/// Where watch is.
#[derive(Args)]
pub struct At {
    /// The data directory; watch's folder is in it.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: PathBuf,
}

impl At {
    fn folder(&self) -> PathBuf {
        self.data.join("watch")
    }

    fn ask(&self, request: &Value) -> Result<Value> {
        let answer = writ_watch::control::ask(&self.folder(), request).with_context(|| {
            format!(
                "watch of `{}` cannot be asked: it must run, and you must be root or watch's own user",
                self.data.display()
            )
        })?;
        answer.map_err(|why| anyhow::anyhow!("watch refuses: {why}"))
    }
}

/// Does it.
#[expect(clippy::print_stdout, reason = "this is what the commands are for")]
pub fn run(command: WatchCommand) -> Result<ExitCode> {
    match command {
        WatchCommand::Alarms { all, json, at } => {
            let answer = at.ask(&json!({ "op": "alarms", "all": all }))?;
            print!("{}", if json { format!("{answer}\n") } else { alarms(&answer) });
        }
        WatchCommand::Ack { alarm, by, at } => {
            at.ask(&json!({ "op": "ack", "alarm": alarm, "by": by }))?;
            println!("alarm {alarm} is taken note of by {by}");
        }
        WatchCommand::Test { by, at } => {
            at.ask(&json!({ "op": "test", "by": by }))?;
            println!("raised; `writ watch alarms` says who has not got it yet");
        }
        WatchCommand::Summary { day, manager, html, at } => {
            summary(&at, day.as_deref(), manager.as_deref(), html.as_deref())?;
        }
        WatchCommand::Hosts { json, at } => {
            let answer = at.ask(&json!({ "op": "hosts" }))?;
            print!("{}", if json { format!("{answer}\n") } else { hosts(&answer) });
        }
        WatchCommand::Health { host, at } => {
            match writ_watch::control::health(&at.folder(), &host)? {
                writ_watch::Health::Healthy => println!("`{host}` is watched"),
                writ_watch::Health::Unwatched(why) => {
                    println!("`{host}` is NOT watched: {why}");
                    return Ok(ExitCode::from(3));
                }
            }
        }
        WatchCommand::Configure { host, file, by, at } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read `{}`", file.display()))?;
            writ_agent::Config::parse(&text)
                .map_err(|why| anyhow::anyhow!("`{}` is not sound: {why}", file.display()))?;
            let request = json!({
                "op": "configure", "host": host.as_str(), "by": by, "config": text
            });
            println!("{}", configured(&host, &at.ask(&request)?));
        }
        WatchCommand::Config { host, at } => {
            let answer = at.ask(&json!({ "op": "config", "host": host.as_str() }))?;
            let by = answer.get("by").and_then(Value::as_str);
            let by =
                by.map_or("proposed at its enrolment".to_owned(), |by| format!("by {}", plain(by)));
            println!("# configuration {} of `{host}`, {by}", number(&answer, "serial"));
            print!("{}", text(&answer, "config"));
        }
        WatchCommand::Token { host, at } => {
            let token = at.ask(&json!({ "op": "token", "host": host.as_str() }))?;
            let Some(token) = token.as_str() else { bail!("watch gave no token") };
            println!("{token}");
            invite(&host, &at.data);
        }
        WatchCommand::Window { host, minutes, by, at } => {
            let request =
                json!({ "op": "window", "host": host.as_str(), "minutes": minutes, "by": by });
            let answer = at.ask(&request)?;
            let until = answer.get("until").and_then(Value::as_str).unwrap_or_default();
            println!("the agent of `{host}` may stop until {until}");
        }
        WatchCommand::Remove { host, by, at } => {
            at.ask(&json!({ "op": "remove", "host": host.as_str(), "by": by }))?;
            println!("`{host}` is managed no more");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn configured(host: &HostName, answer: &Value) -> String {
    let serial = number(answer, "serial");
    if answer.get("enrolled").and_then(Value::as_bool).unwrap_or_default() {
        format!("signed as configuration {serial} of `{host}`; start its agent again for it")
    } else {
        format!(
            "signed as configuration {serial} of `{host}`, which is not enrolled yet: `writ watch token {host}`"
        )
    }
}

/// Says what to do with a token, beside it: standard output is the token alone.
#[expect(clippy::print_stderr, reason = "a hint to people")]
fn invite(host: &HostName, data: &Path) {
    let ready = std::fs::read(data.join(crate::up::ready::FILE)).ok();
    let ready = ready.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let address = ready.as_ref().and_then(|ready| ready.get("agents")).and_then(Value::as_str);
    let address = plain(address.filter(|address| !address.is_empty()).unwrap_or("HOST:PORT"));
    eprintln!(
        "for {host}, good for an hour; on the host: writ agent enroll --watch {address} --token ..."
    );
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn summary(at: &At, day: Option<&str>, manager: Option<&str>, html: Option<&Path>) -> Result<()> {
    let answer = at.ask(&json!({ "op": "summary", "day": day, "manager": manager }))?;
    match html {
        Some(path) => {
            std::fs::File::create(path)
                .and_then(|mut file| file.write_all(text(&answer, "html").as_bytes()))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("{} is in `{}`", text(&answer, "subject"), path.display());
        }
        None => print!("{}", text(&answer, "text").replace("\r\n", "\n")),
    }
    Ok(())
}

fn list<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// A text of a host or of a peer, without what a terminal would act on.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn alarms(answer: &Value) -> String {
    let mut out = String::new();
    for alarm in list(answer, "alarms") {
        let (number_, again) = (number(alarm, "number"), number(alarm, "again"));
        let (time, kind, host) = (text(alarm, "time"), text(alarm, "alarm"), text(alarm, "host"));
        let (what, severity) = (plain(text(alarm, "what")), text(alarm, "severity"));
        let detector = text(alarm, "detector");
        out.push_str(&format!(
            "{number_:>6}  {time}  {severity:7} {detector:4}  {kind:20} {host:16} {what}"
        ));
        if again > 0 {
            let (last, what) = (text(alarm, "last"), plain(text(alarm, "last_what")));
            out.push_str(&format!("\n        again {again} times, last {last}: {what}"));
        }
        if let Some(by) = alarm.get("acknowledged_by").and_then(Value::as_str) {
            out.push_str(&format!(" [noted by {} at {}]", plain(by), text(alarm, "acknowledged")));
        }
        if alarm.get("acknowledged_by").is_none_or(Value::is_null) {
            out.push_str(&format!("\n        do first: {}", text(alarm, "todo")));
        }
        for owing in list(alarm, "undelivered") {
            let (channel, tries) = (text(owing, "channel"), number(owing, "tries"));
            let why = plain(owing.get("fault").and_then(Value::as_str).unwrap_or("under way"));
            out.push_str(&format!("\n        NOT DELIVERED to {channel} ({tries} tries: {why})"));
        }
        out.push('\n');
    }
    for channel in list(answer, "channels") {
        let (name, kind) = (text(channel, "channel"), text(channel, "kind"));
        let state = match channel.get("fault").and_then(Value::as_str) {
            None => "ok".to_owned(),
            Some(why) => format!("FAILS: {}", plain(why)),
        };
        let waiting = number(channel, "waiting");
        out.push_str(&format!("{kind} {name}: {state}, {waiting} wait\n"));
    }
    if list(answer, "channels").next().is_none() {
        out.push_str(
            "NOBODY IS TOLD: name whom in `watch.toml` of watch's folder (docs/watch.md)\n",
        );
    }
    out.push_str(&format!("{} open\n", number(answer, "open")));
    match number(answer, "unwatched") {
        0 => {}
        1 => out.push_str("1 host is NOT WATCHED: `writ watch hosts`\n"),
        many => out.push_str(&format!("{many} hosts are NOT WATCHED: `writ watch hosts`\n")),
    }
    out
}

/// What an agent's processes could not give up; nothing while it is not known.
fn hardening(host: &Value) -> String {
    let refused: String = list(host, "hardening")
        .filter_map(|measure| {
            let why = measure.get("fault").and_then(Value::as_str)?;
            Some(format!("  {:14} NOT CONFINED: {}\n", plain(text(measure, "name")), plain(why)))
        })
        .collect();
    let is_known = list(host, "hardening").next().is_some();
    match refused.is_empty() {
        true if is_known => format!("  {:14} confined\n", "processes"),
        _ => refused,
    }
}

fn hosts(answer: &Value) -> String {
    let mut out = String::new();
    if list(answer, "hosts").next().is_none() {
        out.push_str("no host is enrolled: `writ watch token HOST`\n");
    }
    for host in list(answer, "hosts") {
        let is = |name: &str| host.get(name).and_then(Value::as_bool).unwrap_or_default();
        if !is("ever_enrolled") {
            out.push_str(&format!("{:16} not enrolled yet\n", text(host, "host")));
            continue;
        }
        let state = match host.get("unwatched").and_then(Value::as_str) {
            _ if !is("enrolled") => "removed".to_owned(),
            None => "watched".to_owned(),
            Some(why) => format!("NOT WATCHED: {}", plain(why)),
        };
        let (name, frames, epoch) =
            (text(host, "host"), number(host, "frames"), number(host, "epoch"));
        out.push_str(&format!("{name:16} {state}; {frames} frames, epoch {epoch}\n"));
        out.push_str(&hardening(host));
        if is("waits_for_restart") {
            let serial = number(host, "configuration");
            out.push_str(&format!(
                "  {:14} {serial} waits for a restart of the agent\n",
                "configuration"
            ));
        }
        for source in list(host, "sources") {
            let fault = source.get("fault").and_then(Value::as_str);
            let fault =
                fault.map_or_else(|| "ok".to_owned(), |why| format!("FAULT: {}", plain(why)));
            let (name, frames) = (text(source, "name"), number(source, "frames"));
            out.push_str(&format!("  {:14} {frames} frames, {fault}\n", plain(name)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_none_or_not_enrolled_yet_say_what_to_do() {
        let none = hosts(&json!({ "hosts": [] }));
        assert_eq!(none, "no host is enrolled: `writ watch token HOST`\n");
        let host = json!({ "host": "web-9", "enrolled": false, "ever_enrolled": false });
        assert_eq!(hosts(&json!({ "hosts": [host] })), "web-9            not enrolled yet\n");
        let host = json!({ "host": "web-1", "enrolled": false, "ever_enrolled": true });
        assert!(hosts(&json!({ "hosts": [host] })).contains("removed; 0 frames"));
        let name: HostName = "web-9".parse().unwrap();
        assert_eq!(
            configured(&name, &json!({ "serial": 1, "enrolled": false })),
            "signed as configuration 1 of `web-9`, which is not enrolled yet: `writ watch token web-9`"
        );
    }

    #[test]
    fn alarms_end_with_the_hosts_that_are_not_watched() {
        let shown = |count: u64| alarms(&json!({ "open": 0, "unwatched": count }));
        assert!(shown(0).ends_with("0 open\n"));
        assert!(shown(1).ends_with("0 open\n1 host is NOT WATCHED: `writ watch hosts`\n"));
        assert!(shown(2).ends_with("2 hosts are NOT WATCHED: `writ watch hosts`\n"));
    }
}
