//! `ListObjects` and `ListObjectsV2`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>

use std::sync::Arc;

use writ_aws::ApiError;
use writ_aws::generated::s3::{
    CommonPrefix, ListObjectsOutput, ListObjectsRequest, ListObjectsV2Output, ListObjectsV2Request,
    Object, Owner,
};

use super::list_buckets::owner_id;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::{argument, storage};
use crate::gateway::object::quoted;
use crate::index::{Bucket, ListPage, ListQuery};
use crate::limits::LIST_PAGE_MAX;
use crate::wire::encoding::Encoding;

pub(super) async fn v1(call: &Call) -> Result<Outcome, ApiError> {
    let input: ListObjectsRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    call.authorize("s3:ListBucket", &bucket, None)?;
    let encoding = encoding(input.encoding_type.as_deref())?;
    let limit = page_limit(input.max_keys, "max-keys")?;
    let marker = input.marker.unwrap_or_default();
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.filter(|d| !d.is_empty());
    let query = ListQuery { prefix, delimiter, start: Vec::new(), limit }.after(&marker);
    let page = page(call, &bucket, query.clone()).await?;
    let next = page.next.as_ref().and(page.last.as_ref()).filter(|_| query.delimiter.is_some());
    let output = ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: Some(encoding.apply(&marker)),
        next_marker: next.map(|next| encoding.apply(next)),
        contents: Some(contents(&page, encoding, Some(&bucket))),
        name: Some(bucket.name.clone()),
        prefix: Some(encoding.apply(&query.prefix)),
        delimiter: query.delimiter.as_deref().map(|d| encoding.apply(d)),
        max_keys: i64::try_from(limit).ok(),
        common_prefixes: Some(prefixes(&page, encoding)),
        encoding_type: encoding.name(),
        ..ListObjectsOutput::default()
    };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

pub(super) async fn v2(call: &Call) -> Result<Outcome, ApiError> {
    let input: ListObjectsV2Request = call.input(&[])?;
    let bucket = call.bucket()?;
    call.authorize("s3:ListBucket", &bucket, None)?;
    let encoding = encoding(input.encoding_type.as_deref())?;
    let limit = page_limit(input.max_keys, "max-keys")?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.filter(|d| !d.is_empty());
    let mut query = ListQuery { prefix, delimiter, start: Vec::new(), limit };
    let index = &call.gateway.index;
    match &input.continuation_token {
        Some(token) => {
            let text = "The continuation token provided is incorrect";
            let start = index.tokens().open(bucket.id, token);
            query.start = start.ok_or_else(|| argument("continuation-token", token, text))?;
        }
        None => query = query.after(input.start_after.as_deref().unwrap_or_default()),
    }
    let page = page(call, &bucket, query.clone()).await?;
    let seal = |start: &Vec<u8>| index.tokens().seal(bucket.id, start, &*call.gateway.env);
    let next = page.next.as_ref().map(seal).transpose().map_err(|e| storage(&e))?;
    let owner = (input.fetch_owner == Some(true)).then_some(&*bucket);
    let output = ListObjectsV2Output {
        is_truncated: Some(next.is_some()),
        contents: Some(contents(&page, encoding, owner)),
        name: Some(bucket.name.clone()),
        prefix: Some(encoding.apply(&query.prefix)),
        delimiter: query.delimiter.as_deref().map(|d| encoding.apply(d)),
        max_keys: i64::try_from(limit).ok(),
        common_prefixes: Some(prefixes(&page, encoding)),
        encoding_type: encoding.name(),
        key_count: i64::try_from(page.entries.len() + page.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        next_continuation_token: next,
        start_after: input.start_after.map(|after| encoding.apply(&after)),
        ..ListObjectsV2Output::default()
    };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

async fn page(call: &Call, bucket: &Arc<Bucket>, query: ListQuery) -> Result<ListPage, ApiError> {
    let id = bucket.id;
    call.read(move |index| index.list(id, &query)).await
}

/// The number of entries of a page: more than the limit is cut, less than none is refused.
pub(super) fn page_limit(asked: Option<i64>, name: &str) -> Result<usize, ApiError> {
    let asked = asked.unwrap_or(i64::MAX);
    let limit = usize::try_from(asked).map_err(|_| {
        let text = format!("Argument {name} must be an integer between 0 and 2147483647");
        argument(name, &asked.to_string(), &text)
    })?;
    Ok(limit.min(LIST_PAGE_MAX))
}

pub(super) fn encoding(text: Option<&str>) -> Result<Encoding, ApiError> {
    let invalid = || {
        let given = text.unwrap_or_default();
        argument("encoding-type", given, "Invalid Encoding Method specified in Request")
    };
    Encoding::parse(text).ok_or_else(invalid)
}

fn contents(page: &ListPage, encoding: Encoding, owner: Option<&Bucket>) -> Vec<Object> {
    let owner = owner.map(|b| Owner { id: Some(owner_id(b.account)), display_name: None });
    let object = |entry: &crate::index::Entry| Object {
        key: Some(encoding.apply(&entry.key)),
        last_modified: Some(entry.mtime),
        etag: Some(quoted(&entry.etag)),
        size: i64::try_from(entry.size).ok(),
        storage_class: Some("STANDARD".to_owned()),
        owner: owner.clone(),
        ..Object::default()
    };
    page.entries.iter().map(object).collect()
}

fn prefixes(page: &ListPage, encoding: Encoding) -> Vec<CommonPrefix> {
    let one = |prefix: &String| CommonPrefix { prefix: Some(encoding.apply(prefix)) };
    page.prefixes.iter().map(one).collect()
}
