//! A file that does not exist until it is complete and durable.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use writ_model::failpoint;

use super::{Blobs, make_folder, sync_folder};
use crate::S3Error;
use crate::limits::RESERVE_STEP_BYTES;

/// A file in `tmp`. Dropped without [`FileWriter::seal`], it is unlinked.
pub struct FileWriter {
    blobs: Arc<Blobs>,
    path: PathBuf,
    file: File,
    sealed: bool,
    expected_bytes: u64,
    written_bytes: u64,
    /// Up to where space was taken and the floor was checked.
    admitted_bytes: u64,
}

impl FileWriter {
    pub(super) fn create(
        blobs: Arc<Blobs>,
        path: PathBuf,
        expected_bytes: Option<u64>,
    ) -> Result<FileWriter, S3Error> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(blobs.fail("creating a file"))?;
        Ok(FileWriter {
            blobs,
            path,
            file,
            sealed: false,
            expected_bytes: expected_bytes.unwrap_or(0),
            written_bytes: 0,
            admitted_bytes: 0,
        })
    }

    /// Takes the space of the next steps where the file system can. The floor holds at each, so that
    /// many slow writers together stay above it.
    fn admit(&mut self, end: u64) -> Result<(), S3Error> {
        while self.admitted_bytes < end {
            let from = self.admitted_bytes;
            let announced = self.expected_bytes.saturating_sub(from).min(RESERVE_STEP_BYTES);
            // What nobody announced, such as the footer, is checked and not taken early.
            let step = if announced == 0 { end - from } else { announced };
            self.blobs.admits(step)?;
            if announced > 0 {
                self.reserve(from, announced)?;
            }
            self.admitted_bytes = from + step;
        }
        Ok(())
    }

    fn reserve(&self, from: u64, bytes: u64) -> Result<(), S3Error> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, from, bytes) {
            Err(rustix::io::Errno::NOSPC) => Err(S3Error::Full { reason: "the disk is full" }),
            // Not every file system has it; then the write itself tells.
            _ => Ok(()),
        }
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), S3Error> {
        let end = self.written_bytes + bytes.len() as u64;
        self.admit(end)?;
        self.written_bytes = end;
        self.file.write_all(bytes).map_err(|source| {
            // A full disk is a state, not a fault: the volume serves again when there is room.
            if source.kind() == std::io::ErrorKind::StorageFull {
                return S3Error::Full { reason: "the disk is full" };
            }
            self.blobs.fail("writing a file")(source)
        })
    }

    /// Makes the file durable under its name.
    pub fn seal(mut self, name: &str) -> Result<(), S3Error> {
        let blobs = Arc::clone(&self.blobs);
        let path = blobs.path(name);
        self.file.sync_all().map_err(blobs.fail("syncing a file"))?;
        let folder = path.parent().unwrap_or(&blobs.root);
        if let Some(parent) = folder.parent() {
            make_folder(parent)?;
        }
        make_folder(folder)?;
        failpoint::hit("s3.before_rename");
        fs::rename(&self.path, &path).map_err(blobs.fail("renaming a file"))?;
        self.sealed = true;
        failpoint::hit("s3.after_rename");
        sync_folder(folder).map_err(blobs.fail("syncing a folder"))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if !self.sealed && fs::remove_file(&self.path).is_err() {
            tracing::warn!("a temporary file stays until the next start");
        }
    }
}
