//! `UploadPart`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html>

use std::sync::Arc;

use hyper::body::Incoming;
use writ_aws::ApiError;
use writ_aws::generated::s3::{UploadPartOutput, UploadPartRequest};
use writ_model::{Env as _, Nonce};
use writ_service::task;

use super::create_multipart_upload::{algorithm, draft, find_upload};
use crate::S3Error;
use crate::format::{SegmentRef, SseMode, seal_sums};
use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::{argument, internal, s3, slow_down, storage};
use crate::gateway::intake::{Claims, Intake};
use crate::gateway::object::{Draft, etag, part_sums, quoted, set_checksum, sums_subject};
use crate::gateway::sink::{Sink, Written};
use crate::gateway::upload;
use crate::index::{Change, Part, Upload, segment_file};
use crate::limits::PARTS_MAX;

pub(super) async fn run(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    let input: UploadPartRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutObject", &bucket, Some(call.key()))?;
    let number = part_number(input.part_number)?;
    let upload = find_upload(call, &bucket, &input.upload_id).await?;
    let claims = Claims::of(call)?;
    let stored = algorithm(&upload);
    if let (Some(_), Some(claimed)) = (&upload.algorithm, claims.algorithm)
        && claimed != stored
    {
        let text = format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            stored.name().to_ascii_lowercase(),
            claimed.name().to_ascii_lowercase()
        );
        return Err(s3("InvalidRequest", &text));
    }
    let admission = call.gateway.streams.admit(call.caller.account).await.ok_or_else(slow_down)?;
    let draft = draft(call, &permit, &bucket, &upload).await?;
    let (header, expected) = (draft.header(call, Some(upload.id), number), claims.length);
    let (blobs, key) = (Arc::clone(&call.gateway.blobs), Arc::clone(&draft.data_key));
    let md5 = claims.names_md5() || upload.sse == SseMode::Aes256;
    let begin = move || Sink::begin(&blobs, &key, &header, stored, md5, Some(expected));
    let sink = task::blocking(begin).await.ok_or_else(internal)?.map_err(|e| storage(&e))?;
    let written = upload::receive(call, body, Intake::new(claims, sink), &draft.key_arn).await?;
    drop(admission);

    let checksum = written.checksum;
    let (part, file) = seal_part(call, &draft, number, written).await?;
    let mut output = UploadPartOutput {
        server_side_encryption: Some(upload.sse.name().to_owned()),
        etag: Some(quoted(&part.etag)),
        sse_kms_key_id: (upload.sse == SseMode::Kms).then(|| upload.key_arn.to_string()),
        ..UploadPartOutput::default()
    };
    set_checksum!(output, checksum.algorithm().name(), checksum.base64());
    let length = part.segment.length;
    Ok(Outcome::of(call, output)
        .touching(&bucket, Some(call.key()))
        .noting("bytesTransferredIn", length)
        .noting("SSEApplied", upload.sse.name())
        .writing(vec![file])
        .changing(permit, put_part(&upload, part)))
}

pub(super) fn put_part(upload: &Upload, part: Part) -> Change {
    Change::PutPart { upload: upload.id, part }
}

/// 1 to 10,000.
pub(super) fn part_number(asked: i64) -> Result<u32, ApiError> {
    let number = u32::try_from(asked).ok().filter(|n| (1..=PARTS_MAX).contains(n));
    number.ok_or_else(|| {
        let text = "Part number must be an integer between 1 and 10000, inclusive";
        argument("partNumber", &asked.to_string(), text)
    })
}

/// Makes a written segment a part: its file durable, its checksums sealed.
pub(super) async fn seal_part(
    call: &Call,
    draft: &Draft,
    number: u32,
    written: Written,
) -> Result<(Part, String), ApiError> {
    let env = Arc::clone(&call.gateway.env);
    let segment: Nonce = env.nonce();
    let name = segment_file(segment, number);
    let (file_name, key, sse, object) =
        (name.clone(), Arc::clone(&draft.data_key), draft.sse, draft.object);
    let mtime = call.gateway.env.now();
    let work = move || -> Result<Part, S3Error> {
        let sums = part_sums(&written.checksum, written.md5, sse);
        let sums = seal_sums(&key, &sums_subject(object, number), &sums, &*env)?;
        written.file.seal(&file_name)?;
        let segment = SegmentRef {
            segment,
            part: number,
            length: written.length,
            header_digest: written.header_digest,
        };
        Ok(Part { segment, etag: etag(sse, written.md5, &*env), mtime, sums })
    };
    let part = task::blocking(work).await.ok_or_else(internal)?;
    Ok((part.map_err(|e| storage(&e))?, name))
}
