//! The programs of the runbooks that come with Writ. Each answers with one JSON object of numbers, flags and words that
//! are written here: nothing that a file, a log or another program says comes through as it is.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// States of a service, as both supervisors' are told.
pub const STATES: [&str; 6] = ["down", "failed", "finishing", "other", "running", "starting"];
/// How long a service may take to come up again, in seconds.
const RESTART_SECONDS: &str = "20";
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
        Supervisor::Runit => {
            let path = format!("{folder}/{service}");
            Ok(runit(&ask(supervisor, &["status", &path], false)?))
        }
        Supervisor::Systemd => {
            let properties =
                "--property=ActiveState,MainPID,UnitFileState,ActiveEnterTimestampMonotonic";
            let said = ask(supervisor, &["show", properties, "--", &unit(service)], true)?;
            Ok(systemd(&said))
        }
    }
}

fn unit(service: &str) -> String {
    format!("{service}.service")
}

/// `run: /etc/service/x: (pid 12) 345s, normally down; run: log: (pid 11) 345s` (sv(8)).
fn runit(said: &str) -> Seen {
    let own = said.lines().next().unwrap_or_default().split(';').next().unwrap_or_default();
    let state = match own.split(':').next() {
        Some("run") => "running",
        Some("down") => "down",
        Some("finish") => "finishing",
        Some("fail") => "failed",
        _ => "other",
    };
    let process =
        own.split_once("(pid ").and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
    let seconds = |word: &str| word.trim_end_matches(',').strip_suffix('s')?.parse().ok();
    let up_seconds = own.split_whitespace().find_map(seconds).filter(|_| state == "running");
    let wanted = match state {
        "running" => !own.contains(", normally down"),
        _ => own.contains(", normally up") || own.contains(", want up"),
    };
    Seen { state, wanted, process, up_seconds }
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

    #[test]
    fn what_sv_says_becomes_words_of_ours() {
        for (said, wanted) in [
            ("run: /s/web: (pid 12) 345s\n", seen("running", true, Some(12), Some(345))),
            (
                "run: /s/web: (pid 12) 5s, normally down; run: log: (pid 9) 6s\n",
                seen("running", false, Some(12), Some(5)),
            ),
            ("down: /s/web: 3s, normally up\n", seen("down", true, None, None)),
            ("down: /s/web: 3s\n", seen("down", false, None, None)),
            ("finish: /s/web: (pid 7) 1s\n", seen("finishing", false, Some(7), None)),
            (
                "fail: /s/web: unable to change to service directory\n",
                seen("failed", false, None, None),
            ),
            ("root:x:0:0:root:/root:/bin/sh\n", seen("other", false, None, None)),
            ("", seen("other", false, None, None)),
            ("run\nroot:x:0\n", seen("running", true, None, None)),
        ] {
            assert_eq!(runit(said), wanted, "{said}");
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
        for said in ["run: x", "down: x", "finish: x", "fail: x", ""] {
            assert!(STATES.contains(&runit(said).state), "{said}");
        }
        for state in ["active", "activating", "deactivating", "inactive", "failed", "maintenance"] {
            assert!(STATES.contains(&systemd(&format!("ActiveState={state}")).state), "{state}");
        }
    }
}
