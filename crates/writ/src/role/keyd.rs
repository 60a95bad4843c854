//! `keyd`: the key module. Everything that it opens it is given here; then its sandbox closes.

use std::fs::File;
use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use writ_keyd_client::protocol::Role;
use writ_model::SystemEnv;

use super::{Inherited, Line};

/// What the supervisor tells keyd.
#[derive(Serialize, Deserialize)]
pub struct KeydConfig {
    /// The installation's name in the ledger.
    pub site: String,
    /// The signed genesis statement, in hexadecimal.
    pub genesis: String,
}

/// Runs until the supervisor says stop.
pub fn run(inherited: &mut Inherited, line: &Line) -> Result<()> {
    let config: KeydConfig = inherited.config()?;
    let mut channels = Vec::new();
    for role in [Role::Bastion, Role::Front, Role::S3, Role::Trail] {
        channels.push((role, inherited.channel(role)?));
    }
    let config = writ_keyd::KeydConfig {
        site: config.site.parse()?,
        s3_domain: None,
        genesis: hex::decode(config.genesis)?,
        root: File::from(inherited.fd("root")?),
        head: File::from(inherited.fd("head")?),
        channels,
        control: line.channel(),
    };
    Ok(writ_keyd::run(config, Arc::new(SystemEnv))?)
}
