//! Records: made before the effect, durable before the reply.

use std::sync::atomic::{AtomicU64, Ordering};

use writ_model::Env;
use writ_proof::append::AppendItem;
use writ_proof::cbor;
use writ_proof::leaf::Commit;
use writ_proof::limits::RECORD_MAX_BYTES;
use writ_trail::client::TrailClient;
use writ_trail::error::TrailError;
use writ_trail::record::{Record, mark_reply_lost};

use crate::S3Error;
use crate::index::{Change, CommitError, Index, OutboxRow};
use crate::limits::{
    APPEND_PIECE_BYTES, APPEND_PIECE_RECORDS, COMMIT_RECORD_BYTES_MAX, COMMIT_RECORDS_MAX,
};

/// The ledger and the outbox.
pub(crate) struct Ledger {
    trail: TrailClient,
    /// Appends that failed since the outbox was last drained; unless 0, no mutation is taken. A count,
    /// so that a failure while a drain runs is not taken back with those before it.
    behind: AtomicU64,
}

/// Why a call could not be recorded.
pub(crate) enum Unrecorded {
    /// The change was not made.
    Commit(CommitError),
    /// The ledger did not acknowledge.
    Ledger,
}

impl Ledger {
    pub(crate) fn new(trail: TrailClient) -> Ledger {
        Ledger { trail, behind: AtomicU64::new(0) }
    }

    /// Records a call that changed nothing.
    pub(crate) async fn append(&self, records: Vec<Record>) -> Result<u64, Unrecorded> {
        let items = records.into_iter().map(|record| record.into_item(None)).collect();
        self.send(items).await
    }

    /// Commits with records in the outbox, has them acknowledged, and waits until all is visible.
    pub(crate) async fn commit(
        &self,
        index: &Index,
        change: Change,
        records: Vec<Record>,
    ) -> Result<u64, Unrecorded> {
        if self.is_behind() {
            return Err(Unrecorded::Commit(CommitError::Busy));
        }
        let items: Vec<AppendItem> =
            records.into_iter().map(|record| record.into_item(None)).collect();
        // What the ledger would refuse must not be in the outbox, which is drained in order.
        check(&items).map_err(Unrecorded::Commit)?;
        let stored = items.iter().map(cbor::to_vec).collect();
        let rev = index.commit(change, stored).await.map_err(Unrecorded::Commit)?;
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let placed = (0u32..).zip(items).map(|(ordinal, mut item)| {
            item.commit = Some(place(index, rev, ordinal, count));
            item
        });
        let sent = self.send(placed.collect()).await;
        if sent.is_err() {
            self.behind.fetch_add(1, Ordering::AcqRel);
            return sent;
        }
        index.acknowledge(rev);
        index.published(rev).await;
        sent
    }

    /// Sends what the outbox holds, in order. At start, before the listener opens, each record says
    /// that its reply was lost.
    pub(crate) async fn drain(&self, index: &Index, at_start: bool) -> Result<u64, S3Error> {
        // Before the rows are read: the row of a later failure may not be among them.
        let failures = self.behind.load(Ordering::Acquire);
        let rows = index.outbox()?;
        let mut sent = 0;
        for commit in rows.chunk_by(|a, b| a.rev == b.rev) {
            let items = commit.iter().map(|row| item(index, row, at_start));
            let items = items.collect::<Result<_, _>>()?;
            let refused = |_| S3Error::Stopped { what: "the ledger" };
            self.send(items).await.map_err(refused)?;
            if let Some(row) = commit.first() {
                index.acknowledge(row.rev);
            }
            sent += 1;
        }
        // Where it is another number by now, the next drain sends the rest.
        self.behind.compare_exchange(failures, 0, Ordering::AcqRel, Ordering::Acquire).ok();
        Ok(sent)
    }

    /// True while the outbox waits for the ledger.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire) != 0
    }

    /// Answers where the first record lies in the write-ahead log. More than one append takes go in
    /// pieces: each is idempotent, and a commit is acknowledged when the last one is durable.
    async fn send(&self, items: Vec<AppendItem>) -> Result<u64, Unrecorded> {
        let mut first = None;
        for piece in pieces(items) {
            match self.trail.append(piece).await {
                Ok(positions) => {
                    first = first.or(positions.first().map(|position| position.wal));
                }
                Err(error @ TrailError::Refused(_)) => {
                    tracing::error!(%error, "the ledger refuses a record for good");
                    return Err(Unrecorded::Ledger);
                }
                Err(error) => {
                    tracing::warn!(%error, "the ledger did not take a record");
                    return Err(Unrecorded::Ledger);
                }
            }
        }
        Ok(first.unwrap_or(0))
    }
}

/// Refuses records that are too many or too large, before anything has happened.
fn check(items: &[AppendItem]) -> Result<(), CommitError> {
    let sizes = || items.iter().map(|item| item.record.len());
    let fits = items.len() <= COMMIT_RECORDS_MAX
        && sizes().all(|size| size <= RECORD_MAX_BYTES)
        && sizes().sum::<usize>() <= COMMIT_RECORD_BYTES_MAX;
    if fits { Ok(()) } else { Err(CommitError::TooLarge) }
}

/// Cuts `items` into what one append takes, in their order.
fn pieces(items: Vec<AppendItem>) -> Vec<Vec<AppendItem>> {
    let mut out: Vec<Vec<AppendItem>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.record.len();
        match out.last_mut() {
            Some(piece)
                if piece.len() < APPEND_PIECE_RECORDS && bytes + size <= APPEND_PIECE_BYTES =>
            {
                bytes += size;
                piece.push(item);
            }
            _ => {
                bytes = size;
                out.push(vec![item]);
            }
        }
    }
    out
}

fn place(index: &Index, rev: u64, ordinal: u32, count: u32) -> Commit {
    Commit { epoch: index.epoch(), rev, ordinal, count, replaces: None }
}

fn item(index: &Index, row: &OutboxRow, at_start: bool) -> Result<AppendItem, S3Error> {
    let mut item: AppendItem = cbor::from_slice(&row.item)
        .map_err(|source| S3Error::Decode { what: "a record in the outbox", source })?;
    item.commit = Some(place(index, row.rev, row.ordinal, row.count));
    if at_start {
        match mark_reply_lost(&item.record) {
            Ok(record) => item.record = record,
            Err(error) => tracing::warn!(%error, "a record cannot say that its reply was lost"),
        }
    }
    Ok(item)
}

/// How long a drain waits before it tries again.
pub(crate) const DRAIN_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// Draws `N` random bytes.
pub(crate) fn random<const N: usize>(env: &dyn Env) -> [u8; N] {
    let mut bytes = [0; N];
    env.fill(&mut bytes);
    bytes
}
