//! The canary: an exec each 30 s that must come back through the kernel's audit. If it does not, the kernel does not
//! tell everything, whatever else it says.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use writ_model::Env;
use writ_model::limits::CANARY_EVERY;
use writ_proof::hostlog::{Class, Payload};

use super::{AuditSource, Event};

/// The source's name; watch knows it.
pub(crate) const NAME: &str = "canary";

/// The record type that holds the arguments of an exec.
const EXECVE: u16 = 1309;

/// The canary.
pub(crate) struct Canary {
    program: PathBuf,
    fault: Option<String>,
    next: Duration,
    token: String,
    child: Option<Child>,
    pub(crate) frames: u64,
}

impl Canary {
    /// Prepares it; without audit it is faulty from the start.
    pub(crate) fn new(audit: &mut AuditSource) -> Canary {
        let program = std::env::current_exe();
        let fault = match &program {
            Err(error) => Some(format!("this program's own path is not known: {error}")),
            Ok(program) => audit
                .watch_program(&program.to_string_lossy())
                .err()
                .map(|why| format!("the kernel does not take the rule for it: {why}")),
        };
        let program = program.unwrap_or_default();
        let (next, token) = (Duration::ZERO, String::new());
        Canary { program, fault, next, token, child: None, frames: 0 }
    }

    /// Takes back what was asked of the kernel.
    pub(crate) fn end(&self, audit: &mut AuditSource) {
        if self.fault.is_none() {
            audit.forget_program(&self.program.to_string_lossy());
        }
    }

    pub(crate) fn fault(&self, audit: &AuditSource) -> Option<String> {
        self.fault.clone().or_else(|| audit.fault())
    }

    /// Makes the exec when it is due, and looks for it in what came.
    pub(crate) fn poll(&mut self, env: &dyn Env, now: Duration, events: &mut Vec<Event>) {
        if let Some(child) = &mut self.child
            && !matches!(child.try_wait(), Ok(None))
        {
            self.child = None;
        }
        if self.is_in(events) {
            let token = std::mem::take(&mut self.token);
            let (source, class) = (NAME.to_owned(), Class::Security);
            events.push(Event { source, class, payload: Payload::Canary(token) });
            self.frames += 1;
        }
        if now >= self.next && self.fault.is_none() {
            self.next = now + CANARY_EVERY;
            self.token = env.nonce().to_string();
            match self.exec() {
                Ok(child) => self.child = Some(child),
                Err(error) => tracing::error!(%error, "the canary cannot be started"),
            }
        }
    }

    fn is_in(&self, events: &[Event]) -> bool {
        !self.token.is_empty()
            && events.iter().any(|event| match &event.payload {
                Payload::Record(record) if record.kind == EXECVE => {
                    let token = self.token.as_bytes();
                    record.text.windows(token.len()).any(|window| window == token)
                }
                _ => false,
            })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the exec is what the canary is: this very program, which does nothing and ends"
    )]
    fn exec(&self) -> std::io::Result<Child> {
        std::process::Command::new(&self.program)
            .args(["agent", "canary", &self.token])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}
