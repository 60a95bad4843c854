//! Files that survive a crash, unless a test switches fsync off: what is written here is on the disk when the
//! call returns.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

pub(crate) use writ_durable::{DirLock, read_if_there};
use writ_model::failpoint;

use crate::error::TrailError;

/// Creates `path` and those of its parents that are missing, durably. What is there already is not
/// touched: it may belong to somebody else.
pub(crate) fn create_dir(path: &Path) -> Result<(), TrailError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.is_dir()).collect();
    std::fs::create_dir_all(path).map_err(TrailError::io("create", path))?;
    missing.iter().filter_map(|created| created.parent()).try_for_each(sync_dir)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), TrailError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if failpoint::is_set("trail.fsync_off") {
        return Ok(());
    }
    File::open(path).and_then(|dir| dir.sync_all()).map_err(TrailError::io("fsync", path))
}

/// Replaces `path` by a file with `bytes`: whoever reads it sees the old or the new, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrailError> {
    replace_unsynced(path, bytes, true)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The same for files that can be made again from the log: no fsync of the folder, and of the file
/// only if `sync`.
pub(crate) fn replace_unsynced(path: &Path, bytes: &[u8], sync: bool) -> Result<(), TrailError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(TrailError::io("create", &temporary))?;
    file.write_all(bytes).map_err(TrailError::io("write", &temporary))?;
    if sync && !failpoint::is_set("trail.fsync_off") {
        file.sync_all().map_err(TrailError::io("fsync", &temporary))?;
    }
    std::fs::rename(&temporary, path).map_err(TrailError::io("rename", path))
}

/// Free bytes on the disk that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> Result<u64, TrailError> {
    let stat = rustix::fs::statvfs(path).map_err(|e| TrailError::io("examine", path)(e.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
