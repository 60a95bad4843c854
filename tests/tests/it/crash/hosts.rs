//! Crashes of agents and watch under load, and a power failure of watch: no frame that watch has acknowledged is
//! missing from the host log afterwards, none comes twice, and `writ verify` is clean.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use writ_model::{Env as _, SystemEnv};
use writ_tests::agent::{Agent, held, lines};
use writ_tests::site::Options;
use writ_tests::wait::within;
use writ_tests::{Site, until};

/// Rounds unless `WRIT_TEST_CRASH_ROUNDS` says otherwise; it is a quarter of that, since the supervisor waits for seconds
/// after each kill.
const ROUNDS: usize = 8;
/// How long the writer waits between two writes of five lines.
const PAUSE: Duration = Duration::from_millis(5);
/// How long what was written may take to be held, once nothing is killed any more.
const SETTLED_MAX: Duration = Duration::from_secs(60);
/// Lines that watch must have acknowledged before the power goes.
const ACKNOWLEDGED_MIN: u64 = 200;

fn site() -> Site {
    Site::with(Options { accounts: Vec::new(), ..Options::default() })
}

/// Writes numbered lines to a host's log until it is told to end.
struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Five lines each `pause`.
    fn begin(agent: &Agent, pause: Duration) -> Writer {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count, path) = (Arc::clone(&stop), Arc::clone(&written), agent.log.clone());
        let write = move || {
            use std::io::Write as _;
            let mut file = fs::File::options().append(true).open(path).unwrap();
            while !over.load(Ordering::SeqCst) {
                let first = count.load(Ordering::SeqCst);
                let text: String = (first..first + 5).map(|n| format!("line {n}\n")).collect();
                file.write_all(text.as_bytes()).unwrap();
                count.store(first + 5, Ordering::SeqCst);
                std::thread::sleep(pause);
            }
        };
        Writer { stop, written, thread: Some(std::thread::spawn(write)) }
    }

    /// Ends it; answers everything that it wrote.
    fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        (0..self.written.load(Ordering::SeqCst)).map(|n| format!("line {n}")).collect()
    }
}

fn some_time() {
    let mut byte = [0];
    SystemEnv.fill(&mut byte);
    std::thread::sleep(Duration::from_millis(50 + u64::from(byte[0]) * 2));
}

/// How many frames watch has acknowledged, as the agent has written down.
fn acknowledged(agent: &Agent) -> u64 {
    let status = std::process::Command::new(writ_tests::site::binary())
        .args(["agent", "status", "--dir"])
        .arg(&agent.dir)
        .output()
        .unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("acknowledged")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// Goal: nothing that watch has acknowledged is lost, whichever of the two is killed when.
#[test]
fn crash_rounds_of_agent_and_watch() {
    let rounds = std::env::var("WRIT_TEST_CRASH_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse::<usize>().unwrap().div_ceil(4));
    let mut site = site();
    let mut agent = Agent::start(&site, "web-1");
    // watch reads its whole log at each start: many rounds must not make a log of gigabytes.
    let pause = PAUSE * u32::try_from(rounds.div_ceil(ROUNDS)).unwrap();
    let writer = Writer::begin(&agent, pause);
    let mut kept = 0;
    for round in 0..rounds {
        some_time();
        match round % 3 {
            0 => agent.signal(Signal::KILL),
            1 => drop(site.kill("watch")),
            _ => {
                agent.signal(Signal::KILL);
                site.kill("watch");
            }
        }
        let known = acknowledged(&agent);
        assert!(known >= kept, "round {round}: {known} acknowledged, and {kept} were");
        kept = known;
        let frames = held(site.dir(), "web-1").len() as u64;
        assert!(frames >= known, "round {round}: {known} acknowledged, {frames} are held");
        site.pid("watch");
        if round % 3 != 1 {
            agent.run();
        }
        // It is written down once a second.
        until("further acknowledgements", || (acknowledged(&agent) > known).then_some(()));
    }
    let written = writer.end();
    let all =
        within(SETTLED_MAX, || (lines(site.dir(), "web-1").len() >= written.len()).then_some(()));
    assert!(all.is_some(), "not all came: {}", agent.printed());
    assert_eq!(lines(site.dir(), "web-1"), written, "each line once, in order");
    let frames = held(site.dir(), "web-1");
    assert!(frames.iter().enumerate().all(|(n, frame)| frame.seq == n as u64));
    println!(
        "{rounds} rounds, {} lines, {} frames, {kept} acknowledged",
        written.len(),
        frames.len()
    );
    drop(agent);
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// Load until watch has acknowledged enough; then everything dies at once. Answers what was acknowledged.
fn work_and_die(site: &mut Site, agent: &mut Agent) -> u64 {
    let writer = Writer::begin(agent, PAUSE);
    until("acknowledgements", || (acknowledged(agent) > ACKNOWLEDGED_MIN).then_some(()));
    site.kill_all();
    agent.signal(Signal::KILL);
    writer.end();
    acknowledged(agent)
}

/// Cuts the host log at the last trace; gives how much was cut.
fn lose_power(site: &Site) -> u64 {
    let folder = site.dir().join("watch/hostlog");
    let text = fs::read_to_string(folder.join("synced")).unwrap();
    let (segment, length) = text.split_once(' ').unwrap();
    let (segment, length): (u64, u64) = (segment.parse().unwrap(), length.parse().unwrap());
    let file = folder.join(format!("{segment:010}.log"));
    let file = fs::File::options().write(true).open(file).unwrap();
    let there = file.metadata().unwrap().len();
    assert!(there >= length, "the trace is ahead of the log");
    file.set_len(length).unwrap();
    there - length
}

#[test]
fn power_failure_of_watch_with_fsync_loses_nothing_acknowledged() {
    let mut site = site();
    let mut agent = Agent::start(&site, "web-1");
    let kept = work_and_die(&mut site, &mut agent);
    let cut = lose_power(&site);
    let frames = held(site.dir(), "web-1").len() as u64;
    assert!(frames >= kept, "{kept} were acknowledged, {frames} are there");
    println!("{cut} bytes were cut off; {kept} acknowledged, {frames} held");
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    assert!(site.stop().success());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// The control: without fsync the same cut loses what was acknowledged, and that is noticed.
#[test]
fn power_failure_of_watch_without_fsync_is_noticed() {
    let mut site = site();
    assert!(site.stop().success());
    let before = fs::metadata(site.dir().join("watch/hostlog/synced")).is_ok();
    site.start_again("watch.fsync_off").unwrap_or_else(|failure| panic!("{}", failure.log));
    let mut agent = Agent::start(&site, "web-1");
    let kept = work_and_die(&mut site, &mut agent);
    if !before {
        // Nothing was ever fsynced: only the header of the first segment is there.
        fs::write(site.dir().join("watch/hostlog/synced"), "0 10").unwrap();
    }
    let cut = lose_power(&site);
    assert!(cut > 0, "everything was fsynced although fsync was off");
    let frames = held(site.dir(), "web-1").len() as u64;
    assert!(frames < kept, "{kept} were acknowledged, and {frames} are there without fsync");
    let verdict = site.verify();
    assert!([13, 22].contains(&verdict.code), "{}", verdict.text);
    match site.start_again("") {
        // watch does not serve on a log that is shorter than its checkpoint; the site starts without it.
        Ok(()) => until("the refusal", || site.log().contains("it speaks of").then_some(())),
        Err(failure) => assert!(failure.log.contains("it speaks of"), "{}", failure.log),
    }
    println!("{cut} bytes were cut off; of {kept} acknowledged frames {frames} are there");
}
