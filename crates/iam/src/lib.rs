//! AWS IAM and STS over the shared write path.
//!
//! IAM answers from the call's snapshot and changes only the caller's own account; a policy of
//! another account is never found, only refused. STS looks a role up in the account of its ARN and
//! runs the session there. Users, roles and the status of access keys are sealed by the key module,
//! which builds each descriptor itself from the signed request; what only identity policies decide is
//! decided here. The crate knows no HTTP, no store engine and no key.
//!
//! Invariant: every operation asks for a `Permit` first and learns what exists only afterwards;
//! everything that can refuse a mutation is checked before the key module is asked to seal it.

mod access;
mod document;
mod entity;
mod error;
pub mod limits;
mod operations;
mod page;
mod policy;
mod seal;
mod sts;
mod tags;
mod view;

use writ_aws::{ApiError, Service, Value};
use writ_service::api::{Api, CallFuture};
use writ_service::call::{Call, Outcome};

/// The IAM API of 2010-05-08.
#[derive(Debug, Clone, Copy, Default)]
pub struct Iam;

/// The STS API of 2011-06-15.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sts;

/// How an operation is carried out.
#[derive(Clone, Copy)]
enum Handler {
    /// From the snapshot alone.
    Direct(fn(&Call, Value) -> Result<Outcome, ApiError>),
    /// With the key module's help.
    Keyd(for<'a> fn(&'a Call, Value) -> CallFuture<'a>),
}

impl Handler {
    fn run(self, call: &Call, input: Value) -> CallFuture<'_> {
        match self {
            Handler::Direct(run) => {
                let result = run(call, input);
                Box::pin(std::future::ready(result))
            }
            Handler::Keyd(run) => run(call, input),
        }
    }
}

/// The handler of a function `fn(&Call, &XRequest) -> Result<Outcome, ApiError>`.
macro_rules! direct {
    ($function:path) => {
        crate::Handler::Direct(|call, input| $function(call, &writ_aws::Input::from_value(input)?))
    };
}

/// The handler of an `async` function of the same parameters.
macro_rules! keyd {
    ($function:path) => {
        crate::Handler::Keyd(|call, input| {
            Box::pin(async move {
                let request = writ_aws::Input::from_value(input)?;
                $function(call, &request).await
            })
        })
    };
}

pub(crate) use {direct, keyd};

impl Api for Iam {
    fn service(&self) -> Service {
        Service::Iam
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        if sts::is_plain_session_token(&call.caller) {
            return Box::pin(std::future::ready(Err(error::no_iam_without_mfa())));
        }
        run(operations::TABLE, call, input)
    }
}

impl Api for Sts {
    fn service(&self) -> Service {
        Service::Sts
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        run(sts::TABLE, call, input)
    }
}

fn run<'a>(table: &[(&str, Handler)], call: &'a Call, input: Value) -> CallFuture<'a> {
    let name = call.operation.name;
    match table.iter().find(|(known, _)| *known == name) {
        Some((_, handler)) => handler.run(call, input),
        None => {
            let error = ApiError::not_implemented(call.operation.service, name);
            Box::pin(std::future::ready(Err(error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implemented_operation_has_its_handler_and_no_other() {
        for (service, table) in [(Service::Iam, operations::TABLE), (Service::Sts, sts::TABLE)] {
            let handled: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            let manifest: Vec<&str> =
                writ_aws::operations(service).iter().map(|operation| operation.name).collect();
            assert_eq!(handled, manifest);
        }
    }
}
