//! UpdateAlias: <https://docs.aws.amazon.com/kms/latest/APIReference/API_UpdateAlias.html>

use writ_aws::Value;
use writ_aws::generated::kms::update_alias::UpdateAliasRequest;
use writ_policy::Access;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::{Blob, Object};

use super::create_alias::{alias_arn, alias_resource, seal};
use crate::access::{aliases_of, authorize_all, context, not_pending_deletion, on_key};
use crate::limits::ALIASES_PER_KEY_MAX;
use crate::metadata::resource;
use crate::resolve::{key_arn, own_target};
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: UpdateAliasRequest) -> Result {
    let arn = alias_arn(call, &input.alias_name)?;
    let Some(alias) = call.snapshot.alias(&arn) else {
        return Err(error("NotFoundException", format!("Alias {arn} is not found.")));
    };
    let target = own_target(call, &input.target_key_id)?;
    let before = own_target(call, key_arn(call, &alias.target).as_str())?;
    let (old, new) = (context(call, &before), context(call, &target));
    let accesses = [
        Access::new("kms:UpdateAlias", arn.as_str()),
        on_key("kms:UpdateAlias", &before).with_context(&old),
        on_key("kms:UpdateAlias", &target).with_context(&new),
    ];
    let permit = authorize_all(call, &new, &accesses)?;
    not_pending_deletion(&target)?;
    if aliases_of(call, &target).len() >= ALIASES_PER_KEY_MAX {
        let message = format!("A key has at most {ALIASES_PER_KEY_MAX} aliases.");
        return Err(error("LimitExceededException", message));
    }
    let sealed = call.seal(&permit, seal(Some(alias), &[&target, &before])).await?;
    let mut changed = (*alias.value).clone();
    changed.target = target.descriptor.key_id.clone();
    changed.updated = call.now;
    changed.descriptor = Blob::from(sealed.descriptors.into_iter().next().unwrap_or_default());
    let object = Object::new(call.account(), changed);
    let changes = Changes::permitted(permit).update(object, alias.revision);
    Ok(Outcome::changed(Value::empty(), changes)
        .touching(alias_resource(&arn))
        .touching(resource(target.arn()))
        .recorded_at(sealed.position))
}
