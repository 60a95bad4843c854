//! Reads decision cases from standard input, one JSON object a line, and prints the decisions.

use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", writ_policy::cases::eval_case(&line?))?;
    }
    Ok(())
}
