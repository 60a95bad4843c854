//! The processes of a running site, as the kernel shows them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// One process of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// `front`, `keyd`, `s3`, `trail`, `watch` or `supervisor`.
    pub role: String,
}

/// The supervisor `pid` and its living children.
pub fn of_supervisor(pid: u32) -> Vec<Process> {
    let mut found = vec![Process { pid, role: "supervisor".to_owned() }];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if parent(child) == Some(pid)
            && let Some(role) = role(child)
        {
            found.push(Process { pid: child, role });
        }
    }
    found
}

/// Sends a signal; false if the process is gone.
pub fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).is_ok()
}

/// True while the process exists and has not ended.
pub fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// A line of `/proc/PID/status` in kilobytes, such as `VmHWM`.
pub fn kilobytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|(_, parent)| parent)
}

fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also blanks and brackets; what follows its last one is regular.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn role(pid: u32) -> Option<String> {
    let path = Path::new("/proc").join(pid.to_string()).join("cmdline");
    let line = fs::read(path).ok()?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    match words.as_slice() {
        [_, word, role, ..] if *word == b"role" => String::from_utf8(role.to_vec()).ok(),
        _ => None,
    }
}
