//! What `/proc` says of processes (proc(5)).

use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::login::Peer;
use crate::limits::ENVIRONMENT_MAX_BYTES;

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
    let (facts, lives) = parse(pid, &std::fs::read_to_string(path(pid, "stat")).ok()?)?;
    lives.then_some(facts)
}

/// Which process has a number now, also if nothing but its exit code is left.
pub(super) fn holder(pid: u32) -> Option<Process> {
    let (facts, _) = parse(pid, &std::fs::read_to_string(path(pid, "stat")).ok()?)?;
    Some(facts.process)
}

/// Reads `/proc/PID/stat`, and whether it lives. The name is in parentheses and may hold anything, parentheses too.
fn parse(pid: u32, stat: &str) -> Option<(Facts, bool)> {
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    // The 22nd field of the line is the fourth; two of them are read.
    let start = words.nth(17)?.parse().ok()?;
    let process = Process { pid, start };
    Some((Facts { process, parent, name: name.to_owned() }, state != "Z" && state != "X"))
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
    let mut bytes = Vec::new();
    let file = File::open(path(pid, "environ")).ok()?;
    file.take(ENVIRONMENT_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let prefix = format!("{name}=");
    let found = bytes.split(|byte| *byte == 0).find_map(|v| v.strip_prefix(prefix.as_bytes()));
    found.map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The user whom it really is of.
pub(super) fn user(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(path(pid, "status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The user of a name, by the machine's own list.
pub(super) fn user_of_name(name: &str) -> Option<u32> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut words = text.lines().map(|line| line.split(':'));
    words.find_map(|mut words| (words.next()? == name).then(|| words.nth(1)?.parse().ok())?)
}

/// The other end of the TCP connection that a process has open, as its own network sees it.
pub(super) fn peer(pid: u32) -> Option<Peer> {
    let entries = std::fs::read_dir(path(pid, "fd")).ok()?.flatten();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: Vec<String> = links
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    ["net/tcp", "net/tcp6"].into_iter().find_map(|table| {
        let text = std::fs::read_to_string(path(pid, table)).ok()?;
        text.lines().find_map(|line| remote(line, &sockets))
    })
}

/// The other end in a line of `/proc/net/tcp` or `tcp6`, if it is of one of the sockets.
fn remote(line: &str, sockets: &[String]) -> Option<Peer> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (remote, inode) = (words.get(2)?, words.get(9)?);
    if !sockets.iter().any(|socket| socket == inode) {
        return None;
    }
    let (address, port) = remote.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|port| *port != 0)?;
    // Each 32 bits are written as this machine reads them.
    let mut bytes = Vec::new();
    for at in (0..address.len()).step_by(8) {
        let part = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(part.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some((address.to_canonical(), port))
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
        let (facts, lives_then) = parse(9, &format!("9 (a) (b) c) {rest}")).unwrap();
        assert!(lives_then);
        assert_eq!((facts.name.as_str(), facts.parent), ("a) (b) c", 7));
        assert_eq!(facts.process, Process { pid: 9, start: 4711 });
        let (_, lives_then) = parse(9, &format!("9 (x) {}", rest.replacen('S', "Z", 1))).unwrap();
        assert!(!lives_then);
        assert_eq!(parse(9, "9 (x) S 1"), None);
        let own = super::facts(std::process::id()).unwrap();
        assert!(lives(own.process));
    }
    #[test]
    fn peer_is_the_other_end_of_the_open_connection() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may be without IPv6.
            let Ok(listener) = std::net::TcpListener::bind(address) else { continue };
            let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let inode = std::fs::read_link(format!(
                "/proc/self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(&near)
            ));
            let inode = inode.unwrap().to_string_lossy().into_owned();
            let sockets = [inode.trim_matches(|c: char| !c.is_ascii_digit()).to_owned()];
            let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
            let text = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
            let found = text.iter().flat_map(|t| t.lines()).find_map(|l| remote(l, &sockets));
            let peer = near.peer_addr().unwrap();
            assert_eq!(found, Some((peer.ip(), peer.port())));
        }
    }
}
