//! The supervised spawn: a task has a name, and its panic is noticed and counted.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinError;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs `work` beside the caller. A panic in it is logged with the task's name and counted.
#[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
pub fn spawn(name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        guarded(name, work).await;
    });
}

/// Runs `work` to its end even if the caller goes away, and waits; `None` if it panicked, which is
/// logged and counted.
#[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
pub async fn guarded<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tokio::spawn(work).await.inspect_err(|error| notice(name, error)).ok()
}

/// Runs blocking `work` (crypto, files, an index) off the runtime's threads; `None` if it panicked,
/// which is logged and counted.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.inspect_err(|error| notice("blocking work", error)).ok()
}

/// What ended without a result either panicked or was cancelled with its runtime.
fn notice(name: &'static str, error: &JoinError) {
    if error.is_panic() {
        PANICS.fetch_add(1, Ordering::Relaxed);
        tracing::error!(task = name, "a task panicked");
    }
}

/// Panics noticed so far in this process.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn panic_in_a_guarded_task_is_counted_and_contained() {
        let before = super::panics();
        let result: Option<()> = super::guarded("test", async { panic!("on purpose") }).await;
        assert!(result.is_none());
        assert!(super::panics() > before);
    }

    #[tokio::test]
    async fn panic_in_blocking_work_is_counted_and_contained() {
        let before = super::panics();
        let result: Option<()> = super::blocking(|| panic!("on purpose")).await;
        assert!(result.is_none());
        assert!(super::panics() > before);
    }
}
