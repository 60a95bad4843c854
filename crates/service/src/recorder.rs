//! The store's port to the ledger, given by trail's client.

use writ_model::StoreEpoch;
use writ_proof::append::AppendItem;
use writ_proof::leaf::{Commit, Kind};
use writ_store::{OutboxRow, PortFuture, RecordKind, Recorder, RecorderError};
use writ_trail::client::TrailClient;

/// Appends the store's outbox through trail.
pub struct LedgerRecorder {
    trail: TrailClient,
}

impl LedgerRecorder {
    /// A recorder over `trail`.
    pub fn new(trail: TrailClient) -> LedgerRecorder {
        LedgerRecorder { trail }
    }
}

impl Recorder for LedgerRecorder {
    fn append(
        &self,
        epoch: StoreEpoch,
        rows: Vec<OutboxRow>,
    ) -> PortFuture<'_, Result<(), RecorderError>> {
        Box::pin(async move {
            let items = rows.into_iter().map(|row| item(epoch, row)).collect();
            let appended = self.trail.append(items).await;
            appended.map(|_| ()).map_err(|error| RecorderError { what: error.to_string() })
        })
    }
}

fn item(epoch: StoreEpoch, row: OutboxRow) -> AppendItem {
    AppendItem {
        event_id: row.event_id,
        kind: match row.kind {
            RecordKind::Event => Kind::Event,
            RecordKind::Statement => Kind::Statement,
        },
        logs: row.logs,
        commit: Some(Commit {
            epoch,
            rev: row.revision.0,
            ordinal: row.ordinal,
            count: row.count,
            replaces: None,
        }),
        use_position: row.use_position,
        record: row.record,
    }
}
