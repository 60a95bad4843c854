//! The port to the ledger.

use std::pin::Pin;

use writ_model::{StoreEpoch, Uuid};

use crate::OutboxRow;

/// A future that a port answers with.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the ledger did not take records. They stay in the outbox and are sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger did not acknowledge: {what}")]
pub struct RecorderError {
    /// What failed.
    pub what: String,
}

/// Appends audit records to the ledger; the ledger writer's client implements it.
pub trait Recorder: Send + Sync {
    /// Appends `rows`, all of whole commits of the store's life `epoch`, in order. Answers once they
    /// are durable. A row whose event id the ledger holds already is not appended twice.
    fn append(
        &self,
        epoch: StoreEpoch,
        rows: Vec<OutboxRow>,
    ) -> PortFuture<'_, Result<(), RecorderError>>;
}

/// Tells which mutations the ledger does not know, for the check that every change has its record.
pub trait Ledger: Send + Sync {
    /// Those of `requests` for which the ledger holds no event.
    fn unrecorded(&self, requests: Vec<Uuid>) -> PortFuture<'_, Result<Vec<Uuid>, RecorderError>>;
}
