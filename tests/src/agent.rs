//! A managed host in a folder: its agent, the log that it follows, and what watch holds of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use writ_proof::hostlog::log::{Entry, Event};
use writ_proof::hostlog::{Frame, Payload};

use crate::process;
use crate::site::{Site, binary};
use crate::wait::{PATIENCE, until, within};

/// The bytes at the start of a segment of the host log.
const HEADER_BYTES: usize = 10;

/// An agent in a folder. Dropping it kills it.
pub struct Agent {
    /// The host's name.
    pub host: String,
    /// The agent's folder.
    pub dir: PathBuf,
    /// The file that it follows.
    pub log: PathBuf,
    child: Option<Child>,
}

impl Agent {
    /// Enrols host `host` at the site's watch, to report through `address`, from `dir`; it does not run yet.
    pub fn enrol_at(site: &Site, host: &str, address: &str, dir: PathBuf) -> Agent {
        Agent::enrol_with(site, host, address, dir, |config| config)
    }

    /// The same, with a configuration that `edit` makes of the usual one.
    pub fn enrol_with(
        site: &Site,
        host: &str,
        address: &str,
        dir: PathBuf,
        edit: impl FnOnce(String) -> String,
    ) -> Agent {
        let log = site.home().join(format!("{host}.log"));
        File::create(&log).unwrap();
        let config = format!(
            "watch = \"{address}\"\nspool-mib = 64\nsegment-mib = 1\n\n[[file]]\nname = \"sshd\"\npath = \"{}\"\n",
            log.display()
        );
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("agent.toml"), edit(config)).unwrap();
        let token = watch(site, &["token", host]);
        let output = Command::new(binary())
            .args(["agent", "enroll", "--watch", site.ready["agents"].as_str().unwrap()])
            .args(["--token", token.trim(), "--dir"])
            .arg(&dir)
            .args(["--readable", "/tmp"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Agent { host: host.to_owned(), dir, log, child: None }
    }

    /// Enrols straight to watch, with a folder below the site's and an edited configuration.
    pub fn enrol_edited(site: &Site, host: &str, edit: impl FnOnce(String) -> String) -> Agent {
        let dir = site.home().join(host);
        Agent::enrol_with(site, host, site.ready["agents"].as_str().unwrap(), dir, edit)
    }

    /// What changes while it runs.
    pub fn kept(&self, name: &str) -> PathBuf {
        self.dir.join("kept").join(name)
    }

    /// The same, straight to watch, with a folder below the site's.
    pub fn enrol(site: &Site, host: &str) -> Agent {
        let dir = site.home().join(host);
        Agent::enrol_at(site, host, site.ready["agents"].as_str().unwrap(), dir)
    }

    /// Enrolled, running and watched.
    pub fn start(site: &Site, host: &str) -> Agent {
        let mut agent = Agent::enrol(site, host);
        agent.run();
        agent.wait_until_watched(site);
        agent
    }

    /// Starts the process.
    pub fn run(&mut self) {
        self.run_with("");
    }

    /// Starts the process with failpoints.
    pub fn run_with(&mut self, failpoints: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.printed_to()).unwrap();
        let child = Command::new(binary())
            .args(["agent", "run", "--dir"])
            .arg(&self.dir)
            .env("WRIT_FAILPOINT", failpoints)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits until watch hears it.
    pub fn wait_until_watched(&self, site: &Site) {
        let watched = within(PATIENCE, || {
            let hosts: Value = serde_json::from_str(&watch(site, &["hosts", "--json"])).ok()?;
            let hosts = hosts["hosts"].as_array()?.clone();
            let own = hosts.into_iter().find(|host| host["host"] == self.host.as_str())?;
            own["unwatched"].is_null().then_some(())
        });
        assert!(watched.is_some(), "not watched: {}", self.printed());
    }

    /// Waits until sessions open on it: the bastion must have heard that it is watched, since watch has said so more
    /// than twice. Of a host that it has never heard of it asks nothing.
    pub fn wait_until_open(&self, site: &Site) {
        let file = site.dir().join("word-hosts/alarms");
        let good = format!("{{\"host\":\"{}\",\"unwatched\":null}}", self.host);
        let (mut last, mut words) = (None, 0);
        until("watch's word to reach the bastion", || {
            let text = fs::read_to_string(&file).ok()?;
            if text.contains(&good) && last.as_ref() != Some(&text) {
                words += 1;
                last = Some(text);
            }
            (words > 2).then_some(())
        });
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal; after SIGKILL and SIGTERM waits for its end.
    pub fn signal(&mut self, signal: Signal) {
        process::signal(self.pid(), signal);
        if signal == Signal::KILL || signal == Signal::TERM {
            self.child.take().unwrap().wait().unwrap();
        }
    }

    /// True if the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Appends lines to the log that it follows.
    pub fn write(&self, lines: impl IntoIterator<Item = String>) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        for line in lines {
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }

    /// What it printed.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.printed_to()).unwrap_or_default()
    }

    fn printed_to(&self) -> PathBuf {
        self.log.with_extension("printed")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal(child.id(), Signal::KILL);
            child.wait().ok();
        }
    }
}

/// What `writ watch …` prints; it must succeed.
pub fn watch(site: &Site, args: &[&str]) -> String {
    let output = Command::new(binary())
        .arg("watch")
        .args(args)
        .arg("--data")
        .arg(site.dir())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "writ watch {args:?}: {printed}");
    String::from_utf8(output.stdout).unwrap()
}

/// The open alarms about hosts: kind and text.
pub fn alarms(site: &Site) -> Vec<(String, String)> {
    let answer: Value = serde_json::from_str(&watch(site, &["alarms", "--json"])).unwrap();
    let about_host =
        |alarm: &&Value| alarm["host"].is_string() || alarm["alarm"] == "agent-refused";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = answer["alarms"].as_array().unwrap();
    all.iter().filter(about_host).map(|a| (text(&a["alarm"]), text(&a["what"]))).collect()
}

/// Waits for an alarm of this kind; answers how long it took. Looks at the file of lines: asking would be slower.
pub fn alarm_within(site: &Site, kind: &str, limit: Duration) -> Option<Duration> {
    let started = std::time::Instant::now();
    let wanted = format!("\"alarm\":\"{kind}\"");
    within(limit, || {
        let lines = fs::read_to_string(site.dir().join("watch/alarms.jsonl")).ok()?;
        lines.contains(&wanted).then(|| started.elapsed())
    })
}

/// Forgets the alarms that were raised so far, so that [`alarm_within`] sees new ones.
pub fn note_alarms(site: &Site) {
    let answer: Value = serde_json::from_str(&watch(site, &["alarms", "--json"])).unwrap();
    for alarm in answer["alarms"].as_array().unwrap() {
        watch(site, &["ack", &alarm["number"].to_string(), "--by", "test"]);
    }
    File::create(site.dir().join("watch/alarms.jsonl")).unwrap();
}

/// Frames of a host in watch's own files, in order.
pub fn held(dir: &Path, host: &str) -> Vec<Frame> {
    let folder = dir.join("watch/hostlog");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "log"));
    paths.sort();
    let mut frames = Vec::new();
    for path in paths {
        let bytes = fs::read(path).unwrap();
        let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
        while let Some((prefix, tail)) = rest.split_first_chunk::<8>() {
            let length = u32::from_be_bytes(prefix[..4].try_into().unwrap()) as usize;
            let Some(entry) = tail.get(..length) else { break };
            if let Event::Frame(bytes) = Entry::from_bytes(entry).unwrap().event {
                let frame = Frame::from_bytes(&bytes).unwrap();
                frames.extend((frame.host.as_str() == host).then_some(frame));
            }
            rest = &tail[length..];
        }
    }
    frames
}

/// Lines of the host's logs in watch's own files, in order.
pub fn lines(dir: &Path, host: &str) -> Vec<String> {
    let text = |frame: Frame| match frame.payload {
        Payload::Line(line) => Some(String::from_utf8(line.text).unwrap()),
        _ => None,
    };
    held(dir, host).into_iter().filter_map(text).collect()
}
