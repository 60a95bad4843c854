//! Runs runbooks: from an order that keyd has signed, once, and lets typed values out.
//!
//! Whoever carries the order decides nothing: it is checked here against the key that genesis names, against this
//! host's name, the clock, and what was run before. That it is taken is on the disk and in the ledger before the
//! program starts, so a run that a crash ends is never run again. The program is the file whose digest people have
//! signed, executed by the descriptor that was hashed, with no shell, an empty environment and limits of its own
//! ([`stage`]). What it writes is read by the entry's schema; everything else stays on the host.

mod hostkey;
mod launch;
pub mod program;
pub mod stage;
mod used;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use writ_model::{Env, Timestamp, Ulid};
use writ_proof::cbor::{self, Version};
use writ_proof::ed25519::PublicKey;
use writ_proof::roster::HostName;
use writ_proof::runbook::{Cause, Ended, Entry, Outcome, RunOrder, SignedOrder};

use crate::disk::{self, DirLock};
use crate::error::AgentError;

pub use hostkey::host_key;
pub use stage::Limits;

use used::Used;

/// The folder in the agent's folder.
pub const FOLDER: &str = "runs";
/// The file in it that tells of every run and refusal, a line each: a source for the host's own log at watch.
pub const LOG: &str = "runs.log";

/// What front sends for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The run, by front's word; a refusal is told under it.
    pub run: Ulid,
    /// The order.
    pub order: SignedOrder,
    /// The entry's body.
    pub entry: Vec<u8>,
}

/// Who carries orders: front, over HTTP.
pub trait Orders: Send + Sync {
    /// The ledger has it that the run begins. Nothing begins without.
    ///
    /// # Errors
    /// The run may not begin, or nobody answers.
    fn begin(&self, run: Ulid) -> Result<(), String>;

    /// False once the grant has ended; true also while nobody answers: the order's own time is the limit.
    fn goes_on(&self, run: Ulid) -> bool;

    /// Tells how a run ended.
    ///
    /// # Errors
    /// Nobody answers: it is told again.
    fn end(&self, run: Ulid, ended: &Ended) -> Result<(), String>;
}

/// Runs orders on this host, one after the other.
pub struct Executor {
    host: HostName,
    key: PublicKey,
    used: Used,
    log: PathBuf,
    _lock: DirLock,
}

impl Executor {
    /// Opens the folder of runs in `dir`. `key` is keyd's for run orders, as genesis names it.
    ///
    /// # Errors
    /// The folder cannot be read, or another process has it.
    pub fn open(dir: &Path, host: HostName, key: PublicKey) -> Result<Executor, AgentError> {
        let folder = dir.join(FOLDER);
        disk::create_dir(&folder)?;
        let lock = DirLock::take(&folder)?;
        let (used, log) = (Used::open(&folder)?, folder.join(LOG));
        Ok(Executor { host, key, used, log, _lock: lock })
    }

    /// Tells front of the ends that it has not taken yet; a run that was under way when this process went down has
    /// been killed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn settle(&mut self, orders: &dyn Orders, now: Timestamp) -> Result<(), AgentError> {
        for run in self.used.untold() {
            let ended = self.used.end_of(run).unwrap_or_else(|| {
                launch::kill_left(run);
                ended(Outcome::Killed, Some(Cause::Restarted))
            });
            self.tell(run, &ended, orders)?;
        }
        self.used.forget(now)
    }

    /// Carries one order out, or refuses it; either way its end is told.
    ///
    /// # Errors
    /// The folder cannot be written: then nothing was run.
    pub fn carry_out(
        &mut self,
        ordered: &Ordered,
        orders: &dyn Orders,
        env: &dyn Env,
    ) -> Result<Ended, AgentError> {
        let (order, entry) = match self.check(ordered, env.now()) {
            Ok(checked) => checked,
            Err(cause) => {
                let ended = ended(Outcome::Refused, Some(cause));
                tracing::warn!(run = %ordered.run, cause = cause.as_str(), "an order was refused");
                self.note(ordered.run, "-", ended.outcome.as_str(), Some(cause), env)?;
                // The end of a run that was carried out once is not told anew.
                if !self.used.has_run(ordered.run) {
                    orders.end(ordered.run, &ended).unwrap_or_else(|error| {
                        tracing::warn!(%error, "a refusal could not be told");
                    });
                }
                return Ok(ended);
            }
        };
        // On the disk first: whatever happens now, it is not run a second time.
        self.used.take(&order)?;
        self.note(order.run, entry.name.as_str(), "taken", None, env)?;
        let ended = match orders.begin(order.run) {
            Ok(()) => {
                tracing::info!(run = %order.run, runbook = %entry.name, "a runbook begins");
                launch::run(&order, &entry, orders, env)
            }
            Err(error) => {
                tracing::warn!(run = %order.run, error, "a run may not begin");
                ended(Outcome::Refused, Some(Cause::GrantEnded))
            }
        };
        self.note(order.run, entry.name.as_str(), ended.outcome.as_str(), ended.cause, env)?;
        self.used.ended(order.run, &ended)?;
        self.tell(order.run, &ended, orders)?;
        Ok(ended)
    }

    fn tell(&mut self, run: Ulid, ended: &Ended, orders: &dyn Orders) -> Result<(), AgentError> {
        match orders.end(run, ended) {
            Ok(()) => self.used.told(run),
            Err(error) => {
                tracing::warn!(%run, error, "an end could not be told; it is told again");
                Ok(())
            }
        }
    }

    /// A line for the host's log: words of ours, and what a signed order names.
    fn note(
        &self,
        run: Ulid,
        runbook: &str,
        what: &str,
        cause: Option<Cause>,
        env: &dyn Env,
    ) -> Result<(), AgentError> {
        let cause = cause.map_or("-", Cause::as_str);
        let line =
            format!("{} run={run} runbook={runbook} {what} cause={cause}\n", env.now().iso());
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log);
        opened
            .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_data()))
            .map_err(AgentError::io("append to", &self.log))
    }

    /// The order and its entry, if this host may run it now.
    fn check(&self, ordered: &Ordered, now: Timestamp) -> Result<(RunOrder, Entry), Cause> {
        let order = ordered.order.verify(&self.key).map_err(|_| Cause::BadOrder)?;
        if order.run != ordered.run {
            return Err(Cause::BadOrder);
        }
        if order.host != self.host {
            return Err(Cause::OtherHost);
        }
        if self.used.has(&order) {
            return Err(Cause::Replayed);
        }
        if now < order.not_before || order.not_after <= now {
            return Err(Cause::Expired);
        }
        let entry: Entry = cbor::from_slice(&ordered.entry).map_err(|_| Cause::BadOrder)?;
        order.arguments(&entry).map_err(|_| Cause::BadOrder)?;
        Ok((order, entry))
    }
}

fn ended(outcome: Outcome, cause: Option<Cause>) -> Ended {
    Ended { v: Version, outcome, cause, field: None, answer: None }
}

#[cfg(test)]
#[path = "../tests/runbook.rs"]
mod tests;
