//! `GetObjectAttributes`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{
    Checksum, GetObjectAttributesOutput, GetObjectAttributesParts, GetObjectAttributesRequest,
    ObjectPart,
};

use super::list_objects::page_limit;
use crate::format::{Manifest, Sums, open_sums};
use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::storage;
use crate::gateway::object::{find, set_checksum, sums_subject};

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: GetObjectAttributesRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:GetObject", &bucket, Some(call.key()))?;
    call.authorize("s3:GetObjectAttributes", &bucket, Some(call.key()))?;
    let found = find(call, &bucket, call.key(), input.version_id.as_deref()).await?;
    let asks = |name: &str| input.object_attributes.iter().any(|asked| asked == name);
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(found.entry.mtime),
        etag: asks("ETag").then(|| found.entry.etag.clone()),
        storage_class: asks("StorageClass").then(|| "STANDARD".to_owned()),
        object_size: asks("ObjectSize")
            .then(|| i64::try_from(found.entry.size).unwrap_or(i64::MAX)),
        ..GetObjectAttributesOutput::default()
    };
    let multipart = found.manifest.segments.iter().any(|s| s.part > 0);
    if asks("Checksum") || (asks("ObjectParts") && multipart) {
        // Checksums lie under the data key: one use of the customer's key.
        let (key, manifest) = found.open(call, &permit, &bucket).await?;
        let subject = sums_subject(found.entry.object, 0);
        let sums = open_sums(&key, &subject, &manifest.sums).map_err(|e| storage(&e))?;
        if asks("Checksum") {
            let kind = if sums.full_object { "FULL_OBJECT" } else { "COMPOSITE" };
            let mut checksum =
                Checksum { checksum_type: Some(kind.to_owned()), ..Checksum::default() };
            set_checksum!(checksum, sums.algorithm.as_str(), sums.value.clone());
            output.checksum = Some(checksum);
        }
        if asks("ObjectParts") && multipart {
            let limit = page_limit(input.max_parts, "max-parts")?;
            let after = input.part_number_marker.unwrap_or(0);
            output.object_parts = Some(parts(&manifest, &sums, after, limit));
        }
    }
    Ok(Outcome::of(call, output).touching(&bucket, Some(call.key())))
}

fn parts(manifest: &Manifest, sums: &Sums, after: i64, limit: usize) -> GetObjectAttributesParts {
    let rest = || manifest.segments.iter().filter(|s| i64::from(s.part) > after);
    let page: Vec<ObjectPart> = rest()
        .take(limit)
        .map(|segment| {
            let mut part = ObjectPart {
                part_number: Some(i64::from(segment.part)),
                size: i64::try_from(segment.length).ok(),
                ..ObjectPart::default()
            };
            let value = sums.parts.iter().find(|(number, _)| *number == segment.part);
            if let Some((_, value)) = value {
                set_checksum!(part, sums.algorithm.as_str(), value.clone());
            }
            part
        })
        .collect();
    GetObjectAttributesParts {
        total_parts_count: i64::try_from(manifest.segments.len()).ok(),
        part_number_marker: Some(after),
        next_part_number_marker: Some(page.last().and_then(|p| p.part_number).unwrap_or(after)),
        max_parts: i64::try_from(limit).ok(),
        is_truncated: Some(rest().count() > limit),
        parts: Some(page),
    }
}
