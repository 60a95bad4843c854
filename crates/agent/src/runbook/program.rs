//! The programs of the runbooks that come with Writ. Each answers with one JSON object of numbers, flags and words that
//! are written here: nothing that a file, a log or another program says comes through as it is.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

/// States of a service, as both supervisors' are told.
pub const STATES: [&str; 6] = ["down", "failed", "finishing", "other", "running", "starting"];
/// How long a service may take to come up again, in seconds.
const RESTART_SECONDS: &str = "20";
/// What runit's `supervise/status` may be.
const STATUS_MAX_BYTES: u64 = 64;
/// The second of 1970 in TAI64, as runit counts.
const TAI64_EPOCH: u64 = 4_611_686_018_427_387_914;
/// What a supervisor may say.
const SAID_MAX_BYTES: usize = 64 * 1024;

/// What looks after services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// runit's `sv`, with a folder that holds the services.
    Runit,
    /// `systemctl`.
    Systemd,
}

impl Supervisor {
    /// Both.
    pub const ALL: [Supervisor; 2] = [Supervisor::Runit, Supervisor::Systemd];

    /// The name on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Supervisor::Runit => "runit",
            Supervisor::Systemd => "systemd",
        }
    }
}

/// How full a file system is. `mount` is `root`, or the path without its first `/` and with `.` for each other.
///
/// # Errors
/// There is no such folder.
pub fn disk_usage(mount: &str) -> Result<Value, String> {
    let path = match mount {
        "root" => "/".to_owned(),
        other => format!("/{}", other.replace('.', "/")),
    };
    let found = rustix::fs::statvfs(&path).map_err(|error| format!("{path}: {error}"))?;
    // As df(1) does: what only root may still use counts as used.
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let files = found.f_files.saturating_sub(found.f_ffree);
    let size = found.f_blocks.saturating_mul(found.f_frsize) >> 30;
    Ok(json!({
        "used_percent": percent(used, used.saturating_add(found.f_bavail)),
        "files_percent": percent(files, found.f_files),
        "size_gib": size.min(1 << 20),
    }))
}

/// Rounded up, as df(1) does.
fn percent(part: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * 100;
    let whole = u128::from(whole);
    let rounded = if whole == 0 { 0 } else { scaled.div_ceil(whole) };
    u64::try_from(rounded).unwrap_or(100).min(100)
}

/// What a service does. `folder` is runit's.
///
/// # Errors
/// Its supervisor does not answer.
pub fn service_status(
    supervisor: Supervisor,
    folder: &str,
    service: &str,
) -> Result<Value, String> {
    let seen = look(supervisor, folder, service)?;
    let mut answer = json!({ "state": seen.state, "wanted": seen.wanted });
    if let (Some(up), Value::Object(members)) = (seen.up_seconds, &mut answer) {
        members.insert("up_minutes".to_owned(), (up / 60).min(1 << 20).into());
    }
    Ok(answer)
}

/// Restarts a service, and says whether another process runs for it now.
///
/// # Errors
/// Its supervisor does not answer, or does not restart it.
pub fn service_restart(
    supervisor: Supervisor,
    folder: &str,
    service: &str,
) -> Result<Value, String> {
    let before = look(supervisor, folder, service)?;
    let (unit, path) = (unit(service), format!("{folder}/{service}"));
    let arguments: &[&str] = match supervisor {
        Supervisor::Runit => &["-w", RESTART_SECONDS, "restart", &path],
        Supervisor::Systemd => &["restart", "--no-ask-password", "--", &unit],
    };
    ask(supervisor, arguments, true)?;
    let after = look(supervisor, folder, service)?;
    let replaced = after.process.is_some() && after.process != before.process;
    Ok(json!({ "restarted": replaced, "state": after.state }))
}

/// What a supervisor says of a service.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    state: &'static str,
    /// It is meant to run.
    wanted: bool,
    process: Option<u32>,
    up_seconds: Option<u64>,
}

fn look(supervisor: Supervisor, folder: &str, service: &str) -> Result<Seen, String> {
    match supervisor {
        Supervisor::Runit => look_at_runit(&Path::new(folder).join(service)),
        Supervisor::Systemd => {
            let properties =
                "--property=ActiveState,MainPID,UnitFileState,ActiveEnterTimestampMonotonic";
            let said = ask(supervisor, &["show", properties, "--", &unit(service)], true)?;
            Ok(systemd(&said))
        }
    }
}

/// Reads what `sv status` reads, without the writing to a pipe by which that asks whether a supervisor is there: runsv
/// holds the lock instead.
fn look_at_runit(service: &Path) -> Result<Seen, String> {
    let folder = service.join("supervise");
    let wrong = |name: &str, error: &dyn std::fmt::Display| {
        format!("{}: {error}", folder.join(name).display())
    };
    let lock = File::open(folder.join("lock")).map_err(|error| wrong("lock", &error))?;
    let lonely = flock(&lock, FlockOperation::NonBlockingLockShared).is_ok();
    let mut status = Vec::new();
    let opened = File::open(folder.join("status")).map_err(|error| wrong("status", &error))?;
    let read = opened.take(STATUS_MAX_BYTES).read_to_end(&mut status);
    read.map_err(|error| wrong("status", &error))?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    let seen = runit(&status, u64::try_from(now).unwrap_or(0));
    let seen = seen.ok_or_else(|| wrong("status", &"it is no status of runit"))?;
    Ok(if lonely { Seen { state: "failed", ..seen } } else { seen })
}

fn unit(service: &str) -> String {
    format!("{service}.service")
}

/// The 20 bytes of `supervise/status`: since when as TAI64N, the process, paused, wanted, told to end, state (runit's
/// sv.c).
fn runit(status: &[u8], now: u64) -> Option<Seen> {
    let status: &[u8; 20] = status.try_into().ok()?;
    let [since @ .., _, _, _, _, p0, p1, p2, p3, _, wanted, _, state] = status;
    let state = match state {
        0 => "down",
        1 => "running",
        2 => "finishing",
        _ => "other",
    };
    let process = Some(u32::from_le_bytes([*p0, *p1, *p2, *p3])).filter(|pid| *pid != 0);
    let since = u64::from_be_bytes(*since).checked_sub(TAI64_EPOCH)?;
    let up_seconds = (state == "running").then(|| now.saturating_sub(since));
    Some(Seen { state, wanted: *wanted == b'u', process, up_seconds })
}

/// `NAME=VALUE` a line (systemctl(1), "show").
fn systemd(said: &str) -> Seen {
    let value = |name: &str| {
        said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    let state = match value("ActiveState") {
        "active" | "reloading" => "running",
        "activating" => "starting",
        "deactivating" => "finishing",
        "inactive" => "down",
        "failed" => "failed",
        _ => "other",
    };
    let process = value("MainPID").parse().ok().filter(|pid| *pid != 0);
    let since: Option<u64> = value("ActiveEnterTimestampMonotonic").parse().ok();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
    let up_seconds = since
        .filter(|since| *since > 0 && state == "running")
        .and_then(|since| u64::try_from(now).ok()?.checked_sub(since / 1_000_000));
    let wanted = matches!(value("UnitFileState"), "enabled" | "enabled-runtime" | "static");
    Seen { state, wanted, process, up_seconds }
}

/// Asks a supervisor by its own program, with these arguments and nothing else.
fn ask(supervisor: Supervisor, arguments: &[&str], succeeds: bool) -> Result<String, String> {
    let program = match supervisor {
        Supervisor::Runit => "/usr/bin/sv",
        Supervisor::Systemd => "/usr/bin/systemctl",
    };
    #[expect(clippy::disallowed_methods, reason = "services are asked through their supervisor")]
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if succeeds && !output.status.success() {
        return Err(format!("{program} refused"));
    }
    if output.stdout.len() > SAID_MAX_BYTES {
        return Err(format!("{program} says too much"));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} says what is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &'static str, wanted: bool, process: Option<u32>, up: Option<u64>) -> Seen {
        Seen { state, wanted, process, up_seconds: up }
    }

    /// Since the 1,000th second, process 515.
    fn status(wanted: u8, state: u8) -> Vec<u8> {
        let since = (TAI64_EPOCH + 1000).to_be_bytes();
        let rest = [0, 0, 0, 0, 3, 2, 0, 0, 0, wanted, 0, state];
        [&since[..], &rest].concat()
    }

    #[test]
    fn what_runit_says_becomes_words_of_ours() {
        for (status, wanted) in [
            (status(b'u', 1), seen("running", true, Some(515), Some(345))),
            (status(b'd', 1), seen("running", false, Some(515), Some(345))),
            (status(b'u', 0), seen("down", true, Some(515), None)),
            (status(b'u', 2), seen("finishing", true, Some(515), None)),
            (status(b'x', b'x'), seen("other", false, Some(515), None)),
        ] {
            assert_eq!(runit(&status, 1345), Some(wanted));
        }
        for hostile in [&b""[..], b"root:x:0:0:root:/root", b"root:x:0:0:root:/roo"] {
            assert!(runit(hostile, 1345).is_none_or(|seen| STATES.contains(&seen.state)));
        }
    }

    #[test]
    fn what_systemctl_says_becomes_words_of_ours() {
        let shown = "ActiveState=active\nMainPID=12\nUnitFileState=enabled\n";
        assert_eq!(systemd(shown), seen("running", true, Some(12), None));
        let hostile = "Description=root:x:0:0\nActiveState=root:x:0\nMainPID=0\nUnitFileState=x\n";
        assert_eq!(systemd(hostile), seen("other", false, None, None));
        assert_eq!(systemd("ActiveState=failed\nMainPID=0\n"), seen("failed", false, None, None));
    }

    #[test]
    fn disk_usage_is_that_of_df() {
        let Value::Object(answer) = disk_usage("root").unwrap() else { panic!("no object") };
        let used = answer["used_percent"].as_u64().unwrap();
        #[expect(clippy::disallowed_methods, reason = "df is the judge")]
        let df = Command::new("df").args(["--output=pcent", "/"]).output().unwrap();
        let df = String::from_utf8(df.stdout).unwrap();
        let said = df.lines().nth(1).unwrap().trim().trim_end_matches('%').parse::<u64>().unwrap();
        assert!(used.abs_diff(said) <= 1, "{used} {said}");
        assert!(disk_usage("no.such.folder").is_err());
        assert_eq!((percent(1, 1000), percent(0, 0), percent(5, 5)), (1, 0, 100));
    }

    #[test]
    fn every_state_that_is_told_is_in_the_list() {
        for state in 0..=255 {
            assert!(STATES.contains(&runit(&status(b'u', state), 0).unwrap().state), "{state}");
        }
        for state in ["active", "activating", "deactivating", "inactive", "failed", "maintenance"] {
            assert!(STATES.contains(&systemd(&format!("ActiveState={state}")).state), "{state}");
        }
    }
}
