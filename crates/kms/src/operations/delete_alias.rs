//! DeleteAlias: <https://docs.aws.amazon.com/kms/latest/APIReference/API_DeleteAlias.html>

use writ_aws::Value;
use writ_aws::generated::kms::delete_alias::DeleteAliasRequest;
use writ_policy::Access;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::Stored as _;
use writ_store::state::Alias;

use super::create_alias::{alias_arn, alias_resource, seal};
use crate::access::{authorize_all, context, on_key};
use crate::metadata::resource;
use crate::resolve::{key_arn, own_target};
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: DeleteAliasRequest) -> Result {
    let arn = alias_arn(call, &input.alias_name)?;
    let Some(alias) = call.snapshot.alias(&arn) else {
        return Err(error("NotFoundException", format!("Alias {arn} is not found.")));
    };
    let target = own_target(call, key_arn(call, &alias.target).as_str())?;
    let context = context(call, &target);
    let accesses =
        [Access::new("kms:DeleteAlias", arn.as_str()), on_key("kms:DeleteAlias", &target)];
    let permit = authorize_all(call, &context, &accesses)?;
    let sealed = call.seal(&permit, seal(Some(alias), &[&target])).await?;
    let id = ObjectId::of::<Alias>(call.account(), &alias.id());
    let changes = Changes::permitted(permit).delete(id, alias.revision);
    Ok(Outcome::changed(Value::empty(), changes)
        .touching(alias_resource(&arn))
        .touching(resource(target.arn()))
        .recorded_at(sealed.position))
}
