//! What `/proc` says of processes (proc(5)).

use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process, told from a later one of the same number by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// In clock ticks since the boot.
    pub(super) start: u64,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) process: Process,
    pub(super) parent: u32,
    pub(super) name: String,
}

/// The audit session of a process that has none.
const NO_SESSION: u32 = u32::MAX;

fn path(pid: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

/// The numbers of all processes.
pub(super) fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// What is known of a process; `None` if it is gone, or nothing but its exit code is left.
pub(super) fn facts(pid: u32) -> Option<Facts> {
    parse(pid, &std::fs::read_to_string(path(pid, "stat")).ok()?)
}

/// Reads `/proc/PID/stat`. The name is in parentheses and may hold anything, parentheses too.
fn parse(pid: u32, stat: &str) -> Option<Facts> {
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    // The 22nd field of the line is the fourth; two of them are read.
    let start = words.nth(17)?.parse().ok()?;
    let process = Process { pid, start };
    (state != "Z" && state != "X").then(|| Facts { process, parent, name: name.to_owned() })
}

/// True if this very process lives.
pub(super) fn lives(process: Process) -> bool {
    facts(process.pid).is_some_and(|facts| facts.process == process)
}

/// Its group in the one hierarchy of version 2, below the root.
pub(super) fn group(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(path(pid, "cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Its audit session, which is inherited and which nobody leaves without CAP_AUDIT_CONTROL.
pub(super) fn audit_session(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(path(pid, "sessionid")).ok()?;
    text.trim().parse().ok().filter(|session| *session != NO_SESSION)
}

/// A variable of the environment that it was started with.
pub(super) fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = std::fs::read(path(pid, "environ")).ok()?;
    let prefix = format!("{name}=");
    let found = bytes.split(|byte| *byte == 0).find_map(|v| v.strip_prefix(prefix.as_bytes()));
    found.map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Kills this very process; false if it was gone.
pub(super) fn kill(process: Process) -> bool {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    // What the handle names cannot become another process any more.
    lives(process) && pidfd_send_signal(&handle, Signal::KILL).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name_holds() {
        let rest = "S 7 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 1";
        let facts = parse(9, &format!("9 (a) (b) c) {rest}")).unwrap();
        assert_eq!((facts.name.as_str(), facts.parent), ("a) (b) c", 7));
        assert_eq!(facts.process, Process { pid: 9, start: 4711 });
        assert_eq!(parse(9, &format!("9 (x) {}", rest.replacen('S', "Z", 1))), None);
        assert_eq!(parse(9, "9 (x) S 1"), None);
        let own = super::facts(std::process::id()).unwrap();
        assert!(lives(own.process));
    }
}
