//! Whether a start without genesis is a first one, and what to do with what an unfinished one left.
//!
//! A directory in which an installation has run is never given new keys: the old ones would be lost, and
//! everything with them. A first start that was cut off leaves keys that nobody has used; they are
//! moved aside, and never deleted, since a judgement from file names may be wrong.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use writ_model::Env;
use writ_proof::roster::Genesis;
use writ_proof::statement::Signed;

use super::{FILE, HEAD_FILE, LINK_FOLDER, ROOT_FILE, there};
use crate::up::data::DataDir;
use crate::up::{ACCOUNTS, spool};

/// Folders in which an unfinished first start leaves keys.
const KEYS: [&str; 4] = ["keyd", "watch", LINK_FOLDER, "founders"];

/// trail's own copy of the genesis statement.
const COPY: &str = "trail/genesis";

/// Fails if anything shows that an installation has run in `dir`.
pub(super) fn check(dir: &DataDir) -> Result<()> {
    let Some(trace) = trace(dir)? else { return Ok(()) };
    bail!(
        "`{}` is missing, but an installation has run in this directory (`{trace}` is there), and new \\
         keys would lose everything in it: {}; nothing was changed",
        dir.join(FILE).display(),
        way_back(dir)
    )
}

/// How to get back the genesis statement.
pub(super) fn way_back(dir: &DataDir) -> String {
    let copy = dir.join(COPY);
    // A copy that cannot be read, or is none, helps nobody.
    let sound = fs::read(&copy).is_ok_and(|bytes| {
        Signed::from_bytes(&bytes).is_ok_and(|s| Genesis::verify(&s, None).is_ok())
    });
    match sound {
        true => format!(
            "the ledger has a copy; put it back with `install -m 644 {} {}`, then start again",
            copy.display(),
            dir.join(FILE).display()
        ),
        false => "restore it from a backup of the whole directory".to_owned(),
    }
}

/// Fails if something is not there that is made once: a process that began anew without it would lose what
/// it held, and go on as if nothing had been.
pub(super) fn check_whole(dir: &DataDir) -> Result<()> {
    let mut once = vec![
        (
            format!("keyd/{ROOT_FILE}"),
            "put back your backup of it: without it nothing can be decrypted",
        ),
        (
            format!("keyd/{HEAD_FILE}"),
            "restore it from a backup: keyd remembers in it what it has signed",
        ),
    ];
    // Written when everything served once; before that, what follows may not have been made yet.
    if there(&dir.join(ACCOUNTS))? {
        let backup = "restore it from a backup of the whole directory";
        let files = ["trail/layout", "trail/genesis", "front/state.sqlite", "s3"];
        once.extend(files.map(|file| (file.to_owned(), backup)));
        once.push(("trail/wal".to_owned(), "`writ recover` may mend it"));
    }
    for (name, why) in once {
        let path = dir.join(&name);
        if !there(&path)? {
            bail!("`{}` is missing: {why}", path.display());
        }
    }
    Ok(())
}

/// Something that only an installation leaves which has got beyond its genesis.
fn trace(dir: &DataDir) -> Result<Option<String>> {
    for folder in ["trail", "front", "s3", "bastion", "watch/mirror"] {
        if let Some(name) = first_in(&dir.join(folder))? {
            return Ok(Some(format!("{folder}/{name}")));
        }
    }
    let head = format!("keyd/{HEAD_FILE}");
    let spool = format!("{LINK_FOLDER}/{}", spool::FILE);
    for file in [head.as_str(), spool.as_str(), ACCOUNTS, "credentials"] {
        let path = dir.join(file);
        let length = if there(&path)? { fs::metadata(&path)?.len() } else { 0 };
        if length > 0 {
            return Ok(Some(file.to_owned()));
        }
    }
    Ok(None)
}

/// The name of something in a folder; none if the folder is empty or not there.
fn first_in(folder: &PathBuf) -> Result<Option<String>> {
    if !there(folder)? {
        return Ok(None);
    }
    let shown = || format!("cannot list `{}`", folder.display());
    let entry = fs::read_dir(folder).with_context(shown)?.next();
    let entry = entry.transpose().with_context(shown)?;
    Ok(entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
}

/// Moves what an unfinished first start left out of the way.
pub(super) fn set_aside(dir: &DataDir, env: &dyn Env) -> Result<()> {
    let mut left = Vec::new();
    for folder in KEYS {
        if first_in(&dir.join(folder))?.is_some() {
            left.push(folder);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let name = format!("unfinished-{}-{}", env.now().basic(), env.now().millis() % 1000);
    let aside = dir.folder(&name, None)?;
    for folder in left {
        fs::rename(dir.join(folder), aside.join(folder))
            .with_context(|| format!("cannot move `{folder}` into `{}`", aside.display()))?;
    }
    fs::File::open(dir.path())?.sync_all()?;
    tracing::warn!(aside = %aside.display(),
        "an earlier first start was cut off before it had a genesis; its unused keys were moved aside");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::data::write_durably;

    fn with(files: &[(&str, &[u8])]) -> (tempfile::TempDir, DataDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&temp.path().join("data")).unwrap();
        for (name, content) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_durably(&path, content, 0o600).unwrap();
        }
        (temp, dir)
    }

    #[test]
    fn missing_genesis_of_an_established_directory_is_refused() {
        for name in [
            "trail/layout",
            "trail/wal/0000000000.wal",
            "front/state.sqlite",
            "s3/index.sqlite",
            "watch/mirror/0000000000.wal",
            "keyd/head",
            "trail-link/supervisor.spool",
            "accounts",
            "credentials",
        ] {
            let (_temp, dir) = with(&[("keyd/root", b"root"), (name, b"x")]);
            let refusal = check(&dir).unwrap_err().to_string();
            assert!(refusal.contains("an installation has run"), "{name}: {refusal}");
            assert!(refusal.contains("from a backup"), "{name}: {refusal}");
        }
    }

    #[test]
    fn unfinished_first_start_is_moved_aside_and_never_deleted() {
        let (_temp, dir) =
            with(&[("keyd/root", b"root"), ("keyd/head", b""), ("watch/signing.seed", b"seed")]);
        check(&dir).unwrap();
        set_aside(&dir, &writ_model::SystemEnv).unwrap();
        assert!(!dir.join("keyd").exists());
        let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside = entries.filter(|path| path.to_string_lossy().contains("unfinished-"));
        let aside = aside.into_iter().next().unwrap();
        assert_eq!(fs::read(aside.join("keyd/root")).unwrap(), b"root");
        assert_eq!(fs::read(aside.join("watch/signing.seed")).unwrap(), b"seed");
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_absent() {
        let (_temp, dir) = with(&[("trail", b"a file, where a folder should be")]);
        assert!(check(&dir).is_err());
    }
}
