//! `writ recover`: puts watch's copy of the write-ahead log in place of a damaged one.
//!
//! watch holds the same frames, chained and acknowledged only after its own fsync. The damaged log is
//! kept beside the new one. Whether the copy is whole is not decided here: at its next start trail
//! checks every frame and refuses a copy that ends before the last checkpoint that keyd signed.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use writ_model::{Env as _, SystemEnv};

use crate::up::data::DataDir;

/// What `writ recover` takes.
#[derive(clap::Args)]
pub struct RecoverArgs {
    /// The data directory of a stopped `writ up`.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: std::path::PathBuf,
}

/// Exchanges the logs.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(args: &RecoverArgs) -> Result<()> {
    let dir = DataDir::open(&args.data)?;
    let (mirror, wal) = (dir.join("watch/mirror"), dir.join("trail/wal"));
    let segments = segments(&mirror)?;
    let fresh = dir.join("trail/wal.recovering");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("cannot remove what an earlier attempt left")?;
    }
    fs::create_dir(&fresh)?;
    let mut bytes = 0;
    for name in &segments {
        bytes += fs::copy(mirror.join(name), fresh.join(name))
            .with_context(|| format!("cannot copy `{name}` from watch's copy"))?;
        File::open(fresh.join(name))?.sync_all()?;
    }
    File::open(&fresh)?.sync_all()?;
    let kept = dir.join(&format!("trail/wal.damaged-{}", SystemEnv.now().basic()));
    fs::rename(&wal, &kept).with_context(|| format!("cannot move `{}` aside", wal.display()))?;
    fs::rename(&fresh, &wal)?;
    File::open(dir.join("trail"))?.sync_all()?;
    println!(
        "took {} segments, {bytes} bytes, from watch's copy; the damaged log is kept in `{}`.\n\
         Start again with `writ up --data {}`: every frame is checked then.",
        segments.len(),
        kept.display(),
        args.data.display()
    );
    Ok(())
}

fn segments(mirror: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(mirror)
        .with_context(|| format!("watch has no copy in `{}`", mirror.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wal") {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() {
        bail!("watch's copy in `{}` is empty: restore the ledger from a backup", mirror.display());
    }
    Ok(names)
}
