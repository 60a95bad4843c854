//! UntagResource: <https://docs.aws.amazon.com/kms/latest/APIReference/API_UntagResource.html>

use writ_aws::Value;
use writ_aws::generated::kms::untag_resource::UntagResourceRequest;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;

use crate::Result;
use crate::access::{authorize, context, not_pending_deletion};
use crate::metadata::resource;
use crate::resolve::own_target;

pub(crate) fn run(call: &Call, input: &UntagResourceRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    let mut context = context(call, &target);
    context.insert_many("aws:TagKeys", input.tag_keys.iter().map(String::as_str));
    let permit = authorize(call, &target, "kms:UntagResource", &context)?;
    not_pending_deletion(&target)?;
    let mut key = (*target.entry.value).clone();
    key.tags.retain(|name, _| !input.tag_keys.contains(name));
    let object = Object::new(target.descriptor.account, key);
    let changes = Changes::permitted(permit).update(object, target.entry.revision);
    Ok(Outcome::changed(Value::empty(), changes).touching(resource(target.arn())))
}
