//! What a service of the AWS API is to the request path.

use std::pin::Pin;

use writ_aws::{ApiError, Service, Value};

use crate::call::{Call, Outcome};

/// The future of a call.
pub type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<Outcome, ApiError>> + Send + 'a>>;

/// A service: it carries out its operations, one call at a time, on the call's own snapshot.
///
/// Nothing that it does may have an effect but through the [`Outcome`] and the key module's one-time
/// handle. Mutations of one account run one after the other, from decision to commit.
pub trait Api: Send + Sync {
    /// Which service this is.
    fn service(&self) -> Service;

    /// Carries out `call.operation` with `input`, whose constraints are not checked yet:
    /// `Input::from_value` of the operation's request type does it.
    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a>;
}
