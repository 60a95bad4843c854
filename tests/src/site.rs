//! A running installation in a temporary directory.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::clients::{Clients, Credentials};
use crate::http::Http;
use crate::ledger::Ledger;
use crate::process::{self, Process};
use crate::wait::{PATIENCE, until, within};

/// The account that most tests use.
pub const ANN: &str = "111111111111";
/// A stranger's account.
pub const BOB: &str = "222222222222";

/// How a site is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Accounts to create.
    pub accounts: Vec<String>,
    /// The text of `writ.toml`, if it is not the default one.
    pub config: Option<String>,
    /// Failpoints, as `WRIT_FAILPOINT` takes them.
    pub failpoints: String,
    /// The data directory, if it is not to be a temporary one.
    pub dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            accounts: vec![ANN.to_owned(), BOB.to_owned()],
            config: None,
            failpoints: String::new(),
            dir: None,
        }
    }
}

/// An installation that serves. Dropping it stops it; after a failed test its files stay.
pub struct Site {
    supervisor: Child,
    dir: PathBuf,
    log: PathBuf,
    options: Options,
    /// `ready.json`.
    pub ready: Value,
    clients: OnceLock<Clients>,
    home: Option<TempDir>,
}

/// Why a start was refused.
#[derive(Debug)]
pub struct StartFailure {
    /// How it ended; `None` if it had to be killed because it neither served nor ended.
    pub status: Option<ExitStatus>,
    /// Everything that it printed.
    pub log: String,
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("WRIT_BIN").map_or_else(|| target().join("debug/writ"), PathBuf::from)
}

/// The folder of the tools that `cargo xtask test tools` installs.
pub fn tools() -> PathBuf {
    std::env::var_os("WRIT_TOOLS").map_or_else(|| target().join("tools"), PathBuf::from)
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// A temporary folder that other user ids may pass, as a data directory's parents must allow.
pub fn passable_dir() -> TempDir {
    let home = tempfile::Builder::new().prefix("writ-test-").tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    home
}

impl Site {
    /// A site with two accounts and everything else as it comes.
    pub fn start() -> Site {
        Site::with(Options::default())
    }

    /// A site with these options.
    pub fn with(options: Options) -> Site {
        Site::try_with(options).unwrap_or_else(|failure| panic!("no start: {}", failure.log))
    }

    /// The same, for starts that may be refused.
    pub fn try_with(options: Options) -> Result<Site, StartFailure> {
        let home = passable_dir();
        let dir = options.dir.clone().unwrap_or_else(|| home.path().join("data"));
        if let Some(text) = &options.config {
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
            fs::write(dir.join("writ.toml"), text).unwrap();
        }
        let log = home.path().join("log");
        let (supervisor, ready) = launch(&dir, &log, &options)?;
        let clients = OnceLock::new();
        Ok(Site { supervisor, dir, log, options, ready, clients, home: Some(home) })
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A folder for the test's own files; it lies outside the data directory.
    pub fn home(&self) -> &Path {
        self.home.as_ref().unwrap().path()
    }

    /// What all processes printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Where `service` answers.
    pub fn endpoint(&self, service: &str) -> &str {
        let name = if service == "s3" { "s3" } else { "endpoint" };
        self.ready[name].as_str().unwrap()
    }

    /// The AWS CLI and boto3, in one process for the whole test.
    pub fn clients(&self) -> &Clients {
        self.clients.get_or_init(|| Clients::start(&self.dir, self.home()))
    }

    /// A client that signs and sends whatever it is told.
    pub fn http(&self, service: &'static str) -> Http {
        Http::new(self.endpoint(service), service)
    }

    /// The credentials of the account's root, from `DIR/credentials`.
    pub fn root(&self, account: &str) -> Credentials {
        let text = fs::read_to_string(self.dir.join("credentials")).unwrap();
        let mut lines = text.lines().skip_while(|line| *line != format!("[{account}]"));
        lines.next().unwrap_or_else(|| panic!("no profile {account} in {text}"));
        let mut value = |name: &str| {
            let line = lines.next().unwrap();
            line.split_once(" = ").filter(|(found, _)| *found == name).unwrap().1.to_owned()
        };
        let id = value("aws_access_key_id");
        Credentials::long_term(account, &id, &value("aws_secret_access_key"))
    }

    /// The ledger's files.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(&self.dir.join("trail"))
    }

    /// The processes that live now.
    pub fn processes(&self) -> Vec<Process> {
        process::of_supervisor(self.supervisor.id())
    }

    /// The id of the living process of this role; waits for a restart that is under way.
    pub fn pid(&self, role: &str) -> u32 {
        until(&format!("a process `{role}`"), || {
            let found = self.processes().into_iter().find(|process| process.role == role)?;
            process::lives(found.pid).then_some(found.pid)
        })
    }

    /// Kills the process of this role as `kill -9` would.
    pub fn kill(&self, role: &str) -> u32 {
        let pid = self.pid(role);
        process::signal(pid, Signal::KILL);
        pid
    }

    /// Waits until the calls of a customer are served again.
    pub fn wait_until_served(&self) {
        let (http, root) = (self.http("sts"), self.root(&self.options.accounts[0]));
        let mut last = String::new();
        let kms = self.http("kms");
        let served = within(PATIENCE, || {
            let reply = http.query(&root, "Action=GetCallerIdentity&Version=2011-06-15").ok()?;
            last = reply.text();
            if reply.status != 200 {
                return None;
            }
            // A use needs keyd's own records to flow as well.
            let random = serde_json::json!({"NumberOfBytes": 1});
            let reply = kms.json(&root, "TrentService.GenerateRandom", &random).ok()?;
            last = reply.text();
            (reply.status == 200).then_some(())
        });
        assert!(served.is_some(), "not served again: {last}\n{}", self.log());
        if !self.endpoint("s3").is_empty() && self.endpoint("s3") != "http://" {
            let s3 = self.http("s3");
            until("s3 to serve again", || {
                let reply = s3.send(&root, "GET", "/", "", &[], b"").ok()?;
                (reply.status == 200).then_some(())
            });
        }
    }

    /// Stops it in order, and gives the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        process::signal(self.supervisor.id(), Signal::TERM);
        let ended = within(PATIENCE, || self.supervisor.try_wait().unwrap());
        ended.unwrap_or_else(|| panic!("it does not stop\n{}", self.log()))
    }

    /// Kills everything at once: supervisor first, so that nothing is restarted.
    pub fn kill_all(&mut self) {
        let all = self.processes();
        for process in &all {
            process::signal(process.pid, Signal::KILL);
        }
        self.supervisor.wait().unwrap();
        until("the processes to be gone", || {
            all.iter().all(|process| !process::lives(process.pid)).then_some(())
        });
    }

    /// Starts it again on the same directory, after [`Site::stop`] or [`Site::kill_all`].
    pub fn start_again(&mut self, failpoints: &str) -> Result<(), StartFailure> {
        self.options.failpoints = failpoints.to_owned();
        let (supervisor, ready) = launch(&self.dir, &self.log, &self.options)?;
        (self.supervisor, self.ready) = (supervisor, ready);
        self.clients = OnceLock::new();
        Ok(())
    }

    /// `writ verify` on the data directory of this site, in the state in which it is.
    pub fn verify(&self) -> Verdict {
        verify(&self.dir, self.genesis(), &self.home().join("seen"))
    }

    /// What the provider hands to a customer out of band.
    pub fn genesis(&self) -> &str {
        self.ready["genesis"].as_str().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.clients.take());
        if matches!(self.supervisor.try_wait(), Ok(None)) {
            let all = self.processes();
            process::signal(self.supervisor.id(), Signal::TERM);
            // A stopped child would never answer the supervisor.
            for process in &all {
                process::signal(process.pid, Signal::CONT);
            }
            let gone = within(Duration::from_secs(30), || self.supervisor.try_wait().ok()?);
            if gone.is_none() {
                self.kill_all();
            }
        }
        if std::thread::panicking()
            && let Some(home) = self.home.take()
        {
            let kept = home.keep();
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            println!("files of the failed run are kept in {}; end of the log:", kept.display());
            tail.iter().rev().for_each(|line| println!("  {line}"));
        }
    }
}

/// What `writ verify` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The exit code.
    pub code: i32,
    /// Standard output and error.
    pub text: String,
}

/// Runs `writ verify` on a directory; `seen` remembers the last trusted checkpoint.
pub fn verify(dir: &Path, genesis: &str, seen: &Path) -> Verdict {
    let (dir, seen) = (dir.to_str().unwrap(), seen.to_str().unwrap());
    run(&["verify", "--data", dir, "--genesis", genesis, "--state", seen])
}

/// Runs `writ export` on a directory.
pub fn export(dir: &Path, account: &str, out: &Path) -> Verdict {
    let (dir, out) = (dir.to_str().unwrap(), out.to_str().unwrap());
    run(&["export", "--account", account, "--data", dir, "--out", out])
}

/// Runs `writ verify` on an account's bundle; `seen` remembers what was seen.
pub fn verify_bundle(bundle: &Path, account: &str, genesis: &str, seen: &Path) -> Verdict {
    let (bundle, seen) = (bundle.to_str().unwrap(), seen.to_str().unwrap());
    let of = ["verify", "--bundle", bundle, "--account", account];
    run(&[&of[..], &["--genesis", genesis, "--state", seen]].concat())
}

/// Runs the binary with these arguments.
pub fn run(arguments: &[&str]) -> Verdict {
    let output = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Verdict { code: output.status.code().unwrap_or(-1), text }
}

fn launch(dir: &Path, log: &Path, options: &Options) -> Result<(Child, Value), StartFailure> {
    let sink = File::options().create(true).append(true).open(log).unwrap();
    let before = sink.metadata().unwrap().len();
    let mut command = Command::new(binary());
    command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(dir);
    for account in &options.accounts {
        command.args(["--account", account]);
    }
    command.env_remove("WRIT_FAILPOINT");
    if !options.failpoints.is_empty() {
        command.env("WRIT_FAILPOINT", &options.failpoints);
    }
    command.stdin(Stdio::null()).stdout(sink.try_clone().unwrap()).stderr(sink);
    let ready_file = dir.join("ready.json");
    // One of a start that was killed speaks of processes that are gone.
    fs::remove_file(&ready_file).ok();
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("cannot start `{}` ({error}): build it, or set WRIT_BIN", binary().display())
    });
    let mut ended = None;
    let ready = within(PATIENCE, || {
        if let Ok(Some(status)) = child.try_wait() {
            ended = Some(status);
            return Some(None);
        }
        serde_json::from_slice(&fs::read(&ready_file).ok()?).ok().map(Some)
    });
    if let Some(Some(ready)) = ready {
        return Ok((child, ready));
    }
    if ended.is_none() {
        for process in process::of_supervisor(child.id()) {
            process::signal(process.pid, Signal::KILL);
        }
        child.wait().unwrap();
    }
    let text = fs::read(log).unwrap();
    let new = text.get(usize::try_from(before).unwrap()..).unwrap_or_default();
    Err(StartFailure { status: ended, log: String::from_utf8_lossy(new).into_owned() })
}
