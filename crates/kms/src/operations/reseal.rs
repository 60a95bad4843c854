//! What all changes of a key's sealed descriptor have in common.

use writ_keyd_client::protocol::{Seal, UsePosition};
use writ_policy::Permit;
use writ_service::call::{Call, Changes};
use writ_store::state::Key;
use writ_store::{Blob, Object};

use crate::Result;
use crate::resolve::Target;

/// Has keyd seal the change that the caller signed, and puts what came back into the stored key.
/// `edit` changes the rest of it.
pub(crate) async fn reseal(
    call: &Call,
    target: &Target,
    permit: Permit,
    edit: impl FnOnce(&mut Key),
) -> Result<(Changes, Key, Option<UsePosition>)> {
    let sealed = call.seal(&permit, Seal { keys: vec![target.used()], ..Seal::default() }).await?;
    let mut key = (*target.entry.value).clone();
    if let Some(descriptor) = sealed.descriptors.into_iter().next() {
        key.descriptor = Blob::from(descriptor);
    }
    key.tokens = sealed.tokens.into_iter().map(Blob::from).collect();
    edit(&mut key);
    let object = Object::new(target.descriptor.account, key.clone());
    let changes = Changes::permitted(permit).update(object, target.entry.revision);
    Ok((changes, key, sealed.position))
}
