//! `writ watch …`: what the security organisation asks of its watch, over the socket in watch's own folder. No key
//! and no role of the control side has a part in it.

use std::path::PathBuf;
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

/// How many alarms are open, if this user may ask.
pub fn open_alarms(data: &std::path::Path) -> Option<u64> {
    let at = At { data: data.to_owned() };
    at.ask(&json!({ "op": "alarms" })).ok()?.get("open")?.as_u64()
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
        WatchCommand::Token { host, at } => {
            let token = at.ask(&json!({ "op": "token", "host": host.as_str() }))?;
            let Some(token) = token.as_str() else { bail!("watch gave no token") };
            println!("{token}");
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
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn alarms(answer: &Value) -> String {
    let mut out = String::new();
    for alarm in list(answer, "alarms") {
        let (number_, again) = (number(alarm, "number"), number(alarm, "again"));
        let (time, kind, host) = (text(alarm, "time"), text(alarm, "alarm"), text(alarm, "host"));
        let what = plain(text(alarm, "what"));
        out.push_str(&format!("{number_:>6}  {time}  {kind:18} {host:16} {what}"));
        if again > 0 {
            let (last, what) = (text(alarm, "last"), plain(text(alarm, "last_what")));
            out.push_str(&format!("\n        again {again} times, last {last}: {what}"));
        }
        if let Some(by) = alarm.get("acknowledged_by").and_then(Value::as_str) {
            out.push_str(&format!(" [noted by {} at {}]", plain(by), text(alarm, "acknowledged")));
        }
        out.push('\n');
    }
    out.push_str(&format!("{} open\n", number(answer, "open")));
    out
}

fn hosts(answer: &Value) -> String {
    let mut out = String::new();
    for host in list(answer, "hosts") {
        let enrolled = host.get("enrolled").and_then(Value::as_bool).unwrap_or_default();
        let state = match host.get("unwatched").and_then(Value::as_str) {
            _ if !enrolled => "removed".to_owned(),
            None => "watched".to_owned(),
            Some(why) => format!("NOT WATCHED: {}", plain(why)),
        };
        let (name, frames, epoch) =
            (text(host, "host"), number(host, "frames"), number(host, "epoch"));
        out.push_str(&format!("{name:16} {state}; {frames} frames, epoch {epoch}\n"));
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
