//! What a service of the AWS API is to the request path.

use std::pin::Pin;

use writ_aws::{Service, Value};

use crate::call::{Call, Outcome};
use crate::error::Fault;

/// The future of a call.
pub type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Fault>> + Send + 'a>>;

/// A service: it carries out its operations, one call at a time, on the call's own snapshot.
///
/// It may be asked to carry out the same call again when its changes conflicted: nothing that it
/// does may have an effect but through the [`Outcome`], the key module's one-time handle apart.
pub trait Api: Send + Sync {
    /// Which service this is.
    fn service(&self) -> Service;

    /// Carries out `call.operation` with `input`, whose constraints are not checked yet:
    /// `Input::from_value` of the operation's request type does it.
    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a>;
}
