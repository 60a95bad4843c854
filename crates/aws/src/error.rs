//! Errors as the AWS protocols show them: a code, a message and an HTTP status.
//!
//! Codes and statuses of modelled errors come from the models. What every service sends without
//! a model (access denied, validation, ...) has a constructor that knows the protocol's code.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::operation::{Protocol, Service};
use crate::value::Value;

/// An error for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The code, such as `NoSuchEntity`.
    pub code: Cow<'static, str>,
    /// AWS's text.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Whether the caller is at fault.
    pub sender: bool,
    /// Further members of the error's body, such as S3's `BucketName`.
    pub fields: BTreeMap<&'static str, String>,
}

/// An error of a service model.
pub struct ErrorShape {
    /// The shape's name, such as `NoSuchEntityException`.
    pub name: &'static str,
    /// The code on the wire, such as `NoSuchEntity`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whether the caller is at fault.
    pub sender: bool,
}

impl ErrorShape {
    /// An error of a model.
    pub const fn new(
        name: &'static str,
        code: &'static str,
        status: u16,
        sender: bool,
    ) -> ErrorShape {
        ErrorShape { name, code, status, sender }
    }
}

/// S3's errors that the model lacks, with their statuses
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>). What is not here is
/// a 400.
const S3_STATUS: &[(&str, u16)] = &[
    ("AccessDenied", 403),
    ("AllAccessDisabled", 403),
    ("BucketNotEmpty", 409),
    ("ConditionalRequestConflict", 409),
    ("InternalError", 500),
    ("InvalidAccessKeyId", 403),
    ("InvalidBucketState", 409),
    ("InvalidPayer", 403),
    ("InvalidRange", 416),
    ("MethodNotAllowed", 405),
    ("MissingContentLength", 411),
    ("NoSuchBucketPolicy", 404),
    ("NoSuchCORSConfiguration", 404),
    ("NoSuchLifecycleConfiguration", 404),
    ("NoSuchPublicAccessBlockConfiguration", 404),
    ("NoSuchTagSet", 404),
    ("NoSuchVersion", 404),
    ("NotImplemented", 501),
    ("NotModified", 304),
    ("OperationAborted", 409),
    ("OwnershipControlsNotFoundError", 404),
    ("PermanentRedirect", 301),
    ("PreconditionFailed", 412),
    ("RequestTimeTooSkewed", 403),
    ("ServerSideEncryptionConfigurationNotFoundError", 404),
    ("ServiceUnavailable", 503),
    ("SignatureDoesNotMatch", 403),
    ("SlowDown", 503),
    ("TemporaryRedirect", 307),
];

impl ApiError {
    /// An error with everything given.
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        status: u16,
    ) -> ApiError {
        let (code, message) = (code.into(), message.into());
        ApiError { code, message, status, sender: status < 500, fields: BTreeMap::new() }
    }

    /// The error `code` of `service` (a code or a shape's name), with the model's status.
    ///
    /// A code that the model does not have is the caller's fault with status 400, or for S3 what
    /// its error page says.
    pub fn modelled(service: Service, code: &'static str, message: impl Into<String>) -> ApiError {
        let shape = service.info().errors.iter().find(|e| e.code == code || e.name == code);
        match shape {
            Some(shape) => {
                let error = ApiError::new(shape.code, message, shape.status);
                ApiError { sender: shape.sender, ..error }
            }
            None if service == Service::S3 => {
                let listed = S3_STATUS.iter().find(|(name, _)| *name == code);
                ApiError::new(code, message, listed.map_or(400, |(_, status)| *status))
            }
            None => ApiError::new(code, message, 400),
        }
    }

    /// A request that breaks the model's constraints; S3 has its own codes for that.
    pub fn validation(service: Service, message: impl Into<String>) -> ApiError {
        let code = match service.protocol() {
            Protocol::Query => "ValidationError",
            Protocol::Json => "ValidationException",
            Protocol::RestXml => "InvalidArgument",
        };
        ApiError::new(code, message, 400)
    }

    /// The caller may not do this. JSON services answer 400, the others 403.
    pub fn access_denied(service: Service, message: impl Into<String>) -> ApiError {
        match service.protocol() {
            Protocol::Json => ApiError::new("AccessDeniedException", message, 400),
            Protocol::Query | Protocol::RestXml => ApiError::new("AccessDenied", message, 403),
        }
    }

    /// An operation of the model that we do not implement.
    pub fn not_implemented(service: Service, operation: &str) -> ApiError {
        let message = format!("The operation {operation} is not implemented.");
        match service.protocol() {
            Protocol::Json => ApiError::new("UnsupportedOperationException", message, 400),
            Protocol::Query => ApiError::new("NotImplemented", message, 501),
            Protocol::RestXml => {
                let message =
                    "A header or query you provided implies functionality that is not implemented.";
                ApiError::new("NotImplemented", message, 501)
            }
        }
    }

    /// An operation that the service does not have. `version` is what the request named.
    pub fn unknown_operation(service: Service, operation: &str, version: &str) -> ApiError {
        match service.protocol() {
            Protocol::Json => ApiError::new("UnknownOperationException", "", 400),
            Protocol::Query => {
                let message = format!("Could not find operation {operation} for version {version}");
                ApiError::new("InvalidAction", message, 400)
            }
            Protocol::RestXml => ApiError::not_implemented(service, operation),
        }
    }

    /// Too many requests.
    pub fn throttled(service: Service) -> ApiError {
        match service.protocol() {
            Protocol::Json => ApiError::new("ThrottlingException", "Rate exceeded", 400),
            Protocol::Query => ApiError::new("Throttling", "Rate exceeded", 400),
            Protocol::RestXml => ApiError::new("SlowDown", "Please reduce your request rate.", 503),
        }
    }

    /// A fault of ours. The message never says which.
    pub fn internal(service: Service) -> ApiError {
        let message = "We encountered an internal error. Please try again.";
        match service {
            Service::CloudTrail | Service::Writ => ApiError::new("InternalFailure", message, 500),
            Service::Kms => ApiError::new("KMSInternalException", message, 500),
            Service::Iam => ApiError::new("ServiceFailure", message, 500),
            Service::Sts => ApiError::new("InternalFailure", message, 500),
            Service::S3 => ApiError::new("InternalError", message, 500),
        }
    }

    /// Come back later: something that the answer needs does not answer.
    pub fn service_unavailable(service: Service) -> ApiError {
        let message = "Service is unable to handle request.";
        match service.protocol() {
            Protocol::Json => ApiError::new("ServiceUnavailableException", message, 503),
            Protocol::Query | Protocol::RestXml => {
                ApiError::new("ServiceUnavailable", message, 503)
            }
        }
    }

    /// The same, with a further member in the body.
    pub fn with(mut self, field: &'static str, value: impl Into<String>) -> ApiError {
        self.fields.insert(field, value.into());
        self
    }

    /// A value that is not of the shape it was checked against: a fault of ours.
    pub(crate) fn mismatch(expected: &'static str, found: &Value) -> ApiError {
        let message = format!("expected a {expected}, found a {}", found.kind());
        ApiError::new("InternalFailure", message, 500)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}
