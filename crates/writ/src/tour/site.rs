//! The installation under test: the same binary as processes of its own, in a directory of its own.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use writ_aws::sigv4::client::Credentials;
use writ_model::{Env as _, SystemEnv};

use crate::up::ready::{FILE, Ready};

/// The customer.
pub const ACCOUNT: &str = "111122223333";
/// Another customer, who must not get at the first one's things.
pub const OTHER_ACCOUNT: &str = "444455556666";

/// How long everything may take to serve.
const START_MAX: Duration = Duration::from_secs(30);
/// How long everything may take to end; the supervisor gives each process 5 s.
const STOP_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Lines of the log that a failure shows.
const LOG_TAIL_LINES: usize = 12;

/// Recordings are small here, and so may be the disk.
const CONFIG: &str = "recordings-floor-mib = 64\nrecordings-close-mib = 32\n";

/// The tour's temporary directory. It is removed at the end unless it is kept.
pub struct TourDir {
    path: PathBuf,
    keep: bool,
}

impl TourDir {
    /// Makes it. Others may pass through it, so that the processes can have user ids of their own.
    pub fn new() -> Result<TourDir> {
        let name = format!("writ-tour-{}", hex::encode(SystemEnv.nonce().0));
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o711).create(&path);
        made.with_context(|| format!("cannot make `{}`", path.display()))?;
        // The mask of this process may have taken bits away.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))?;
        Ok(TourDir { path, keep: false })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it there.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for TourDir {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed lies in the system's temporary folder.
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// A started `writ up`. It is stopped at the latest when this value goes.
pub struct Site {
    data: PathBuf,
    child: Child,
    /// What it says of itself.
    pub ready: Ready,
    /// How long it took until everything served.
    pub took: Duration,
}

impl Site {
    /// Starts it in `base` and waits until everything serves.
    pub fn start(base: &Path) -> Result<Site> {
        let (data, log) = (base.join("data"), log_path(base));
        prepare(&data)?;
        let log = File::options().append(true).create(true).open(log)?;
        let began = SystemEnv.monotonic();
        let mut command = up(&data);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("cannot start `writ up`")?;
        let ready = wait_ready(&mut child, &data.join(FILE));
        let took = SystemEnv.monotonic().saturating_sub(began);
        match ready {
            Ok(ready) => Ok(Site { data, child, ready, took }),
            Err(error) => {
                end(&mut child).ok();
                Err(error)
            }
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The credentials that `writ up` wrote for an account's owner.
    pub fn owner(&self, account: &str) -> Result<Credentials> {
        let path = self.data.join("credentials");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        profile(&text, account).with_context(|| format!("`{}` has no [{account}]", path.display()))
    }

    /// Starts a second one on the same data, which has to end by itself.
    pub fn second(&self) -> Result<Finished> {
        finish(up(&self.data))
    }

    /// Asks it to stop, waits for its end, and says how long that took.
    pub fn stop(mut self) -> Result<(ExitStatus, Duration)> {
        let began = SystemEnv.monotonic();
        let status = end(&mut self.child)?;
        Ok((status, SystemEnv.monotonic().saturating_sub(began)))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // After `stop` this finds the process ended.
        end(&mut self.child).ok();
    }
}

/// A process that has ended.
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed: standard output, then standard error.
    pub lines: Vec<String>,
}

impl Finished {
    /// The first line that holds `part`, if it ended well and has one.
    pub fn saying(&self, part: &str) -> Result<String> {
        match (self.code, self.line(part)) {
            (Some(0), Some(line)) => Ok(line),
            (Some(0), None) => bail!("it does not say `{part}`: {}", self.lines.join(" ")),
            (code, _) => bail!("exit {code:?}: {}", self.lines.join(" ")),
        }
    }

    /// The line that refuses, if it failed and one holds `part`.
    pub fn refusing(&self, part: &str) -> Result<String> {
        match (self.code, self.line(part)) {
            (Some(0), _) => bail!("IT WAS DONE: {}", self.lines.join(" ")),
            (_, Some(line)) => Ok(line.trim_start_matches("writ: ").to_owned()),
            (_, None) => bail!("refused, but not for `{part}`: {}", self.lines.join(" ")),
        }
    }

    /// The line that holds `part`: an error's before any other.
    fn line(&self, part: &str) -> Option<String> {
        let mut found: Vec<&String> = self.lines.iter().filter(|l| l.contains(part)).collect();
        found.sort_by_key(|line| !line.starts_with("writ: "));
        found.first().map(|line| line.trim().to_owned())
    }
}

/// Runs `writ` with these words.
pub fn run(words: &[&str]) -> Result<Finished> {
    finish(writ_with(words))
}

/// Starts `writ` with these words and leaves it running; what it says goes to the end of `log`.
pub fn start(words: &[&str], log: &Path) -> Result<Child> {
    let log = File::options().append(true).create(true).open(log)?;
    let mut command = writ_with(words);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("cannot start `writ`")
}

/// Runs `writ verify` on `data`, remembering in `state` what it has seen.
pub fn verify(data: &Path, genesis: &str, state: &Path) -> Result<Finished> {
    let mut command = writ("verify");
    command.arg("--genesis").arg(genesis).arg("--data").arg(data).arg("--state").arg(state);
    finish(command)
}

/// Runs `writ export` for an account of `data`.
pub fn export(data: &Path, account: &str, out: &Path) -> Result<Finished> {
    let mut command = writ("export");
    command.args(["--account", account]).arg("--data").arg(data).arg("--out").arg(out);
    finish(command)
}

/// Runs `writ verify` on an account's bundle.
pub fn verify_bundle(
    bundle: &Path,
    account: &str,
    genesis: &str,
    state: &Path,
) -> Result<Finished> {
    let mut command = writ("verify");
    command.args(["--account", account, "--genesis", genesis]);
    command.arg("--bundle").arg(bundle).arg("--state").arg(state);
    finish(command)
}

/// Where the processes' output goes.
pub fn log_path(base: &Path) -> PathBuf {
    base.join("up.log")
}

/// The last lines of the processes' output.
pub fn log_tail(base: &Path) -> Vec<String> {
    let text = std::fs::read(log_path(base)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let skip = text.lines().count().saturating_sub(LOG_TAIL_LINES);
    text.lines().skip(skip).map(str::to_owned).collect()
}

/// Before the first start: the folder in which HR will deliver its feed, and a configuration for small disks.
fn prepare(data: &Path) -> Result<()> {
    if data.exists() {
        return Ok(());
    }
    let hr = data.join("hr");
    std::fs::create_dir_all(&hr)?;
    for (folder, mode) in [(data, 0o711), (hr.as_path(), 0o755)] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
    }
    write(&data.join("writ.toml"), CONFIG.as_bytes())
}

fn up(data: &Path) -> Command {
    let mut command = writ("up");
    command.args(["--listen", "127.0.0.1:0", "--account", ACCOUNT, "--account", OTHER_ACCOUNT]);
    command.args([OsStr::new("--data"), data.as_os_str()]);
    command
}

#[expect(clippy::disallowed_methods, reason = "the tour runs this binary as a user would")]
fn writ(subcommand: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("writ").arg(subcommand);
    command
}

fn writ_with(words: &[&str]) -> Command {
    let (first, rest) = words.split_first().unwrap_or((&"help", &[]));
    let mut command = writ(first);
    command.args(rest);
    command
}

fn finish(mut command: Command) -> Result<Finished> {
    let output = command.stdin(Stdio::null()).output().context("cannot start `writ`")?;
    let text = [output.stdout, output.stderr].concat();
    let lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    Ok(Finished { code: output.status.code(), lines })
}

fn wait_ready(child: &mut Child, path: &Path) -> Result<Ready> {
    let began = SystemEnv.monotonic();
    loop {
        if let Ok(text) = std::fs::read(path) {
            return serde_json::from_slice(&text).context("ready.json is not what it should be");
        }
        if let Some(status) = child.try_wait()? {
            bail!("`writ up` ended before everything served ({status})");
        }
        if SystemEnv.monotonic().saturating_sub(began) > START_MAX {
            bail!("`writ up` does not serve after {} s", START_MAX.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

fn end(child: &mut Child) -> Result<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM)?;
    }
    let began = SystemEnv.monotonic();
    while SystemEnv.monotonic().saturating_sub(began) < STOP_MAX {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    bail!("`writ up` did not end {} s after SIGTERM and was killed", STOP_MAX.as_secs())
}

fn profile(text: &str, name: &str) -> Option<Credentials> {
    let header = format!("[{name}]");
    let lines = text.lines().skip_while(|line| *line != header).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with('[')).collect();
    let value = |key: &str| {
        let pairs = lines.iter().filter_map(|line| line.split_once('='));
        pairs.map(|(k, v)| (k.trim(), v.trim())).find(|(k, _)| *k == key).map(|(_, v)| v)
    };
    Some(Credentials::new(value("aws_access_key_id")?, value("aws_secret_access_key")?))
}

/// Writes a file of the tour's own.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut file =
        File::create(path).with_context(|| format!("cannot make `{}`", path.display()))?;
    Ok(file.write_all(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_is_found_by_its_name() {
        let text = "[1]\naws_access_key_id = A\naws_secret_access_key = s/=\n\
                    [2]\naws_access_key_id = B\naws_secret_access_key = t\n";
        let found = profile(text, "1").unwrap();
        assert_eq!((found.access_key_id.as_str(), found.secret.as_str()), ("A", "s/="));
        assert_eq!(profile(text, "2").unwrap().access_key_id, "B");
        assert!(profile(text, "3").is_none());
    }
}
