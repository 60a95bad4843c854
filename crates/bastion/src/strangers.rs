//! Who tried and was nobody: counted by address, and told to the ledger in one event an address and period,
//! so that a flood of attempts is seen and fills nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::STRANGERS_MAX;
use crate::teller::{Event, Teller};

/// Attempts that are not told yet.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By the address that they came from.
    by_source: BTreeMap<String, Count>,
    /// Of addresses beyond [`STRANGERS_MAX`].
    others: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    attempts: u64,
    /// Of the last attempt: why it failed, and the key that was offered.
    why: String,
    key: String,
}

impl Strangers {
    /// Counts a connection that did not log in.
    pub(crate) fn note(&self, source: &str, key: Option<&str>, why: &str) {
        let mut counts = self.lock();
        let known = counts.by_source.contains_key(source);
        if !known && counts.by_source.len() >= STRANGERS_MAX {
            counts.others = counts.others.saturating_add(1);
            return;
        }
        let count = counts.by_source.entry(source.to_owned()).or_default();
        count.attempts = count.attempts.saturating_add(1);
        why.clone_into(&mut count.why);
        key.unwrap_or("none").clone_into(&mut count.key);
    }

    /// Tells what was counted. What the ledger does not take is told with the next.
    pub(crate) async fn tell(&self, teller: &Teller) {
        let Counts { by_source, others } = std::mem::take(&mut *self.lock());
        for (source, count) in by_source {
            let shown = vec![("attempts", count.attempts.to_string()), ("key", count.key.clone())];
            let refused = Some(("AccessDenied", count.why.clone()));
            let event = Event { refused, ..Event::new("RefuseStranger", shown) };
            if let Err(error) = teller.tell(&source, vec![event]).await {
                tracing::warn!(error, source, "failed logins are not in the ledger yet");
                self.back(source, count);
            }
        }
        if others > 0 {
            let shown = vec![("attempts", others.to_string())];
            let why = "they came from more addresses than are counted one by one".to_owned();
            let refused = Some(("AccessDenied", why));
            let event = Event { refused, ..Event::new("RefuseStrangers", shown) };
            if let Err(error) = teller.tell("0.0.0.0", vec![event]).await {
                tracing::warn!(error, "failed logins are not in the ledger yet");
                let mut counts = self.lock();
                counts.others = counts.others.saturating_add(others);
            }
        }
    }

    fn back(&self, source: String, told: Count) {
        let mut counts = self.lock();
        let count = counts.by_source.entry(source).or_insert(Count { attempts: 0, ..told });
        count.attempts = count.attempts.saturating_add(told.attempts);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "tests/strangers.rs"]
mod tests;
