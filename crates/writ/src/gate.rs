//! `writ ssh` and `writ sessions`: how operators use the bastion, and what it has told of them.
//!
//! `writ ssh` is a convenience: it runs the stock `ssh` with the arguments that anybody may type.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use writ_model::Ulid;
use writ_proof::leaf::{Kind, Source};
use writ_proof::origin::LogName;
use writ_trail::reader::Reader;

use crate::up::data::ledger;
use crate::up::ready::{self, KNOWN_HOSTS_FILE};

/// `writ ssh …`.
#[derive(Clone, clap::Args)]
pub struct SshArgs {
    /// The login role and the host, such as `svc@web-1`.
    #[arg(value_name = "ROLE@HOST")]
    to: String,
    /// The data directory of a running `writ up`, which names the bastion and its key.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: PathBuf,
    /// The bastion instead, as NAME:PORT.
    #[arg(long, value_name = "ADDRESS", requires = "known_hosts")]
    bastion: Option<String>,
    /// The bastion's key for --bastion: a copy of DIR/known_hosts.
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
    /// Your enrolled key; those that `ssh` finds by itself without it.
    #[arg(long, value_name = "PATH")]
    key: Option<PathBuf>,
    /// What to run there; a shell without it.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `writ sessions …`.
#[derive(clap::Args)]
pub struct SessionsArgs {
    /// The data directory whose ledger is read.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: PathBuf,
    /// Those of one request alone.
    #[arg(long, value_name = "ID")]
    request: Option<Ulid>,
}

/// Becomes `ssh`; answers only if that cannot be started.
///
/// # Errors
/// What is wrong and what to do.
pub fn ssh(args: &SshArgs) -> Result<()> {
    if let Some(key) = &args.key {
        check_key(key)?;
    }
    let arguments = arguments(args)?;
    Err(exec(&arguments)).context("`ssh` cannot be started; install OpenSSH's client")
}

#[expect(clippy::disallowed_methods, reason = "the operator's own client is what connects")]
fn exec(arguments: &[OsString]) -> std::io::Error {
    std::process::Command::new("ssh").args(arguments).exec()
}

/// Without the private half its public one will do: that may be in the agent, or on a token.
fn check_key(key: &Path) -> Result<()> {
    let mut beside = key.as_os_str().to_owned();
    beside.push(".pub");
    if !key.is_file() && !Path::new(&beside).is_file() {
        bail!("there is no key `{}`: name your enrolled key with --key", key.display());
    }
    Ok(())
}

fn arguments(args: &SshArgs) -> Result<Vec<OsString>> {
    let to = args.to.split_once('@').filter(|(login, host)| !login.is_empty() && !host.is_empty());
    let (login, host) = to.context("say ROLE@HOST, such as `writ ssh svc@web-1`")?;
    let (address, known) = match (&args.bastion, &args.known_hosts) {
        (Some(address), Some(known)) => (address.clone(), known.clone()),
        _ => {
            let ready = ready::read(&args.data, "; or name --bastion and --known-hosts")?;
            (ready.bastion, std::path::absolute(args.data.join(KNOWN_HOSTS_FILE))?)
        }
    };
    let Some((name, port)) = address.rsplit_once(':') else {
        bail!("`{address}` is no address: say NAME:PORT");
    };
    let mut all: Vec<OsString> = Vec::new();
    let mut known_option = OsString::from("UserKnownHostsFile=");
    known_option.push(&known);
    for option in [known_option, "StrictHostKeyChecking=yes".into(), "ForwardAgent=no".into()] {
        all.extend(["-o".into(), option]);
    }
    if let Some(key) = &args.key {
        all.extend(["-o".into(), "IdentitiesOnly=yes".into(), "-i".into(), key.into()]);
    }
    all.extend(["-p".into(), port.into(), "-l".into(), format!("{login}+{host}").into()]);
    all.push(name.trim_start_matches('[').trim_end_matches(']').into());
    if !args.command.is_empty() {
        all.push("--".into());
        all.extend(args.command.iter().cloned());
    }
    Ok(all)
}

/// What the ledger tells of one session.
#[derive(Default)]
struct Told {
    person: String,
    to: String,
    request: String,
    began: String,
    end: Option<String>,
    refused: u64,
}

/// Lists the sessions that the operator log tells of.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn sessions(args: &SessionsArgs) -> Result<()> {
    let wanted = args.request.map(|id| id.to_string());
    let mut shown = 0;
    for (id, told) in read(args)? {
        if wanted.as_ref().is_some_and(|wanted| *wanted != told.request) {
            continue;
        }
        shown += 1;
        let end = told.end.as_deref().unwrap_or("has not ended");
        let refused = match told.refused {
            0 => String::new(),
            n => format!("; {n} things were refused in it"),
        };
        println!("{id}  {}  {}  {}  request {}", told.began, told.person, told.to, told.request);
        println!("    {end}{refused}");
    }
    if shown == 0 {
        println!("there were no sessions");
    }
    Ok(())
}

fn read(args: &SessionsArgs) -> Result<BTreeMap<String, Told>> {
    let reader = Reader::open(&ledger(&args.data)?)
        .with_context(|| format!("`{}` holds no ledger that can be read", args.data.display()))?;
    let size = reader.size(LogName::Operator)?;
    let mut sessions: BTreeMap<String, Told> = BTreeMap::new();
    for line in reader.lines(LogName::Operator, size) {
        let line = line?;
        if (line.leaf.kind, line.leaf.source) != (Kind::Event, Source::Bastion) {
            continue;
        }
        let record: Value = serde_json::from_slice(&line.record)?;
        let text = |name: &str| {
            let value = record.pointer(&format!("/requestParameters/{name}"));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let id = text("sessionId");
        let own = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        match own("eventName") {
            "StartSession" => {
                let told = sessions.entry(id).or_default();
                told.person = text("person");
                told.to = format!("{}@{}", text("login"), text("hostName"));
                told.request = text("accessRequestId");
                told.began = own("eventTime").to_owned();
            }
            "EndSession" => {
                let time = own("eventTime");
                let (reason, frames) = (text("reason"), text("frames"));
                let end = format!("ended {time}: {reason} ({frames} frames)");
                if let Some(told) = sessions.get_mut(&id) {
                    told.end = Some(end);
                }
            }
            "RefuseRequest" | "RefuseFileOperation" => {
                if let Some(told) = sessions.get_mut(&id) {
                    told.refused += 1;
                }
            }
            _ => {}
        }
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_gets_the_login_name_and_the_pinned_key() {
        let args = SshArgs {
            to: "svc@web-1".to_owned(),
            data: "writ-data".into(),
            bastion: Some("[::1]:2222".to_owned()),
            known_hosts: Some("known".into()),
            key: Some("id".into()),
            command: vec!["uptime".into()],
        };
        let all = arguments(&args).unwrap();
        let all: Vec<&str> = all.iter().map(|one| one.to_str().unwrap()).collect();
        assert_eq!(
            all.join(" "),
            "-o UserKnownHostsFile=known -o StrictHostKeyChecking=yes -o ForwardAgent=no \
             -o IdentitiesOnly=yes -i id -p 2222 -l svc+web-1 ::1 -- uptime"
        );
        assert!(check_key(Path::new("/no/such/key")).is_err());
        for to in ["web-1", "@web-1", "svc@"] {
            assert!(arguments(&SshArgs { to: to.to_owned(), ..args.clone() }).is_err(), "{to}");
        }
    }
}
