//! `cargo xtask test`: everything that CI runs, stage by stage, each with its time.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::run::{cargo, check, root, target};
use crate::{codegen, fuzz, tidy, tools};

/// How long each fuzz target runs in `--long`, in seconds.
const FUZZ_LONG_SECONDS: u64 = 60;
/// How long each fuzz target runs otherwise, in seconds.
const FUZZ_SHORT_SECONDS: u64 = 5;

struct Stage {
    name: &'static str,
    long: bool,
    run: fn() -> Result<()>,
}

/// All stages in their order. Cheap refusals come first.
const STAGES: &[Stage] = &[
    Stage { name: "tools", long: false, run: tools::provide },
    Stage { name: "format", long: false, run: format },
    Stage { name: "tidy", long: false, run: tidy::run },
    Stage { name: "codegen", long: false, run: codegen_check },
    Stage { name: "lints", long: false, run: lints },
    Stage { name: "unit", long: false, run: unit },
    Stage { name: "doc", long: false, run: doc },
    Stage { name: "system", long: false, run: system },
    Stage { name: "tour", long: false, run: tour },
    Stage { name: "fuzz", long: false, run: || fuzz::all(FUZZ_SHORT_SECONDS) },
    Stage { name: "tools-long", long: true, run: tools::provide_long },
    Stage { name: "deny", long: true, run: deny },
    Stage { name: "fuzz-long", long: true, run: || fuzz::all(FUZZ_LONG_SECONDS) },
    Stage { name: "crash-long", long: true, run: crash_long },
    Stage { name: "mutants", long: true, run: mutants },
    Stage { name: "tour-release", long: true, run: tour_release },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let long = arguments.iter().any(|a| a == "--long");
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|a| !a.starts_with("--")).collect();
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
    let mut times = Vec::new();
    for stage in chosen {
        println!("\n=== {} ===", stage.name);
        let started = Instant::now();
        let result = (stage.run)();
        let took = started.elapsed().as_secs_f32();
        times.push((stage.name, took, result.is_ok()));
        if let Err(error) = result {
            summary(&times);
            return Err(error.context(format!("stage `{}` failed", stage.name)));
        }
    }
    summary(&times);
    Ok(())
}

fn summary(times: &[(&str, f32, bool)]) {
    println!("\n=== stages ===");
    for (name, took, passed) in times {
        println!("{name:14} {took:8.1} s  {}", if *passed { "passed" } else { "FAILED" });
    }
    let total: f32 = times.iter().map(|(_, took, _)| took).sum();
    let failed = times.iter().filter(|(_, _, passed)| !passed).count();
    println!("{:14} {total:8.1} s", "total");
    println!("{} passed, {failed} failed", times.len() - failed);
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

fn unit() -> Result<()> {
    nextest(&["--workspace", "--exclude", "writ-tests"])
}

fn doc() -> Result<()> {
    check(
        cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    check(&mut cargo(&["test", "--quiet", "--doc", "-p", "writ-proof", "-p", "writ-policy"]))
}

/// The real binary, with failpoints, driven by the real clients.
fn system() -> Result<()> {
    check(&mut cargo(&["build", "--quiet", "-p", "writ", "--features", "failpoints"]))?;
    nextest(&["-p", "writ-tests"])
}

fn tour() -> Result<()> {
    check(Command::new(target().join("debug/writ")).arg("tour"))
}

fn tour_release() -> Result<()> {
    check(&mut cargo(&["run", "--quiet", "--release", "--", "tour"]))
}

fn deny() -> Result<()> {
    check(cargo(&["deny", "check", "bans", "licenses", "sources"]).env("PATH", tools::path()))
}

fn crash_long() -> Result<()> {
    check(
        nextest_command(&["-p", "writ-tests", "-E", "test(crash_rounds)"])
            .env("WRIT_TEST_CRASH_ROUNDS", "200"),
    )
}

/// A seeded sample of mutations over what must not be wrong, for twenty minutes.
fn mutants() -> Result<()> {
    let mut command = Command::new("timeout");
    command.args(["--signal=INT", "1200", "cargo", "mutants", "--shuffle", "--jobs", "2"]);
    command.args(["--timeout", "120", "-p", "writ-policy", "-p", "writ-keyd", "-p", "writ-proof"]);
    command.args(["--test-tool", "nextest", "--output"]).arg(target().join("mutants"));
    command.current_dir(root()).env("PATH", tools::path());
    let status = command.status()?;
    // 124: the time is over; 2 and 3: mutants survived or timed out, which the summary lists.
    match status.code() {
        Some(0 | 2 | 3 | 124) => Ok(()),
        _ => bail!("cargo mutants failed: {status}"),
    }
}

fn nextest(arguments: &[&str]) -> Result<()> {
    check(&mut nextest_command(arguments))
}

fn nextest_command(arguments: &[&str]) -> Command {
    let mut command = cargo(&["nextest", "run", "--no-fail-fast"]);
    command.args(arguments).env("PATH", tools::path()).env("WRIT_TOOLS", tools::folder());
    command.env("WRIT_BIN", target().join("debug/writ"));
    command
}
