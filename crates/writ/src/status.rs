//! `writ status`, `writ config check` and the banner of a start: what runs, and what it cannot promise.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use writ_model::{Env as _, SystemEnv};
use writ_watch::word::{STALE, Word};

use crate::front::alarms::Alarms;
use crate::roster::client::{Client, KeydState, State};
use crate::up::config::Config;
use crate::up::data::{is_held, silence};
use crate::up::plan::WORD_FOLDER;
use crate::up::ready::{self, Ready};
use crate::watch::plain;

/// What mode `dev` on one machine does not give, in plain words.
const NOT_PROMISED: [&str; 6] = [
    "C-01: mode dev keeps the root key in a file: whoever reads the disk has the keys",
    "C-01, C-02: root on this machine can read the processes' memory",
    "C-04: all witnesses are the provider's own unless writ.toml names others",
    "C-09: one supervisor starts all, so the machine's root can switch the watching off",
    "C-09: what a host reports after root is taken on it is worth nothing; what watch held before is",
    "rollback: descriptors are fresh only against those seen since keyd's start",
];

/// What a person sees when everything serves.
pub fn banner(ready: &Ready, data: &Path) -> String {
    let path = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let credentials = std::fs::metadata(path.join("credentials"));
    let none = credentials.is_ok_and(|credentials| credentials.len() == 0);
    let hint =
        if none { "\n  (there is no account yet: start with --account 123456789012)" } else { "" };
    let data = path.display();
    format!(
        "writ serves (mode {}).\n  \
         IAM, STS, KMS, CloudTrail  {}\n  \
         S3                         {}\n  \
         Console                    {}\n  \
         Bastion, for `writ ssh`    {}\n  \
         Agents of managed hosts    {}\n  \
         HTTPS on the same ports    AWS_CONFIG_FILE={data}/config-tls, or trust {data}/ca.pem\n  \
         genesis SHA-256            {}\n\n\
         Use it:\n  \
         export AWS_CONFIG_FILE={data}/config AWS_SHARED_CREDENTIALS_FILE={data}/credentials\n  \
         export AWS_DATA_PATH={data}/models\n  \
         aws --profile ACCOUNT sts get-caller-identity{hint}\n\n\
         `writ status --data {data}` says what this mode cannot promise. Ctrl-C stops.",
        ready.mode,
        ready.endpoint,
        ready.s3,
        ready.console,
        ready.bastion,
        ready.agents,
        ready.genesis
    )
}

/// Prints what runs in `data`; the exit code is 0 if all of it does.
///
/// # Errors
/// Nothing serves the directory, or it cannot be known.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn show(data: &Path) -> Result<ExitCode> {
    if !is_held(data)? {
        return Err(silence(data));
    }
    let ready = ready::read(data, "")?;
    let (text, all) = describe(&ready, &roster(&ready), &alarms(data));
    print!("{text}");
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What runs, and whether all of it does.
fn describe(ready: &Ready, roster: &str, alarms: &str) -> (String, bool) {
    let mut text = format!(
        "mode       {}\nendpoint   {}\ns3         {}\nconsole    {}\nbastion    {}\nagents     {}\n\
         watch      {}\ngenesis    {}\n\nprocesses\n",
        ready.mode,
        ready.endpoint,
        ready.s3,
        ready.console,
        ready.bastion,
        ready.agents,
        ready.watch,
        ready.genesis
    );
    let mut all = true;
    let roles: BTreeSet<&String> = ready.hardening.keys().chain(ready.pids.keys()).collect();
    for role in roles {
        let pid = ready.pids.get(role).copied().filter(|pid| is_role(*pid, role));
        all &= pid.is_some();
        let (pid, state) = match pid {
            Some(pid) => (pid.to_string(), "runs"),
            None => ("-".to_owned(), "does not run; it is being restarted"),
        };
        // Writing into a string cannot fail.
        writeln!(text, "  {role:10} {pid:>7}  {state}").ok();
    }
    writeln!(text, "\nroster\n  {roster}").ok();
    writeln!(text, "\nalarms\n  {alarms}").ok();
    text.push_str("\nguards (what this machine refuses is said so)\n");
    for (role, measures) in &ready.hardening {
        for (name, value) in measures {
            writeln!(text, "  {role:10} {name:20} {value}").ok();
        }
    }
    text.push_str("\nnot promised in this mode\n");
    for line in NOT_PROMISED {
        writeln!(text, "  {line}").ok();
    }
    if cfg!(feature = "failpoints") {
        text.push_str("\nTHIS IS A TEST BUILD: it has failpoints and must not hold real data\n");
    }
    (text, all)
}

/// What watch's word says: how many alarms are open, whether they reach people, and which hosts are not watched. More of
/// watch is not the control side's to see.
fn alarms(data: &Path) -> String {
    let word = std::fs::read(data.join(crate::up::genesis::FILE))
        .map_err(anyhow::Error::from)
        .and_then(|genesis| Alarms::new(&data.join(WORD_FOLDER), &genesis)?.word());
    match word {
        Ok(word) => {
            let age = word.age(SystemEnv.now());
            describe_word(&word, age, data).join("\n  ")
        }
        Err(error) => format!("NOT KNOWN: {error:#}"),
    }
}

fn describe_word(word: &Word, age: Duration, data: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    if age > STALE {
        lines.push(format!("WATCH IS NOT HEARD: its last word is {} s old", age.as_secs()));
    }
    lines.push(match word.open {
        0 => "none is open".to_owned(),
        open => format!("{open} OPEN: `writ watch alarms --data {}` lists them", data.display()),
    });
    if word.channels.is_empty() {
        lines.push("NOBODY IS TOLD: watch.toml names nobody (docs/watch.md)".to_owned());
    }
    if word.undelivered > 0 {
        lines.push(format!("{} NOT DELIVERED to everybody yet", word.undelivered));
    }
    for channel in &word.channels {
        if let Some(why) = &channel.fault {
            lines.push(format!("{} `{}` FAILS: {}", channel.kind, channel.name, plain(why)));
        }
    }
    for host in &word.hosts {
        if let Some(why) = &host.unwatched {
            lines.push(format!("host {} is NOT WATCHED: {}", host.host, plain(why)));
        }
    }
    lines
}

/// One line on the roster.
fn roster(ready: &Ready) -> String {
    let state = Client::new(&ready.endpoint, Some(&ready.ca)).and_then(|client| client.state());
    match state {
        Err(error) => format!("not known: {error:#}"),
        Ok(State { seq, keyd: None }) => format!("statement {seq}; keyd does not answer"),
        Ok(State { keyd: Some(KeydState { fault: Some(why), .. }), .. }) => {
            format!("REFUSED by keyd, so operators can do nothing: {why}")
        }
        Ok(State { seq, keyd: Some(keyd) }) => format!("statement {seq}, keyd at {}", keyd.seq),
    }
}

/// True if process `pid` is what `ready.json` says: ids are used again.
fn is_role(pid: u32, role: &str) -> bool {
    let line = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
    let line = line.unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).skip(1);
    match role {
        "supervisor" => words.any(|word| word == b"up"),
        role => words.next() == Some(b"role") && words.next() == Some(role.as_bytes()),
    }
}

/// Says whether a configuration is sound.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn check_config(path: &Path) -> Result<()> {
    let file = if path.is_dir() { path.join(crate::up::config::FILE) } else { path.to_owned() };
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read `{}`", file.display()))?;
    Config::parse(&text).with_context(|| format!("`{}` is not sound", file.display()))?;
    println!("`{}` is sound", file.display());
    Ok(())
}
