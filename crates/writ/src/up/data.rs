//! The data directory: its format marker, its lock, its folders, and files that survive a crash.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::fs::{FlockOperation, flock};

/// The marker's text; its number changes with the directory's layout.
const MARKER: &str = "writ data directory, format 1\n";
const MARKER_START: &str = "writ data directory, format ";

/// How often the lock is tried.
const LOCK_ATTEMPTS: usize = 5;
/// How long between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(40);

/// What a directory may hold that is still to become a data directory: a start that was cut off
/// before its marker leaves the lock and the marker's temporary file; configuration and HR feed may come first.
const FRESH: [&str; 5] =
    ["lock", "lost+found", ".FORMAT.tmp", super::config::FILE, super::plan::HR_FOLDER];

/// An opened and locked data directory. The lock ends with this value.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens `path`, making it if it does not exist or is empty.
    ///
    /// # Errors
    /// With what to do: another `writ up` holds it, it holds something else, or it is of a newer
    /// version.
    pub fn open(path: &Path) -> Result<DataDir> {
        let shown = path.display();
        make_dir(path, 0o711)?;
        let path = path.canonicalize().with_context(|| format!("cannot resolve `{shown}`"))?;
        let marker = path.join("FORMAT");
        // Before anything is written: the folder may be somebody's own.
        if !is_fresh(&path)? {
            check_marker(&marker, &path)?;
        }
        let lock = open_private(&path.join("lock"))?;
        if !take(&lock) {
            bail!(
                "`{shown}` is in use by another `writ up`: stop that one first, \
                 or give this one a directory of its own with --data"
            );
        }
        if is_fresh(&path)? {
            write_durably(&marker, MARKER.as_bytes(), 0o644)?;
        } else {
            check_marker(&marker, &path)?;
        }
        Ok(DataDir { path, _lock: lock })
    }

    /// Opens `path` for work on a stopped installation; makes nothing.
    ///
    /// # Errors
    /// With what to do: it is no data directory, a `writ up` holds it, or it is of a newer version.
    pub fn open_existing(path: &Path) -> Result<DataDir> {
        let shown = path.display();
        let path = path.canonicalize().with_context(|| {
            format!("there is no data directory `{shown}`; name the one of `writ up` with --data")
        })?;
        check_marker(&path.join("FORMAT"), &path)?;
        let lock = open_private(&path.join("lock"))?;
        if !take(&lock) {
            bail!("`{shown}` is in use by a running `writ up`: stop it first");
        }
        Ok(DataDir { path, _lock: lock })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder of a process, made if it is not there; it belongs to `uid` alone.
    pub fn folder(&self, name: &str, uid: Option<u32>) -> Result<PathBuf> {
        let folder = self.path.join(name);
        make_dir(&folder, 0o700)?;
        if let Some(uid) = uid {
            give_to(&folder, uid)?;
        }
        Ok(folder)
    }

    /// The same of a folder that user id `reader` may read.
    pub fn shown_folder(
        &self,
        name: &str,
        uid: Option<u32>,
        reader: Option<u32>,
    ) -> Result<PathBuf> {
        let folder = self.folder(name, uid)?;
        if let Some(reader) = reader {
            std::os::unix::fs::chown(&folder, None, Some(reader))
                .with_context(|| format!("cannot show `{}` to {reader}", folder.display()))?;
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750))?;
        Ok(folder)
    }

    /// True if a process of another user id can reach the folders: each parent lets others pass.
    pub fn is_reachable_by_others(&self) -> bool {
        self.path
            .ancestors()
            .all(|dir| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
    }
}

/// True if a `writ up` (or `writ recover`) holds the data directory `path`.
///
/// # Errors
/// It is no data directory, or its lock cannot be opened.
pub fn is_held(path: &Path) -> Result<bool> {
    let shown = path.display();
    check_marker(&path.join("FORMAT"), path)?;
    let lock = File::open(path.join("lock")).with_context(|| {
        format!("cannot open the lock of `{shown}`, so whether it runs is unknown")
    })?;
    Ok(flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}

/// Why nothing answers for the data directory `path`, and what to do.
pub fn silence(path: &Path) -> anyhow::Error {
    let shown = path.display();
    match is_held(path) {
        Ok(true) => anyhow!(
            "`{shown}` is in use but does not serve: `writ up` is starting or stopping; look again"
        ),
        Ok(false) => anyhow!(
            "nothing serves `{shown}`: no `writ up` runs on it; start it with `writ up --data {shown}`"
        ),
        Err(error) => error,
    }
}

/// The ledger in the data directory `path`.
///
/// # Errors
/// There is no such folder, or it is no data directory.
pub fn ledger(path: &Path) -> Result<PathBuf> {
    let ledger = path.join("trail");
    if !ledger.is_dir() {
        check_marker(&path.join("FORMAT"), path)?;
    }
    Ok(ledger)
}

/// Takes the lock. Tried a few times: `writ status` and `writ verify` look at it for a moment.
fn take(lock: &File) -> bool {
    (0..LOCK_ATTEMPTS).any(|attempt| {
        if attempt > 0 {
            std::thread::sleep(LOCK_PAUSE);
        }
        flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok()
    })
}

/// Writes a whole file so that after a crash the old or the new content is there, never a mixture:
/// temporary file, fsync, rename, fsync of the folder.
pub fn write_durably(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("the file has no folder")?;
    let name = path.file_name().and_then(|n| n.to_str()).context("the file has no name")?;
    let temporary = folder.join(format!(".{name}.tmp"));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Opens a file for reading and appending that only its owner may open, making it if need be.
pub fn open_private(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open `{}`", path.display()))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            let shown = path.display();
            Err(error).with_context(|| {
                format!("cannot make the folder `{shown}`; does its parent exist?")
            })
        }
        _ if path.is_dir() => Ok(()),
        _ => bail!("`{}` is not a folder", path.display()),
    }
}

fn give_to(folder: &Path, uid: u32) -> Result<()> {
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path)?;
        if meta.uid() != uid {
            std::os::unix::fs::lchown(&path, Some(uid), Some(uid))
                .with_context(|| format!("cannot give `{}` to user id {uid}", path.display()))?;
        }
        if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

fn is_fresh(path: &Path) -> Result<bool> {
    let shown = || format!("cannot list `{}`", path.display());
    for entry in fs::read_dir(path).with_context(shown)? {
        let name = entry.with_context(shown)?.file_name();
        if !FRESH.iter().any(|known| name == **known) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn check_marker(marker: &Path, path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::read_to_string(marker) {
        Ok(text) if text == MARKER => Ok(()),
        Ok(text) if text.starts_with(MARKER_START) => {
            let found = text.trim_start_matches(MARKER_START).trim();
            bail!(
                "`{shown}` has format {found}, and this version of writ knows format 1 only: \
                 start it with the version that wrote it"
            )
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read `{}`", marker.display()))
        }
        _ if !path.is_dir() => {
            bail!("there is no folder `{shown}`: `writ up --data DIR` makes one")
        }
        _ => bail!(
            "`{shown}` is no data directory of writ: \
             `writ up` takes an empty or a new folder, everything else one that `writ up` made"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        DataDir::open(path).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn directory_in_use_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let first = DataDir::open(&path).unwrap();
        assert!(refusal(&path).contains("in use by another"));
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }

    #[test]
    fn what_does_not_answer_says_whether_the_folder_is_missing_or_nothing_serves() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        assert!(silence(&path).to_string().contains("there is no folder"));
        assert!(ledger(&path).unwrap_err().to_string().contains("there is no folder"));
        let wrong = temp.path();
        assert!(ledger(wrong).unwrap_err().to_string().contains("is no data directory"));
        let open = DataDir::open(&path).unwrap();
        assert!(silence(&path).to_string().contains("in use but does not serve"));
        drop(open);
        let instead = crate::up::ready::read(&path, "; or INSTEAD").unwrap_err().to_string();
        assert!(instead.contains("nothing serves `"), "{instead}");
        assert!(instead.ends_with("; or INSTEAD"), "{instead}");
    }

    #[test]
    fn directory_of_another_kind_or_version_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path();
        write_durably(&path.join("photo.jpg"), b"x", 0o644).unwrap();
        assert!(refusal(path).contains("is no data directory"));
        write_durably(&path.join("FORMAT"), b"writ data directory, format 9\n", 0o644).unwrap();
        assert!(refusal(path).contains("format 9"));
    }

    #[test]
    fn directory_in_which_hr_was_first_is_taken() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("hr")).unwrap();
        assert!(DataDir::open(temp.path()).is_ok());
    }
}
