//! How failures within become S3's answers.

use writ_aws::checksum::ChecksumError;
use writ_aws::{ApiError, Service};
use writ_keyd_client::protocol::Refusal;
use writ_model::AccountId;

use crate::S3Error;
use crate::index::{CommitError, Conflict};

/// An error of S3 with its status.
pub(crate) fn s3(code: &'static str, message: &str) -> ApiError {
    ApiError::modelled(Service::S3, code, message)
}

/// 400 `InvalidArgument` about one argument.
pub(crate) fn argument(name: &str, value: &str, message: &str) -> ApiError {
    let value: String = value.chars().take(256).collect();
    s3("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

/// 501.
pub(crate) fn not_implemented(what: &str) -> ApiError {
    ApiError::new(
        "NotImplemented",
        format!("A header you provided implies functionality that is not implemented: {what}"),
        501,
    )
}

/// 500, and an alarm where data on disk is wrong.
pub(crate) fn internal() -> ApiError {
    ApiError::internal(Service::S3)
}

/// 503, retryable.
pub(crate) fn unavailable() -> ApiError {
    ApiError::service_unavailable(Service::S3)
}

/// 503 `SlowDown`.
pub(crate) fn slow_down() -> ApiError {
    s3("SlowDown", "Please reduce your request rate.")
}

pub(crate) fn access_denied() -> ApiError {
    ApiError::access_denied(Service::S3, "Access Denied")
}

pub(crate) fn no_such_bucket(name: &str) -> ApiError {
    s3("NoSuchBucket", "The specified bucket does not exist").with("BucketName", name)
}

pub(crate) fn no_such_key(key: &str) -> ApiError {
    s3("NoSuchKey", "The specified key does not exist.").with("Key", key)
}

pub(crate) fn key_too_long() -> ApiError {
    s3("KeyTooLongError", "Your key is too long")
}

pub(crate) fn no_such_upload(id: &str) -> ApiError {
    let text = "The specified multipart upload does not exist. The upload ID may be invalid, or \
                the upload may have been aborted or completed.";
    s3("NoSuchUpload", text).with("UploadId", id)
}

pub(crate) fn precondition(condition: &'static str) -> ApiError {
    s3("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        .with("Condition", condition)
}

/// A failure of storage.
pub(crate) fn storage(error: &S3Error) -> ApiError {
    match error {
        S3Error::Full { reason } => {
            tracing::warn!(reason, "the object volume takes no writes");
            unavailable()
        }
        error => {
            tracing::error!(%error, "storage failed; `writ s3 fsck` names the file");
            internal()
        }
    }
}

/// A commit that did not happen.
pub(crate) fn commit(error: &CommitError, account: AccountId) -> ApiError {
    match error {
        CommitError::Busy => slow_down(),
        CommitError::TooLarge => s3(
            "InvalidRequest",
            "The request names more than one call can record; send it in parts.",
        ),
        CommitError::Closed | CommitError::Full | CommitError::Unknown => {
            tracing::error!(%error, "a commit failed");
            unavailable()
        }
        CommitError::Unrecorded => {
            tracing::error!(%error, "a commit came without a record");
            internal()
        }
        CommitError::Conflict(conflict) => of_conflict(conflict, account),
    }
}

fn of_conflict(conflict: &Conflict, account: AccountId) -> ApiError {
    match conflict {
        Conflict::BucketExists { owner } if *owner == account => s3(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
        ),
        Conflict::BucketExists { .. } => s3(
            "BucketAlreadyExists",
            "The requested bucket name is not available. The bucket namespace is shared by all \
             users of the system. Please select a different name and try again.",
        ),
        Conflict::BucketNotEmpty => {
            s3("BucketNotEmpty", "The bucket you tried to delete is not empty")
        }
        Conflict::Concurrent => s3(
            "ConditionalRequestConflict",
            "The conditional request cannot succeed due to a conflicting operation against this \
             resource.",
        ),
        Conflict::InvalidPart => invalid_part(),
        Conflict::NoSuchBucket => s3("NoSuchBucket", "The specified bucket does not exist"),
        Conflict::NoSuchKey => s3("NoSuchKey", "The specified key does not exist."),
        Conflict::NoSuchUpload => no_such_upload(""),
        Conflict::Precondition(condition) => precondition(condition),
        Conflict::TooManyBuckets => {
            s3("TooManyBuckets", "You have attempted to create more buckets than allowed.")
        }
        Conflict::TooManyUploads => slow_down(),
    }
}

pub(crate) fn invalid_part() -> ApiError {
    s3(
        "InvalidPart",
        "One or more of the specified parts could not be found. The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag.",
    )
}

/// keyd's refusal.
pub(crate) fn refused(refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::Aws(r) => ApiError::new(r.code.clone(), r.message.clone(), r.status),
        Refusal::Unavailable(why) => {
            tracing::warn!(why, "the key module is not available");
            unavailable()
        }
        Refusal::Repeated(_) => unavailable(),
        Refusal::Forbidden(why) => {
            tracing::error!(why, "the key module refused a command of this process");
            internal()
        }
    }
}

/// A checksum header that is not accepted.
pub(crate) fn checksum(error: &ChecksumError) -> ApiError {
    match error {
        ChecksumError::Unsupported(_) => not_implemented("the checksum algorithm"),
        error => s3("InvalidRequest", &format!("Value for checksum header is invalid: {error}.")),
    }
}

pub(crate) fn bad_digest(what: &str) -> ApiError {
    s3("BadDigest", &format!("The {what} you specified did not match the calculated checksum."))
}
