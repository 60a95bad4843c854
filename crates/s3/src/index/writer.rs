//! The one thread that writes: it takes what waits, up to a limit, into one transaction.
//!
//! Each mutation is a savepoint with a revision of its own, so a refused one drops out alone. A full
//! disk refuses a transaction whole. After any other error of the database nothing more is written
//! until a restart: a failed fsync is never retried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::{Connection, params};
use tokio::sync::{oneshot, watch};
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
    /// The disk is full; nothing was written.
    #[error("the disk of the object index is full")]
    Full,
    /// Too many wait; nothing was written.
    #[error("too many changes wait for the object index")]
    Busy,
    /// Its records are more than the ledger takes of one commit; nothing was written.
    #[error("the audit records of a change are too large")]
    TooLarge,
    /// The index takes no more writes until a restart; nothing was written.
    #[error("the object index takes no writes")]
    Closed,
    /// The writer ended in the middle. Whether the change was made, only the next start tells.
    #[error("the object index stopped in the middle of a change")]
    Unknown,
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
    /// Closed when the thread has ended.
    alive: watch::Receiver<()>,
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
        let (life, alive) = watch::channel(());
        let thread = Thread {
            connection,
            rev,
            visible,
            env,
            waiting: Arc::clone(&waiting),
            owed: None,
            _life: life,
        };
        std::thread::Builder::new()
            .name("s3-index".to_owned())
            .spawn(move || thread.run(&messages))
            .map_err(S3Error::io("starting the index's writer"))?;
        Ok(Writer { queue, waiting, alive })
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

    /// Waits until the thread has ended.
    pub(super) async fn stopped(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
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
    /// Acknowledged revisions that a full disk kept from being cleaned, without a gap.
    owed: Option<(u64, u64)>,
    _life: watch::Sender<()>,
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

    /// Writes `batch` in one transaction. Replies go only after its commit.
    fn write(&mut self, batch: Vec<Message>) -> Result<(), S3Error> {
        let outcomes = match self.transact(&batch) {
            Ok(outcomes) => outcomes,
            Err(S3Error::Index(error)) if is_full(&error) => {
                tracing::error!(%error, "the disk of the object index is full");
                self.refuse(batch);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.owed = None;
        let mut outcomes = outcomes.into_iter();
        for message in batch {
            let Message::Commit { change, reply, .. } = message else { continue };
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            let Some(outcome) = outcomes.next() else { continue };
            if let Ok(rev) = outcome {
                self.visible.committed(rev, Effect::of(&change));
            }
            // A caller that has gone away leaves its record in the outbox, which is drained.
            reply.send(outcome.map_err(CommitError::Conflict)).ok();
        }
        Ok(())
    }

    /// One transaction; answers what came of each commit, in order.
    fn transact(&mut self, batch: &[Message]) -> Result<Vec<Result<u64, Conflict>>, S3Error> {
        let now = self.env.now();
        let visible = self.visible.watermark();
        let mut rev = self.rev;
        let mut outcomes = Vec::new();
        let tx = self.connection.transaction()?;
        if let Some(owed) = self.owed {
            acknowledge(&tx, owed, now)?;
        }
        for message in batch {
            match message {
                Message::Commit { change, items, .. } => {
                    let outcome = savepoint(&tx, change, items, rev + 1, visible)?;
                    rev += u64::from(outcome.is_ok());
                    outcomes.push(outcome.map(|()| rev));
                }
                Message::Acknowledged { from, to } => acknowledge(&tx, (*from, *to), now)?,
                Message::Collected(files) => collected(&tx, files, now)?,
            }
        }
        tx.prepare_cached("UPDATE meta SET rev = ?1")?.execute([rev])?;
        failpoint::hit("s3.before_commit");
        tx.commit()?;
        failpoint::hit("s3.after_commit");
        self.rev = rev;
        Ok(outcomes)
    }

    /// Nothing of `batch` was written, and the transaction is rolled back.
    fn refuse(&mut self, batch: Vec<Message>) {
        for message in batch {
            match message {
                Message::Commit { reply, .. } => {
                    self.waiting.fetch_sub(1, Ordering::AcqRel);
                    reply.send(Err(CommitError::Full)).ok();
                }
                // Acknowledgements come in order and without a gap.
                Message::Acknowledged { from, to } => {
                    self.owed = Some((self.owed.map_or(from, |(first, _)| first), to));
                }
                // Their rows stay, so that they are found again.
                Message::Collected(_) => {}
            }
        }
    }
}

/// SQLite reports a full disk before a commit is complete, so nothing of it is on the disk.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
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
