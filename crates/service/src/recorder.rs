//! The store's port to the ledger, given by trail's client.

use writ_model::StoreEpoch;
use writ_proof::append::AppendItem;
use writ_proof::hash::Hash;
use writ_proof::leaf::{Commit, Kind};
use writ_proof::use_record::UsePosition;
use writ_store::{OutboxRow, PortFuture, Recorder, RecorderError};
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
        kind: Kind::Event,
        logs: row.logs,
        commit: Some(Commit {
            epoch,
            rev: row.revision.0,
            ordinal: row.ordinal,
            count: row.count,
            replaces: None,
        }),
        use_position: use_position(&row.record),
        record: row.record,
    }
}

/// keyd's record that a finished record names: trail holds its answer until that one is durable too.
fn use_position(record: &[u8]) -> Option<UsePosition> {
    let record: serde_json::Value = serde_json::from_slice(record).ok()?;
    let named = record.pointer("/additionalEventData/writ/useRecord")?;
    let mut hash = [0; 32];
    hex::decode_to_slice(named.get("hash")?.as_str()?, &mut hash).ok()?;
    Some(UsePosition {
        boot: named.get("boot")?.as_str()?.parse().ok()?,
        seq: named.get("seq")?.as_u64()?,
        hash: Hash(hash),
    })
}
