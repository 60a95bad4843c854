//! `ListBuckets`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{Bucket, ListBucketsOutput, ListBucketsRequest, Owner};

use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::argument;
use crate::limits::BUCKETS_PER_ACCOUNT_MAX;

pub(super) fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: ListBucketsRequest = call.input(&[])?;
    call.authorize_account("s3:ListAllMyBuckets", "arn:aws:s3:::*", None)?;
    let account = call.caller.account;
    let prefix = input.prefix.clone().unwrap_or_default();
    // The token is the last name of the page before; names of one's own buckets are no secret.
    let after = input.continuation_token.unwrap_or_default();
    let limit = match input.max_buckets {
        None => BUCKETS_PER_ACCOUNT_MAX,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=BUCKETS_PER_ACCOUNT_MAX).contains(n))
            .ok_or_else(|| {
                argument(
                    "max-buckets",
                    &n.to_string(),
                    "Argument max-buckets must be between 1 and 10000",
                )
            })?,
    };
    let here = call.gateway.region.as_str();
    let elsewhere = input.bucket_region.as_deref().is_some_and(|region| region != here);
    let all = call.gateway.index.buckets_of(account);
    let mut names = all
        .iter()
        .filter(|b| !elsewhere && b.name.starts_with(&prefix) && b.name.as_str() > after.as_str());
    let page: Vec<_> = names.by_ref().take(limit).collect();
    let next = names.next().and(page.last()).map(|bucket| bucket.name.clone());
    let shown = page.into_iter().map(|bucket| Bucket {
        name: Some(bucket.name.clone()),
        creation_date: Some(bucket.created),
        bucket_region: Some(here.to_owned()),
        bucket_arn: Some(bucket.arn().to_string()),
    });
    let output = ListBucketsOutput {
        buckets: Some(shown.collect()),
        owner: Some(Owner { id: Some(owner_id(account)), display_name: None }),
        continuation_token: next,
        prefix: input.prefix,
    };
    Ok(Outcome::of(call, output))
}

/// The canonical id of an account: 64 hexadecimal digits that are always the same.
pub(super) fn owner_id(account: writ_model::AccountId) -> String {
    hex::encode(crate::format::sha256(format!("writ-s3-owner-v1/{account}").as_bytes()))
}
