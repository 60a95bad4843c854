//! Development tasks: `cargo xtask <task>`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a development tool may stop, print, write files and start programs"
)]

mod codegen;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("codegen") => codegen::run(arguments.get(1..).unwrap_or_default()),
        _ => anyhow::bail!("usage: cargo xtask codegen [--check]"),
    }
}
