//! The servers under load, as processes of their own in a temporary directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use writ_aws::sigv4::client::Credentials;

/// The account that sends all requests.
pub(crate) const ACCOUNT: &str = "111122223333";
const START_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A directory that goes with this value.
pub(crate) struct Base(PathBuf);

impl Base {
    /// Makes it. Others may pass through it: the processes may have user ids of their own.
    pub(crate) fn new(parent: &Path) -> Result<Base> {
        let path = parent.join(format!("writ-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))?;
        Ok(Base(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        // What cannot be removed lies in a temporary folder.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The plain server.
pub(crate) struct Plain {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) pids: BTreeMap<String, u32>,
}

impl Plain {
    pub(crate) fn start(base: &Path) -> Result<Plain> {
        let folder = base.join("plain");
        std::fs::create_dir(&folder)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("--serve").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the plain server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the plain server does not serve")?;
        let pids = BTreeMap::from([("plain".to_owned(), child.id())]);
        Ok(Plain { child, address, pids })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[derive(Deserialize)]
struct Ready {
    endpoint: String,
    s3: String,
    pids: BTreeMap<String, u32>,
}

/// A started `writ up`.
pub(crate) struct Site {
    child: Child,
    pub(crate) api: SocketAddr,
    pub(crate) s3: SocketAddr,
    pub(crate) pids: BTreeMap<String, u32>,
    pub(crate) owner: Credentials,
}

impl Site {
    pub(crate) fn start(writ: &Path, base: &Path) -> Result<Site> {
        let (data, log) = (base.join("data"), File::create(base.join("up.log"))?);
        let mut command = Command::new(writ);
        command.args(["up", "--listen", "127.0.0.1:0", "--account", ACCOUNT, "--data"]).arg(&data);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let shown = || format!("cannot start `{}`", writ.display());
        let mut child = command.spawn().with_context(shown)?;
        let mut waited = Duration::ZERO;
        while !data.join("ready.json").exists() {
            let status = child.try_wait()?;
            if status.is_some() || waited > START_MAX {
                let log = std::fs::read_to_string(base.join("up.log")).unwrap_or_default();
                child.kill().ok();
                bail!("`writ up` does not serve:\n{log}");
            }
            sleep(POLL);
            waited += POLL;
        }
        let ready: Ready = serde_json::from_slice(&std::fs::read(data.join("ready.json"))?)?;
        let address = |url: &str| -> Result<SocketAddr> {
            url.trim_start_matches("http://").parse().with_context(|| format!("`{url}`"))
        };
        let (api, s3) = (address(&ready.endpoint)?, address(&ready.s3)?);
        let owner = owner(&std::fs::read_to_string(data.join("credentials"))?);
        let owner = owner.context("no credentials of the account")?;
        Ok(Site { child, api, s3, pids: ready.pids, owner })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id())
            && let Some(pid) = Pid::from_raw(id)
        {
            kill_process(pid, Signal::TERM).ok();
        }
        self.child.wait().ok();
    }
}

fn owner(text: &str) -> Option<Credentials> {
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    Some(Credentials::new(&value("aws_access_key_id")?, &value("aws_secret_access_key")?))
}
