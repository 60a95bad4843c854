//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take; a busy machine with two cores is slow, not wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives something; panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Looks until `look` gives something or `limit` is over.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() > limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
