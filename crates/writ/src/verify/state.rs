//! What an earlier verification saw, kept locally: the genesis, the last trusted checkpoint, and the
//! heads of account logs that came in bundles.
//!
//! A bundle gives most leaves of the checkpoint log as hashes. That it leads to the same checkpoint does
//! not say that it names the same head of an account's log; so that head is remembered besides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::Note;
use writ_proof::origin::{LogName, SiteId};

use super::checkpoints::Trusted;
use super::finding::{Code, Report};
use super::roots::Root;
use super::source::{Content, Source};

const MARK: &str = "writ verify state 2";
/// Written before there were bundles; it has no heads.
const MARK_1: &str = "writ verify state 1";
/// What a genesis is called that was compared with what came out of band, and one that was not.
const COMPARED: &str = "genesis";
const UNCOMPARED: &str = "genesis-not-compared";

/// Size and root by log.
pub(crate) type LogHeads = BTreeMap<LogName, (u64, Hash)>;

/// What was kept.
pub(crate) struct Seen {
    genesis: Hash,
    /// It had been compared with what came out of band.
    compared: bool,
    note: Note,
    /// Of account logs.
    pub(crate) heads: LogHeads,
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
    let seen = parse(&text);
    if seen.is_none() {
        report.add(
            Code::Files,
            path.display(),
            "it is no state of `writ verify`; nothing was compared",
        );
    }
    seen
}

fn parse(text: &str) -> Option<Seen> {
    let (mark, rest) = text.split_once('\n')?;
    let (genesis, mut rest) = rest.split_once('\n')?;
    let (how, genesis) = genesis.split_once(' ')?;
    let compared = [UNCOMPARED, COMPARED].iter().position(|known| *known == how)? == 1;
    let genesis = genesis.parse().ok()?;
    let mut heads = BTreeMap::new();
    while let Some(after) = rest.strip_prefix("log ").filter(|_| mark == MARK) {
        let (line, after) = after.split_once('\n')?;
        let mut words = line.split(' ');
        let (log, size, root) = (words.next()?, words.next()?, words.next()?);
        heads.insert(log.parse().ok()?, (size.parse().ok()?, root.parse().ok()?));
        rest = after;
    }
    let note = Note::from_bytes(rest.as_bytes()).ok()?;
    matches!(mark, MARK | MARK_1).then_some(Seen { genesis, compared, note, heads })
}

/// Keeps what has been verified.
pub(crate) fn save(
    path: &Path,
    root: &Root,
    trusted: &Trusted,
    heads: &LogHeads,
    compared: bool,
) -> anyhow::Result<()> {
    // A bare file name has an empty parent.
    let path = std::path::absolute(path)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let note = String::from_utf8(trusted.note.to_bytes())?;
    let line = |(log, (size, root)): (&LogName, &(u64, Hash))| format!("log {log} {size} {root}\n");
    let heads: String = heads.iter().map(line).collect();
    let how = if compared { COMPARED } else { UNCOMPARED };
    let text = format!("{MARK}\n{how} {}\n{heads}{note}", root.digest);
    crate::up::data::write_durably(&path, text.as_bytes(), 0o600)
}

/// Compares with what was seen: the same genesis, and logs that have only grown.
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
    let (Some(trusted), Ok(old)) = (trusted, Checkpoint::of(&seen.note)) else { return };
    grown(source, root, LogName::Checkpoint, trusted.checkpoint.size, (old.size, old.root), report);
    let held = report.take(source.logs()).unwrap_or_default();
    for (log, head) in &seen.heads {
        if held.contains(log)
            && let Some(size) = report.take(source.held(*log))
        {
            grown(source, root, *log, size, *head, report);
        }
    }
}

/// A log that had `old` as its head and has `size` leaves now.
fn grown(
    source: &dyn Source,
    root: &Root,
    log: LogName,
    size: u64,
    old: (u64, Hash),
    report: &mut Report,
) {
    let place = root.origin(log);
    let (old, wanted) = old;
    if size < old {
        let bundle = match source.content() {
            Content::Account(_) => {
                "; or this bundle is older than what was verified here: for an archived one give a --state of its own"
            }
            Content::Ledger(_) => "",
        };
        let what = format!("size {old} was seen before, now it is {size}: rolled back{bundle}");
        report.add(Code::Consistency, place, what);
        return;
    }
    match source.root(log, old) {
        Ok(found) if found == wanted => {
            report.checked("grown since", format!("{log}: size {old} (last time)"));
        }
        Ok(found) => {
            let what = format!(
                "at size {old} the root was {wanted}, now it is {found}: the history was changed"
            );
            report.add(Code::Consistency, place, what);
        }
        Err(finding) => {
            report.push(finding);
        }
    }
}
