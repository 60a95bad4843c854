//! `watch`: the second copy of the ledger, the first witness, and where agents report to.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use writ_model::SystemEnv;
use writ_watch::Listeners;

use super::confine::Reach;
use super::{Inherited, Line, harden};

/// What the supervisor tells watch.
#[derive(Serialize, Deserialize)]
pub(crate) struct WatchConfig {
    /// watch's own folder, with its keys.
    pub(crate) folder: PathBuf,
    /// The signed genesis statement, in hexadecimal.
    pub(crate) genesis: String,
    /// The folder of what the control side may read of it.
    pub(crate) shown: PathBuf,
    /// The folder of what the bastion may read of it.
    pub(crate) shown_hosts: PathBuf,
}

/// Runs until the supervisor says stop, or watch's disk fails.
pub(crate) fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let hardening = harden(inherited, Reach::Others);
    let config: WatchConfig = inherited.config()?;
    let genesis = hex::decode(&config.genesis).context("the genesis is damaged")?;
    let config = writ_watch::WatchConfig {
        folder: config.folder,
        genesis,
        word: Some(config.shown),
        hosts_word: Some(config.shown_hosts),
    };
    let trail = inherited.listener()?;
    let agents = TcpListener::from(inherited.fd("agents")?);
    let mut facts = vec![
        ("listen".to_owned(), trail.local_addr()?.to_string()),
        ("agents".to_owned(), agents.local_addr()?.to_string()),
    ];
    facts.extend(hardening);
    let (stop, stopped) = oneshot::channel();
    let on_stop = move || {
        // watch may have ended by itself.
        stop.send(()).ok();
    };
    line.listen(|role, _| tracing::error!(role = role.name(), "watch has no such peer"), on_stop)?;
    let ready = || {
        if let Err(error) = line.ready(facts) {
            tracing::error!(%error, "the supervisor does not hear");
        }
    };
    let listeners = Listeners { trail, agents };
    writ_watch::run(&config, listeners, Arc::new(SystemEnv), stopped, ready)?;
    Ok(())
}
