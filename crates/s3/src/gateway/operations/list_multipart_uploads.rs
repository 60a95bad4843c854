//! `ListMultipartUploads`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>

use writ_aws::ApiError;
use writ_aws::generated::s3::{
    CommonPrefix, Initiator, ListMultipartUploadsOutput, ListMultipartUploadsRequest,
    MultipartUpload, Owner,
};
use writ_model::AccountId;

use super::create_multipart_upload::{checksum_type, parse_upload_id};
use super::list_buckets::owner_id;
use super::list_objects::{encoding, page_limit};
use crate::gateway::call::{Call, Outcome};
use crate::index::Upload;
use crate::limits::UPLOADS_PER_BUCKET_MAX;
use crate::wire::encoding::Encoding;

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: ListMultipartUploadsRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    call.authorize("s3:ListBucketMultipartUploads", &bucket, None)?;
    let encoding = encoding(input.encoding_type.as_deref())?;
    let limit = page_limit(input.max_uploads, "max-uploads")?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let marker = input.key_marker.clone().unwrap_or_default();
    // An upload-id marker means something only beside a key marker.
    let id_marker = input.upload_id_marker.as_deref().filter(|_| !marker.is_empty());
    let id_marker = id_marker.and_then(|text| parse_upload_id(text).ok());
    let (id, from, start) = (bucket.id, prefix.clone(), marker.clone());
    // A bucket has few open uploads, so common prefixes are rolled up from all of them.
    let all = usize::try_from(UPLOADS_PER_BUCKET_MAX).unwrap_or(usize::MAX);
    let found = call.read(move |index| index.uploads(id, &from, (&start, id_marker), all)).await?;
    let delimiter = input.delimiter.clone().filter(|d| !d.is_empty());
    let (mut uploads, mut prefixes, mut last, mut more) =
        (vec![], Vec::<String>::new(), None, false);
    for upload in found.uploads {
        let rolled = rolled_up(&upload.key, &prefix, delimiter.as_deref());
        if rolled.as_ref().is_some_and(|p| prefixes.last() == Some(p) || marker.starts_with(p)) {
            continue;
        }
        if uploads.len() + prefixes.len() >= limit {
            more = limit > 0;
            break;
        }
        last = Some((rolled.clone().unwrap_or_else(|| upload.key.clone()), upload.id.to_string()));
        match rolled {
            Some(rolled) => prefixes.push(rolled),
            None => uploads.push(shown(&upload, encoding, bucket.account)),
        }
    }
    let next = last.filter(|_| more);
    let common = |p: String| CommonPrefix { prefix: Some(encoding.apply(&p)) };
    let output = ListMultipartUploadsOutput {
        bucket: Some(bucket.name.clone()),
        key_marker: Some(encoding.apply(&marker)),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        next_key_marker: next.as_ref().map(|(key, _)| encoding.apply(key)),
        next_upload_id_marker: next.map(|(_, id)| id),
        prefix: Some(encoding.apply(&prefix)),
        delimiter: delimiter.as_deref().map(|d| encoding.apply(d)),
        max_uploads: i64::try_from(limit).ok(),
        is_truncated: Some(more),
        uploads: Some(uploads),
        common_prefixes: Some(prefixes.into_iter().map(common).collect()),
        encoding_type: encoding.name(),
        ..ListMultipartUploadsOutput::default()
    };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

fn rolled_up(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let (delimiter, rest) = (delimiter?, key.strip_prefix(prefix)?);
    let at = rest.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len()).map(str::to_owned)
}

fn shown(upload: &Upload, encoding: Encoding, owner: AccountId) -> MultipartUpload {
    let initiator = upload.initiator.to_string();
    MultipartUpload {
        upload_id: Some(upload.id.to_string()),
        key: Some(encoding.apply(&upload.key)),
        initiated: Some(upload.created),
        storage_class: Some("STANDARD".to_owned()),
        owner: Some(Owner { id: Some(owner_id(owner)), display_name: None }),
        initiator: Some(Initiator { id: Some(initiator.clone()), display_name: Some(initiator) }),
        checksum_algorithm: upload.algorithm.clone(),
        checksum_type: upload.algorithm.as_ref().and(checksum_type(upload)),
        ..MultipartUpload::default()
    }
}
