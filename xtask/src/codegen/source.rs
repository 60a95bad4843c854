//! Where the models come from: the pinned botocore source package.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

const VERSION: &str = "1.44.5";

/// The folder of the unpacked package under `target/tools/botocore`; fetched when it is missing.
pub(crate) fn fetch(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools/botocore");
    let unpacked = folder.join(format!("botocore-{VERSION}"));
    if unpacked.join("NOTICE").is_file() {
        return Ok(unpacked);
    }
    std::fs::create_dir_all(&folder)?;
    let archive = folder.join(format!("botocore-{VERSION}.tar.gz"));
    if !archive.is_file() {
        let requirement = format!("botocore=={VERSION}");
        let status = Command::new("python3")
            .args(["-m", "pip", "download", "--no-deps", "--no-binary", ":all:", &requirement])
            .arg("-d")
            .arg(&folder)
            .status()
            .context("starting python3 -m pip")?;
        ensure!(status.success(), "pip could not download {requirement}");
    }
    let status = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&folder).status()?;
    ensure!(status.success(), "tar could not unpack {}", archive.display());
    Ok(unpacked)
}

/// Our note on the origin, and botocore's own attribution up to its vendored parts.
pub(crate) fn notice(botocore: &Path) -> anyhow::Result<String> {
    let theirs = std::fs::read_to_string(botocore.join("NOTICE"))?;
    let attribution = theirs.split("----").next().unwrap_or_default().trim();
    Ok(format!(
        "The Rust code in this folder is generated from the service models of botocore {VERSION}\n\
         (https://github.com/boto/botocore), which are licensed under the Apache License,\n\
         Version 2.0 (https://www.apache.org/licenses/LICENSE-2.0). Names, constraints, bindings\n\
         and errors are taken from them; their documentation is not. What is in `writ` is generated\n\
         from our own model, `crates/aws/models/writ`.\n\
         \n\
         The notice of botocore reads:\n\
         \n\
         {attribution}\n"
    ))
}
