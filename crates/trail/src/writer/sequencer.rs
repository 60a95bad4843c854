//! The one thread that writes the log: everything queued becomes one frame and one fsync.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use writ_model::{Env, failpoint};
use writ_proof::append::{AppendRefusal, AppendReply, Position};
use writ_proof::ed25519::PublicKey;
use writ_proof::use_record::UsePosition;

use super::keyd::Word;
use super::ledger::{Ledger, Stage, Standing};
use super::queue::{Answer, Append, Job, Queue, Taken};
use super::shared::{Fault, Shared};
use crate::disk;
use crate::error::TrailError;
use crate::limits::{HELD_MAX, HELD_MAX_AGE, OLD_BOOT_WAIT};
use crate::wal::{AppendFault, Wal};

/// How long the sequencer sleeps at most: held answers grow old meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);

/// An answer that waits for keyd's own records.
struct Held {
    positions: Vec<UsePosition>,
    reply: Vec<Position>,
    answer: Answer,
    since: Duration,
}

/// Everything that the sequencer's thread owns.
pub(crate) struct Sequencer {
    pub(crate) wal: Wal,
    pub(crate) ledger: Ledger,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) use_key: PublicKey,
    pub(crate) reserve_bytes: u64,
    /// To whoever tells keyd what is durable.
    pub(crate) acks: Sender<Word>,
    held: Vec<Held>,
    /// Since when keyd's records have been turned away, and keyd was last asked for them again.
    missing: Option<Duration>,
}

impl Sequencer {
    #[expect(clippy::too_many_arguments, reason = "the parts of one thread, named by type")]
    pub(crate) fn new(
        wal: Wal,
        ledger: Ledger,
        shared: Arc<Shared>,
        queue: Arc<Queue>,
        env: Arc<dyn Env>,
        use_key: PublicKey,
        reserve_bytes: u64,
        acks: Sender<Word>,
    ) -> Sequencer {
        let held = Vec::new();
        let missing = None;
        Sequencer { wal, ledger, shared, queue, env, use_key, reserve_bytes, acks, held, missing }
    }

    /// Works until the queue is closed, or until nobody knows what is on the disk.
    pub(crate) fn run(mut self) -> Result<(), TrailError> {
        let result = loop {
            match self.queue.take(PATIENCE) {
                Taken::Jobs(jobs) => {
                    if let Err(fatal) = self.batch(jobs) {
                        break Err(fatal);
                    }
                }
                Taken::Nothing => {}
                Taken::Closed => break Ok(()),
            }
            self.release();
            self.ask_again();
        };
        if let Err(error) = &result {
            tracing::error!(%error, "the ledger is closed for good; nothing more is acknowledged");
            self.shared.close(&error.to_string());
        }
        self.queue.close();
        for held in self.held.drain(..) {
            (held.answer)(AppendReply::Refused(AppendRefusal::Closed));
        }
        while let Taken::Jobs(jobs) = self.queue.take(Duration::ZERO) {
            refuse(jobs);
        }
        self.shared.stop();
        result
    }

    fn batch(&mut self, jobs: Vec<Job>) -> Result<(), TrailError> {
        let has_uses = jobs.iter().any(|job| matches!(job, Job::Uses(_)));
        if self.is_below_reserve() {
            self.note_missing(has_uses);
            refuse(jobs);
            return Ok(());
        }
        let mut stage = Stage::new(&self.ledger, self.env.now(), self.wal.next_seq());
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Append(Append { items, statements, answer }) => {
                    let positions: Vec<UsePosition> =
                        items.iter().filter_map(|p| p.item.use_position).collect();
                    match stage.append(items, statements) {
                        Ok(reply) => answers.push((positions, reply, answer)),
                        Err(why) => answer(AppendReply::Refused(AppendRefusal::Invalid(why))),
                    }
                }
                Job::Uses(batch) => {
                    let (boot, first) = (batch.boot, batch.first_seq);
                    match stage.uses(batch, &self.use_key) {
                        Ok(()) => self.missing = None,
                        // Those before them were turned away, and will come again.
                        Err(_) if self.missing.is_some() => {}
                        Err(error) => {
                            // Not acknowledged, so keyd stops within a second; it fails closed.
                            tracing::error!(%boot, first, %error, "keyd's records do not chain");
                            self.shared.note(Fault::BrokenChain, &error.to_string());
                        }
                    }
                }
            }
        }
        let staged = stage.finish();
        if !staged.is_empty() {
            let (batch, remember) = staged.split();
            match self.wal.append(batch) {
                Ok(()) => {}
                Err(AppendFault::Undone(error)) => {
                    tracing::error!(%error, "a batch could not be written; it was taken back");
                    self.note_missing(has_uses);
                    refuse_all(answers);
                    return Ok(());
                }
                Err(AppendFault::Fatal(error)) => {
                    refuse_all(answers);
                    return Err(error);
                }
            }
            remember.into(&mut self.ledger);
            self.shared.advance(self.wal.place(), self.wal.next_seq(), self.ledger.use_head());
            failpoint::hit("trail.before_ack");
        }
        // Also where nothing is new: a batch that was sent again is durable already, and its sender waits
        // to hear that. Nobody may be listening: keyd is being restarted.
        if has_uses && let Some(head) = self.ledger.use_head() {
            self.acks.send(Word::Durable(head.position)).ok();
        }
        for (positions, reply, answer) in answers {
            self.answer(positions, reply, answer);
        }
        Ok(())
    }

    fn answer(&mut self, positions: Vec<UsePosition>, reply: Vec<Position>, answer: Answer) {
        let held = Held { positions, reply, answer, since: self.env.monotonic() };
        if let Some(waits) = self.settle(held) {
            if self.held.len() < HELD_MAX {
                self.held.push(waits);
            } else {
                (waits.answer)(AppendReply::Refused(AppendRefusal::Full));
            }
        }
    }

    /// Answers, or gives back what still has to wait.
    fn settle(&self, held: Held) -> Option<Held> {
        let waited = self.env.monotonic().saturating_sub(held.since);
        let keyd_boot = self.shared.keyd_boot();
        // A run of keyd that is over sends nothing more: what it had not sent when all of it crashed is
        // lost, and would hold back for ever an event that came out of an outbox after the crash. The
        // event names the use all the same, so a verifier sees that keyd's own record is missing.
        let is_over = |position: &UsePosition| {
            waited >= OLD_BOOT_WAIT && keyd_boot.is_some_and(|boot| boot != position.boot)
        };
        let standing: Vec<Standing> = held
            .positions
            .iter()
            .map(|position| match self.ledger.standing(position) {
                Standing::Unknown if is_over(position) => Standing::Durable,
                standing => standing,
            })
            .collect();
        if standing.contains(&Standing::Other) {
            let why = "it names a use that keyd did not record".to_owned();
            (held.answer)(AppendReply::Refused(AppendRefusal::Invalid(why)));
            return None;
        }
        if standing.iter().all(|s| *s == Standing::Durable) {
            (held.answer)(AppendReply::Done(held.reply));
            return None;
        }
        if waited > HELD_MAX_AGE {
            (held.answer)(AppendReply::Refused(AppendRefusal::Closed));
            return None;
        }
        Some(held)
    }

    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.held = held.into_iter().filter_map(|held| self.settle(held)).collect();
    }

    fn note_missing(&mut self, has_uses: bool) {
        if has_uses && self.missing.is_none() {
            self.missing = Some(self.env.monotonic());
        }
    }

    /// Has keyd send again what was turned away, once there is room: it would wait for ever.
    fn ask_again(&mut self) {
        let now = self.env.monotonic();
        let due = self.missing.is_some_and(|asked| now.saturating_sub(asked) >= PATIENCE);
        if due && !self.is_below_reserve() {
            self.missing = Some(now);
            self.acks.send(Word::SendAgain).ok();
        }
    }

    fn is_below_reserve(&self) -> bool {
        match disk::free_bytes(self.shared.dir()) {
            Ok(free) if free >= self.reserve_bytes => {
                self.shared.reopen(free);
                false
            }
            Ok(free) => {
                let reserve = self.reserve_bytes;
                self.shared.suspend(
                    &format!("{free} bytes are free, below the reserve of {reserve}"),
                    free,
                );
                true
            }
            Err(error) => {
                self.shared.suspend(&error.to_string(), 0);
                true
            }
        }
    }
}

fn refuse(jobs: Vec<Job>) {
    for job in jobs {
        if let Job::Append(append) = job {
            (append.answer)(AppendReply::Refused(AppendRefusal::Closed));
        }
    }
}

fn refuse_all(answers: Vec<(Vec<UsePosition>, Vec<Position>, Answer)>) {
    for (_, _, answer) in answers {
        answer(AppendReply::Refused(AppendRefusal::Closed));
    }
}
