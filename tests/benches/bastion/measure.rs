//! What is measured, each with stock clients as processes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::operators::gate::Gate;

/// A program that answers each key by itself, as an editor does.
pub(crate) const TYPING: &[&str] = &["stty raw -echo; echo ready; exec cat"];
/// Between two keys.
const KEY_PAUSE: Duration = Duration::from_millis(10);
/// Between two keys of each of the others.
const OTHERS_PAUSE: Duration = Duration::from_millis(200);
/// Sessions that are set up at one time: more than ten, and `sshd` drops some (MaxStartups).
const STARTING_MAX: usize = 4;

/// A session whose program has said that it is there.
struct Typist {
    child: Child,
    stdin: ChildStdin,
}

impl Typist {
    fn start(mut ssh: Command) -> Typist {
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ssh.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let (mut said, mut one) = (Vec::new(), [0]);
        let stdout = child.stdout.as_mut().unwrap();
        while !said.ends_with(b"ready\n") {
            stdout.read_exact(&mut one).unwrap();
            said.extend(one);
        }
        Typist { child, stdin }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How long each key takes there and back.
pub(crate) fn keys(ssh: Command, count: usize) -> Vec<Duration> {
    let mut typist = Typist::start(ssh);
    let mut stdout = typist.child.stdout.take().unwrap();
    let mut one = [0];
    let mut times = Vec::new();
    for _ in 0..count {
        std::thread::sleep(KEY_PAUSE);
        let began = Instant::now();
        typist.stdin.write_all(b"x").unwrap();
        stdout.read_exact(&mut one).unwrap();
        times.push(began.elapsed());
    }
    times
}

/// Other sessions beside those that are measured.
pub(crate) struct Others {
    stop: Arc<AtomicBool>,
    typing: Option<JoinHandle<()>>,
    typists: Arc<Mutex<Vec<Typist>>>,
}

impl Others {
    /// So many that do nothing.
    pub(crate) fn idle(count: usize, ssh: impl Fn() -> Command + Sync) -> Others {
        let typists = Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for starter in 0..STARTING_MAX {
                let (typists, ssh) = (&typists, &ssh);
                scope.spawn(move || {
                    for _ in (starter..count).step_by(STARTING_MAX) {
                        let typist = Typist::start(ssh());
                        typists.lock().unwrap().push(typist);
                    }
                });
            }
        });
        Others { stop: Arc::default(), typing: None, typists }
    }

    /// So many that type five keys a second each.
    pub(crate) fn start(count: usize, ssh: impl Fn() -> Command + Sync) -> Others {
        let mut others = Others::idle(count, ssh);
        for typist in others.typists.lock().unwrap().iter_mut() {
            let mut stdout = typist.child.stdout.take().unwrap();
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).ok());
        }
        let (stop, typists) = (Arc::clone(&others.stop), Arc::clone(&others.typists));
        others.typing = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for typist in typists.lock().unwrap().iter_mut() {
                    typist.stdin.write_all(b"y").unwrap();
                    std::thread::sleep(OTHERS_PAUSE / u32::try_from(count).unwrap());
                }
                std::thread::sleep(Duration::from_millis(u64::from(count == 0)));
            }
        }));
        others
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(typing) = self.typing.take() {
            typing.join().unwrap();
        }
        self.typists.lock().unwrap().clear();
    }
}

pub(crate) fn set_up(mut ssh: Command) -> Duration {
    let began = Instant::now();
    let done = ssh.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    began.elapsed()
}

/// A file that nothing can make smaller.
pub(crate) fn random_file(path: &Path, mib: usize) {
    let random = std::fs::File::open("/dev/urandom").unwrap();
    let mut file = std::fs::File::create(path).unwrap();
    std::io::copy(&mut random.take((mib as u64) << 20), &mut file).unwrap();
    file.sync_all().unwrap();
}

/// Bytes that processes hold, each page shared by several counted in parts (PSS).
pub(crate) fn own_bytes(pids: &[u32]) -> u64 {
    let pss = |pid: &u32| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    pids.iter().filter_map(pss).sum::<u64>() << 10
}

/// A process and all below it that are `sshd`.
pub(crate) fn below(root: u32) -> Vec<u32> {
    let mut parents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = name else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let (Some((_, rest)), true) = (stat.rsplit_once(')'), stat.contains("(sshd")) else {
            continue;
        };
        let parent = rest.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        parents.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(parents.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

/// What revoking the grant of many sessions took.
#[derive(Default)]
pub(crate) struct Deaths {
    /// From the start of `writ revoke` to each client's end.
    pub(crate) from_command: Vec<Duration>,
    /// From the end of `writ revoke`, nothing for those that ended before.
    pub(crate) from_answer: Vec<Duration>,
    /// How long `writ revoke` took.
    pub(crate) command: Vec<Duration>,
}

/// Revokes under so many sessions, `busy` of them in the middle of output.
pub(crate) fn revoke(gate: &Gate<'_>, many: usize, busy: usize, rounds: usize) -> Deaths {
    let mut deaths = Deaths::default();
    for _ in 0..rounds {
        // A grant of somebody else's: what is measured elsewhere rests on anna's.
        let id = gate.grant_of("dora", &["--shell"], "1h");
        let idle = Others::idle(many - busy, || gate.ssh("dora", &["-tt"], TYPING));
        let loud = Others::idle(busy, || {
            gate.ssh(
                "dora",
                &[],
                &["echo ready; while head -c 4000 /dev/zero; do sleep 0.01; done"],
            )
        });
        let mut waiting = Vec::new();
        for others in [&idle, &loud] {
            for mut typist in others.typists.lock().unwrap().drain(..) {
                let mut stdout = typist.child.stdout.take().unwrap();
                waiting.push(std::thread::spawn(move || {
                    std::io::copy(&mut stdout, &mut std::io::sink()).ok();
                    typist.child.wait().unwrap();
                    Instant::now()
                }));
            }
        }
        let began = Instant::now();
        gate.shift.ok("boris", &["revoke", &id]);
        let answered = Instant::now();
        deaths.command.push(answered - began);
        for died in waiting {
            let died = died.join().unwrap();
            deaths.from_command.push(died - began);
            deaths.from_answer.push(died.saturating_duration_since(answered));
        }
    }
    deaths
}
