//! One CompleteMultipartUpload of an upload at a time.
//!
//! All that complete one upload write the same manifest file, so a second one must find the outcome
//! of the first before it writes: it would replace the file of the one that wins, and remove it when
//! it loses itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use writ_model::Nonce;

use crate::limits::COMPLETE_WAIT_MAX;

/// Uploads that are being completed.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<Nonce, Arc<tokio::sync::Mutex<()>>>>);

/// The right to complete one upload; ends when dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    upload: Nonce,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn of `upload`, or for none within [`COMPLETE_WAIT_MAX`].
    pub(crate) async fn take(self: &Arc<Self>, upload: Nonce) -> Option<Turn> {
        let lock = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(upload).or_default())
        };
        // Made first, so that the entry goes away also when nobody gets the turn.
        let mut turn = Turn { turns: Arc::clone(self), upload, guard: None };
        turn.guard = tokio::time::timeout(COMPLETE_WAIT_MAX, lock.lock_owned()).await.ok();
        turn.guard.is_some().then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut all = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&self.upload).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            all.remove(&self.upload);
        }
    }
}
