//! How failures within become answers in AWS's words.

use writ_aws::{ApiError, Service};
use writ_keyd_client::client::CallError;
use writ_keyd_client::protocol::Refusal;

/// keyd's refusal, for the caller of `service`.
pub fn refused(service: Service, refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::Aws(refusal) => {
            ApiError::new(refusal.code.clone(), refusal.message.clone(), refusal.status)
        }
        Refusal::Unavailable(why) => {
            tracing::warn!(why, "the key module is not available");
            ApiError::service_unavailable(service)
        }
        Refusal::Repeated(_) => ApiError::service_unavailable(service),
        Refusal::Forbidden(why) => {
            // A front that asks what it may not is broken or taken over: loud, and a plain 500.
            tracing::error!(why, "the key module refused a command of this process");
            ApiError::internal(service)
        }
    }
}

/// A channel that does not answer, for the caller of `service`: retryable, outcome unknown.
pub fn unanswered(service: Service, error: &CallError) -> ApiError {
    tracing::warn!(%error, "a process does not answer");
    ApiError::service_unavailable(service)
}
