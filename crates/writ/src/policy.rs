//! `writ policy eval`: one JSON case a line in, one decision a line out, offline.

use std::io::{BufRead as _, Write as _};

use anyhow::Result;
use writ_policy::cases::eval_case;

/// Decides every case on standard input.
pub fn eval() -> Result<()> {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        writeln!(output, "{}", eval_case(&line))?;
    }
    output.flush()?;
    Ok(())
}
