//! `cargo xtask test`: everything that CI runs, stage by stage, each with its time.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, check, target};
use crate::{codegen, fuzz, mutants, tidy, tools};

/// How long each fuzz target runs in `--long`, in seconds.
const FUZZ_LONG_SECONDS: u64 = 60;

/// Crash rounds in `--long`.
const CRASH_ROUNDS_LONG: &str = "200";

/// Every crate that has crash tests of its own, and the binary.
///
/// The stages of tests build the same packages with the same features: what one has built, the next one uses.
const WHOLE: [&str; 3] = ["--workspace", "--features", FAILPOINTS];

/// See [`WHOLE`].
const FAILPOINTS: &str = "writ/failpoints,writ-bastion/failpoints,writ-store/failpoints,writ-trail/failpoints,writ-watch/failpoints";

/// System tests side by side; those that must run alone say so in `.config/nextest.toml`.
const SYSTEM_THREADS: &str = "3";

struct Stage {
    name: &'static str,
    long: bool,
    run: fn() -> Result<Tally>,
}

/// How many checks a stage made: a stage of tests counts its tests, any other counts as one.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    const ONE: Tally = Tally { passed: 1, failed: 0 };
}

/// All stages in their order. Cheap refusals come first.
const STAGES: &[Stage] = &[
    Stage { name: "tools", long: false, run: || one(tools::provide()) },
    Stage { name: "format", long: false, run: || one(format()) },
    Stage { name: "tidy", long: false, run: || one(tidy::run()) },
    Stage { name: "codegen", long: false, run: || one(codegen_check()) },
    Stage { name: "lints", long: false, run: || one(lints()) },
    Stage { name: "unit", long: false, run: unit },
    Stage { name: "doc", long: false, run: || one(doc()) },
    Stage { name: "system", long: false, run: system },
    Stage { name: "tour", long: false, run: || one(tour()) },
    Stage { name: "tools-long", long: true, run: || one(tools::provide_long()) },
    Stage { name: "deny", long: true, run: || one(deny()) },
    Stage { name: "fuzz-long", long: true, run: || one(fuzz::all(FUZZ_LONG_SECONDS)) },
    Stage { name: "crash-long", long: true, run: crash_long },
    Stage { name: "mutants", long: true, run: || one(mutants::run()) },
    Stage { name: "tour-release", long: true, run: || one(tour_release()) },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (options, named): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with('-'));
    if let Some(unknown) = options.iter().find(|option| **option != "--long") {
        bail!("there is no option `{unknown}`; `cargo xtask` alone shows what there is");
    }
    let long = !options.is_empty();
    if named == ["list"] {
        STAGES
            .iter()
            .for_each(|s| println!("{}{}", s.name, if s.long { "  (--long)" } else { "" }));
        return Ok(());
    }
    if let Some(unknown) = named.iter().find(|n| !STAGES.iter().any(|s| s.name == **n)) {
        bail!("there is no stage `{unknown}`; `cargo xtask test list` names them");
    }
    let chosen = STAGES.iter().filter(|stage| match named.is_empty() {
        true => long || !stage.long,
        false => named.contains(&stage.name),
    });
    // Of an earlier run.
    std::fs::remove_file(skipped_file()).ok();
    let mut done = Vec::new();
    for stage in chosen {
        println!("\n=== {} ===", stage.name);
        let started = Instant::now();
        let tally = (stage.run)().unwrap_or_else(|error| {
            println!("error: {error:#}");
            Tally { passed: 0, failed: 1 }
        });
        done.push((stage.name, started.elapsed().as_secs_f32(), tally));
        if tally.failed > 0 {
            summary(&done);
            // The count is the last line, whatever reads it.
            std::process::exit(1);
        }
    }
    summary(&done);
    Ok(())
}

fn summary(done: &[(&str, f32, Tally)]) {
    println!("\n=== stages ===");
    let mut total = Tally::default();
    for (name, took, Tally { passed, failed }) in done {
        println!("{name:14} {took:8.1} s  {passed:5} passed {failed:3} failed");
        total.passed += passed;
        total.failed += failed;
    }
    println!("{:14} {:8.1} s", "total", done.iter().map(|(_, took, _)| took).sum::<f32>());
    let skipped = std::fs::read_to_string(skipped_file()).unwrap_or_default();
    skipped.lines().for_each(|what| println!("skipped: {what}"));
    println!("{} checks were skipped on this machine", skipped.lines().count());
    println!("{} passed, {} failed", total.passed, total.failed);
}

fn one(result: Result<()>) -> Result<Tally> {
    result.map(|()| Tally::ONE)
}

fn format() -> Result<()> {
    check(&mut cargo(&["fmt", "--all", "--check"]))
}

fn codegen_check() -> Result<()> {
    codegen::run(&["--check".to_owned()])
}

fn lints() -> Result<()> {
    check(&mut cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// With failpoints, so that the crash tests of the crates are among them.
fn unit() -> Result<Tally> {
    nextest(&[&WHOLE[..], &["-E", "not package(writ-tests)"]].concat())
}

fn doc() -> Result<()> {
    check(
        cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    check(&mut cargo(&["test", "--quiet", "--doc", "-p", "writ-proof", "-p", "writ-policy"]))
}

/// The real binary, with failpoints, driven by the real clients.
fn system() -> Result<Tally> {
    check(&mut cargo(&[&["build", "--quiet", "--bins", "--tests"], &WHOLE[..]].concat()))?;
    let only = ["-E", "package(writ-tests)", "--test-threads", SYSTEM_THREADS];
    nextest(&[&WHOLE[..], &only].concat())
}

/// With an sshd if there is one, and with the host that is built in for machines without.
fn tour() -> Result<()> {
    let tour = || {
        let mut command = Command::new(target().join("debug/writ"));
        command.arg("tour");
        command
    };
    check(&mut tour())?;
    check(tour().arg("--built-in-host"))
}

fn tour_release() -> Result<()> {
    check(&mut cargo(&["run", "--quiet", "--release", "--", "tour"]))
}

fn deny() -> Result<()> {
    check(cargo(&["deny", "check", "bans", "licenses", "sources"]).env("PATH", tools::path()))
}

fn crash_long() -> Result<Tally> {
    let only = ["--profile", "long", "-E", "package(writ-tests) & test(crash_rounds)"];
    let mut command = nextest_command(&[&WHOLE[..], &only].concat());
    counted(command.env("WRIT_TEST_CRASH_ROUNDS", CRASH_ROUNDS_LONG))
}

fn nextest(arguments: &[&str]) -> Result<Tally> {
    counted(&mut nextest_command(arguments))
}

/// Runs nextest, shows what it says, and reads the counts from its summary.
fn counted(command: &mut Command) -> Result<Tally> {
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start nextest")?;
    let said = child.stderr.take().context("nextest has no standard error")?;
    let mut tally = None;
    for line in BufReader::new(said).lines() {
        let line = line?;
        eprintln!("{line}");
        tally = counts(&line).or(tally);
    }
    let status = child.wait()?;
    match tally {
        Some(tally) if status.success() == (tally.failed == 0) => Ok(tally),
        _ => bail!("nextest failed before its summary: {status}"),
    }
}

/// Reads `Summary [   1.2s] 15 tests run: 12 passed (1 slow), 2 failed, 1 timed out, 3 skipped`.
fn counts(line: &str) -> Option<Tally> {
    let (_, counts) = line.trim_start().strip_prefix("Summary [")?.split_once(": ")?;
    let mut tally = Tally::default();
    for part in counts.split(", ") {
        let (number, what) = part.split_once(' ')?;
        match what.split(' ').next()? {
            "passed" => tally.passed += number.parse::<usize>().ok()?,
            "skipped" => {}
            _ => tally.failed += number.parse::<usize>().ok()?,
        }
    }
    Some(tally)
}

/// Where system tests write down what this machine does not let them check.
fn skipped_file() -> PathBuf {
    target().join("skipped")
}

fn nextest_command(arguments: &[&str]) -> Command {
    let mut command = cargo(&["nextest", "run", "--no-fail-fast"]);
    command.args(arguments).env("PATH", tools::path()).env("WRIT_TOOLS", tools::folder());
    command.env("WRIT_BIN", target().join("debug/writ")).env("WRIT_SKIPPED", skipped_file());
    command
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn counts_of_a_summary_are_read() {
        let read = |line| counts(line).map(|tally| (tally.passed, tally.failed));
        let line = "     Summary [   0.079s] 15 tests run: 15 passed, 0 skipped";
        assert_eq!(read(line), Some((15, 0)));
        let line =
            " Summary [  1.0s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        assert_eq!(read(line), Some((6, 3)));
        assert_eq!(read("        PASS [   0.012s] a::b"), None);
    }
}
