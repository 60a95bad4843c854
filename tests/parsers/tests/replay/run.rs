//! Every fuzz target over its seeds and over mutations of them, in each run of the tests. libFuzzer, which is guided by
//! coverage and needs a build of its own, runs with `--long` and as `cargo xtask fuzz`.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use writ_model::{Env as _, SystemEnv};

use crate::targets;

/// How long each target runs.
const TIME: Duration = Duration::from_millis(700);

/// The longest input.
const INPUT_MAX_BYTES: usize = 64 * 1024;

/// A generator of numbers without a state that could be lost (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// An input that differs from `seed` in a few places.
fn mutated(numbers: &mut Numbers, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(input.len() + 1);
        let end = (at + 1 + numbers.below(16)).min(input.len());
        match numbers.below(7) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 if at < input.len() => input[at] = numbers.byte(),
            // Lengths and tags are at their limits more often than anywhere.
            2 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][numbers.below(6)],
            3 => input.insert(at, numbers.byte()),
            4 if at < end => drop(input.drain(at..end)),
            5 if at < end => {
                let copied = input[at..end].to_vec();
                input.splice(at..at, copied);
            }
            6 if !other.is_empty() => {
                let from = numbers.below(other.len());
                let until = (from + 1 + numbers.below(64)).min(other.len());
                input.splice(at..end.max(at), other[from..until].iter().copied());
            }
            _ => {}
        }
    }
    input.truncate(INPUT_MAX_BYTES);
    input
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    seeds.push(Vec::new());
    seeds
}

/// Runs one target; answers how often, or the input at which it failed.
fn replay(name: &str, run: fn(&[u8])) -> Result<u64, String> {
    let seeds = seeds(name);
    let started = SystemEnv.monotonic();
    let mut numbers = Numbers(u64::try_from(name.len()).unwrap());
    let mut runs = 0;
    let one = |input: &[u8]| {
        catch_unwind(|| run(input)).map_err(|_| format!("{name} fails at {}", hex::encode(input)))
    };
    for seed in &seeds {
        one(seed)?;
        runs += 1;
    }
    while SystemEnv.monotonic() - started < TIME {
        let (seed, other) = (numbers.below(seeds.len()), numbers.below(seeds.len()));
        one(&mutated(&mut numbers, &seeds[seed], &seeds[other]))?;
        runs += 1;
    }
    Ok(runs)
}

#[test]
fn every_target_survives_its_seeds_and_mutations_of_them() {
    let waiting = Mutex::new(targets::ALL.to_vec());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while let Some((name, run)) = { waiting.lock().unwrap().pop() } {
                match (replay(name, run), name == "planted") {
                    (Ok(runs), false) => println!("{name:16} {runs:>8} runs"),
                    // Its bug is for libFuzzer to find.
                    (_, true) => {}
                    (Err(failure), false) => failures.push(failure),
                }
            }
            failures
        };
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        started.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
