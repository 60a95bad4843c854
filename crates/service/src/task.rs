//! The supervised spawn: a task has a name, and its panic is noticed and counted.

use std::sync::atomic::{AtomicU64, Ordering};

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs `work` on the runtime. A panic in it is logged with the task's name and counted.
#[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
pub fn spawn(name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(work);
    tokio::spawn(async move {
        if let Err(error) = task.await
            && error.is_panic()
        {
            PANICS.fetch_add(1, Ordering::Relaxed);
            tracing::error!(task = name, "a task panicked");
        }
    });
}

/// Runs `work` as a task of its own and waits; `None` if it panicked, which is logged and counted.
#[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
pub async fn guarded<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    match tokio::spawn(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            if error.is_panic() {
                PANICS.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "a request panicked");
            }
            None
        }
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
}
