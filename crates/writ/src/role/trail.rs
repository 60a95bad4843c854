//! `trail`: the only writer of the ledger.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use writ_keyd_client::protocol::Role;
use writ_model::SystemEnv;
use writ_trail::witness::WitnessConfig;
use writ_trail::{Trail, TrailConfig as WriterConfig};

use super::confine::Reach;
use super::{Inherited, Line, harden};
use crate::up::config::Witness;
use crate::up::spool;

/// What the supervisor tells trail.
#[derive(Serialize, Deserialize)]
pub struct TrailConfig {
    /// The ledger's folder.
    pub folder: PathBuf,
    /// The folder of its TLS identity and of the supervisor's spool.
    pub link: PathBuf,
    /// The signed genesis statement, in hexadecimal.
    pub genesis: String,
    /// A segment of the write-ahead log is closed at this size.
    pub segment_bytes: u64,
    /// Below this much free space nothing is accepted.
    pub floor_bytes: u64,
    /// Where watch listens.
    pub watch: String,
    /// Witnesses beside watch.
    pub witnesses: Vec<Witness>,
}

/// Runs until the supervisor says stop, or the ledger has to be closed.
pub fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let hardening = harden(inherited, Reach::Others);
    let config: TrailConfig = inherited.config()?;
    let genesis = hex::decode(&config.genesis).context("the genesis is damaged")?;
    let witnesses: Result<Vec<WitnessConfig>> = config
        .witnesses
        .iter()
        .map(|witness| Ok(WitnessConfig { url: witness.url.clone(), key: witness.key.parse()? }))
        .collect();

    let watch = super::watch_link::connector(&config.watch, &config.link, &genesis)?;
    let mut writer = WriterConfig::new(config.folder.clone(), Some(genesis));
    writer.segment_bytes = config.segment_bytes;
    writer.reserve_bytes = config.floor_bytes;
    writer.spool = Some(config.link.join(spool::FILE));
    writer.witnesses = witnesses?;
    writer.watch = Some(watch);

    let trail = Arc::new(Trail::start(writer, Arc::new(SystemEnv))?);
    for role in [Role::Keyd, Role::Bastion, Role::Front, Role::S3] {
        trail.attach(role, inherited.channel(role)?)?;
    }
    let (peers, stopper) = (Arc::clone(&trail), Arc::clone(&trail));
    line.listen(
        move |role, channel| {
            if let Err(error) = peers.attach(role, channel) {
                tracing::error!(%error, role = role.name(), "a new channel cannot be used");
            }
        },
        move || stopper.stop(),
    )?;
    line.ready(hardening)?;
    Ok(trail.wait()?)
}
