//! Starting one process: which descriptors it gets, under which user id, with which configuration.
//!
//! This is the one place that starts processes. A child is this same binary, told its role on the
//! command line. It inherits exactly the descriptors that are named to it: all others are
//! close-on-exec. Only the supervisor's own thread starts children, so none leaks in between.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Has glibc fill freed memory with a byte (mallopt(3), `M_PERTURB`), also what its caches of each
/// thread would keep as it is. Another C library ignores it.
const WIPE_FREED: &str = "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0";

/// What a child starts with.
pub struct Start {
    /// Its role, as in `writ role NAME`.
    pub role: &'static str,
    /// Its user id; `None` keeps the supervisor's.
    pub uid: Option<u32>,
    /// Named descriptors that it inherits.
    pub fds: Vec<(String, OwnedFd)>,
    /// Its configuration, as JSON.
    pub config: Vec<u8>,
    /// Its folder, in which its database keeps its temporary files, if it has one.
    pub folder: Option<PathBuf>,
}

/// Starts the child. Its standard input is closed, its output goes where the supervisor's goes.
pub fn start(mut start: Start) -> Result<Child> {
    start.fds.push(("config".to_owned(), config_fd(&start.config)?));
    let mut command = command(start.role);
    for (name, fd) in &start.fds {
        command.arg("--fd").arg(format!("{name}={}", fd.as_raw_fd()));
    }
    if let Some(uid) = start.uid {
        command.uid(uid).gid(uid);
    }
    if let Some(folder) = &start.folder {
        // <https://sqlite.org/tempfiles.html>: the system's temporary folder is out of its reach.
        command.env("SQLITE_TMPDIR", folder);
    }
    for (_, fd) in &start.fds {
        inheritable(fd, true)?;
    }
    let child = command.spawn();
    for (_, fd) in &start.fds {
        inheritable(fd, false)?;
    }
    child.with_context(|| format!("cannot start the process `{}`", start.role))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the supervisor is the one place that starts processes"
)]
fn command(role: &str) -> Command {
    // The binary may lie where another user id cannot reach it; this link always works.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("writ").args(["role", role]);
    command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    // A group of its own: Ctrl-C and a closed terminal reach the supervisor alone, which then stops
    // the children in order. If it is gone, they end because their line to it ends.
    command.process_group(0);
    command.env_clear();
    // Data keys and new access-key secrets pass through buffers of the processes on their way to
    // the caller. glibc overwrites what is freed, so that none stays behind in a heap.
    command.env("GLIBC_TUNABLES", WIPE_FREED);
    #[cfg(feature = "failpoints")]
    command.envs(std::env::vars().filter(|(name, _)| name.starts_with("WRIT_FAILPOINT")));
    command
}

fn inheritable(fd: &OwnedFd, on: bool) -> Result<()> {
    let flags = fcntl_getfd(fd)?;
    let flags = if on { flags - FdFlags::CLOEXEC } else { flags | FdFlags::CLOEXEC };
    Ok(fcntl_setfd(fd.as_fd(), flags)?)
}

fn config_fd(config: &[u8]) -> Result<OwnedFd> {
    let mut file = File::from(memfd_create("writ-config", MemfdFlags::CLOEXEC)?);
    file.write_all(config)?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file.into())
}
