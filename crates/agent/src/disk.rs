//! Files that survive a crash: what is written here is on the disk when the call returns.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::AgentError;

/// Makes a folder that only its owner may enter, if it is not there.
pub(crate) fn create_dir(path: &Path) -> Result<(), AgentError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(AgentError::io("create", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), AgentError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|dir| dir.sync_all()).map_err(AgentError::io("fsync", path))
}

/// Replaces `path`: whoever reads it sees the old or the new file, whole, also after a crash.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AgentError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .map_err(AgentError::io("create", &temporary))?;
    file.set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .map_err(AgentError::io("write", &temporary))?;
    file.sync_all().map_err(AgentError::io("fsync", &temporary))?;
    std::fs::rename(&temporary, path).map_err(AgentError::io("rename", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The bytes of a file; `None` if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, AgentError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AgentError::io("read", path)(error)),
    }
}

/// Holds a folder for one process, until dropped.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(crate) fn take(dir: &Path) -> Result<DirLock, AgentError> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(AgentError::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(AgentError::Locked(dir.to_owned())),
            Err(error) => Err(AgentError::io("lock", &path)(error.into())),
        }
    }
}
