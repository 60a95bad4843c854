//! How a log's older files are called and found (logrotate(8)).

use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::limits::ROTATED_MAX_FILES;

/// Files that rotation has packed cannot be read on.
const PACKED: [&str; 5] = [".gz", ".xz", ".bz2", ".zst", ".lz4"];

/// A file that was this log after another one was, and before the one that is it now.
pub(super) struct Between {
    pub(super) path: PathBuf,
    pub(super) packed: bool,
    /// When it was written last, and made.
    key: (SystemTime, SystemTime),
}

/// Files that were the log `path` between the one that is `finished` and the one of inode `current`, in order.
pub(super) fn between(path: &Path, finished: &Metadata, current: u64) -> Vec<Between> {
    let Some((folder, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(ROTATED_MAX_FILES).flatten();
    let mut found: Vec<Between> = entries
        .filter_map(|entry: DirEntry| {
            let packed = rotated(name, entry.file_name().to_str()?)?;
            // Of the entry itself: links are not followed.
            let meta = entry.metadata().ok()?;
            let is_other = ![finished.ino(), current].contains(&meta.ino());
            let is_later = match packed {
                // Packing keeps the time of writing, so this is not the finished one, packed.
                true => key(&meta).0 > key(finished).0,
                false => key(&meta) > key(finished),
            };
            let is_one = meta.is_file() && is_other && is_later;
            is_one.then(|| Between { path: entry.path(), packed, key: key(&meta) })
        })
        .collect();
    found.sort_by_key(|file| file.key);
    found
}

fn key(meta: &Metadata) -> (SystemTime, SystemTime) {
    let none = SystemTime::UNIX_EPOCH;
    (meta.modified().unwrap_or(none), meta.created().unwrap_or(none))
}

/// Whether a file is called as rotation calls older files of a log, and if so, whether it is packed: `log.1`,
/// `log-20261122`, `log.2.gz`, and for a log with an extension `app-20261122.log`.
fn rotated(log: &str, name: &str) -> Option<bool> {
    let plain = PACKED.iter().find_map(|ending| name.strip_suffix(ending));
    let packed = plain.is_some();
    let name = plain.unwrap_or(name);
    let within = || {
        let (stem, ending) = log.rsplit_once('.')?;
        name.strip_prefix(stem)?.strip_suffix(ending)?.strip_suffix('.')
    };
    let is_age = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|byte| b".-_".contains(&byte))
            && part.len() > 1
            && (part == ".old" || bytes.all(|b| b.is_ascii_digit() || b".-_:T".contains(&b)))
    };
    let behind = name.strip_prefix(log);
    behind.filter(|part| is_age(part)).or_else(|| within().filter(|part| is_age(part)))?;
    Some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_files_of_a_log_are_told_from_other_logs() {
        for (name, packed) in [
            ("auth.log.1", Some(false)),
            ("auth.log-20261122", Some(false)),
            ("auth.log.2.gz", Some(true)),
            ("auth-2026-11-22.log", Some(false)),
            ("auth.1.log.xz", Some(true)),
            ("auth.log.old", Some(false)),
            ("auth.log", None),
            ("auth.log.gz", None),
            ("auth.log.err", None),
            ("auth.log1", None),
            ("auth-errors.log", None),
            ("other.log.1", None),
        ] {
            assert_eq!(rotated("auth.log", name), packed, "{name}");
        }
    }
}
