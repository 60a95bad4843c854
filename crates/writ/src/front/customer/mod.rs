//! The customer's side of operator access: the Writ API, and the support role in each account.
//!
//! Identity policies of the account decide who may call; keyd seals what was decided from the signed
//! request itself, so nothing here can approve, switch a lockbox off or enable a role in a customer's name.

mod decide;
pub mod iam;
mod lockbox;
pub mod role;
mod show;
mod support;

use std::sync::{Arc, OnceLock};

use writ_aws::{ApiError, Input, Service, Value};
use writ_keyd_client::protocol::{Seal, UsePosition};
use writ_model::{Arn, Ulid};
use writ_policy::Permit;
use writ_service::api::{Api, CallFuture};
use writ_service::call::Call;
use writ_store::{Blob, Snapshot};

use super::access::{Access, Change};

/// The id of an account's lockbox.
pub const LOCKBOX: &str = "lockbox";
/// The id of an account's switch of the support role.
pub const SUPPORT: &str = "support";

/// What the API needs that is made after the request path.
#[derive(Default)]
pub struct Desk {
    access: OnceLock<Arc<Access>>,
}

impl Desk {
    /// Requests and grants are there; called once.
    pub fn open(&self, access: Arc<Access>) {
        if self.access.set(access).is_err() {
            tracing::error!("the customers' desk was opened twice");
        }
    }

    fn access(&self) -> Result<&Arc<Access>, ApiError> {
        self.access.get().ok_or_else(|| ApiError::service_unavailable(Service::Writ))
    }
}

/// The Writ API of 2026-11-01.
pub struct Writ(pub Arc<Desk>);

impl Api for Writ {
    fn service(&self) -> Service {
        Service::Writ
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        Box::pin(async move {
            let access = self.0.access()?;
            match call.operation.name {
                "ApproveOperatorAccess" => {
                    decide::approve(access, call, &Input::from_value(input)?).await
                }
                "DisableSupportRole" => support::switch(access, call, false).await,
                "EnableSupportRole" => support::switch(access, call, true).await,
                "GetLockbox" => lockbox::get(call),
                "GetOperatorAccess" => show::get(access, call, &Input::from_value(input)?),
                "GetSupportRole" => support::get(call),
                "ListOperatorAccess" => show::list(access, call, &Input::from_value(input)?),
                "PutLockbox" => lockbox::put(access, call, &Input::from_value(input)?).await,
                "RefuseOperatorAccess" => {
                    decide::refuse(access, call, &Input::from_value(input)?).await
                }
                "WithdrawOperatorAccess" => {
                    decide::withdraw(access, call, &Input::from_value(input)?).await
                }
                other => Err(ApiError::not_implemented(Service::Writ, other)),
            }
        })
    }
}

/// Decides for the call's own operation on a thing of the caller's account, such as `lockbox`.
fn permit(call: &Call, thing: &str) -> Result<Permit, ApiError> {
    let action = format!("writ:{}", call.operation.name);
    let resource = Arn::build("writ", "", Some(call.account()), thing);
    call.authorize(&call.context(), &[writ_policy::Access::new(&action, resource.as_str())])
}

/// Has keyd seal what the customer signed. Nothing may refuse the mutation after this.
async fn seal(call: &Call, permit: &Permit) -> Result<(Blob, Option<UsePosition>), ApiError> {
    let sealed = call.seal(permit, Seal::default()).await?;
    let descriptor = sealed.descriptors.into_iter().next();
    let descriptor = descriptor.ok_or_else(|| ApiError::internal(Service::Writ))?;
    Ok((descriptor.into(), sealed.position))
}

/// Ends what the customer does not want any more: keyd is told first, then it is in force, and only then the
/// call itself is stored. The requests whose grants have ended.
async fn end_unwanted(
    access: &Access,
    change: Change,
    snapshot: &Snapshot,
) -> Result<Option<Vec<String>>, ApiError> {
    let ended = access.end_unwanted(change, snapshot).await.map_err(|error| {
        tracing::warn!(error = format!("{error:#}"), "an end could not be stored");
        ApiError::service_unavailable(Service::Writ)
    })?;
    Ok(Some(ended.iter().map(Ulid::to_string).collect()))
}

/// The newest state, which the ledger has.
async fn newest(access: &Access) -> Result<Arc<Snapshot>, ApiError> {
    access.newest().await.map_err(|error| {
        tracing::warn!(%error, "the ledger does not answer a customer's call");
        ApiError::service_unavailable(Service::Writ)
    })
}

/// The revision in a sealed descriptor; 0 without one.
fn revision(descriptor: Option<&Blob>) -> i64 {
    let peeked = descriptor.and_then(|d| writ_keyd_client::descriptor::peek(d.as_slice()).ok());
    peeked.and_then(|descriptor| i64::try_from(descriptor.revision()).ok()).unwrap_or_default()
}
