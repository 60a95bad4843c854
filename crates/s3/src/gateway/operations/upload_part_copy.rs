//! `UploadPartCopy`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{CopyPartResult, UploadPartCopyOutput, UploadPartCopyRequest};

use super::copy_object::{Origin, copy};
use super::create_multipart_upload::{algorithm, draft, find_upload};
use super::upload_part::{part_number, put_part, seal_part};
use crate::format::SseMode;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::{argument, s3};
use crate::gateway::object::{quoted, set_checksum};
use crate::limits::PUT_MAX_BYTES;
use crate::wire::conditions::ReadConditions;
use crate::wire::range::copy_range;

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: UploadPartCopyRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutObject", &bucket, Some(call.key()))?;
    let number = part_number(input.part_number)?;
    let upload = find_upload(call, &bucket, &input.upload_id).await?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let origin = Origin::find(call, &input.copy_source, &conditions).await?;
    let size = origin.found.entry.size;
    let range = match input.copy_source_range.as_deref() {
        None => 0..size,
        Some(text) => copy_range(text, size).ok_or_else(|| {
            let name = "x-amz-copy-source-range";
            argument(name, text, "The x-amz-copy-source-range value must be of the form bytes=first-last within the source")
        })?,
    };
    let length = range.end - range.start;
    if length > PUT_MAX_BYTES {
        return Err(s3("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"));
    }
    let source = origin.open(call, range).await?;
    let draft = draft(call, &permit, &bucket, &upload).await?;
    let header = draft.header(call, Some(upload.id), number);
    let written = copy(call, &draft, header, algorithm(&upload), source, length).await?;
    let sum = written.checksum;
    let (part, file) = seal_part(call, &draft, number, written).await?;
    let mut result = CopyPartResult {
        etag: Some(quoted(&part.etag)),
        last_modified: Some(part.mtime),
        ..CopyPartResult::default()
    };
    set_checksum!(result, sum.algorithm().name(), sum.base64());
    let output = UploadPartCopyOutput {
        copy_part_result: Some(result),
        server_side_encryption: Some(upload.sse.name().to_owned()),
        sse_kms_key_id: (upload.sse == SseMode::Kms).then(|| upload.key_arn.to_string()),
        ..UploadPartCopyOutput::default()
    };
    Ok(Outcome::of(call, output)
        .touching(&bucket, Some(call.key()))
        .noting("SSEApplied", upload.sse.name())
        .writing(vec![file])
        .changing(permit, put_part(&upload, part)))
}
