//! The one thread that writes: it takes what waits, up to a limit, into one transaction.
//!
//! Each mutation is a savepoint with a revision of its own, so a refused one drops out alone. After an
//! error of the database nothing more is written until a restart: a failed fsync is never retried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;
use writ_model::{Env, Timestamp, failpoint};

use super::apply::{Refused, acknowledge, apply};
use super::change::{Change, Conflict};
use super::visible::{Effect, Visible};
use crate::S3Error;
use crate::limits::{COMPLETED_KEPT, GROUP_COMMIT_MAX, WRITER_QUEUE_MAX};

/// Why a commit did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The state does not admit the change.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The change came without a record; nothing was written.
    #[error("a change without an audit record")]
    Unrecorded,
    /// Too many wait; nothing was written.
    #[error("too many changes wait for the object index")]
    Busy,
    /// The index takes no more writes until a restart.
    #[error("the object index takes no writes")]
    Closed,
}

pub(super) enum Message {
    /// Writes a change with its records.
    Commit { change: Box<Change>, items: Vec<Vec<u8>>, reply: Reply },
    /// The records of these revisions are in the ledger.
    Acknowledged { from: u64, to: u64 },
    /// These files are gone.
    Collected(Vec<String>),
}

type Reply = oneshot::Sender<Result<u64, CommitError>>;

/// The queue to the writer.
pub(super) struct Writer {
    queue: Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the thread over `connection`, whose last revision is `rev`.
    pub(super) fn start(
        connection: Connection,
        rev: u64,
        visible: Arc<Visible>,
        env: Arc<dyn Env>,
    ) -> Result<Writer, S3Error> {
        let (queue, messages) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let thread = Thread { connection, rev, visible, env, waiting: Arc::clone(&waiting) };
        std::thread::Builder::new()
            .name("s3-index".to_owned())
            .spawn(move || thread.run(&messages))
            .map_err(S3Error::io("starting the index's writer"))?;
        Ok(Writer { queue, waiting })
    }

    /// Queues a commit; the receiver gets its revision.
    pub(super) fn commit(
        &self,
        change: Change,
        items: Vec<Vec<u8>>,
    ) -> Result<oneshot::Receiver<Result<u64, CommitError>>, CommitError> {
        if items.is_empty() {
            return Err(CommitError::Unrecorded);
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= WRITER_QUEUE_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(CommitError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let message = Message::Commit { change: Box::new(change), items, reply };
        self.queue.send(message).map(|()| answer).map_err(|_| CommitError::Closed)
    }

    /// Queues work that nobody waits for. What is lost at an end is found at the next start.
    pub(super) fn tell(&self, message: Message) {
        if self.queue.send(message).is_err() {
            tracing::warn!("the object index has stopped; cleaning waits for the next start");
        }
    }
}

struct Thread {
    connection: Connection,
    rev: u64,
    visible: Arc<Visible>,
    env: Arc<dyn Env>,
    waiting: Arc<AtomicUsize>,
}

impl Thread {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut batch = vec![first];
            batch.extend(messages.try_iter().take(GROUP_COMMIT_MAX - 1));
            if let Err(error) = self.write(batch) {
                tracing::error!(%error, "the object index takes no more writes until a restart");
                return;
            }
        }
    }

    /// One transaction. Replies go only after its commit.
    fn write(&mut self, batch: Vec<Message>) -> Result<(), S3Error> {
        let now = self.env.now();
        let visible = self.visible.watermark();
        let mut rev = self.rev;
        let mut answers = Vec::new();
        let tx = self.connection.transaction()?;
        for message in batch {
            match message {
                Message::Commit { change, items, reply } => {
                    let outcome = savepoint(&tx, &change, &items, rev + 1, visible)?;
                    self.waiting.fetch_sub(1, Ordering::AcqRel);
                    rev += u64::from(outcome.is_ok());
                    answers.push((reply, outcome.map(|()| (rev, Effect::of(&change)))));
                }
                Message::Acknowledged { from, to } => acknowledge(&tx, (from, to), now)?,
                Message::Collected(files) => collected(&tx, &files, now)?,
            }
        }
        tx.prepare_cached("UPDATE meta SET rev = ?1")?.execute([rev])?;
        failpoint::hit("s3.before_commit");
        tx.commit()?;
        failpoint::hit("s3.after_commit");
        self.rev = rev;
        for (reply, outcome) in answers {
            let outcome = outcome.map(|(rev, effect)| {
                self.visible.committed(rev, effect);
                rev
            });
            // A caller that has gone away leaves its record in the outbox, which is drained.
            reply.send(outcome.map_err(CommitError::Conflict)).ok();
        }
        Ok(())
    }
}

fn savepoint(
    tx: &Connection,
    change: &Change,
    items: &[Vec<u8>],
    rev: u64,
    visible: u64,
) -> Result<Result<(), Conflict>, S3Error> {
    tx.execute_batch("SAVEPOINT change")?;
    match apply(tx, change, rev, visible) {
        Ok(()) => {}
        Err(Refused::Conflict(conflict)) => {
            tx.execute_batch("ROLLBACK TO change; RELEASE change")?;
            return Ok(Err(conflict));
        }
        Err(Refused::Failed(error)) => return Err(error.into()),
    }
    for (ordinal, item) in items.iter().enumerate() {
        tx.prepare_cached("INSERT INTO outbox VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            rev,
            ordinal,
            items.len(),
            item
        ])?;
    }
    tx.execute_batch("RELEASE change")?;
    Ok(Ok(()))
}

fn collected(tx: &Connection, files: &[String], now: Timestamp) -> Result<(), S3Error> {
    for file in files {
        tx.prepare_cached("DELETE FROM garbage WHERE file = ?1")?.execute([file])?;
    }
    let before = now.millis().saturating_sub(Timestamp::default().plus(COMPLETED_KEPT).millis());
    tx.prepare_cached("DELETE FROM completed WHERE at < ?1")?.execute([before])?;
    Ok(())
}
