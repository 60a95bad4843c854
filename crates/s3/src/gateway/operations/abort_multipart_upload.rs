//! `AbortMultipartUpload`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{AbortMultipartUploadOutput, AbortMultipartUploadRequest};

use super::create_multipart_upload::find_upload;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::precondition;
use crate::index::Change;

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: AbortMultipartUploadRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:AbortMultipartUpload", &bucket, Some(call.key()))?;
    let upload = find_upload(call, &bucket, &input.upload_id).await?;
    if input.if_match_initiated_time.is_some_and(|at| at.secs() != upload.created.secs()) {
        return Err(precondition("x-amz-if-match-initiated-time"));
    }
    let change = Change::Abort { upload: upload.id, at: call.now };
    Ok(Outcome::of(call, AbortMultipartUploadOutput::default())
        .touching(&bucket, Some(call.key()))
        .changing(permit, change))
}
