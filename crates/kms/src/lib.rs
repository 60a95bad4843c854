//! The AWS KMS API over the key module.
//!
//! This crate resolves names, decides with the caller's policies and the key policy, and keeps the
//! metadata. It never sees a key and not even the plaintext on its way in: keyd reads what is asked
//! from the signed bytes, decides the sealed key policy once more, and uses the key. Start reading at
//! [`operations::encrypt`].

mod access;
mod limits;
mod metadata;
pub mod operations;
mod page;
mod resolve;

use writ_aws::{ApiError, Service, Value};
use writ_service::api::{Api, CallFuture};
use writ_service::call::{Call, Outcome};

use resolve::MaterialIndex;

/// The KMS service.
#[derive(Default)]
pub struct Kms {
    materials: MaterialIndex,
}

impl Api for Kms {
    fn service(&self) -> Service {
        Service::Kms
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        Box::pin(operations::execute(call, input, &self.materials))
    }
}

/// The result of an operation.
pub(crate) type Result<T = Outcome> = std::result::Result<T, ApiError>;

/// An error of the KMS model.
pub(crate) fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::modelled(Service::Kms, code, message)
}
