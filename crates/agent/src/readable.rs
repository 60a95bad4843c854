//! Below which folders files may be reported: the host's own word, which watch cannot change. Without it, whoever holds
//! watch could have any file of the host sent there.

use std::path::{Component, Path, PathBuf};

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
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
