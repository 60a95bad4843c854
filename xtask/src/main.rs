//! Development tasks: `cargo xtask TASK`. `cargo xtask` alone lists them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a development tool may stop, print, write files and start programs"
)]

mod bench;
mod codegen;
mod fuzz;
mod mutants;
mod run;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test [--long]            lints, tidy and every test; installs what is missing. CI runs this.
  test NAME...             only these stages of it; `cargo xtask test list` names them
  tidy                     the rules that no compiler checks: edges, sizes, docs, anchors
  codegen [--check]        AWS types from the pinned botocore models
  bench [NAME [OPTION...]] one bench (or all) beside its baseline; docs/performance.md has the numbers
  fuzz [NAME [SECONDS]]    one fuzz target (or all), 20 s each unless told
";

fn main() -> ExitCode {
    match task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("bench") => bench::run(rest),
        Some("codegen") => codegen::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("test") => test::run(rest),
        Some("tidy") => tidy::run(),
        Some("--help" | "-h" | "help") | None => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => anyhow::bail!("there is no task `{other}`\n\n{USAGE}"),
    }
}
