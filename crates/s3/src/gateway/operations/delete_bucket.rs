//! `DeleteBucket`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>

use writ_aws::ApiError;

use crate::gateway::call::{Call, Outcome};
use crate::index::Change;

pub(super) fn run(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:DeleteBucket", &bucket, None)?;
    let change = Change::DeleteBucket { bucket: bucket.id, at: call.now };
    Ok(Outcome::of(call, ()).touching(&bucket, None).changing(permit, change))
}
