//! The bastion beside plain OpenSSH, in one run: the same stock clients, the same host's `sshd` behind both.
//!
//! Three ways lead to a host: plain (`ssh` to an `sshd`), through a jump host of OpenSSH (two connections,
//! nothing recorded), and through the bastion (two connections, everything recorded before it goes on).
//! They take turns, so that what the machine does besides hits all of them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench may fail loudly, print, and start programs"
)]

mod measure;
mod plain;
mod report;

use std::io::Write as _;
use std::time::{Duration, Instant};

use writ_tests::{Options, Site};

use operators::gate::Gate;
use plain::{Plain, Way};

#[path = "../../tests/it/operators"]
#[expect(dead_code, unused_imports, reason = "the bench needs a part of what the tests share")]
mod operators {
    pub(crate) mod access;
    pub(crate) mod gate;
    pub(crate) mod roster;
}

/// Sessions that live at one time where many do.
const MANY: usize = 50;

/// How much is done: everything at 1, less below.
struct Scale(f64);

impl Scale {
    fn of(&self, whole: usize) -> usize {
        ((whole as f64 * self.0) as usize).max(1)
    }
}

/// What the ways lead through.
struct World<'s> {
    gate: Gate<'s>,
    plain: Plain,
}

fn main() {
    let scale = Scale(scale());
    let site = Site::with(Options {
        accounts: vec![writ_tests::site::ANN.to_owned()],
        config: Some(operators::gate::FLOORS.to_owned()),
        ..Options::default()
    });
    let gate = Gate::at(&site);
    gate.grant(&["--shell", "--file=rw:/"], "4h");
    let plain = Plain::start(&gate);
    let world = World { gate, plain };
    let sync = fsync(&site);
    println!("fdatasync of 4 KiB where recordings lie: p50 {}", report::shown(sync));
    println!("{}", plain::version());

    // First of all: what earlier sessions have freed would be used again.
    report::memory(&memory(&world));
    report::latencies("A key to a program and back", &keys(&world, &scale, 0));
    let title = format!("The same while {MANY} other sessions of the same way type");
    report::latencies(&title, &keys(&world, &scale, MANY));
    report::rates("SFTP, one file", &files(&world, &scale));
    report::latencies("Set-up of a session: `ssh HOST true`", &set_ups(&world, &scale));
    report::per_second("Set-ups, four at a time", &set_ups_together(&world, &scale));
    for busy in [0, MANY / 5] {
        report::deaths(busy, &measure::revoke(&world.gate, MANY, busy, scale.of(2)));
    }
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}

fn scale() -> f64 {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|word| word == "--scale");
    at.and_then(|at| arguments.get(at + 1)).map_or(1.0, |text| text.parse().unwrap())
}

fn fsync(site: &Site) -> Duration {
    let mut file = std::fs::File::create(site.home().join("fsync")).unwrap();
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            file.write_all(&[7; 4096]).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    report::quantile(&mut times, 0.5)
}

/// Samples of each way, in turns.
fn in_turns<T>(rounds: usize, mut once: impl FnMut(Way) -> Vec<T>) -> Vec<(Way, Vec<T>)> {
    let mut all: Vec<(Way, Vec<T>)> = Way::ALL.map(|way| (way, Vec::new())).into();
    for _ in 0..rounds {
        for (way, samples) in &mut all {
            samples.extend(once(*way));
        }
    }
    all
}

fn keys(world: &World<'_>, scale: &Scale, others: usize) -> Vec<(Way, Vec<Duration>)> {
    in_turns(scale.of(3), |way| {
        let _others = measure::Others::start(others, || world.ssh(way, &["-tt"], measure::TYPING));
        measure::keys(world.ssh(way, &["-tt"], measure::TYPING), scale.of(300))
    })
}

/// Megabytes a second, down and up.
fn files(world: &World<'_>, scale: &Scale) -> Vec<(Way, Vec<(f64, f64)>)> {
    let (home, mib) = (world.gate.site().home(), scale.of(512));
    let (from, to) = (home.join("large"), home.join("copy"));
    measure::random_file(&from, mib);
    in_turns(scale.of(3), |way| {
        let batch = home.join("batch");
        let run = |lines: String| {
            std::fs::write(&batch, lines).unwrap();
            let mut sftp = world.sftp(way, &batch);
            let began = Instant::now();
            let done = sftp.output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            began.elapsed().as_secs_f64()
        };
        let empty = run("pwd\n".to_owned());
        let down = run(format!("get {} /dev/null\n", from.display()));
        let up = run(format!("put {} {}\n", from.display(), to.display()));
        let [down, up] = [down, up].map(|took| (took - empty).max(1e-3));
        let megabytes = (mib << 20) as f64 / 1e6;
        vec![(megabytes / down, megabytes / up)]
    })
}

fn set_ups(world: &World<'_>, scale: &Scale) -> Vec<(Way, Vec<Duration>)> {
    in_turns(scale.of(4), |way| {
        let once = |_| measure::set_up(world.ssh(way, &[], &["true"]));
        (0..scale.of(10)).map(once).collect()
    })
}

fn set_ups_together(world: &World<'_>, scale: &Scale) -> Vec<(Way, Vec<f64>)> {
    in_turns(scale.of(3), |way| {
        let (began, each) = (Instant::now(), scale.of(8));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..each {
                        measure::set_up(world.ssh(way, &[], &["true"]));
                    }
                });
            }
        });
        vec![(4 * each) as f64 / began.elapsed().as_secs_f64()]
    })
}

/// Bytes of an idle session: of plain `sshd`'s processes, and of the bastion.
fn memory(world: &World<'_>) -> [(&'static str, u64); 2] {
    let bastion = world.gate.site().pid("bastion");
    let of_bastion = || measure::own_bytes(&[bastion]);
    let of_plain = || measure::own_bytes(&measure::below(world.plain.pid()));
    let each = |way: Way, bytes: &dyn Fn() -> u64| {
        // What stays, whoever comes: threads, the allocator's pools.
        drop(measure::Others::idle(1, || world.ssh(way, &["-tt"], measure::TYPING)));
        let before = bytes();
        let _idle = measure::Others::idle(MANY, || world.ssh(way, &["-tt"], measure::TYPING));
        std::thread::sleep(Duration::from_secs(2));
        bytes().saturating_sub(before) / MANY as u64
    };
    [("plain", each(Way::Plain, &of_plain)), ("writ", each(Way::Writ, &of_bastion))]
}
