//! Group commit: durable records a second at 1, 16 and 64 clients, beside a raw group commit: a loop
//! that writes as many records at once and waits for fdatasync, on the same disk just before. The
//! ratio is what a machine's noise leaves standing.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may fail loudly"
)]

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use writ_keyd_client::channel::Channel;
use writ_keyd_client::protocol::Role;
use writ_model::{Env as _, SystemEnv};
use writ_trail::{Trail, TrailClient};

#[path = "../tests/it/world.rs"]
#[expect(dead_code, reason = "the bench needs a part of what the tests share")]
mod world;

const RUN: Duration = Duration::from_secs(3);

fn main() {
    let dir = tempfile::tempdir_in(".").expect("a directory on this disk");
    for clients in [1, 16, 64] {
        // Just before, for a disk that others use is another one a few seconds later.
        let raw = raw(dir.path(), clients);
        print(&format!(
            "raw loop, {clients} records of 1,433 bytes a fdatasync: {raw:.0} records/s"
        ));
        let (rate, p50, p99) = appends(dir.path(), clients);
        print(&format!(
            "{clients:>3} clients: {rate:>8.0} records/s, p50 {p50:?}, p99 {p99:?}, ratio {:.1}",
            rate / raw
        ));
    }
}

fn print(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("standard output");
}

/// Records a second of a loop that writes `group` records at once and waits for the disk.
fn raw(dir: &Path, group: u64) -> f64 {
    let mut file = std::fs::File::create(dir.join("raw")).expect("a file");
    let records = vec![7u8; 1433 * group as usize];
    let begin = SystemEnv.monotonic();
    let mut count = 0u64;
    while SystemEnv.monotonic() - begin < RUN {
        file.write_all(&records).expect("a write");
        file.sync_data().expect("an fsync");
        count += group;
    }
    count as f64 / (SystemEnv.monotonic() - begin).as_secs_f64()
}

fn appends(dir: &Path, clients: u64) -> (f64, Duration, Duration) {
    let mut config = world::config(&dir.join(format!("clients-{clients}")));
    config.checkpoint_every = Duration::from_secs(1);
    let trail = Trail::start(config, Arc::new(SystemEnv)).expect("a ledger");
    let (ours, theirs) = Channel::pair().expect("a channel");
    trail.attach(Role::Front, theirs).expect("the channel is served");
    let client = TrailClient::new(ours).expect("a client");
    let (running, count) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let begin = SystemEnv.monotonic();
    let threads: Vec<_> = (0..clients)
        .map(|n| {
            let (client, running, count) = (client.clone(), running.clone(), count.clone());
            std::thread::spawn(move || {
                let mut times = Vec::new();
                while running.load(Ordering::Relaxed) {
                    let item = world::item(world::account(n), "Encrypt", None);
                    let sent = SystemEnv.monotonic();
                    world::append(&client, item).expect("an answer");
                    times.push(SystemEnv.monotonic() - sent);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                times
            })
        })
        .collect();
    std::thread::sleep(RUN);
    running.store(false, Ordering::Relaxed);
    let mut times: Vec<Duration> =
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect();
    let elapsed = SystemEnv.monotonic() - begin;
    world::end(&trail);
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let rate = count.load(Ordering::Relaxed) as f64 / elapsed.as_secs_f64();
    (rate, at(0.5), at(0.99))
}
