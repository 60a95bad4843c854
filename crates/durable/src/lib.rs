//! Files that survive a crash: what is written here is on the disk when the call returns.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Why a file is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// "open", "write", "fsync", …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds this folder.
    #[error("`{0}` is in use by another process: stop it first")]
    Locked(PathBuf),
}

impl Error {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }
}

/// Makes a folder that only its owner may enter, and those of its parents that are missing. What is there is
/// not touched.
///
/// # Errors
/// It cannot be made, or not be made durable.
pub fn create_dir(path: &Path) -> Result<(), Error> {
    let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io("create", path))?;
    missing.iter().filter_map(|made| made.parent()).try_for_each(sync_dir)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// The disk fails.
pub fn sync_dir(path: &Path) -> Result<(), Error> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io("fsync", path))
}

/// Replaces `path`: whoever reads it sees the old or the new file, whole, also after a crash.
///
/// # Errors
/// The disk fails or has no room; the old file is there then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .map_err(Error::io("create", &temporary))?;
    file.set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("fsync", &temporary))?;
    std::fs::rename(&temporary, path).map_err(Error::io("rename", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The bytes of a file; `None` if there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// How long apart a lock that is waited for is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Holds a folder for one process: until dropped, or until the process ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of `dir`.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it.
    pub fn take(dir: &Path) -> Result<DirLock, Error> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(dir.to_owned())),
            Err(error) => Err(Error::io("lock", &path)(error.into())),
        }
    }

    /// Takes the lock of `dir` once it is free: whoever had it may be ending at this moment.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process still has it after `patience`.
    pub fn wait(dir: &Path, patience: Duration) -> Result<DirLock, Error> {
        let mut left = patience;
        loop {
            match DirLock::take(dir) {
                Err(Error::Locked(_)) if !left.is_zero() => {
                    let pause = LOCK_PAUSE.min(left);
                    std::thread::sleep(pause);
                    left -= pause;
                }
                taken => return taken,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_whole_with_its_mode() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b/file");
        create_dir(path.parent().unwrap()).unwrap();
        assert_eq!(read_if_there(&path).unwrap(), None);
        replace(&path, b"one", 0o600).unwrap();
        replace(&path, b"two", 0o644).unwrap();
        assert_eq!(read_if_there(&path).unwrap(), Some(b"two".to_vec()));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o644, 0o700));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn folder_is_held_once() {
        let temp = tempfile::tempdir().unwrap();
        let held = DirLock::take(temp.path()).unwrap();
        assert!(matches!(DirLock::take(temp.path()), Err(Error::Locked(_))));
        let pause = Duration::from_millis(60);
        assert!(matches!(DirLock::wait(temp.path(), pause), Err(Error::Locked(_))));
        std::thread::spawn(move || {
            std::thread::sleep(pause);
            drop(held);
        });
        DirLock::wait(temp.path(), Duration::from_secs(10)).unwrap();
    }
}
