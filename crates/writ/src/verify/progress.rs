//! Progress of long work on a terminal.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use writ_model::{Env, SystemEnv};

/// How often the line changes, and how long work is silent.
const EVERY: Duration = Duration::from_millis(500);

/// One line on standard error, if that is a terminal.
pub(crate) struct Progress {
    shown: bool,
    visible: bool,
    last: Duration,
}

impl Progress {
    /// Shows itself on a terminal only.
    pub(crate) fn new() -> Progress {
        let visible = std::io::stderr().is_terminal();
        Progress { shown: false, visible, last: SystemEnv.monotonic() }
    }

    /// So much of `what` is done.
    pub(crate) fn step(&mut self, what: &dyn Display, done: u64, total: u64) {
        if !self.visible || SystemEnv.monotonic().saturating_sub(self.last) < EVERY {
            return;
        }
        self.last = SystemEnv.monotonic();
        self.shown = true;
        eprint!("\r\x1b[K{what}: {done} of {total}");
        std::io::stderr().flush().ok();
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            eprint!("\r\x1b[K");
        }
    }
}
