//! UpdateKeyDescription:
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_UpdateKeyDescription.html>

use writ_aws::Value;
use writ_aws::generated::kms::update_key_description::UpdateKeyDescriptionRequest;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;

use crate::Result;
use crate::access::{authorize, context, not_pending_deletion};
use crate::metadata::resource;
use crate::resolve::own_target;

pub(crate) fn run(call: &Call, input: UpdateKeyDescriptionRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    let permit = authorize(call, &target, "kms:UpdateKeyDescription", &context(call, &target))?;
    not_pending_deletion(&target)?;
    let mut key = (*target.entry.value).clone();
    key.description = input.description;
    let object = Object::new(target.descriptor.account, key);
    let changes = Changes::permitted(permit).update(object, target.entry.revision);
    Ok(Outcome::changed(Value::empty(), changes).touching(resource(target.arn())))
}
