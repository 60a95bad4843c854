//! ListResourceTags: <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListResourceTags.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::Tag;
use writ_aws::generated::kms::list_resource_tags::{
    ListResourceTagsRequest, ListResourceTagsResponse,
};
use writ_service::call::{Call, Outcome};

use crate::Result;
use crate::access::{authorize, context};
use crate::limits::PAGE_SMALL_DEFAULT;
use crate::metadata::resource;
use crate::page;
use crate::resolve::own_target;

pub(crate) fn run(call: &Call, input: &ListResourceTagsRequest) -> Result {
    let target = own_target(call, &input.key_id)?;
    authorize(call, &target, "kms:ListResourceTags", &context(call, &target))?;
    let after = page::after(input.marker.as_deref())?;
    let tags =
        target.entry.tags.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
    let page = page::take(tags, input.limit, PAGE_SMALL_DEFAULT, |(key, _)| (*key).clone());
    let tag =
        |(key, value): (&String, &String)| Tag { tag_key: key.clone(), tag_value: value.clone() };
    let reply = ListResourceTagsResponse {
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
        tags: Some(page.items.into_iter().map(tag).collect()),
    };
    Ok(Outcome::reply(reply.into_value()).touching(resource(target.arn())))
}
