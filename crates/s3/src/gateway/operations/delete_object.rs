//! `DeleteObject`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{DeleteObjectOutput, DeleteObjectRequest};

use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::{not_implemented, s3};
use crate::index::{Change, Condition};
use crate::wire::conditions::unquoted;

pub(super) fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: DeleteObjectRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:DeleteObject", &bucket, Some(call.key()))?;
    refuse_version(input.version_id.as_deref(), input.mfa.as_deref())?;
    if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
        return Err(not_implemented("x-amz-if-match-size"));
    }
    let etag = input.if_match.as_deref().map(|tag| unquoted(tag).to_owned());
    let keys = vec![(call.key().to_owned(), Condition { absent: false, etag })];
    let change = Change::Delete { bucket: bucket.id, keys, at: call.now };
    Ok(Outcome::of(call, DeleteObjectOutput::default())
        .touching(&bucket, Some(call.key()))
        .changing(permit, change))
}

/// Buckets have no versions: only `null` names something.
pub(super) fn refuse_version(version: Option<&str>, mfa: Option<&str>) -> Result<(), ApiError> {
    if mfa.is_some() {
        return Err(not_implemented("x-amz-mfa"));
    }
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3("NoSuchVersion", "The specified version does not exist.")),
    }
}
