//! How far the builder is: `build.state`, deterministic CBOR, replaced whole.

use std::collections::BTreeMap;
use std::path::Path;

use writ_proof::Hash;
use writ_proof::cbor::{self, Version};
use writ_proof::cbor_map;
use writ_proof::frame::LogFrontier;
use writ_proof::merkle::Frontier;
use writ_proof::origin::{LogName, Origin, SiteId};

use crate::disk;
use crate::error::TrailError;
use crate::logs::LogFiles;
use crate::wal::Place;

/// The version of the state's format; another one means building anew.
const STATE_VERSION: u64 = 1;

const FILE: &str = "build.state";

/// The state.
#[derive(Debug, Clone)]
pub(crate) struct BuildState {
    v: Version<STATE_VERSION>,
    site: SiteId,
    /// Everything before here is built.
    pub(crate) place: Place,
    /// WAL position of the next entry to build.
    pub(crate) next_seq: u64,
    /// The logs.
    pub(crate) logs: Vec<LogFrontier>,
    /// Sizes at the last leaf in the checkpoint log.
    pub(crate) heads: Vec<(LogName, u64)>,
    /// The kernel's boot in which the files were written; absent once they have reached the disk.
    boot: Option<String>,
    /// The hash of the frame before `place`: the log must still have it there.
    pub(crate) hash: Hash,
}
cbor_map!(BuildState {
    1: v, 2: site, 3: place, 4: next_seq, 5: logs, 6: heads, 7: opt boot, 8: hash,
});

impl BuildState {
    pub(crate) fn of(
        site: &SiteId,
        end: (Place, u64, Hash),
        logs: &BTreeMap<LogName, Frontier>,
        heads: &BTreeMap<LogName, u64>,
        settled: bool,
    ) -> BuildState {
        let (place, next_seq, hash) = end;
        BuildState {
            v: Version,
            site: site.clone(),
            place,
            next_seq,
            logs: logs
                .iter()
                .map(|(log, frontier)| LogFrontier { log: *log, frontier: frontier.clone() })
                .collect(),
            heads: heads.iter().map(|(log, size)| (*log, *size)).collect(),
            boot: (!settled).then(boot_id),
            hash,
        }
    }

    /// The saved state; `None` if there is none that this build reads.
    pub(crate) fn load(ledger: &Path) -> Result<Option<BuildState>, TrailError> {
        let bytes = disk::read_if_there(&ledger.join(FILE))?;
        Ok(bytes.and_then(|bytes| cbor::from_slice(&bytes).ok()))
    }

    pub(crate) fn save(&self, ledger: &Path) -> Result<(), TrailError> {
        disk::replace_unsynced(&ledger.join(FILE), &cbor::to_vec(self), self.boot.is_none())
    }

    /// True if the files can be what the state says: written in this boot of the machine or flushed
    /// since, and the right edge of each tree gives its frontier.
    pub(crate) fn fits(&self, ledger: &Path, site: &SiteId) -> bool {
        let cached = self.boot.as_ref().is_none_or(|boot| *boot == boot_id());
        cached
            && self.site == *site
            && ledger.join("lookup.sqlite").is_file()
            && self.logs.iter().all(|LogFrontier { log, frontier }| {
                let files = LogFiles::new(ledger, &Origin::new(site.clone(), *log));
                Frontier::at(&files, frontier.size()).is_ok_and(|found| found == *frontier)
            })
    }

    /// Removes what was built, but no signed checkpoint.
    pub(crate) fn start_over(ledger: &Path) -> Result<BuildState, TrailError> {
        for name in ["lookup.sqlite", "lookup.sqlite-wal", "lookup.sqlite-shm", FILE] {
            remove(&ledger.join(name))?;
        }
        clear(&ledger.join("logs"))?;
        Ok(BuildState {
            v: Version,
            // INVARIANT: never compared; the builder saves its own before it relies on it.
            site: "none".parse().map_err(|_| TrailError::RecordForm("site"))?,
            place: Place::default(),
            next_seq: 0,
            logs: Vec::new(),
            heads: Vec::new(),
            boot: None,
            hash: Hash::ZERO,
        })
    }
}

fn remove(path: &Path) -> Result<(), TrailError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(TrailError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes tiles and records below `dir`.
fn clear(dir: &Path) -> Result<(), TrailError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(TrailError::io("list", dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(TrailError::io("list", dir))?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("tile") => {
                std::fs::remove_dir_all(&path).map_err(TrailError::io("remove", &path))?;
            }
            Some("records.dat" | "records.idx") => remove(&path)?,
            _ if path.is_dir() => clear(&path)?,
            _ => {}
        }
    }
    Ok(())
}

/// Names this boot of the kernel; a constant where the kernel does not say.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}
