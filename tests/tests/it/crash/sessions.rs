//! Crashes under live sessions: no byte was forwarded that is not recorded, in either direction.
//!
//! Stock `ssh` and `sftp` send as fast as they can through the bastion to a real `sshd`. What came there is
//! in files of the host, what came back is counted; a process is killed at a random time; then every byte
//! that arrived on either side must lie in the session's recording. The same check is made once with
//! forwarding before recording, and once with a power failure without fsync: there it must fail.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use writ_model::{Env as _, SystemEnv};
use writ_proof::recording::{Direction, Kind, Verifier};
use writ_tests::site::ANN;
use writ_tests::wait::within;
use writ_tests::{Options, Site, process, until};

use crate::operators::access::Shift;
use crate::operators::gate::{FLOORS, Gate, parameter};

/// Shells that send, and one file that goes up.
const SHELLS: usize = 4;
/// Bytes that each must have sent before anything is killed.
const FLOWING_BYTES: u64 = 100_000;
/// Rounds within which forwarding before recording must have been noticed.
const CONTROL_ROUNDS: usize = 8;

/// Processes that are killed under sessions, in turn.
const ROLES: [&str; 3] = ["bastion", "keyd", "trail"];

/// Named places in the bastion's code where it may end, and at which pass it does.
const POINTS: [(&str, u32); 4] = [
    ("bastion.before_write", 60),
    ("bastion.after_write", 60),
    ("bastion.after_fsync", 60),
    ("bastion.before_ack", 60),
];

/// A quarter of what is asked for: after each kill the supervisor waits for seconds.
fn rounds() -> usize {
    let rounds = std::env::var("WRIT_TEST_CRASH_ROUNDS").ok();
    rounds.map_or(ROLES.len(), |text| text.parse::<usize>().unwrap().div_ceil(4))
}

fn site(failpoints: &str) -> Site {
    Site::with(Options {
        accounts: vec![ANN.to_owned()],
        config: Some(FLOORS.to_owned()),
        failpoints: failpoints.to_owned(),
        ..Options::default()
    })
}

/// One client that sends, and what has arrived of it.
struct Sender {
    /// What came to the host.
    there: PathBuf,
    /// Bytes that came back to the client.
    back: Arc<AtomicU64>,
    child: Child,
    threads: Vec<JoinHandle<()>>,
}

impl Sender {
    /// A program that keeps what it reads on the host, and sends it back.
    fn shell(gate: &Gate<'_>, there: PathBuf) -> Sender {
        let mut ssh = gate.ssh("anna", &[], &["tee", there.to_str().unwrap()]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ssh.spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let writer = std::thread::spawn(move || {
            let mut size = [0; 2];
            loop {
                SystemEnv.fill(&mut size);
                let piece = vec![b'k'; usize::from(u16::from_be_bytes(size) >> 3) + 1];
                if stdin.write_all(&piece).is_err() {
                    return;
                }
            }
        });
        let back = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&back);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 65536];
            while let Ok(read @ 1..) = stdout.read(&mut chunk) {
                counted.fetch_add(read as u64, Ordering::SeqCst);
            }
        });
        Sender { there, back, child, threads: vec![writer, reader] }
    }

    /// `sftp` that sends a file which is too large to be there in time.
    fn file(gate: &Gate<'_>, there: PathBuf) -> Sender {
        let (large, batch) = (there.with_extension("large"), there.with_extension("batch"));
        File::create(&large).unwrap().set_len(4 << 30).unwrap();
        fs::write(&batch, format!("put {} {}\n", large.display(), there.display())).unwrap();
        let to = gate.there("");
        let batch = batch.to_str().unwrap();
        let mut sftp = gate.copy("sftp", "anna", &["-b", batch, to.trim_end_matches(':')]);
        let child = sftp.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Sender { there, back: Arc::default(), child, threads: Vec::new() }
    }

    fn arrived(&self) -> u64 {
        fs::metadata(&self.there).map_or(0, |there| there.len())
    }

    /// Waits until the client is gone and nothing arrives on the host any more.
    fn settle(&mut self) {
        self.child.wait().unwrap();
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        let mut before = u64::MAX;
        until("the host to have taken what came", || {
            let now = self.arrived();
            let held = holders(&self.there) == 0;
            (held && std::mem::replace(&mut before, now) == now).then_some(())
        });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        // What the host took is compared by now; the disk is small.
        for ending in ["", "large", "batch"] {
            fs::remove_file(self.there.with_extension(ending)).ok();
        }
    }
}

/// Processes that hold a file open.
fn holders(path: &Path) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let fds = all.filter_map(|entry| fs::read_dir(entry.path().join("fd")).ok());
    let open = fds.flat_map(|fds| fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()));
    open.filter(|target| target == path).count()
}

/// Sessions that send as fast as they can.
struct Sessions(Vec<Sender>);

impl Sessions {
    fn begin(gate: &Gate<'_>, round: &str) -> Sessions {
        let there = |n: usize| gate.site().home().join(format!("there-{round}-{n}"));
        let mut all: Vec<Sender> = (0..SHELLS).map(|n| Sender::shell(gate, there(n))).collect();
        all.push(Sender::file(gate, there(SHELLS)));
        Sessions(all)
    }

    fn wait_until_flowing(&self) {
        until("bytes to flow", || {
            self.0.iter().all(|one| one.arrived() > FLOWING_BYTES).then_some(())
        });
    }

    fn alive(&mut self) -> usize {
        self.0
            .iter_mut()
            .filter_map(|one| one.child.try_wait().unwrap().is_none().then_some(()))
            .count()
    }

    /// Ends those that live, and waits until all is quiet.
    fn end(&mut self) {
        for one in &mut self.0 {
            one.child.kill().ok();
        }
        self.0.iter_mut().for_each(Sender::settle);
    }

    /// What arrived on either side and is not recorded, in bytes by the file on the host.
    fn unrecorded(&self, gate: &Gate<'_>) -> BTreeMap<PathBuf, u64> {
        let recorded = |session: &str| {
            let folder = gate.site().dir().join("bastion");
            let name = |ending: &str| folder.join(format!("{session}.{ending}"));
            until(&format!("the recording of {session} to be closed"), || {
                // One of which not even the header is there is put aside whole.
                let none = name("torn").exists() && !name("rec.open").exists();
                totals(&name("rec")).or(none.then_some((0, 0)))
            })
        };
        let mut missing = BTreeMap::new();
        for one in &self.0 {
            let (down, up) = recorded(&session_of(gate, &one.there));
            let lost_down = one.arrived().saturating_sub(down);
            let lost = lost_down + one.back.load(Ordering::SeqCst).saturating_sub(up);
            if lost > 0 {
                missing.insert(one.there.clone(), lost);
            }
        }
        missing
    }

    fn assert_recorded(&self, gate: &Gate<'_>) {
        let missing = self.unrecorded(gate);
        assert!(missing.is_empty(), "forwarded, and not recorded: {missing:?}\n{}", gate.tell());
    }
}

/// The session whose command, or whose file, this is.
fn session_of(gate: &Gate<'_>, there: &Path) -> String {
    let there = there.to_str().unwrap();
    let event = gate.site().ledger().wait(&format!("the session of {there}"), |event| {
        parameter(event, "command").ends_with(there) || parameter(event, "paths") == there
    });
    parameter(&event, "sessionId").to_owned()
}

/// Bytes of data in a recording, to the host and from it; it must verify. `None` if it is not there.
fn totals(path: &Path) -> Option<(u64, u64)> {
    let bytes = fs::read(path).ok()?;
    let (mut down, mut up) = (0, 0);
    let mut verifier = Verifier::new();
    let pushed = verifier.push(&bytes, &mut |_, frame| {
        let length = frame.content_len() as u64;
        match (frame.kind, frame.direction) {
            (Kind::Data, Direction::ToHost) => down += length,
            (Kind::Data, Direction::FromHost) => up += length,
            _ => {}
        }
        Ok(())
    });
    pushed.and_then(|()| verifier.finish()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some((down, up))
}

fn random_pause() {
    let mut byte = [0];
    SystemEnv.fill(&mut byte);
    within(Duration::from_millis(u64::from(byte[0])), || None::<()>);
}

fn serves_again(gate: &Gate<'_>) {
    until("the bastion to serve again", || {
        gate.ssh("anna", &[], &["true"]).output().unwrap().status.success().then_some(())
    });
}

/// Waits until the bastion serves, and every session that began has ended in the ledger.
fn recovered(gate: &Gate<'_>) {
    serves_again(gate);
    until("every session to have ended", || {
        let (starts, ends) = (gate.events("StartSession").len(), gate.events("EndSession").len());
        (starts > 0 && starts == ends).then_some(())
    });
}

fn assert_verifies(site: &Site) {
    let mut last = String::new();
    let whole = within(Duration::from_secs(10), || {
        let verdict = site.verify();
        last = verdict.text;
        (verdict.code == 0).then_some(())
    });
    assert!(whole.is_some(), "{last}");
}

/// `kill -9` of the bastion, keyd and trail in turn, at a random time under sessions that send.
#[test]
fn session_crash_rounds_forward_nothing_unrecorded() {
    let site = site("");
    let gate = Gate::at(&site);
    gate.grant(&["--shell", "--file=rw:/"], "4h");
    let mut arrived = 0;
    for round in 0..rounds() {
        let role = ROLES[round % ROLES.len()];
        let mut sessions = Sessions::begin(&gate, &round.to_string());
        sessions.wait_until_flowing();
        random_pause();
        let before = gate.events("EndSession").len();
        site.kill(role);
        if role == "bastion" {
            until("all sessions to be dead", || (sessions.alive() == 0).then_some(()));
        } else {
            random_pause();
        }
        sessions.end();
        recovered(&gate);
        sessions.assert_recorded(&gate);
        arrived += sessions.0.iter().map(Sender::arrived).sum::<u64>();
        if role == "bastion" {
            let ends = gate.events("EndSession");
            let cut = ends.iter().filter(|end| parameter(end, "reason") == "truncated").count();
            assert!(cut > 0 && ends.len() >= before + SHELLS, "{cut} of {}", ends.len());
        }
    }
    println!("{} rounds, {arrived} bytes arrived on the host, all of them recorded", rounds());
    assert_verifies(&site);
}

/// The bastion ends at each of its named places in the code.
#[test]
fn session_crash_points_forward_nothing_unrecorded() {
    let mut site = site("");
    let mut host = {
        let gate = Gate::at(&site);
        gate.grant(&["--shell", "--file=rw:/"], "4h");
        gate.host
    };
    for (point, pass) in POINTS {
        assert!(site.stop().success());
        site.start_again(&format!("{point}:{pass}")).unwrap_or_else(|f| panic!("{}", f.log));
        let before = site.pid("bastion");
        let gate = Gate { shift: Shift { site: &site }, host };
        let mut sessions = Sessions::begin(&gate, point);
        until(&format!("{point} to be hit"), || (!process::lives(before)).then_some(()));
        sessions.end();
        host = gate.host;
        // A bastion that was started again counts its passes anew, so it must go without the failpoint.
        site.kill_all();
        site.start_again("").unwrap_or_else(|failure| panic!("{point}: {}", failure.log));
        let gate = Gate { shift: Shift { site: &site }, host };
        recovered(&gate);
        // A session whose program had not begun has nothing to compare.
        sessions.0.retain(|one| one.arrived() > 0);
        sessions.assert_recorded(&gate);
        host = gate.host;
    }
    assert_verifies(&site);
}

/// The control: with forwarding before recording the same rounds find bytes that are not recorded.
#[test]
fn session_crash_rounds_notice_forwarding_before_recording() {
    let site = site("bastion.forward_first");
    let gate = Gate::at(&site);
    gate.grant(&["--shell", "--file=rw:/"], "4h");
    for round in 0..CONTROL_ROUNDS {
        let mut sessions = Sessions::begin(&gate, &round.to_string());
        sessions.wait_until_flowing();
        random_pause();
        site.kill("bastion");
        sessions.end();
        recovered(&gate);
        let missing = sessions.unrecorded(&gate);
        if !missing.is_empty() {
            println!("noticed in round {round}: {missing:?}");
            return;
        }
    }
    panic!("bytes went on before they were recorded, and nobody noticed");
}

#[test]
fn session_power_failure_with_fsync_loses_nothing_that_was_forwarded() {
    let (site, missing) = power_failure("bastion.trace");
    assert!(missing.is_empty(), "forwarded, and lost: {missing:?}");
    assert_verifies(&site);
}

#[test]
fn session_power_failure_without_fsync_is_noticed() {
    let (_site, missing) = power_failure("bastion.fsync_off");
    assert!(!missing.is_empty(), "everything is there although no fsync was made");
    println!("forwarded, and lost: {missing:?}");
}

/// A power failure: of each recording there is what its last fsync covered. Answers what is missing then.
fn power_failure(failpoints: &str) -> (Site, BTreeMap<PathBuf, u64>) {
    let mut site = site(failpoints);
    let (host, mut sessions) = {
        let gate = Gate::at(&site);
        gate.grant(&["--shell", "--file=rw:/"], "4h");
        let sessions = Sessions::begin(&gate, "power");
        sessions.wait_until_flowing();
        random_pause();
        (gate.host, sessions)
    };
    site.kill_all();
    sessions.end();
    cut_at_traces(&site.dir().join("bastion"));
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    let missing = {
        let gate = Gate { shift: Shift { site: &site }, host };
        serves_again(&gate);
        sessions.unrecorded(&gate)
    };
    (site, missing)
}

/// Cuts each recording that was open at its last trace; without one nothing of it was ever durable.
fn cut_at_traces(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "open") {
            let traced = fs::read_to_string(path.with_extension("synced"));
            let length: u64 = traced.ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        }
    }
}
