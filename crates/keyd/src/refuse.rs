//! The answers that say no, in AWS's words.
//!
//! Codes and texts follow the AWS KMS, STS and IAM API references. A refusal tells a peer no more
//! than AWS tells a client; the reason in full is in keyd's own record.

use writ_aws::{ApiError, Protocol, Service};
use writ_keyd_client::protocol::{AwsRefusal, Refusal};
use writ_model::Arn;

/// A refusal with a code, text and status of the client's protocol.
pub(crate) fn aws(code: &str, message: impl Into<String>, status: u16) -> Refusal {
    let (code, message) = (code.to_owned(), message.into());
    Refusal::Aws(Box::new(AwsRefusal { code, message, status, caller: None }))
}

/// A client error of a JSON protocol: always 400.
pub(crate) fn client(code: &str, message: impl Into<String>) -> Refusal {
    aws(code, message, 400)
}

/// The peer may not ask this, or asked it wrongly.
pub(crate) fn forbidden(why: impl Into<String>) -> Refusal {
    Refusal::Forbidden(why.into())
}

/// The client should try again.
pub(crate) fn unavailable(why: impl Into<String>) -> Refusal {
    Refusal::Unavailable(why.into())
}

/// KMS's request validation.
pub(crate) fn validation(message: impl Into<String>) -> Refusal {
    client("ValidationException", message)
}

/// KMS: neither caller nor stranger learns whether a key exists.
pub(crate) fn kms_denied(principal: &str, action: &str, key: Option<&Arn>) -> Refusal {
    let on = key.map(|key| format!(" on resource: {key}")).unwrap_or_default();
    client(
        "AccessDeniedException",
        format!(
            "User: {principal} is not authorized to perform: {action}{on} because the resource \
             does not exist in this Region, no resource-based policies allow access, or a \
             resource-based policy explicitly denies access"
        ),
    )
}

/// IAM and STS: the query protocol's denial.
pub(crate) fn query_denied(principal: &str, action: &str, resource: &str) -> Refusal {
    access_denied(&format!(
        "User: {principal} is not authorized to perform: {action} on resource: {resource}"
    ))
}

/// IAM and STS: a denial for a reason of its own.
pub(crate) fn access_denied(why: &str) -> Refusal {
    aws("AccessDenied", why, 403)
}

/// What the models say is wrong with a request.
pub(crate) fn api(error: ApiError) -> Refusal {
    aws(&error.code, error.message, error.status)
}

/// A wrong encryption context, a foreign or a damaged blob: no hint which.
pub(crate) fn invalid_ciphertext() -> Refusal {
    client("InvalidCiphertextException", "")
}

/// Something inside keyd that cannot happen with right inputs.
pub(crate) fn internal(what: &'static str) -> Refusal {
    aws("KMSInternalException", what, 500)
}

/// The caller's credential, principal or session has ended since the request was admitted.
pub(crate) fn ended(service: Service) -> Refusal {
    let text = "The security token included in the request is invalid.";
    match service.protocol() {
        Protocol::Json => client("UnrecognizedClientException", text),
        Protocol::Query => aws("InvalidClientTokenId", text, 403),
        Protocol::RestXml => aws("InvalidAccessKeyId", text, 403),
    }
}

/// The code of a refusal, for records.
pub(crate) fn code(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Aws(aws) => aws.code.clone(),
        Refusal::Unavailable(_) => "ServiceUnavailable".to_owned(),
        Refusal::Forbidden(_) => "Forbidden".to_owned(),
        Refusal::Repeated(_) => "Repeated".to_owned(),
    }
}
