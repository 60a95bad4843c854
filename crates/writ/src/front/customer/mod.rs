//! The customer's side of operator access: the Writ API, and the support role in each account.
//!
//! Identity policies of the account decide who may call; keyd seals what was decided from the signed
//! request itself, so nothing here can approve, switch a lockbox off or enable a role in a customer's name.

pub mod iam;
mod lockbox;
pub mod role;
mod support;

use writ_aws::{ApiError, Input as _, Service, Value};
use writ_keyd_client::protocol::{Seal, UsePosition};
use writ_model::Arn;
use writ_policy::{Access, Permit};
use writ_service::api::{Api, CallFuture};
use writ_service::call::Call;
use writ_store::Blob;

/// The id of an account's lockbox.
pub const LOCKBOX: &str = "lockbox";
/// The id of an account's switch of the support role.
pub const SUPPORT: &str = "support";

/// The Writ API of 2026-11-01.
pub struct Writ;

impl Api for Writ {
    fn service(&self) -> Service {
        Service::Writ
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        Box::pin(async move {
            match call.operation.name {
                "DisableSupportRole" => support::switch(call, false).await,
                "EnableSupportRole" => support::switch(call, true).await,
                "GetLockbox" => lockbox::get(call),
                "GetSupportRole" => support::get(call),
                "PutLockbox" => {
                    use writ_aws::generated::writ::PutLockboxRequest;
                    lockbox::put(call, &PutLockboxRequest::from_value(input)?).await
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
    call.authorize(&call.context(), &[Access::new(&action, resource.as_str())])
}

/// Has keyd seal what the customer signed. Nothing may refuse the mutation after this.
async fn seal(call: &Call, permit: &Permit) -> Result<(Blob, Option<UsePosition>), ApiError> {
    let sealed = call.seal(permit, Seal::default()).await?;
    let descriptor = sealed.descriptors.into_iter().next();
    let descriptor = descriptor.ok_or_else(|| ApiError::internal(Service::Writ))?;
    Ok((descriptor.into(), sealed.position))
}

/// The revision in a sealed descriptor; 0 without one.
fn revision(descriptor: Option<&Blob>) -> i64 {
    let peeked = descriptor.and_then(|d| writ_keyd_client::descriptor::peek(d.as_slice()).ok());
    peeked.and_then(|descriptor| i64::try_from(descriptor.revision()).ok()).unwrap_or_default()
}
