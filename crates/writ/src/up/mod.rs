//! `writ up`: everything in the foreground, as separate processes under one supervisor.

pub mod authority;
pub mod children;
pub mod config;
pub mod data;
pub mod genesis;
pub mod plan;
pub mod ready;
pub mod spool;
pub mod supervisor;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use writ_keyd_client::protocol::Role;
use writ_model::{AccountId, Env as _, SystemEnv};

use authority::Authority;
use config::{Config, Overrides};
use data::{DataDir, write_durably};
use plan::Plan;
use spool::Spool;
use supervisor::{LISTENER, Listeners, Running, Supervisor};

/// The accounts that starts were told, one a line.
const ACCOUNTS: &str = "accounts";

/// Runs until it is told to stop.
///
/// # Errors
/// A refusal to start says what to do.
pub fn run(path: &Path, overrides: &Overrides, on_ready: impl FnOnce(&ready::Ready)) -> Result<()> {
    let dir = DataDir::open(path)?;
    if dir.join(crate::recover::COMPLETE).try_exists()? {
        bail!(
            "a recovery of the ledger was cut off: finish it with `writ recover --data {}`",
            path.display()
        );
    }
    let config = Config::load(dir.path(), overrides)?;
    remove_stale(&dir)?;
    let accounts = accounts(&dir, &overrides.accounts)?;
    let listeners = listeners(&config)?;
    let watch = local(&listeners, Role::Watch)?.to_string();
    let genesis = genesis::open(&dir, &config, &SystemEnv)?;
    // Made before the plan gives the folder to trail, so that trail may read it.
    let mut spool = Spool::open(&dir.folder(genesis::LINK_FOLDER, None)?)?;
    let authority = Authority::open(&dir, genesis.genesis.site.as_str(), SystemEnv.now())?;
    let plan = Plan::new(dir, config.clone(), genesis, authority, accounts.clone(), watch)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    spool.record(&SystemEnv, "SupervisorStarted", &[("version", version)])?;
    let ready_file = plan.dir().join(ready::FILE);
    let plan = std::rc::Rc::new(plan);
    let supervisor = Supervisor::new(std::rc::Rc::clone(&plan), spool, listeners);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut on_ready = Some(on_ready);
    let announce = |running: &Running| {
        // A refused start changes nothing of what a later one rests on, so this comes last.
        if on_ready.is_some() {
            keep(plan.dir(), &config, &accounts)?;
        }
        let ready = ready::write(&plan, running, &accounts)?;
        if let Some(on_ready) = on_ready.take() {
            on_ready(&ready);
        }
        Ok(())
    };
    let result = runtime.block_on(supervisor.run(announce));
    // It may never have been written.
    std::fs::remove_file(ready_file).ok();
    result
}

/// A `ready.json` of a start that was killed would speak of processes that are gone.
fn remove_stale(dir: &DataDir) -> Result<()> {
    match std::fs::remove_file(dir.join(ready::FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Keeps what this start was told, once everything serves. A `writ.toml` that is there is its author's
/// and stays as it is.
fn keep(dir: &DataDir, config: &Config, accounts: &[AccountId]) -> Result<()> {
    let path = dir.join(config::FILE);
    if !path.try_exists()? {
        write_durably(&path, config.to_toml()?.as_bytes(), 0o644)?;
    } else if Config::load(dir.path(), &Overrides::default())? != *config {
        tracing::warn!(
            "the command line differs from writ.toml and holds for this start only; to keep it, change writ.toml"
        );
    }
    let text: String = accounts.iter().map(|account| format!("{account}\n")).collect();
    write_durably(&dir.join(ACCOUNTS), text.as_bytes(), 0o644)
}

/// The accounts of this installation: those of earlier starts and those that are asked for now.
fn accounts(dir: &DataDir, asked: &[AccountId]) -> Result<Vec<AccountId>> {
    let path = dir.join(ACCOUNTS);
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context("cannot read the list of accounts"),
    };
    let known: Result<Vec<AccountId>, _> = known.lines().map(str::parse).collect();
    let mut accounts = known.context("the file `accounts` in the data directory is damaged")?;
    accounts.extend(asked);
    if accounts.contains(&AccountId::PLATFORM) {
        bail!("account {} is the installation's own: choose another number", AccountId::PLATFORM);
    }
    accounts.sort();
    accounts.dedup();
    Ok(accounts)
}

fn listeners(config: &Config) -> Result<Listeners> {
    let bind = |role: Role, fd, name: &str, address: SocketAddr| -> Result<_> {
        let listener = TcpListener::bind(address).with_context(|| {
            // The one that has an option, too; on a first start there is no file yet.
            let flag = if name == "listen" { "--listen, or with " } else { "" };
            format!(
                "cannot listen on `{address}`: choose another address with {flag}`{name}` in writ.toml"
            )
        })?;
        Ok(((role, fd), listener))
    };
    [
        bind(Role::Front, LISTENER, "listen", config.listen),
        bind(Role::Front, "console", "listen-console", config.listen_console),
        bind(Role::S3, LISTENER, "listen-s3", config.listen_s3),
        bind(Role::Bastion, LISTENER, "listen-bastion", config.listen_bastion),
        bind(Role::Watch, LISTENER, "listen-watch", config.listen_watch),
        bind(Role::Watch, "agents", "listen-agents", config.listen_agents),
    ]
    .into_iter()
    .collect()
}

fn local(listeners: &Listeners, role: Role) -> Result<SocketAddr> {
    Ok(listeners.get(&(role, LISTENER)).context("no listener")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_names_the_option_and_the_file() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refusal = |config: &Config| match listeners(config) {
            Ok(_) => panic!("it listens"),
            Err(error) => error.to_string(),
        };
        let free = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        let said = refusal(&Config { listen: address, ..free.clone() });
        assert!(said.contains("with --listen, or with `listen` in writ.toml"), "{said}");
        let said = refusal(&Config { listen_s3: address, ..free });
        assert!(said.contains("address with `listen-s3` in writ.toml"), "{said}");
    }
}
