//! The files of one region, and the only code that opens them.
//!
//! ```text
//! ROOT/{seg/ab/cd/<segment id>.<part>, man/ab/cd/<object id>.man, tmp/, region}        all 0700
//! ```
//! Names are random: nothing of a customer's is in a path. A file is written in `tmp`, fsynced, renamed
//! into its folder, and the folder fsynced, before any row names it. An error of the disk makes the
//! volume read-only until a restart; it is never retried.

mod fsck;
mod marker;
mod sweep;
mod writer;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use writ_model::{Nonce, Region};

use crate::S3Error;
use crate::index::{manifest_file, segment_file};

pub use fsck::{Finding, Report, fsck};
pub use sweep::{Swept, collect, sweep};
pub use writer::FileWriter;

/// The files of one region.
pub struct Blobs {
    root: PathBuf,
    free_floor_bytes: u64,
    /// Set by the first failed write; only a restart clears it.
    failed: AtomicBool,
    /// Names temporary files; unique within this process, and `tmp` is emptied at start.
    next: AtomicU64,
}

impl Blobs {
    /// Opens the folder `root`, making it when it is absent. Refuses one of another region or format.
    pub fn open(root: &Path, region: &Region, free_floor_bytes: u64) -> Result<Blobs, S3Error> {
        for folder in ["", "seg", "man", "tmp"] {
            make_folder(&root.join(folder))?;
        }
        marker::check(root, region)?;
        Ok(Blobs {
            root: root.to_owned(),
            free_floor_bytes,
            failed: AtomicBool::new(false),
            next: AtomicU64::new(0),
        })
    }

    /// Fails while the volume takes no `bytes` more: they would not leave its floor of free space, or
    /// an earlier write failed.
    pub fn admits(&self, bytes: u64) -> Result<(), S3Error> {
        if self.failed.load(Ordering::Acquire) {
            return Err(S3Error::Full { reason: "an earlier write failed" });
        }
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|e| S3Error::io("asking for free space")(e.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.free_floor_bytes.saturating_add(bytes) {
            return Err(S3Error::Full { reason: "free space is below its floor" });
        }
        Ok(())
    }

    /// Begins a file of which `expected_bytes` will come. Their space is taken as they come, never
    /// from a claim. It is gone when the writer is dropped before [`FileWriter::seal`].
    pub fn create(self: &Arc<Self>, expected_bytes: Option<u64>) -> Result<FileWriter, S3Error> {
        let name = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(name.to_string());
        FileWriter::create(Arc::clone(self), path, expected_bytes)
    }

    /// Opens a segment for reading.
    pub fn segment(&self, segment: Nonce, part: u32) -> Result<File, S3Error> {
        let name = segment_file(segment, part);
        match File::open(self.path(&name)) {
            Ok(file) => Ok(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(S3Error::Missing { name }),
            Err(source) => Err(S3Error::Io { what: "opening a segment", source }),
        }
    }

    /// Writes a small file whole: the manifest of a multipart object.
    pub fn put_manifest(self: &Arc<Self>, object: Nonce, bytes: &[u8]) -> Result<(), S3Error> {
        let mut file = self.create(None)?;
        file.write(bytes)?;
        file.seal(&manifest_file(object))
    }

    /// Unlinks a file; one that is gone already is no error.
    pub fn unlink(&self, name: &str) -> Result<(), S3Error> {
        match fs::remove_file(self.path(name)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(S3Error::Io { what: "unlinking a file", source })
            }
            _ => Ok(()),
        }
    }

    /// Calls `found` with the name and path of every file outside `tmp`.
    pub(crate) fn walk(
        &self,
        mut found: impl FnMut(&str, &Path) -> Result<(), S3Error>,
    ) -> Result<(), S3Error> {
        let mut folders: Vec<PathBuf> = ["seg", "man"].map(|f| self.root.join(f)).into();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(S3Error::io("listing a folder"))?;
            for entry in entries {
                let entry = entry.map_err(S3Error::io("listing a folder"))?;
                let kind = entry.file_type().map_err(S3Error::io("asking for a file's type"))?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if let Some(name) = entry.file_name().to_str() {
                    found(name, &entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where the file of this name lies: two levels of folders by its first hexadecimal digits.
    fn path(&self, name: &str) -> PathBuf {
        let tree = if name.ends_with(".man") { "man" } else { "seg" };
        let digits = |range| name.get(range).unwrap_or("00");
        self.root.join(tree).join(digits(0..2)).join(digits(2..4)).join(name)
    }

    /// Remembers that a write failed, and passes the error on.
    fn fail(&self, what: &'static str) -> impl FnOnce(io::Error) -> S3Error + '_ {
        move |source| {
            self.failed.store(true, Ordering::Release);
            tracing::error!(%source, what, "the object volume is read-only until a restart");
            S3Error::Io { what, source }
        }
    }
}

/// Makes a folder with mode 0700 and makes its name durable.
fn make_folder(path: &Path) -> Result<(), S3Error> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| path.parent().map_or(Ok(()), sync_folder))
        .map_err(S3Error::io("making a folder"))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
