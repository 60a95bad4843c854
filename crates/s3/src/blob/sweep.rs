//! What a start finds and removes: unfinished files, and segments that no row names.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use writ_model::Timestamp;

use super::Blobs;
use crate::S3Error;
use crate::index::Index;
use crate::limits::{CLEAN_BATCH, ORPHAN_AGE};

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files in `tmp`.
    pub temporary: u64,
    /// Files without a row, old enough.
    pub orphans: u64,
    /// Files that the index had marked as garbage.
    pub garbage: u64,
}

/// Cleans the folder. Call it at start, before anything is written.
pub fn sweep(blobs: &Blobs, index: &Index, now: Timestamp) -> Result<Swept, S3Error> {
    let mut swept = Swept { garbage: collect(blobs, index)?, ..Swept::default() };
    let unfinished = fs::read_dir(blobs.temporary()).map_err(S3Error::io("listing a folder"))?;
    for entry in unfinished {
        let path = entry.map_err(S3Error::io("listing a folder"))?.path();
        fs::remove_file(path).map_err(S3Error::io("unlinking a temporary file"))?;
        swept.temporary += 1;
    }
    let mut named = HashSet::new();
    index.files(|file, _| {
        named.insert(file);
    })?;
    let mut orphans = Vec::new();
    blobs.walk(|name, path| {
        let age = fs::metadata(path).and_then(|m| m.modified()).map(|at| age(at, now));
        if !named.contains(name) && age.is_ok_and(|age| age > ORPHAN_AGE) {
            orphans.push(name.to_owned());
        }
        Ok(())
    })?;
    for name in orphans {
        blobs.unlink(&name)?;
        swept.orphans += 1;
    }
    Ok(swept)
}

/// Unlinks what the index has marked as garbage and nobody reads; answers how many files.
pub fn collect(blobs: &Blobs, index: &Index) -> Result<u64, S3Error> {
    let mut count = 0;
    let mut after = String::new();
    loop {
        let (files, next) = index.removable(&after, CLEAN_BATCH)?;
        for file in &files {
            blobs.unlink(file)?;
        }
        count += files.len() as u64;
        if !files.is_empty() {
            index.collected(files);
        }
        match next {
            Some(last) => after = last,
            None => return Ok(count),
        }
    }
}

fn age(at: std::time::SystemTime, now: Timestamp) -> Duration {
    let at = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(now.millis()).saturating_sub(at)
}
