//! `watch`: the second copy of the ledger and the first witness.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use writ_model::SystemEnv;

use super::confine::Reach;
use super::{Inherited, Line, harden};

/// What the supervisor tells watch.
#[derive(Serialize, Deserialize)]
pub(crate) struct WatchConfig {
    /// watch's own folder, with its keys.
    pub(crate) folder: PathBuf,
    /// The signed genesis statement, in hexadecimal.
    pub(crate) genesis: String,
}

/// Runs until the supervisor says stop, or watch's disk fails.
pub(crate) fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let hardening = harden(inherited, Reach::Nobody);
    let config: WatchConfig = inherited.config()?;
    let genesis = hex::decode(&config.genesis).context("the genesis is damaged")?;
    let config = writ_watch::WatchConfig { folder: config.folder, genesis };
    let listener = inherited.listener()?;
    let mut facts = vec![("listen".to_owned(), listener.local_addr()?.to_string())];
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
    writ_watch::run(&config, listener, Arc::new(SystemEnv), stopped, ready)?;
    Ok(())
}
