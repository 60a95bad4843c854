//! `s3`: the encrypting object gateway, a process and a port of its own.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use writ_keyd_client::protocol::Role;
use writ_model::{Region, SystemEnv};
use writ_s3::{Process, S3Channels, S3Config as GatewayConfig};

use super::confine::Reach;
use super::{Inherited, Line, harden};

/// What the supervisor tells s3.
#[derive(Serialize, Deserialize)]
pub struct S3Config {
    /// The folder of objects and their index.
    pub folder: PathBuf,
    /// The installation's name in the ledger.
    pub site: String,
    /// The regions served. This step serves the objects of the home region only.
    pub regions: Vec<Region>,
    /// Below this much free space no body is taken.
    pub floor_bytes: u64,
}

/// Runs until the supervisor says stop.
pub fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let hardening = harden(inherited, Reach::Nobody);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(inherited, line, hardening));
    // Blocking work of dropped streams need not end before the process does.
    runtime.shutdown_background();
    result
}

async fn serve(
    inherited: &mut Inherited,
    line: &Line,
    hardening: Vec<(String, String)>,
) -> Result<()> {
    let config: S3Config = inherited.config()?;
    let region = config.regions.into_iter().next().context("no region is configured")?;
    let listener = inherited.listener()?;
    let tls = inherited.tls()?;
    let channels = S3Channels {
        keyd: inherited.channel(Role::Keyd)?,
        front: inherited.channel(Role::Front)?,
        trail: inherited.channel(Role::Trail)?,
    };
    let config = GatewayConfig {
        folder: config.folder,
        site: config.site.parse()?,
        region,
        floor_bytes: config.floor_bytes,
    };
    let process = Arc::new(Process::start(config, channels, Arc::new(SystemEnv)).await?);
    let (stop, stopped) = watch::channel(false);
    let peers = Arc::clone(&process);
    line.listen(
        move |role, channel| {
            if let Err(error) = peers.replace(role, channel) {
                tracing::error!(%error, role = role.name(), "a new channel cannot be used");
            }
        },
        move || {
            // The receiver is gone only when the process is ending anyway.
            stop.send(true).ok();
        },
    )?;
    let mut facts = vec![("listen".to_owned(), listener.local_addr()?.to_string())];
    facts.extend(hardening);
    facts.extend(process.facts());
    line.ready(facts)?;
    Ok(process.serve(listener, tls, stopped).await?)
}
