//! Tasks with a name whose panics are noticed.

/// Runs `work` to its end even if the caller goes away; none if it panicked.
#[expect(clippy::disallowed_methods, reason = "this crate's one supervised spawn")]
pub(crate) async fn guarded<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    match tokio::spawn(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(task = name, %error, "a task ended without a result");
            None
        }
    }
}

/// Runs `work` beside the caller.
#[expect(clippy::disallowed_methods, reason = "this crate's one supervised spawn")]
pub(crate) fn spawn(name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        guarded(name, work).await;
    });
}

/// Runs blocking `work` (crypto, files, the index) off the runtime's threads; none if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "blocking work ended without a result");
            None
        }
    }
}
