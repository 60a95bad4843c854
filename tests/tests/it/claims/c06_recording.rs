//! C-06: nothing of a session goes on that is not recorded, and what was recorded is there.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use writ_tests::{Site, process, until};

use crate::operators::gate::{Gate, parameter, site};

fn recordings(site: &Site) -> Vec<PathBuf> {
    let all = std::fs::read_dir(site.dir().join("bastion")).unwrap();
    let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "rec"));
    all.sort();
    all
}

#[test]
fn c06_deleted_or_changed_recording_is_found() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    for word in ["one", "two"] {
        assert_eq!(gate.runs(gate.ssh("anna", &[], &["echo", word])), format!("{word}\n"));
    }
    until("both ends to be told", || (gate.events("EndSession").len() == 2).then_some(()));
    let all = recordings(&site);
    assert_eq!(all.len(), 2);
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
    let whole = std::fs::read(&all[0]).unwrap();
    let text = String::from_utf8_lossy(&whole);
    assert!(!text.contains("echo one"), "what was recorded lies in the clear");
    let session = all[0].file_stem().unwrap().to_str().unwrap();
    let named = |why: &str| {
        let verdict = site.verify();
        assert_eq!(verdict.code, 21, "{}", verdict.text);
        let line = format!("session {session}: ");
        assert!(
            verdict.text.contains(&line) && verdict.text.contains(why),
            "{why}: {}",
            verdict.text
        );
    };
    // Each byte counts: some of all over the file.
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&all[0], &changed).unwrap();
        assert_eq!(site.verify().code, 21, "byte {at}");
    }
    std::fs::write(&all[0], &whole[..whole.len() - 1]).unwrap();
    named("it is cut");
    // Another session's recording, whole in itself.
    std::fs::copy(&all[1], &all[0]).unwrap();
    named("ledger");
    std::fs::remove_file(&all[0]).unwrap();
    named("its recording is gone");
    std::fs::write(&all[0], &whole).unwrap();
    assert_eq!(site.verify().code, 0);
}

/// A bastion that is killed leaves recordings without an end: the next start closes them and tells the ledger.
#[test]
fn deadline_c06_killed_bastion_ends_its_sessions_and_its_recordings() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let mut shell = gate.shell("anna");
    let start = gate.event("StartSession", |_| true);
    let session = parameter(&start, "sessionId").to_owned();
    site.kill("bastion");
    shell.dies(Duration::from_secs(1));
    let end = gate.event("EndSession", |event| parameter(event, "sessionId") == session);
    assert_eq!(parameter(&end, "reason"), "truncated");
    gate.event("OperatorSessionEnded", |event| parameter(event, "sessionId") == session);
    until("the recording to verify", || (site.verify().code == 0).then_some(()));
    // And it serves again.
    let again = until("the bastion to serve again", || {
        let done = gate.ssh("anna", &[], &["echo", "again"]).output().unwrap();
        done.status.success().then_some(done.stdout)
    });
    assert_eq!(again, b"again\n");
}

/// A session that was cancelled between its certificate and its start left a use of keyd without an event.
#[test]
fn c06_operator_who_leaves_at_any_moment_leaves_a_whole_ledger() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    for wait in (0..300).step_by(20) {
        let mut child = gate.ssh("anna", &[], &["echo", "x"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    until("every session to have ended", || {
        let (starts, ends) = (gate.events("StartSession").len(), gate.events("EndSession").len());
        (starts > 0 && starts == ends).then_some(())
    });
    let mut last = String::new();
    let whole = writ_tests::wait::within(Duration::from_secs(10), || {
        let verdict = site.verify();
        last = verdict.text;
        (verdict.code == 0).then_some(())
    });
    assert!(whole.is_some(), "{last}");
}

/// While the bastion stands still nothing goes on, and what ended in the meantime stays ended.
#[test]
fn deadline_c06_stopped_bastion_forwards_nothing() {
    let site = site();
    let gate = Gate::at(&site);
    let id = gate.grant(&[], "1h");
    let mut shell = gate.shell("anna");
    let pid = site.pid("bastion");
    process::signal(pid, Signal::STOP);
    shell.types("while it stands\n");
    gate.shift.ok("dora", &["revoke", &id]);
    // Longer than what it knows may be old: until then it may go on with what it was last told.
    std::thread::sleep(Duration::from_millis(1300));
    assert!(!shell.said().contains("while it stands"));
    process::signal(pid, Signal::CONT);
    let why = shell.dies(Duration::from_secs(1));
    assert!(!shell.said().contains("while it stands"), "it went on: {why}");
}

/// keyd forgets its sessions when it dies, so their recordings cannot be marked any more: they end.
#[test]
fn deadline_c06_killed_keyd_ends_sessions_and_lets_none_begin_without_it() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&["--shell"], "1h");
    let mut shell = gate.shell("anna");
    let pid = site.pid("keyd");
    process::signal(pid, Signal::STOP);
    let refused = gate.fails(gate.ssh("anna", &[], &["true"]));
    assert!(refused.contains("no certificate for this session"), "{refused}");
    process::signal(pid, Signal::KILL);
    let killed = Instant::now();
    // Something to mark; a mark is made each second.
    shell.types("after keyd\n");
    let why = shell.dies(Duration::from_secs(4));
    println!("{:?} from the kill to the end: {why}", killed.elapsed());
    assert!(why.contains("its recording cannot be marked"), "{why}");
    until("the gate to open again", || {
        gate.ssh("anna", &[], &["true"]).output().unwrap().status.success().then_some(())
    });
    until("the ledger to verify", || (site.verify().code == 0).then_some(()));
}

/// A small disk under the recordings, unmounted when dropped.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// ENOSPC below a running session: it dies, and the operator has seen nothing that is not on the disk.
#[test]
fn c06_full_disk_ends_the_session() {
    let mut site = site();
    let folder = site.dir().join("bastion");
    let seed = std::fs::read(folder.join("host.seed")).unwrap();
    site.stop();
    let mount = ["-t", "tmpfs", "-o", "size=8m,mode=0700", "none"];
    if !Command::new("mount").args(mount).arg(&folder).status().unwrap().success() {
        writ_tests::skipped("c06_full_disk_ends_the_session: a file system cannot be mounted here");
        return;
    }
    let _disk = SmallDisk(folder.clone());
    std::fs::write(folder.join("host.seed"), seed).unwrap();
    site.start_again("").unwrap();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let started = Instant::now();
    let mut flood = gate.shell_with("anna", &[], &["head -c 100M /dev/zero | tr '\\0' x"]);
    let why = flood.dies(Duration::from_secs(20));
    assert!(why.contains("recording"), "{why} after {:?}", started.elapsed());
    let seen = flood.said().len() as u64;
    let held: u64 = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(seen <= held, "{seen} bytes were seen, {held} are on the disk");
    // No new session without room, and the reason is said.
    let said = gate.fails(gate.ssh("anna", &[], &["true"]));
    assert!(said.contains("the session cannot be recorded"), "{said}");
    gate.event("RefuseSession", |event| event.error() == "SessionRefused");
}
