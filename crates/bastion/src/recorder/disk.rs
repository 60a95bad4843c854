//! The disk behind a port, so that tests can break it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use writ_durable::DirLock;
use writ_model::failpoint;

use crate::error::Error;
use crate::limits::LOCK_WAIT;

/// Where recordings lie. Calls may hang; nobody waits for them but the recorder's own thread.
pub trait Disk: Send {
    /// Creates a file that does not exist.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file its final name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// True if a file of this name is there.
    fn exists(&mut self, name: &str) -> io::Result<bool>;

    /// Makes the names in the folder durable.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Makes everything that was written to any file durable, by one call; `None` where the system has
    /// no such call that reports errors.
    fn sync_everything(&mut self) -> Option<io::Result<()>>;

    /// Free bytes.
    fn free_bytes(&mut self) -> io::Result<u64>;
}

/// A file that grows.
pub trait DiskFile: Send {
    /// Appends all of the bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes them durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder of the system, held for one process.
#[derive(Debug)]
pub struct SystemDisk {
    dir: PathBuf,
    folder: File,
    _lock: DirLock,
    /// Linux before 5.8 does not report failed writes to syncfs.
    syncfs: bool,
}

impl SystemDisk {
    /// Opens the folder, which must exist, and locks it.
    pub fn open(dir: &Path) -> Result<SystemDisk, Error> {
        let name = dir.display().to_string();
        let folder = File::open(dir).map_err(Error::io("open", &name))?;
        let lock = DirLock::wait(dir, LOCK_WAIT).map_err(|error| match error {
            writ_durable::Error::Io { source, .. } => Error::io("lock", &name)(source),
            writ_durable::Error::Locked(_) => Error::Locked(name.clone()),
        })?;
        Ok(SystemDisk { dir: dir.to_owned(), folder, _lock: lock, syncfs: syncfs_reports() })
    }
}

/// True from Linux 5.8 on (syncfs(2), "errors").
fn syncfs_reports() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= (5, 8),
        (Some(major), None) => major > 5,
        _ => false,
    }
}

impl Disk for SystemDisk {
    fn create(&mut self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.dir.join(name);
        let file = File::options().append(true).create_new(true).open(&path)?;
        Ok(Box::new(SystemFile { file, path, bytes: 0 }))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn exists(&mut self, name: &str) -> io::Result<bool> {
        self.dir.join(name).try_exists()
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn sync_everything(&mut self) -> Option<io::Result<()>> {
        // What plays a power failure needs to know of each file how far it is on the disk.
        let each = failpoint::is_set("bastion.trace") || failpoint::is_set("bastion.fsync_off");
        let whole = self.syncfs && !each;
        whole.then(|| rustix::fs::syncfs(&self.folder).map_err(io::Error::from))
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file of the system that grows.
#[derive(Debug)]
struct SystemFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl DiskFile for SystemFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if failpoint::is_set("bastion.fsync_off") {
            return Ok(());
        }
        self.file.sync_data()?;
        if failpoint::is_set("bastion.trace") {
            // Tests cut a recording back to the last trace to play a power failure.
            let (new, trace) =
                (self.path.with_extension("new"), self.path.with_extension("synced"));
            File::create(&new)?.write_all(self.bytes.to_string().as_bytes())?;
            std::fs::rename(new, trace)?;
        }
        Ok(())
    }
}
