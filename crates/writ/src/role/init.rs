//! One-shot processes of the first start.

use std::fs::File;
use std::io::Write as _;

use anyhow::Result;
use writ_model::SystemEnv;
use writ_proof::cbor;

use super::Inherited;

/// Makes keyd's root file; only the public keys leave this process.
pub fn keyd(mut inherited: Inherited) -> Result<()> {
    super::start_log();
    super::harden_process();
    let control = inherited.control()?;
    let mut file = File::from(inherited.fd("root")?);
    let (root, keys) = writ_keyd::root::create(&SystemEnv)?;
    file.write_all(&root)?;
    file.sync_all()?;
    control.channel().send(&cbor::to_vec(&keys))?;
    Ok(())
}
