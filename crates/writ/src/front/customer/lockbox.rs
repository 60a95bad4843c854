//! GetLockbox and PutLockbox.

use writ_aws::generated::writ::{
    GetLockboxResponse, Lockbox as Shown, PutLockboxRequest, PutLockboxResponse,
};
use writ_aws::{ApiError, Output as _, Service};
use writ_model::LockboxMode;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;
use writ_store::state::Lockbox;

use super::super::access::{Access, Change};
use super::{LOCKBOX, end_unwanted, newest, permit, revision, seal};

pub(super) fn get(call: &Call) -> Result<Outcome, ApiError> {
    permit(call, LOCKBOX)?;
    let stored = call.snapshot.get::<Lockbox>(call.account(), LOCKBOX);
    let lockbox = Some(show(stored.map(|entry| &*entry.value)));
    Ok(Outcome::reply(GetLockboxResponse { lockbox }.into_value()))
}

pub(super) async fn put(
    access: &Access,
    call: &Call,
    request: &PutLockboxRequest,
) -> Result<Outcome, ApiError> {
    let permit = permit(call, LOCKBOX)?;
    let mode = LockboxMode::from_name(&request.mode)
        .ok_or_else(|| ApiError::validation(Service::Writ, "Mode is OFF or STREAMLINED."))?;
    let _turn = access.turn().await;
    let snapshot = newest(access).await?;
    let old = snapshot.get::<Lockbox>(call.account(), LOCKBOX);
    let (descriptor, position) = seal(call, &permit).await?;
    let change = Change::Lockbox(call.account(), mode);
    let ended_access = end_unwanted(access, change, &snapshot).await?;
    let lockbox = Lockbox { mode, updated: call.now, by: call.caller.arn.clone(), descriptor };
    let reply = PutLockboxResponse { lockbox: Some(show(Some(&lockbox))), ended_access };
    let object = Object::new(call.account(), lockbox);
    let changes = Changes::permitted(permit);
    let changes = match old {
        Some(old) => changes.update(object, old.revision),
        None => changes.create(object),
    };
    Ok(Outcome::changed(reply.into_value(), changes).recorded_at(position))
}

fn show(lockbox: Option<&Lockbox>) -> Shown {
    let mode = lockbox.map(|lockbox| lockbox.mode).unwrap_or_default();
    Shown {
        mode: Some(mode.as_str().to_owned()),
        revision: Some(revision(lockbox.map(|lockbox| &lockbox.descriptor))),
        last_modified_date: lockbox.map(|lockbox| lockbox.updated),
        last_modified_by: lockbox.map(|lockbox| lockbox.by.to_string()),
    }
}
