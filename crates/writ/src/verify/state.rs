//! What an earlier verification saw: the genesis and the last trusted checkpoint, kept locally.

use std::path::{Path, PathBuf};

use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::merkle::{Frontier, root_at};
use writ_proof::note::Note;
use writ_proof::origin::{LogName, SiteId};
use writ_proof::tile::{TileId, TileReader};

use super::checkpoints::Trusted;
use super::finding::{Code, Report};
use super::roots::Root;
use super::source::Source;

const MARK: &str = "writ verify state 1";
/// What a genesis is called that was compared with what came out of band, and one that was not.
const COMPARED: &str = "genesis";
const UNCOMPARED: &str = "genesis-not-compared";

/// What was kept.
pub(crate) struct Seen {
    genesis: Hash,
    /// It had been compared with what came out of band.
    compared: bool,
    note: Note,
}

/// Where the state of a site lies unless the command line says: in the user's own state folder, not
/// beside what is verified, whose owner could replace both.
pub(crate) fn default_path(site: &SiteId) -> Option<PathBuf> {
    let home = std::env::home_dir()?;
    Some(home.join(".local/state/writ").join(format!("{site}.checkpoint")))
}

/// Reads the state; nothing if there is none yet.
pub(crate) fn load(path: &Path, report: &mut Report) -> Option<Seen> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            report.add(Code::Files, path.display(), error);
            return None;
        }
    };
    let parse = || {
        let (mark, rest) = text.split_once('\n')?;
        let (genesis, note) = rest.split_once('\n')?;
        let (how, genesis) = genesis.split_once(' ')?;
        let compared = [UNCOMPARED, COMPARED].iter().position(|known| *known == how)? == 1;
        let genesis = genesis.parse().ok()?;
        let note = Note::from_bytes(note.as_bytes()).ok()?;
        (mark == MARK).then_some(Seen { genesis, compared, note })
    };
    let seen = parse();
    if seen.is_none() {
        report.add(
            Code::Files,
            path.display(),
            "it is no state of `writ verify`; nothing was compared",
        );
    }
    seen
}

/// Keeps what has been verified.
pub(crate) fn save(
    path: &Path,
    root: &Root,
    trusted: &Trusted,
    compared: bool,
) -> anyhow::Result<()> {
    // A bare file name has an empty parent.
    let path = std::path::absolute(path)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let note = String::from_utf8(trusted.note.to_bytes())?;
    let how = if compared { COMPARED } else { UNCOMPARED };
    let text = format!("{MARK}\n{how} {}\n{note}", root.digest);
    crate::up::data::write_durably(&path, text.as_bytes(), 0o600)
}

/// Compares with what was seen: the same genesis, and a log that has only grown.
pub(crate) fn check(
    source: &dyn Source,
    root: &Root,
    trusted: Option<&Trusted>,
    seen: &Seen,
    report: &mut Report,
) {
    if seen.genesis != root.digest {
        let what = format!("another genesis was verified before: {}", seen.genesis);
        report.add(Code::Roots, "genesis", what);
        return;
    }
    if seen.compared && !report.compared {
        report.compared = true;
        report.checked("genesis before", "the same, and it was compared then");
    }
    let place = root.origin(LogName::Checkpoint);
    let (Some(trusted), Ok(old)) = (trusted, Checkpoint::of(&seen.note)) else { return };
    let new = &trusted.checkpoint;
    if new.size < old.size {
        let what =
            format!("size {} was seen before, now it is {}: rolled back", old.size, new.size);
        report.add(Code::Consistency, &place, what);
        return;
    }
    match root_of(source, LogName::Checkpoint, old.size) {
        Ok(found) if found == old.root => {
            report.checked("grown since", format!("size {} (last time)", old.size));
        }
        Ok(found) => {
            let what = format!(
                "at size {} the root was {}, now it is {found}: the history was changed",
                old.size, old.root
            );
            report.add(Code::Consistency, &place, what);
        }
        Err(error) => report.add(Code::Consistency, &place, error),
    }
}

fn root_of(source: &dyn Source, log: LogName, size: u64) -> Result<Hash, writ_proof::Error> {
    if size == 0 {
        return Ok(Frontier::new().root());
    }
    root_at(&Tiles { source, log }, size)
}

struct Tiles<'a> {
    source: &'a dyn Source,
    log: LogName,
}

impl TileReader for Tiles<'_> {
    fn tile(&self, id: &TileId) -> Result<Vec<Hash>, writ_proof::Error> {
        self.source
            .tile(self.log, id)
            .map_err(|finding| writ_proof::Error::Tile { path: finding.place, why: finding.what })
    }
}
