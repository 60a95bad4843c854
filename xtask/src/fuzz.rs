//! `cargo xtask fuzz`: libFuzzer on the stable toolchain.
//!
//! libFuzzer needs only the coverage pass of LLVM, which plain `RUSTFLAGS` switch on; the targets are
//! ordinary binaries of the package in `fuzz/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, check, root, target};

const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

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
            build()?;
            one(name, seconds)
        }
    }
}

/// Runs every target for `seconds`, and the planted one until it is found.
pub(crate) fn all(seconds: u64) -> Result<()> {
    build()?;
    for name in names()? {
        one(&name, if name == PLANTED { PLANTED_SECONDS } else { seconds })?;
    }
    Ok(())
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
    for entry in std::fs::read_dir(root().join("fuzz/src/bin"))? {
        let path = entry?.path();
        names.push(path.file_stem().context("no name")?.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn one(name: &str, seconds: u64) -> Result<()> {
    let binary = folder().join("x86_64-unknown-linux-gnu/release").join(name);
    let work = folder().join("corpus").join(name);
    let seeds = root().join("fuzz/corpus").join(name);
    std::fs::create_dir_all(&work)?;
    let artifacts = folder().join("artifacts").join(name);
    std::fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(&binary);
    command.arg(&work);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    command.arg(format!("-max_total_time={seconds}")).arg("-rss_limit_mb=2048").arg("-timeout=10");
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg("-verbosity=0").arg("-print_final_stats=1");
    let output = command.output().with_context(|| format!("cannot start the target `{name}`"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let runs = log.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units: "));
    println!("{name:20} {:>12} runs in {seconds} s", runs.unwrap_or("?").trim());
    match (name == PLANTED, output.status.success()) {
        (false, true) | (true, false) => Ok(()),
        (true, true) => bail!("the planted bug was not found: the coverage flags do not work"),
        (false, false) => bail!("`{name}` failed; the input is in {}\n{log}", artifacts.display()),
    }
}
