//! `cargo xtask fuzz`: libFuzzer on the stable toolchain.
//!
//! libFuzzer needs only the coverage pass of LLVM, which plain `RUSTFLAGS` switch on. The package in
//! `fuzz/` is one program with all targets.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, check, root, target};

const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Tells the program which of its targets to run.
const CHOICE: &str = "WRIT_FUZZ_TARGET";

/// A target with a planted bug, which must be found: it tests this wrapper itself.
const PLANTED: &str = "planted";
/// How long the planted bug may take to be found, in seconds.
const PLANTED_SECONDS: u64 = 60;
const DEFAULT_SECONDS: u64 = 20;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let seconds = arguments.get(1).map_or(Ok(DEFAULT_SECONDS), |s| s.parse())?;
    match arguments.first() {
        None => all(seconds),
        Some(name) => {
            let known = names()?;
            if !known.contains(name) {
                bail!("there is no target `{name}`; there are: {}", known.join(", "));
            }
            build()?;
            one(name, seconds)
        }
    }
}

/// Runs every target for `seconds`, and the planted one until it is found: one target a processor.
///
/// All targets run, whatever one of them finds; the error names every failure.
pub(crate) fn all(seconds: u64) -> Result<()> {
    build()?;
    let waiting = Mutex::new(names()?);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            // A lock of its own line: it is not held while the target runs.
            while let Some(name) = { waiting.lock().unwrap().pop() } {
                let seconds = if name == PLANTED { PLANTED_SECONDS } else { seconds };
                failures.extend(one(&name, seconds).err().map(|error| format!("{error:#}")));
            }
            failures
        };
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        started.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

fn folder() -> PathBuf {
    target().join("fuzz")
}

fn build() -> Result<()> {
    // The target triple keeps the flags away from build scripts and macros.
    let triple = "x86_64-unknown-linux-gnu";
    let mut command = cargo(&["build", "--quiet", "--release", "--target", triple]);
    command.current_dir(root().join("fuzz"));
    check(command.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", folder()))
}

fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/src/targets"))? {
        let path = entry?.path();
        names.push(path.file_stem().context("no name")?.to_string_lossy().into_owned());
    }
    names.retain(|name| name != "mod");
    names.sort();
    Ok(names)
}

fn one(name: &str, seconds: u64) -> Result<()> {
    let binary = folder().join("x86_64-unknown-linux-gnu/release/writ-fuzz");
    let work = folder().join("corpus").join(name);
    let seeds = root().join("fuzz/corpus").join(name);
    std::fs::create_dir_all(&work)?;
    let artifacts = folder().join("artifacts").join(name);
    std::fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(&binary);
    command.env(CHOICE, name).arg(&work);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    command.arg(format!("-max_total_time={seconds}")).arg("-rss_limit_mb=2048").arg("-timeout=10");
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg("-verbosity=0").arg("-print_final_stats=1");
    let started = Instant::now();
    let output = command.output().with_context(|| format!("cannot start the target `{name}`"))?;
    let took = started.elapsed().as_secs();
    let log = String::from_utf8_lossy(&output.stderr);
    let runs = log.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units: "));
    // After a crash libFuzzer does not print its statistics.
    let end = if output.status.success() { "nothing found" } else { "stopped at an input" };
    println!("{name:16} {:>10} runs in {took:>3} s: {end}", runs.unwrap_or("-").trim());
    match (name == PLANTED, output.status.success()) {
        (false, true) | (true, false) => Ok(()),
        (true, true) => bail!("the planted bug was not found: the coverage flags do not work"),
        (false, false) => bail!("`{name}` failed; the input is in {}\n{log}", artifacts.display()),
    }
}
