//! `ListParts`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{Initiator, ListPartsOutput, ListPartsRequest, Owner, Part};

use super::create_multipart_upload::{checksum_type, find_upload};
use super::list_buckets::owner_id;
use super::list_objects::page_limit;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::object::quoted;

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: ListPartsRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    call.authorize("s3:ListMultipartUploadParts", &bucket, Some(call.key()))?;
    let upload = find_upload(call, &bucket, &input.upload_id).await?;
    let limit = page_limit(input.max_parts, "max-parts")?;
    let marker = input.part_number_marker.unwrap_or(0);
    let (id, after) = (upload.id, u32::try_from(marker).unwrap_or(u32::MAX));
    let mut parts = call.read(move |index| index.parts(id, after, limit + 1)).await?;
    let more = parts.len() > limit;
    parts.truncate(limit);
    let last = parts.last().map_or(marker, |part| i64::from(part.segment.part));
    let shown = parts.iter().map(|part| Part {
        part_number: Some(i64::from(part.segment.part)),
        last_modified: Some(part.mtime),
        etag: Some(quoted(&part.etag)),
        size: i64::try_from(part.segment.length).ok(),
        ..Part::default()
    });
    let initiator = upload.initiator.to_string();
    let output = ListPartsOutput {
        bucket: Some(bucket.name.clone()),
        key: Some(upload.key.clone()),
        upload_id: Some(upload.id.to_string()),
        part_number_marker: Some(marker),
        next_part_number_marker: Some(last),
        max_parts: i64::try_from(limit).ok(),
        is_truncated: Some(more),
        parts: Some(shown.collect()),
        initiator: Some(Initiator { id: Some(initiator.clone()), display_name: Some(initiator) }),
        owner: Some(Owner { id: Some(owner_id(bucket.account)), display_name: None }),
        storage_class: Some("STANDARD".to_owned()),
        checksum_type: upload.algorithm.as_ref().and(checksum_type(&upload)),
        checksum_algorithm: upload.algorithm,
        ..ListPartsOutput::default()
    };
    Ok(Outcome::of(call, output).touching(&bucket, Some(call.key())))
}
