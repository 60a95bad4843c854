//! TagResource: <https://docs.aws.amazon.com/kms/latest/APIReference/API_TagResource.html>

use std::collections::BTreeMap;

use writ_aws::Value;
use writ_aws::generated::kms::Tag;
use writ_aws::generated::kms::tag_resource::TagResourceRequest;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::Object;

use crate::access::{authorize, context, not_pending_deletion};
use crate::limits::TAGS_MAX;
use crate::metadata::resource;
use crate::resolve::own_target;
use crate::{Result, error};

pub(crate) fn run(call: &Call, input: &TagResourceRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    let mut context = context(call, &target);
    for tag in &input.tags {
        context.insert(&format!("aws:RequestTag/{}", tag.tag_key), tag.tag_value.as_str());
    }
    context.insert_many("aws:TagKeys", input.tags.iter().map(|tag| tag.tag_key.as_str()));
    let permit = authorize(call, &target, "kms:TagResource", &context)?;
    not_pending_deletion(&target)?;
    let mut key = (*target.entry.value).clone();
    key.tags = checked_tags(&input.tags, &key.tags)?;
    let object = Object::new(target.descriptor.account, key);
    let changes = Changes::permitted(permit).update(object, target.entry.revision);
    Ok(Outcome::changed(Value::empty(), changes).touching(resource(target.arn())))
}

/// `tags` on top of `present`, within AWS's rules.
pub(crate) fn checked_tags(
    tags: &[Tag],
    present: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut merged = present.clone();
    let mut named = std::collections::BTreeSet::new();
    for tag in tags {
        if tag.tag_key.to_ascii_lowercase().starts_with("aws:") {
            let message = "Tag keys that begin with aws: are reserved.";
            return Err(error("TagException", message));
        }
        if !named.insert(&tag.tag_key) {
            return Err(error("TagException", "A tag key is given twice."));
        }
        merged.insert(tag.tag_key.clone(), tag.tag_value.clone());
    }
    match merged.len() > TAGS_MAX {
        true => Err(error("LimitExceededException", "Too many tags")),
        false => Ok(merged),
    }
}
