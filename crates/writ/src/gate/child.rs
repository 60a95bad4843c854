//! A program in our place, in the foreground: what ends or stops one of the two, ends or stops both.

use std::ffi::OsString;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// Added to the number of a signal that ended a program, as shells do.
const BY_SIGNAL: i32 = 128;

/// Runs `program` to its end; its exit code.
///
/// # Errors
/// It cannot be started.
pub(super) fn run(program: &str, arguments: &[OsString]) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(program, arguments))
}

#[expect(clippy::disallowed_methods, reason = "the operator's own client is what connects")]
async fn follow(program: &str, arguments: &[OsString]) -> Result<u8> {
    // Before the start, so that nothing is missed.
    let mut changed = signal(SignalKind::child())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let child = std::process::Command::new(program).args(arguments).spawn();
    let child = child
        .with_context(|| format!("`{program}` cannot be started; install OpenSSH's client"))?;
    let pid = Pid::from_child(&child);
    loop {
        // It may have ended already; then there is nothing to tell it.
        tokio::select! {
            _ = changed.recv() => {}
            _ = hangup.recv() => { kill_process(pid, Signal::HUP).ok(); }
            _ = interrupt.recv() => { kill_process(pid, Signal::INT).ok(); }
            _ = quit.recv() => { kill_process(pid, Signal::QUIT).ok(); }
            _ = terminate.recv() => { kill_process(pid, Signal::TERM).ok(); }
        }
        while let Some((_, status)) =
            waitpid(Some(pid), WaitOptions::NOHANG | WaitOptions::UNTRACED)?
        {
            if status.stopped() {
                // `~^Z`: the shell waits for us, and not for it.
                kill_process(getpid(), Signal::STOP)?;
                kill_process(pid, Signal::CONT).ok();
                continue;
            }
            let code = status.exit_status();
            let code = code.or_else(|| status.terminating_signal().map(|n| BY_SIGNAL + n));
            return Ok(u8::try_from(code.unwrap_or_default()).unwrap_or(u8::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_the_program() {
        let run = |script: &str| run("sh", &["-c".into(), script.into()]);
        assert_eq!(run("exit 0").unwrap(), 0);
        assert_eq!(run("exit 255").unwrap(), 255);
        assert_eq!(run("kill -TERM $$").unwrap(), 143);
        assert!(super::run("/no/such/program", &[]).is_err());
    }
}
