//! C-09: the watched cannot switch the watching off. Agents are killed, frozen, cut off and lied to; watch must
//! say so in time, and lose nothing that it acknowledged.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use writ_model::limits::{AGENT_FROZEN_ALARM, AGENT_KILLED_ALARM};
use writ_proof::hostlog::Payload;
use writ_tests::agent::{Agent, alarm_within, alarms, held, lines, note_alarms, watch};
use writ_tests::site::{Options, binary};
use writ_tests::wait::{PATIENCE, until, within};
use writ_tests::{Site, process};

/// A site without customers: it starts faster.
fn site() -> Site {
    Site::with(Options { accounts: Vec::new(), ..Options::default() })
}

fn kinds(site: &Site) -> Vec<String> {
    let mut kinds: Vec<String> = alarms(site).into_iter().map(|(kind, _)| kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Waits until watch holds lines, and answers them all.
fn wait_for_lines(site: &Site, agent: &Agent, count: usize) -> Vec<String> {
    let found = within(PATIENCE, || {
        let found = lines(site.dir(), &agent.host);
        (found.len() >= count).then_some(found)
    });
    found.unwrap_or_else(|| {
        let found = lines(site.dir(), &agent.host).len();
        panic!("{found} of {count} lines came: {}", agent.printed())
    })
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("line {n}")).collect()
}

#[test]
fn c09_login_at_a_real_sshd_is_at_watch_within_a_second() {
    let site = site();
    let agent = Agent::start(&site, "web-1");
    let key = |name: &str| site.home().join(name);
    for name in ["host", "user"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(key(name))
            .status();
        assert!(made.unwrap().success());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::create_dir_all("/run/sshd").unwrap();
    let mut sshd = Command::new("/usr/sbin/sshd")
        .args(["-D", "-f", "/dev/null", "-E"])
        .arg(&agent.log)
        .args(["-o", &format!("Port={port}"), "-o", "ListenAddress=127.0.0.1"])
        .args(["-o", &format!("HostKey={}", key("host").display())])
        .args(["-o", &format!("AuthorizedKeysFile={}", key("user.pub").display())])
        .args(["-o", "StrictModes=no", "-o", "PermitRootLogin=yes", "-o", "PidFile=none"])
        .args(["-o", "UsePAM=no"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("sshd to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    let login = Command::new("ssh")
        .args(["-p", &port.to_string(), "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-i"])
        .arg(key("user"))
        .args(["root@127.0.0.1", "true"])
        .output()
        .unwrap();
    sshd.kill().unwrap();
    sshd.wait().unwrap();
    assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));
    let came = within(Duration::from_secs(5), || {
        let all = lines(site.dir(), "web-1");
        all.into_iter().find(|line| line.contains("Accepted publickey for root"))
    });
    assert!(came.is_some(), "{:?}", fs::read_to_string(&agent.log));
    println!("{}", came.unwrap());
}

#[test]
fn c09_killed_agent_is_an_alarm_within_two_seconds() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    let mut times = Vec::new();
    for round in 0..5 {
        agent.write([format!("before {round}")]);
        wait_for_lines(&site, &agent, round + 1);
        note_alarms(&site);
        let killed = Instant::now();
        agent.signal(Signal::KILL);
        assert!(alarm_within(&site, "agent-killed", Duration::from_secs(20)).is_some());
        times.push(killed.elapsed());
        agent.run();
        agent.wait_until_watched(&site);
        assert_eq!(kinds(&site), ["agent-killed", "unclean-stop"]);
    }
    println!("killed to alarm: {times:?}");
    assert!(times.iter().all(|time| *time <= AGENT_KILLED_ALARM), "{times:?}");
    assert_eq!(lines(site.dir(), "web-1").len(), 5, "nothing is lost, nothing comes twice");
}

#[test]
fn c09_frozen_agent_is_an_alarm_within_ten_seconds() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    note_alarms(&site);
    agent.signal(Signal::STOP);
    agent.write(numbered(0..10));
    let time = alarm_within(&site, "agent-silent", Duration::from_secs(20));
    println!("frozen to alarm: {time:?}");
    assert!(time.is_some_and(|time| time <= AGENT_FROZEN_ALARM), "{time:?}");
    agent.signal(Signal::CONT);
    agent.wait_until_watched(&site);
    assert_eq!(wait_for_lines(&site, &agent, 10), numbered(0..10));
}

/// Puts the kernel's audit on or off; false if this machine does not let us.
fn set_audit(enabled: u32) -> bool {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
    // struct audit_status: which of its words count, the switch, and nine others (linux/audit.h).
    let status = [&[1, enabled][..], &[0; 9]].concat();
    let header: Vec<u8> = [
        &60u32.to_ne_bytes()[..],
        &1001u16.to_ne_bytes(),
        &5u16.to_ne_bytes(),
        &1u32.to_ne_bytes(),
        &[0; 4],
    ]
    .concat();
    let body = status.into_iter().flat_map(u32::to_ne_bytes);
    let message: Vec<u8> = header.into_iter().chain(body).collect();
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let made = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::AUDIT));
    let Ok(socket) = made else { return false };
    let mut answer = [0; 1024];
    let asked = rustix::net::send(&socket, &message, SendFlags::empty()).is_ok();
    let heard = asked && rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty()).is_ok();
    heard && answer[16..20] == [0; 4]
}

struct AuditOff;

impl Drop for AuditOff {
    fn drop(&mut self) {
        set_audit(0);
    }
}

#[test]
fn c09_audit_that_is_switched_off_is_an_alarm_within_two_seconds() {
    if !set_audit(1) {
        println!("SKIPPED: this machine does not let us switch the kernel's audit");
        return;
    }
    let restored = AuditOff;
    let site = site();
    let audited = "\n\n[audit]\nread = true\ncanary = true\n\n[[file]]";
    let mut agent =
        Agent::enrol_edited(&site, "web-1", |text| text.replace("\n\n[[file]]", audited));
    agent.run();
    agent.wait_until_watched(&site);
    until("the canary", || {
        let frames = held(site.dir(), "web-1");
        let canary = frames.into_iter().find(|f| matches!(f.payload, Payload::Canary(_)));
        canary.map(|frame| assert_eq!(frame.source, "canary"))
    });
    assert!(alarms(&site).is_empty(), "{:?}", alarms(&site));
    let switched = Instant::now();
    assert!(set_audit(0));
    assert!(alarm_within(&site, "audit-changed", Duration::from_secs(20)).is_some());
    let time = switched.elapsed();
    println!("audit off to alarm: {time:?}");
    assert!(time <= Duration::from_secs(2), "{time:?}");
    agent.signal(Signal::TERM);
    drop(restored);
}

/// Passes bytes on between an agent and watch, until it is told to hold them.
struct Wire {
    address: String,
    cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(watch: String) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = Arc::new(AtomicBool::new(false));
        let held = Arc::clone(&cut);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // While it is cut, nobody answers.
                let Some(far) = (!held.load(Ordering::SeqCst)).then(|| TcpStream::connect(&watch))
                else {
                    std::mem::forget(near);
                    continue;
                };
                let far = far.unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let held = Arc::clone(&held);
                    std::thread::spawn(move || pass(from, to, &held));
                }
            }
        });
        Wire { address, cut }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, held: &AtomicBool) {
    let mut buffer = [0; 65536];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        if held.load(Ordering::SeqCst) {
            // The socket stays open, and nothing more comes out of it, ever.
            std::thread::sleep(Duration::from_secs(600));
        }
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            to.shutdown(std::net::Shutdown::Both).ok();
            return;
        }
    }
}

#[test]
fn c09_agent_that_is_cut_off_is_an_alarm_within_ten_seconds_and_loses_nothing() {
    let site = site();
    let wire = Wire::to(site.ready["agents"].as_str().unwrap().to_owned());
    let dir = site.home().join("web-1");
    let mut agent = Agent::enrol_at(&site, "web-1", &wire.address, dir);
    agent.run();
    agent.wait_until_watched(&site);
    let other = Agent::start(&site, "web-2");
    agent.write(numbered(0..5));
    wait_for_lines(&site, &agent, 5);
    note_alarms(&site);
    wire.cut.store(true, Ordering::SeqCst);
    agent.write(numbered(5..50));
    let time = alarm_within(&site, "agent-silent", Duration::from_secs(20));
    println!("cut off to alarm: {time:?}");
    assert!(time.is_some_and(|time| time <= AGENT_FROZEN_ALARM), "{time:?}");
    let all = alarms(&site);
    assert!(all[0].1.contains("1 of 2 hosts are heard"), "{all:?}");
    wire.cut.store(false, Ordering::SeqCst);
    assert_eq!(wait_for_lines(&site, &agent, 50), numbered(0..50));
    drop(other);
}

#[test]
fn c09_watch_that_is_killed_loses_nothing_that_it_acknowledged_and_takes_nothing_twice() {
    let site = site();
    let agent = Agent::start(&site, "web-1");
    for round in 0..4 {
        agent.write(numbered(round * 100..round * 100 + 50));
        site.kill("watch");
        agent.write(numbered(round * 100 + 50..(round + 1) * 100));
        site.pid("watch");
        wait_for_lines(&site, &agent, (round + 1) * 100);
    }
    assert_eq!(lines(site.dir(), "web-1"), numbered(0..400));
    let frames = held(site.dir(), "web-1");
    assert!(frames.iter().enumerate().all(|(n, frame)| frame.seq == n as u64));
    assert!(!kinds(&site).contains(&"history-rewritten".to_owned()), "{:?}", alarms(&site));
}

#[test]
fn c09_watch_that_freezes_loses_nothing() {
    let site = site();
    let agent = Agent::start(&site, "web-1");
    agent.write(numbered(0..10));
    wait_for_lines(&site, &agent, 10);
    let pid = site.pid("watch");
    process::signal(pid, Signal::STOP);
    agent.write(numbered(10..200));
    // The agent gives the connection up by itself.
    until("the agent to notice", || agent.printed().contains("tried again").then_some(()));
    process::signal(pid, Signal::CONT);
    assert_eq!(wait_for_lines(&site, &agent, 200), numbered(0..200));
    assert!(!kinds(&site).contains(&"history-rewritten".to_owned()), "{:?}", alarms(&site));
}

#[test]
fn c09_agent_killed_at_each_step_loses_nothing_and_repeats_nothing() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    let mut written = 0;
    for step in ["before_write:2", "before_sync:2", "after_sync:2", "before_release"] {
        agent.signal(Signal::KILL);
        agent.run_with(&format!("agent.spool.{step}"));
        // Enough for segments to be done with.
        let more = if step == "before_release" { 12_000 } else { 20 };
        agent.write(numbered(written..written + more - 1));
        // What is there when it begins can be in its first write; the last line is in another one.
        until("the lines, or the end", || {
            let all = lines(site.dir(), "web-1").len() >= written + more - 1;
            (all || agent.has_ended()).then_some(())
        });
        written += more;
        agent.write(numbered(written - 1..written));
        assert!(within(PATIENCE, || agent.has_ended().then_some(())).is_some(), "{step}");
        agent.run();
        assert_eq!(wait_for_lines(&site, &agent, written), numbered(0..written), "{step}");
    }
    assert!(!kinds(&site).contains(&"history-rewritten".to_owned()), "{:?}", alarms(&site));
}

/// The one segment of an agent's spool.
fn segment(agent: &Agent) -> std::path::PathBuf {
    let spool = fs::read_dir(agent.dir.join("spool")).unwrap();
    let paths = spool.map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    segments.sort();
    segments.pop().unwrap()
}

/// Has watch sign an edited configuration.
fn has_signed(site: &Site, agent: &Agent, from: &str, to: &str) -> Result<(), String> {
    let text = fs::read_to_string(agent.dir.join("agent.toml")).unwrap();
    let file = site.home().join("edited.toml");
    fs::write(&file, text.replace(from, to)).unwrap();
    let output = Command::new(binary())
        .args(["watch", "configure", "web-1", "--by", "dora", "--data"])
        .args([site.dir(), Path::new("--file"), &file])
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(why)
}

/// The same, and waits until the agent keeps it.
fn configure(site: &Site, agent: &Agent, from: &str, to: &str) -> Result<(), String> {
    let kept = fs::read(agent.kept("agent.signed")).unwrap();
    has_signed(site, agent, from, to)?;
    until("the agent to keep it", || {
        (fs::read(agent.kept("agent.signed")).unwrap() != kept).then_some(())
    });
    Ok(())
}

#[test]
fn c09_configuration_that_watch_has_not_signed_is_not_read() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    agent.write(numbered(0..3));
    wait_for_lines(&site, &agent, 3);
    // The file that was proposed once is nobody's word any more.
    let proposed = fs::read_to_string(agent.dir.join("agent.toml")).unwrap();
    fs::write(agent.dir.join("agent.toml"), proposed.replace("/web-1.log", "/other.log")).unwrap();
    agent.signal(Signal::TERM);
    agent.run();
    agent.wait_until_watched(&site);
    let told = "agent.toml differs from configuration 1, which watch has signed and which counts";
    assert!(agent.printed().contains(told), "{}", agent.printed());
    let connected =
        format!("web-1 reports to {}, configuration 1", site.ready["agents"].as_str().unwrap());
    assert!(agent.printed().contains(&connected), "{}", agent.printed());
    agent.write(numbered(3..5));
    assert_eq!(wait_for_lines(&site, &agent, 5), numbered(0..5));
    fs::write(agent.dir.join("agent.toml"), proposed).unwrap();
    // One byte of what was signed.
    let signed = fs::read(agent.kept("agent.signed")).unwrap();
    agent.signal(Signal::KILL);
    let at = signed.windows(10).position(|window| window == b"/web-1.log").unwrap();
    let mut edited = signed.clone();
    edited[at + 1] = b'W';
    fs::write(agent.kept("agent.signed"), edited).unwrap();
    agent.run();
    until("the agent to refuse", || agent.has_ended().then_some(()));
    assert!(agent.printed().contains("watch has not signed it"), "{}", agent.printed());
    assert!(agent.printed().contains("`writ agent enroll` into this same folder"));
    assert!(alarm_within(&site, "agent-killed", PATIENCE).is_some());
    fs::write(agent.kept("agent.signed"), signed).unwrap();
    agent.run();
    agent.wait_until_watched(&site);
    // What cannot be read is not signed; what is signed counts from the next start on.
    let refused = configure(&site, &agent, "spool-mib = 64", "colour = 1").unwrap_err();
    assert!(refused.contains("is not sound: ") && refused.contains("colour"), "{refused}");
    configure(&site, &agent, "name = \"sshd\"", "name = \"renamed\"").unwrap();
    let waits = "configuration  2 waits for a restart of the agent";
    assert!(watch(&site, &["hosts"]).contains(waits), "{}", watch(&site, &["hosts"]));
    agent.signal(Signal::TERM);
    agent.run();
    agent.wait_until_watched(&site);
    until("the source of the new configuration", || {
        let shown = watch(&site, &["hosts"]);
        (shown.contains("renamed") && !shown.contains(waits)).then_some(())
    });
    let shown = watch(&site, &["config", "web-1"]);
    assert!(shown.contains("name = \"renamed\"") && shown.contains("`web-1`, by dora"), "{shown}");
    assert!(!kinds(&site).contains(&"config-changed".to_owned()), "{:?}", alarms(&site));
    // Whoever holds watch cannot have any file of the host sent there.
    let kept = fs::read(agent.kept("agent.signed")).unwrap();
    let log = agent.log.display().to_string();
    has_signed(&site, &agent, &log, "/etc/passwd").unwrap();
    until("the agent to refuse it", || {
        agent.printed().contains("lies in no folder that this host lets be reported").then_some(())
    });
    assert_eq!(fs::read(agent.kept("agent.signed")).unwrap(), kept);
    agent.signal(Signal::TERM);
    agent.run();
    assert!(alarm_within(&site, "config-changed", PATIENCE).is_some(), "{}", agent.printed());
}

/// Another file under the name of a source that was there: what it says already would be judged by the time at which
/// it is read, and the spool still has frames of the file before.
#[test]
fn c09_file_that_a_later_configuration_names_says_nothing_old() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    agent.write(numbered(0..3));
    wait_for_lines(&site, &agent, 3);
    let (before, after) = (agent.log.clone(), site.home().join("other.log"));
    fs::write(&after, "old\nolder\n").unwrap();
    let path = |path: &Path| path.display().to_string();
    configure(&site, &agent, &path(&before), &path(&after)).unwrap();
    agent.log = after;
    for _ in 0..2 {
        agent.signal(Signal::TERM);
        agent.run();
        agent.wait_until_watched(&site);
    }
    agent.write(numbered(3..5));
    assert_eq!(wait_for_lines(&site, &agent, 5), numbered(0..5));
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn c09_spool_that_was_edited_rolled_back_or_deleted_shows() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    agent.write(numbered(0..5));
    wait_for_lines(&site, &agent, 5);
    let saved = site.home().join("saved");
    copy(&agent.dir, &saved);
    configure(&site, &agent, "spool-mib = 64", "spool-mib = 65").unwrap();
    type Attack = fn(&Agent, &Path);
    let attacks: [(&str, Attack, &str); 4] = [
        (
            "rolled back",
            |agent, saved| {
                fs::remove_dir_all(agent.dir.join("spool")).unwrap();
                copy(&saved.join("spool"), &agent.dir.join("spool"));
            },
            "history-rewritten",
        ),
        (
            "deleted",
            |agent, _| {
                fs::remove_dir_all(agent.dir.join("spool")).unwrap();
                fs::remove_file(agent.kept("state")).unwrap();
            },
            "history-rewritten",
        ),
        ("old epoch", |agent, _| fs::write(agent.kept("epoch"), "0\n").unwrap(), "epoch-rollback"),
        (
            "older configuration",
            |agent, saved| {
                fs::copy(saved.join("kept/agent.signed"), agent.kept("agent.signed")).unwrap();
            },
            "config-changed",
        ),
    ];
    let mut written = 5;
    for (name, attack, alarm) in attacks {
        agent.write(numbered(written..written + 5));
        written += 5;
        // Whose cursors are old takes lines in again, so the last one is what counts.
        let last = format!("line {}", written - 1);
        until("the lines", || lines(site.dir(), "web-1").contains(&last).then_some(()));
        agent.signal(Signal::KILL);
        attack(&agent, &saved);
        agent.run();
        assert!(alarm_within(&site, alarm, PATIENCE).is_some(), "{name}: {}", agent.printed());
        agent.wait_until_watched(&site);
        note_alarms(&site);
    }
    // Whatever was done to it, what watch held before is there, in order; each number was given once.
    let mut seen = std::collections::HashSet::new();
    let mut all = lines(site.dir(), "web-1");
    all.retain(|line| seen.insert(line.clone()));
    assert_eq!(all, numbered(0..written));
    let frames = held(site.dir(), "web-1");
    assert!(frames.iter().enumerate().all(|(n, frame)| frame.seq == n as u64));
}

#[test]
fn c09_edited_frame_that_was_announced_and_not_sent_shows() {
    let site = site();
    let wire = Wire::to(site.ready["agents"].as_str().unwrap().to_owned());
    let dir = site.home().join("web-1");
    let mut agent = Agent::enrol_at(&site, "web-1", &wire.address, dir);
    agent.run();
    agent.wait_until_watched(&site);
    agent.write(numbered(0..3));
    wait_for_lines(&site, &agent, 3);
    wire.cut.store(true, Ordering::SeqCst);
    agent.write(["the attack".to_owned()]);
    until("the frame to be spooled", || {
        let spooled = fs::read(segment(&agent)).unwrap();
        spooled.windows(10).any(|window| window == b"the attack").then_some(())
    });
    agent.signal(Signal::KILL);
    let mut bytes = fs::read(segment(&agent)).unwrap();
    let at = bytes.windows(10).position(|window| window == b"the attack").unwrap();
    bytes[at] = b'T';
    fs::write(segment(&agent), bytes).unwrap();
    wire.cut.store(false, Ordering::SeqCst);
    agent.run();
    // Without its checksum it is a gap, or, as the last frame, bytes that are gone; never what it was made.
    agent.wait_until_watched(&site);
    until("what became of it", || {
        let frames = held(site.dir(), "web-1");
        frames.into_iter().find(|frame| matches!(&frame.payload, Payload::Note(note) if note.contains("no whole frames")))
    });
    let last = wait_for_lines(&site, &agent, 4).pop();
    assert_eq!(last.as_deref(), Some("the attack"), "its source still had it");
}

#[test]
fn c09_watch_restored_from_an_old_copy_says_so_and_goes_on() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Some(format!("listen = \"127.0.0.1:0\"\nlisten-agents = \"127.0.0.1:{port}\"\n"));
    let mut site = Site::with(Options { accounts: Vec::new(), config, ..Options::default() });
    let agent = Agent::start(&site, "web-1");
    agent.write(numbered(0..10));
    wait_for_lines(&site, &agent, 10);
    site.stop();
    let saved = site.home().join("old-watch");
    copy(&site.dir().join("watch"), &saved);
    site.start_again("").unwrap();
    agent.write(numbered(10..20));
    wait_for_lines(&site, &agent, 20);
    site.stop();
    fs::remove_dir_all(site.dir().join("watch")).unwrap();
    copy(&saved, &site.dir().join("watch"));
    site.start_again("").unwrap();
    assert!(alarm_within(&site, "watch-rolled-back", PATIENCE).is_some(), "{}", agent.printed());
    // What is still in the spool comes again.
    assert_eq!(wait_for_lines(&site, &agent, 20), numbered(0..20));
}

#[test]
fn c09_full_disk_of_an_agent_loses_no_frame_of_class_security() {
    let site = site();
    let mount = site.home().join("small");
    fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&mount)
        .status()
        .unwrap();
    if !mounted.success() {
        println!("SKIPPED: this machine lets nobody mount a tmpfs");
        return;
    }
    let wire = Wire::to(site.ready["agents"].as_str().unwrap().to_owned());
    let mut agent = Agent::enrol_at(&site, "web-1", &wire.address, mount.join("agent"));
    agent.run();
    agent.wait_until_watched(&site);
    wire.cut.store(true, Ordering::SeqCst);
    // Three times as much as there is room for.
    agent.write(numbered(0..12_000));
    until("the disk to be full", || agent.printed().contains("no room").then_some(()));
    assert!(!agent.has_ended());
    wire.cut.store(false, Ordering::SeqCst);
    assert_eq!(wait_for_lines(&site, &agent, 12_000), numbered(0..12_000));
    agent.signal(Signal::KILL);
    drop(agent);
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
}

#[test]
fn c09_certificate_of_another_authority_and_a_second_agent_are_refused_and_recorded() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    let other_site = self::site();
    let (own, address) = (&other_site.ready["agents"], &site.ready["agents"]);
    let mut stranger = Agent::enrol_edited(&other_site, "web-1", |text| {
        text.replace(own.as_str().unwrap(), address.as_str().unwrap())
    });
    // A host that enrols is not led to another watch than its token names, and hears what to check.
    let token = watch(&site, &["token", "web-9"]);
    let misled = Command::new(binary())
        .args([
            "agent",
            "enroll",
            "--watch",
            own.as_str().unwrap(),
            "--token",
            token.trim(),
            "--dir",
        ])
        .arg(site.home().join("web-9"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&misled.stderr);
    assert!(said.contains("is not the watch that the token names"), "{said}");
    fs::copy(agent.dir.join("watch-ca.pem"), stranger.dir.join("watch-ca.pem")).unwrap();
    stranger.run();
    assert!(alarm_within(&site, "agent-refused", PATIENCE).is_some(), "{}", stranger.printed());
    drop(stranger);
    // The whole identity was stolen, and is used while the host's own agent lives.
    let copied = site.home().join("stolen");
    copy(&agent.dir, &copied);
    let mut thief = Command::new(binary())
        .args(["agent", "run", "--dir"])
        .arg(&copied)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(alarm_within(&site, "double-connection", PATIENCE).is_some());
    thief.kill().unwrap();
    thief.wait().unwrap();
    agent.write(numbered(0..3));
    assert_eq!(wait_for_lines(&site, &agent, 3), numbered(0..3));
    assert!(!agent.has_ended());
}

#[test]
fn c09_stolen_key_is_refused_as_soon_as_the_host_is_enrolled_again() {
    let site = site();
    let thief = Agent::start(&site, "web-1");
    thief.write(numbered(0..3));
    wait_for_lines(&site, &thief, 3);
    let address = site.ready["agents"].as_str().unwrap();
    let mut agent = Agent::enrol_at(&site, "web-1", address, site.home().join("anew"));
    agent.run();
    agent.wait_until_watched(&site);
    assert!(alarm_within(&site, "agent-refused", PATIENCE).is_some(), "{}", thief.printed());
    assert!(!kinds(&site).contains(&"double-connection".to_owned()), "{:?}", alarms(&site));
}

#[test]
fn c09_stop_in_order_is_an_alarm_unless_a_window_names_it() {
    let site = site();
    let mut agent = Agent::start(&site, "web-1");
    watch(&site, &["window", "web-1", "--minutes", "5", "--by", "ann"]);
    agent.signal(Signal::TERM);
    agent.run();
    agent.wait_until_watched(&site);
    assert!(alarms(&site).is_empty(), "{:?}", alarms(&site));
    let second = {
        let mut second = Agent::start(&site, "web-2");
        second.signal(Signal::TERM);
        second
    };
    assert!(alarm_within(&site, "agent-stopped", PATIENCE).is_some(), "{}", second.printed());
    let unwatched = Command::new(binary())
        .args(["watch", "health", "web-2", "--data"])
        .arg(site.dir())
        .status()
        .unwrap();
    assert_eq!(unwatched.code(), Some(3));
}
