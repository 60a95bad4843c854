//! `writ agent pin`, `execute` and what they start: the agent's part that runs runbooks. It asks front for orders and
//! believes keyd alone, by the key that the pinned genesis names.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use writ_agent::runbook::program::{self, Supervisor};
use writ_agent::runbook::{Executor, Limits, Ordered, Orders, host_key, stage};
use writ_model::{Env as _, SystemEnv, Ulid};
use writ_proof::Hash;
use writ_proof::cbor;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::roster::{HostName, Roster};
use writ_proof::runbook::{Cause, Ended};
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_proof::statement::Signed;

use crate::front::runs::api::ORDERS;
use crate::front::runs::host::RUN;
use crate::roster::client::Client;
use crate::roster::sign;
use crate::up::data::write_durably;

/// Where orders come from, and by what they are judged.
const CONFIG_FILE: &str = "runs.toml";
/// The pinned genesis statement.
const GENESIS_FILE: &str = "genesis";
/// The authority of front's certificate.
const CA_FILE: &str = "front-ca.pem";
/// How long it waits before it asks again a front that does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Runbooks on a managed host.
#[derive(clap::Subcommand)]
pub enum RunnerCommand {
    /// Pin the installation whose orders this host runs, once.
    #[command(
        after_help = "Example:\n  writ agent pin --host web-1 --front https://writ.example:8440 --ca ./ca.pem \
        --genesis SHA256 --dir /var/lib/writ-agent\n\n\
        SHA256 is that of the genesis statement, which names keyd's key for run orders; take it from where you trust it,\n\
        and not from the front that it is to judge. The host proves itself by sshd's own key, as the roster has it."
    )]
    Pin {
        /// This host's name in the roster.
        #[arg(long)]
        host: HostName,
        /// front's listener, such as `https://writ.example:8440`.
        #[arg(long, value_name = "URL")]
        front: String,
        /// The authority of its certificate.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// SHA-256 of the genesis statement.
        #[arg(long, value_name = "SHA256")]
        genesis: Hash,
        /// sshd's private key: `ssh-ed25519`, without passphrase.
        #[arg(long, value_name = "PATH", default_value = "/etc/ssh/ssh_host_ed25519_key")]
        host_key: PathBuf,
        /// The agent's folder; it is made.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/writ-agent")]
        dir: PathBuf,
    },
    /// Run the runbooks that are ordered for this host, in the foreground.
    #[command(after_help = "Example:\n  writ agent execute --dir /var/lib/writ-agent\n\n\
        DIR/runs/runs.log tells of every run and refusal; name it under [[file]] in what watch signs for this host, and watch holds it.")]
    Execute {
        /// The folder that `writ agent pin` made.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/writ-agent")]
        dir: PathBuf,
    },
    /// The last step before a runbook's program.
    #[command(hide = true)]
    Stage {
        #[arg(long)]
        user: u32,
        #[arg(long)]
        group: u32,
        #[arg(long)]
        seconds: u32,
        #[arg(long)]
        memory_mib: u32,
        #[arg(long)]
        acts: bool,
        #[arg(long)]
        cgroup: Option<String>,
        #[arg(long)]
        name: String,
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// The program of a runbook that comes with Writ; it answers on descriptor 3.
    #[command(hide = true)]
    Program {
        #[command(subcommand)]
        program: Program,
    },
}

/// The programs that come with Writ.
#[derive(clap::Subcommand)]
pub enum Program {
    DiskUsage {
        #[arg(long)]
        mount: String,
    },
    ServiceStatus(Service),
    ServiceRestart(Service),
}

/// A service, and who looks after it.
#[derive(clap::Args)]
pub struct Service {
    #[arg(long)]
    supervisor: String,
    #[arg(long, default_value = "/etc/service")]
    folder: String,
    #[arg(long)]
    service: String,
}

/// `runs.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    host: String,
    front: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    genesis: String,
    host_key: PathBuf,
}

/// What a host is pinned to.
struct Pin {
    host: HostName,
    front: String,
    ca: Option<PathBuf>,
    genesis: Hash,
    host_key: PathBuf,
}

/// Does it.
pub fn run(command: RunnerCommand) -> Result<ExitCode> {
    match command {
        RunnerCommand::Pin { host, front, ca, genesis, host_key, dir } => {
            pin(&Pin { host, front, ca, genesis, host_key }, &dir)?;
        }
        RunnerCommand::Execute { dir } => match execute(&dir)? {},
        RunnerCommand::Stage {
            user,
            group,
            seconds,
            memory_mib,
            acts,
            cgroup,
            name,
            arguments,
        } => {
            let limits = Limits { user: (user, group), seconds, memory_mib, acts, cgroup };
            match stage::become_program(&limits, &name, &arguments)? {}
        }
        RunnerCommand::Program { program } => {
            let answer = answer(&program).map_err(anyhow::Error::msg)?;
            let mut out =
                std::fs::File::from(writ_keyd_client::arena::inherited_fd(stage::ANSWER_FD)?);
            out.write_all(answer.to_string().as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(program: &Program) -> Result<Value, String> {
    let of = |service: &Service| {
        let known = Supervisor::ALL.into_iter().find(|known| known.as_str() == service.supervisor);
        known.ok_or_else(|| "the supervisors are runit and systemd".to_owned())
    };
    match program {
        Program::DiskUsage { mount } => program::disk_usage(mount),
        Program::ServiceStatus(s) => program::service_status(of(s)?, &s.folder, &s.service),
        Program::ServiceRestart(s) => program::service_restart(of(s)?, &s.folder, &s.service),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn pin(config: &Pin, dir: &Path) -> Result<()> {
    let key = host_key(&config.host_key)?;
    let client = Client::new(&config.front, config.ca.as_deref())?;
    let (genesis, statements) = client.roster()?;
    let (_, roster) = Roster::replay(&genesis, Some(config.genesis), &statements)
        .context("front's roster does not follow the genesis that you named")?;
    let known = roster.host(&config.host).with_context(|| {
        format!("the roster has no host `{}`: `writ roster propose add-host`", config.host)
    })?;
    if known.key != SshPublicKey::Ed25519(key.public_key().0) {
        bail!(
            "the roster has another key of `{}` than {}; name the one that sshd uses with --host-key",
            config.host,
            config.host_key.display()
        );
    }
    std::fs::create_dir_all(dir)?;
    let dir = std::path::absolute(dir)?;
    let kept = match &config.ca {
        None => None,
        Some(ca) => {
            let text = std::fs::read(ca)?;
            write_durably(&dir.join(CA_FILE), &text, 0o644)?;
            Some(dir.join(CA_FILE))
        }
    };
    let (host, front) = (config.host.to_string(), config.front.clone());
    let host_key = std::path::absolute(&config.host_key)?;
    let genesis_digest = config.genesis.to_string();
    let config = Config { host, front, ca: kept, genesis: genesis_digest, host_key };
    write_durably(&dir.join(GENESIS_FILE), &genesis.to_bytes(), 0o644)?;
    let text = toml::to_string(&config)?;
    write_durably(&dir.join(CONFIG_FILE), text.as_bytes(), 0o644)?;
    println!(
        "This host is `{}` and runs what keyd of {} has signed.\nThen: writ agent execute --dir {}",
        config.host,
        roster.site(),
        dir.display()
    );
    Ok(())
}

fn execute(dir: &Path) -> Result<Infallible> {
    crate::role::start_log();
    let path = dir.join(CONFIG_FILE);
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("`{}` cannot be read: `writ agent pin` makes it", path.display())
    })?;
    let config: Config = toml::from_str(&text)?;
    let genesis = Signed::from_bytes(&std::fs::read(dir.join(GENESIS_FILE))?)?;
    let (genesis, _) = Roster::begin(&genesis, Some(config.genesis.parse()?))
        .context("the genesis in this folder is not the one that was pinned")?;
    let host: HostName = config.host.parse()?;
    let front = Front {
        client: Client::new(&config.front, config.ca.as_deref())?,
        key: host_key(&config.host_key)?,
        host: host.clone(),
    };
    let mut executor = Executor::open(dir, host, genesis.keyd.run_orders)?;
    tracing::info!(host = %front.host, "waiting for orders");
    loop {
        executor.settle(&front, SystemEnv.now())?;
        match front.next() {
            Ok(Some(ordered)) => {
                let ended = executor.carry_out(&ordered, &front, &SystemEnv)?;
                if ended.cause == Some(Cause::Replayed) {
                    // front offers what was taken already: it has not heard of the end yet.
                    std::thread::sleep(PAUSE);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "front gives no orders; asked again");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// front, over HTTP, with the host's proof on each request.
struct Front {
    client: Client,
    key: SoftKey,
    host: HostName,
}

#[derive(Deserialize)]
struct Next {
    run: Option<Ulid>,
    order: Option<String>,
    entry: Option<String>,
}

#[derive(Deserialize)]
struct GoesOn {
    goes_on: bool,
}

impl Front {
    fn next(&self) -> Result<Option<Ordered>> {
        let reply = self.ask("GET", "", b"")?;
        let next: Next = serde_json::from_slice(&reply)?;
        let Next { run: Some(run), order: Some(order), entry: Some(entry) } = next else {
            return Ok(None);
        };
        let order = cbor::from_slice(&STANDARD.decode(order)?)?;
        Ok(Some(Ordered { run, order, entry: STANDARD.decode(entry)? }))
    }

    fn ask(&self, method: &str, rest: &str, body: &[u8]) -> Result<Vec<u8>> {
        let path = format!("{ORDERS}/{}{rest}", self.host);
        let [date, proof] = sign::proof((method, &path, body), |message| {
            Ok(SshSig::sign(message, RUN, &self.key)?)
        })?;
        let fields =
            [("content-type", "application/cbor"), (date.0, &*date.1), (proof.0, &*proof.1)];
        self.client.exchange(method, &path, &fields, body)
    }
}

impl Orders for Front {
    fn begin(&self, run: Ulid) -> Result<(), String> {
        let told = self.ask("POST", &format!("/{run}/begin"), b"");
        told.map(|_| ()).map_err(|error| format!("{error:#}"))
    }

    fn goes_on(&self, run: Ulid) -> bool {
        let said = self.ask("GET", &format!("/{run}"), b"");
        let said = said.ok().and_then(|reply| serde_json::from_slice::<GoesOn>(&reply).ok());
        said.is_none_or(|said| said.goes_on)
    }

    fn end(&self, run: Ulid, ended: &Ended) -> Result<(), String> {
        let told = self.ask("POST", &format!("/{run}/end"), &cbor::to_vec(ended));
        told.map(|_| ()).map_err(|error| format!("{error:#}"))
    }
}
