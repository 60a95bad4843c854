//! watch's host log: under watch's signature, the one that keyd has cosigned, grown since last time, and with
//! each host's frames in an unbroken chain whose gaps the host has signed.

use std::path::{Path, PathBuf};

use writ_proof::Hash;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::hostlog::chains::Chains;
use writ_proof::hostlog::log::Entry;
use writ_proof::merkle::{Frontier, leaf_hash};
use writ_proof::note::{Note, VerifierKey};
use writ_proof::origin::LogName;
use writ_watch::{CHECKPOINT_FILE, COSIGNED_FILE, WatchError};

use super::finding::{Code, Finding, Report};
use super::roots::Root;

/// Where a host log lies.
pub(crate) struct HostFiles {
    /// watch's folder of it.
    pub(crate) folder: PathBuf,
    /// trail's copy of the newest checkpoint that keyd has cosigned.
    pub(crate) kept: PathBuf,
}

/// What the entries must lead to.
struct Promise {
    code: Code,
    /// Whose word it is.
    by: &'static str,
    size: u64,
    root: Hash,
    /// The root of so many entries as they are.
    found: Option<Hash>,
}

/// Checks the host log. Answers its newest checkpoint, to be remembered.
pub(crate) fn check(
    files: &HostFiles,
    root: &Root,
    seen: Option<(u64, Hash)>,
    report: &mut Report,
) -> Option<(u64, Hash)> {
    let place = root.origin(LogName::Host).to_string();
    // The notes first: entries that come in between are more, never fewer.
    let notes = promises(files, root, report)?;
    let mut promises = notes;
    if let Some((size, root)) = seen {
        let by = "an earlier verification";
        promises.push(Promise { code: Code::Consistency, by, size, root, found: None });
    }
    if !files.folder.is_dir() {
        if promises.is_empty() {
            report.note("there is no host log: watch has not been started here");
        } else {
            report.add(Code::Files, files.folder.display(), "the host log is missing");
        }
        return None;
    }
    let mut tree = Frontier::new();
    let mut chains = Chains::default();
    let mut faults = Vec::new();
    let each = |bytes: &[u8]| {
        let index = tree.size();
        match Entry::from_bytes(bytes) {
            Ok(entry) => faults.extend(chains.entry(index, &entry).into_iter().map(|f| (index, f))),
            Err(error) => faults.push((index, format!("it is no entry: {error}"))),
        }
        tree.append(leaf_hash(bytes));
        for promise in promises.iter_mut().filter(|promise| promise.size == tree.size()) {
            promise.found = Some(tree.root());
        }
    };
    if let Err(error) = writ_watch::read_entries(&files.folder, each) {
        let code = if matches!(error, WatchError::Io { .. }) { Code::Files } else { Code::HostLog };
        report.add(code, &place, error);
    }
    for promise in promises.iter().filter(|promise| promise.size > 0) {
        let Promise { code, by, size, root, found } = promise;
        match found {
            Some(found) if found == root => {}
            Some(_) => {
                let what = format!("its first {size} entries are not the ones of which {by} tells");
                report.add(*code, &place, what);
            }
            None => {
                let what = format!("{} entries, and {by} tells of {size}: it was cut", tree.size());
                report.add(*code, &place, what);
            }
        }
    }
    for (index, fault) in faults {
        report.add(Code::HostLog, format!("{place} entry {index}"), fault);
    }
    chains.end().into_iter().for_each(|fault| report.add(Code::HostLog, &place, fault));
    tell(&chains, &tree, &promises, report);
    let newest = promises.iter().find(|promise| promise.code == Code::HostLog)?;
    Some((newest.size, newest.root))
}

fn tell(chains: &Chains, tree: &Frontier, promises: &[Promise], report: &mut Report) {
    let (hosts, frames, gaps) = chains.counts();
    let gaps = if gaps == 0 { "no gaps".to_owned() } else { format!("{gaps} signed gaps") };
    let size = tree.size();
    let what = format!("{size} entries, {frames} frames of {hosts} hosts, {gaps}");
    report.checked("host log", what);
    let cosigned = promises.iter().filter(|promise| promise.by == COSIGNED).map(|p| p.size).max();
    match cosigned {
        Some(size) => report.checked("host log keyd", format!("cosigned up to entry {size}")),
        None if size > 0 => report.note("keyd has not cosigned the host log yet"),
        None => {}
    }
}

const COSIGNED: &str = "keyd's cosignature";

/// What is signed of it, by whom. Nothing if the keys themselves cannot be used.
fn promises(files: &HostFiles, root: &Root, report: &mut Report) -> Option<Vec<Promise>> {
    let place = root.origin(LogName::Host);
    let keys = root.genesis.host_log_key().and_then(|log| Ok((log, root.genesis.keyd_cosigner()?)));
    let (log, keyd) =
        report.take(keys.map_err(|error| Finding::new(Code::Roots, &place, error)))?;
    let own = files.folder.join(CHECKPOINT_FILE);
    let cosigned = files.folder.join(COSIGNED_FILE);
    let sources: [(&Path, Code, &'static str, Option<&VerifierKey>); 3] = [
        (&own, Code::HostLog, "watch's own checkpoint", None),
        (&cosigned, Code::Consistency, COSIGNED, Some(&keyd)),
        (&files.kept, Code::Consistency, "the ledger's copy of keyd's cosignature", Some(&keyd)),
    ];
    let mut promises = Vec::new();
    for (path, code, by, cosigner) in sources {
        let read = || -> Result<Option<Promise>, Finding> {
            let bytes = match std::fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Finding::new(Code::Files, path.display(), error)),
            };
            let wrong = |code| move |error| Finding::new(code, path.display(), error);
            let note = Note::from_bytes(&bytes).map_err(wrong(Code::Signature))?;
            let known = Checkpoint::verify(&note, &log).map_err(wrong(Code::Signature))?;
            if let Some(keyd) = cosigner {
                note.verify_one(keyd).map_err(wrong(Code::Witnesses))?;
            }
            let Checkpoint { size, root, .. } = known;
            Ok(Some(Promise { code, by, size, root, found: None }))
        };
        promises.extend(report.take(read()).flatten());
    }
    Some(promises)
}

#[cfg(test)]
#[path = "../tests/verify_hosts.rs"]
mod tests;
