//! Below which folders files may be reported: the host's own word, which watch cannot change. Without it, whoever holds
//! watch could have any file of the host sent there.

use std::fs::{File, OpenOptions, canonicalize, read_link};
use std::io::Error;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use crate::config::Config;
use crate::disk;
use crate::error::AgentError;

/// The file in the agent's folder: a folder a line. The process that ships cannot write it.
const FILE: &str = "readable";

/// Without a word: where logs are.
const DEFAULT: &str = "/var/log";

/// The folders.
pub(crate) struct Readable(Vec<PathBuf>);

impl Readable {
    /// Reads them.
    pub(crate) fn load(dir: &Path) -> Result<Readable, AgentError> {
        let text = disk::read_if_there(&dir.join(FILE))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut folders: Vec<PathBuf> =
            text.lines().filter(|line| !line.trim().is_empty()).map(PathBuf::from).collect();
        // What was run here is the host's own log, whatever else is said.
        folders.push(dir.join(crate::runbook::FOLDER));
        Ok(Readable(folders))
    }

    /// This folder alone.
    #[cfg(test)]
    pub(crate) fn of(folder: &Path) -> Readable {
        Readable(vec![folder.to_owned()])
    }

    /// Writes them down at an enrolment: these, else what is there, else where logs are.
    pub(crate) fn save(dir: &Path, folders: &[PathBuf]) -> Result<(), AgentError> {
        let path = dir.join(FILE);
        if folders.is_empty() && disk::read_if_there(&path)?.is_some() {
            return Ok(());
        }
        let default = [PathBuf::from(DEFAULT)];
        let folders = if folders.is_empty() { &default } else { folders };
        let mut text = String::new();
        for folder in folders {
            if !is_plain(folder) {
                let why = "a folder that may be reported from is an absolute path without `..`";
                return Err(AgentError::Config { path: folder.clone(), why: why.to_owned() });
            }
            text.push_str(&folder.to_string_lossy());
            text.push('\n');
        }
        Ok(disk::replace(&path, text.as_bytes(), 0o644)?)
    }

    /// Reads a configuration of which everything that it follows lies below them.
    ///
    /// # Errors
    /// It is not sound, or the first file that lies elsewhere: the text says what to do.
    pub(crate) fn admit(&self, text: &str) -> Result<Config, String> {
        let config = Config::parse(text)?;
        let below = |path: &Path| is_plain(path) && self.0.iter().any(|dir| path.starts_with(dir));
        match config.file.iter().chain(&config.journal).find(|file| !below(&file.path)) {
            None => Ok(config),
            Some(file) => Err(format!(
                "`{}` lies in no folder that this host lets be reported: name its folder in `{FILE}` of the agent's \
                 folder, on the host itself",
                file.path.display()
            )),
        }
    }

    /// Opens a file to read it, if it really lies below one of them: whoever may write there could have put a link to
    /// any file of the host in its place.
    ///
    /// # Errors
    /// It cannot be opened, lies elsewhere, has a second name, or is no regular file.
    pub(crate) fn open(&self, path: &Path) -> std::io::Result<File> {
        // A fifo in the file's place must not hold the agent up.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(Error::other("it is no regular file"));
        }
        if meta.nlink() > 1 {
            return Err(Error::other(
                "it has a second name (a hard link), which may be of any file of this host",
            ));
        }
        // Of what was opened, and not of the name, which may mean another file by now.
        let place = read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if self.0.iter().filter_map(|dir| canonicalize(dir).ok()).any(|dir| place.starts_with(dir))
        {
            return Ok(file);
        }
        let place = place.display();
        Err(Error::other(format!(
            "it is `{place}`, which lies in no folder that this host lets be reported"
        )))
    }
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_elsewhere_are_not_opened() {
        let (logs, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shadow = secrets.path().join("shadow");
        disk::replace(&shadow, b"root:x", 0o600).unwrap();
        // The folder itself may be a link: its name is the host's own word.
        let folder = secrets.path().join("log");
        std::os::unix::fs::symlink(logs.path(), &folder).unwrap();
        let readable = Readable::of(&folder);
        let at = |name: &str| folder.join(name);
        disk::replace(&at("app.log"), b"line", 0o600).unwrap();
        std::os::unix::fs::symlink("app.log", at("current")).unwrap();
        std::os::unix::fs::symlink(&shadow, at("soft")).unwrap();
        std::os::unix::fs::symlink(secrets.path(), at("folder")).unwrap();
        for name in ["app.log", "current"] {
            readable.open(&at(name)).unwrap();
        }
        for name in ["soft", "folder/shadow", "folder"] {
            readable.open(&at(name)).unwrap_err();
        }
        std::fs::hard_link(at("app.log"), at("hard")).unwrap();
        let error = readable.open(&at("hard")).unwrap_err();
        assert!(error.to_string().contains("second name"), "{error}");
    }

    #[test]
    fn files_elsewhere_and_ways_out_of_a_folder_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config =
            |path: &str| format!("watch = \"w:1\"\n[[file]]\nname = \"a\"\npath = \"{path}\"\n");
        Readable::save(dir.path(), &[]).unwrap();
        let readable = Readable::load(dir.path()).unwrap();
        readable.admit(&config("/var/log/auth.log")).unwrap();
        for path in ["/var/logs/a", "/etc/shadow", "/var/log/../../etc/shadow", "/"] {
            let why = readable.admit(&config(path)).unwrap_err();
            assert!(why.contains("on the host itself"), "{why}");
        }
        let runs = dir.path().join("runs/runs.log");
        readable.admit(&config(runs.to_str().unwrap())).unwrap();
        let key = dir.path().join("key.seed");
        readable.admit(&config(key.to_str().unwrap())).unwrap_err();
        Readable::save(dir.path(), &["/srv/log".into()]).unwrap();
        // A later enrolment without a word changes nothing.
        Readable::save(dir.path(), &[]).unwrap();
        let readable = Readable::load(dir.path()).unwrap();
        readable.admit(&config("/srv/log/a")).unwrap();
        readable.admit(&config("/var/log/a")).unwrap_err();
        assert!(Readable::save(dir.path(), &["log".into()]).is_err());
        assert!(Readable::save(dir.path(), &["/srv/../etc".into()]).is_err());
    }
}
