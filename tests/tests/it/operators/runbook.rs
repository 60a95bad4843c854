//! A managed host that runs runbooks, and the people who publish, ask and agree.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use writ_proof::ed25519::SoftKey;
use writ_proof::runbook::Entry;
use writ_proof::statement::Signed;
use writ_tests::site::{self, ANN, Verdict, binary};
use writ_tests::wait::until;
use writ_tests::{Site, process};

use super::access::Shift;
use super::roster::Desk;

/// The host's name.
pub(crate) const HOST: &str = "app-1";

/// A shift with a host that runs runbooks. Dropping it kills the host's agent.
pub(crate) struct Hands<'s> {
    pub(crate) shift: Shift<'s>,
    pub(crate) site: &'s Site,
    pub(crate) dir: PathBuf,
    agent: Option<Child>,
}

impl<'s> Hands<'s> {
    /// The group `runners` of anna and dora, whose requests two approvers agree to, and a host with an executor.
    pub(crate) fn at(site: &'s Site) -> Hands<'s> {
        let (shift, desk) = (Shift::at(site), Desk::at(site));
        desk.changes(&["set-rule", "catalogue@writ", "--threshold=2", "--group=founders"]);
        let group = [
            "add-group",
            "runners",
            "--title=Runners",
            "--tier=standard",
            "--owner=boris",
            "--owner=carla",
            "--slot=peers:2:group:approvers",
            "--host=app-*",
            "--login=svc",
            "--kind=runbook",
            "--max-hours=1",
        ];
        desk.changes(&group);
        for person in ["anna", "dora"] {
            desk.changes(&["add-member", "--group=runners", "--person", person, "--days=90"]);
        }
        let key = desk.key("host-key");
        let public = key.with_extension("pub");
        let host = ["add-host", HOST, "--address=10.0.0.9:22", "--account", ANN, "--key"];
        desk.changes(&[&host[..], &[public.to_str().unwrap()]].concat());
        let dir = site.home().join("runner");
        let hands = Hands { shift, site, dir, agent: None };
        let pinned = hands.pin(site.genesis());
        assert_eq!(pinned.code, 0, "{}", pinned.text);
        hands
    }

    /// `writ agent pin`, to a genesis of this digest.
    pub(crate) fn pin(&self, genesis: &str) -> Verdict {
        let key = self.site.home().join("host-key");
        let (dir, key) = (self.dir.to_str().unwrap(), key.to_str().unwrap());
        let mut arguments = vec!["agent", "pin", "--host", HOST, "--dir", dir, "--host-key", key];
        arguments.extend(["--front", self.site.endpoint("sts"), "--genesis", genesis]);
        arguments.extend(["--ca", self.site.ready["ca"].as_str().unwrap()]);
        site::run(&arguments)
    }

    /// Starts the host's executor.
    pub(crate) fn execute(&mut self) {
        let log = File::options().create(true).append(true).open(self.printed_to()).unwrap();
        let child = Command::new(binary())
            .args(["agent", "execute", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(child);
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.agent.take() {
            process::signal(child.id(), Signal::KILL);
            child.wait().unwrap();
        }
    }

    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.printed_to()).unwrap_or_default()
    }

    fn printed_to(&self) -> PathBuf {
        self.site.home().join("runner.printed")
    }

    /// The host's own log of runs.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("runs/runs.log")).unwrap_or_default()
    }

    /// Makes an entry of a runbook that comes with Writ; answers its file.
    pub(crate) fn make(&self, arguments: &[&str]) -> PathBuf {
        let file = self.site.home().join("made.entry");
        let program = binary();
        let made = [&["runbook", "make"], arguments, &["--group=runners", "--program"]].concat();
        let out = [program.to_str().unwrap(), "--out", file.to_str().unwrap(), "--overwrite"];
        self.shift.ok("anna", &[&made[..], &out].concat());
        file
    }

    /// An owner and two founders sign an entry, and it is sent in.
    pub(crate) fn publish(&self, file: &std::path::Path) -> Verdict {
        let (file, data) = (file.to_str().unwrap(), self.site.dir().to_str().unwrap());
        self.shift.ok("boris", &["runbook", "sign", file]);
        for founder in ["1", "2"] {
            let sign = ["runbook", "sign", file, "--founder", founder, "--data", data];
            let signed = site::run(&sign);
            assert_eq!(signed.code, 0, "{}", signed.text);
        }
        self.shift.run("boris", &["runbook", "publish", file])
    }

    /// Makes and publishes.
    #[track_caller]
    pub(crate) fn published(&self, arguments: &[&str]) {
        let done = self.publish(&self.make(arguments));
        assert!(done.code == 0 && done.text.contains("is in force"), "{}", done.text);
    }

    /// An entry that somebody wrote, signed by boris and two founders, as its file.
    pub(crate) fn written(&self, entry: &Entry) -> Signed {
        let mut signed = self.shift.signed(entry, "boris");
        for n in 1..=2 {
            let seed = self.site.dir().join(format!("founders/founder-{n}.seed"));
            let seed: [u8; 32] = fs::read(seed).unwrap().try_into().unwrap();
            signed.sign(&SoftKey::from_seed(&seed).unwrap()).unwrap();
        }
        signed
    }

    /// anna asks for a run; it waits for others.
    pub(crate) fn ask(&self, runbook: &str, more: &[&str]) -> Asking {
        let told = self.site.home().join(format!("asked-{}", rand(self.site)));
        let child = Command::new(binary())
            .args(["run", runbook, "--host", HOST, "--ticket=OPS-17", "--reason=is it full?"])
            .args(more)
            .args(["--json", "--key"])
            .arg(self.shift.key("anna"))
            .arg("--data")
            .arg(self.site.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&told).unwrap())
            .spawn()
            .unwrap();
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        let id = until("the request", || {
            let text = read(&told);
            let (_, rest) = text.split_once("writ approve ")?;
            rest.get(..26).map(ToOwned::to_owned)
        });
        Asking { child, id, told }
    }

    /// boris and carla agree.
    pub(crate) fn agree(&self, asking: &Asking) {
        for person in ["boris", "carla"] {
            self.shift.ok(person, &["approve", &asking.id]);
        }
    }

    /// anna asks, two agree; what came back.
    pub(crate) fn runs(&self, runbook: &str, more: &[&str]) -> Value {
        let asking = self.ask(runbook, more);
        self.agree(&asking);
        let (code, runs, told) = asking.end();
        assert!(runs.is_array(), "{code} {told}\n{}\n{}", self.printed(), self.site.log());
        runs[0].clone()
    }
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A different name each time.
fn rand(site: &Site) -> usize {
    fs::read_dir(site.home()).unwrap().count()
}

/// `writ run` while it waits.
pub(crate) struct Asking {
    child: Child,
    /// The request.
    pub(crate) id: String,
    told: PathBuf,
}

impl Asking {
    /// Its exit code, its results, and what it told on the way.
    pub(crate) fn end(self) -> (i32, Value, String) {
        let output = self.child.wait_with_output().unwrap();
        let runs = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let told = fs::read_to_string(&self.told).unwrap();
        (output.status.code().unwrap_or(-1), runs, told)
    }
}
