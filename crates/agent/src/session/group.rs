//! Control groups of version 2: one for each connection, so that what it starts cannot leave by forking.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::procfs::{self, Process};

/// The folder of the agent's groups, below the root of the hierarchy.
const FOLDER: &str = "writ-sessions";

/// The agent's part of the hierarchy.
pub(super) struct Groups {
    root: PathBuf,
}

impl Groups {
    /// Finds the hierarchy, and makes the agent's folder in it.
    ///
    /// # Errors
    /// Why there is none; then processes are followed by their parents alone.
    pub(super) fn open() -> Result<Groups, String> {
        let mounts = std::fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        });
        let root = mount.ok_or("no cgroup v2 is mounted")?.join(FOLDER);
        match std::fs::create_dir(&root) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(format!("`{}` cannot be made: {error}", root.display()));
            }
            _ => {}
        }
        Ok(Groups { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Puts a process into a group, with what it starts from now on.
    pub(super) fn put(&self, name: &str, pid: u32) -> std::io::Result<()> {
        let path = self.path(name);
        if !path.is_dir() {
            std::fs::create_dir(&path)?;
        }
        tell(&path.join("cgroup.procs"), &pid.to_string())
    }

    /// The group of a process, if it is one of these.
    pub(super) fn of(pid: u32) -> Option<String> {
        let group = procfs::group(pid)?;
        let mut words = group.strip_prefix('/')?.split('/');
        (words.next()? == FOLDER).then(|| words.next().map(str::to_owned))?
    }

    /// The processes of a group.
    pub(super) fn members(&self, name: &str) -> Vec<Process> {
        let text = std::fs::read_to_string(self.path(name).join("cgroup.procs"));
        let pids = text.unwrap_or_default();
        let pids = pids.lines().filter_map(|line| line.parse().ok());
        pids.filter_map(|pid| Some(procfs::facts(pid)?.process)).collect()
    }

    /// Kills all of a group at once, where the kernel can (5.14).
    pub(super) fn kill(&self, name: &str) {
        if tell(&self.path(name).join("cgroup.kill"), "1").is_err() {
            self.members(name).into_iter().for_each(|process| {
                procfs::kill(process);
            });
        }
    }

    /// Removes a group; false while processes are in it.
    pub(super) fn remove(&self, name: &str) -> bool {
        remove(&self.path(name))
    }
}

/// Writes into a file of the kernel.
fn tell(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

fn remove(path: &Path) -> bool {
    match std::fs::remove_dir(path) {
        Ok(()) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
