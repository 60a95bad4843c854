//! `CompleteMultipartUpload`: writes a sealed manifest and moves no byte.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>

use std::collections::HashMap;
use std::sync::Arc;

use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use writ_aws::ApiError;
use writ_aws::checksum::{Checksum, ObjectChecksum};
use writ_aws::generated::s3::{
    CompleteMultipartUploadOutput, CompleteMultipartUploadRequest, CompletedPart,
};
use writ_proof::cbor;
use writ_service::task;

use super::create_multipart_upload::{
    algorithm, checksum_type, draft, find_upload, parse_upload_id,
};
use super::put_object::foresee;
use crate::S3Error;
use crate::format::{Manifest, SealedManifest, SseMode, Sums, open_sums, seal_sums, sha256};
use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::{
    bad_digest, internal, invalid_part, no_such_upload, not_implemented, s3, slow_down, storage,
    unavailable,
};
use crate::gateway::object::{Draft, quoted, set_checksum, sums_subject};
use crate::gateway::upload;
use crate::index::{Bucket, Change, Part, Upload, manifest_file};
use crate::limits::{
    COMPLETE_BODY_MAX_BYTES, COMPLETE_WAIT_MAX, OBJECT_MAX_BYTES, PART_MIN_BYTES, PARTS_MAX,
};
use crate::wire::conditions::{unquoted, write_condition};

pub(super) async fn run(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutObject", &bucket, Some(call.key()))?;
    let bytes = upload::small(call, body, COMPLETE_BODY_MAX_BYTES).await?;
    let input: CompleteMultipartUploadRequest = call.input(&bytes)?;
    let condition = write_condition(input.if_match.as_deref(), input.if_none_match.as_deref())
        .ok_or_else(|| not_implemented("If-None-Match"))?;
    let asked = input.multipart_upload.as_ref().and_then(|m| m.parts.clone()).unwrap_or_default();
    check_order(&asked)?;
    let request = request_digest(&asked);
    let turn = call.gateway.turns.take(parse_upload_id(&input.upload_id)?).await;
    let turn = turn.ok_or_else(slow_down)?;
    let upload = match find_upload(call, &bucket, &input.upload_id).await {
        Ok(upload) => upload,
        Err(error) => return repeated(call, &bucket, &input.upload_id, &request, error).await,
    };
    foresee(call, &bucket, call.key(), &condition).await?;
    let id = upload.id;
    let stored = call.read(move |index| index.parts(id, 0, PARTS_MAX as usize)).await?;
    let parts = choose(&asked, stored)?;
    check_sizes(&parts, input.mpu_object_size)?;

    let draft = draft(call, &permit, &bucket, &upload).await?;
    let env = Arc::clone(&call.gateway.env);
    let blobs = Arc::clone(&call.gateway.blobs);
    let (working, wanted) = (draft.clone(), wanted_checksum(&input, &upload));
    let template = draft.manifest(
        call,
        parts.iter().map(|part| part.segment.clone()).collect(),
        String::new(),
        Vec::new(),
    );
    let described = upload.clone();
    let work = move || -> Result<(SealedManifest, Manifest, Sums), ApiError> {
        let sums = object_sums(&working, &described, &parts, &asked)?;
        if wanted.is_some_and(|wanted| wanted != sums.value) {
            return Err(bad_digest(&sums.algorithm));
        }
        let mut manifest = template;
        manifest.etag = etag(&working, &parts, sums.md5.as_deref(), &*env);
        let seal = || -> Result<(SealedManifest, Manifest), S3Error> {
            let subject = sums_subject(working.object, 0);
            manifest.sums = seal_sums(&working.data_key, &subject, &sums, &*env)?;
            let sealed =
                SealedManifest::seal(&working.data_key, manifest.clone(), &working.metadata)?;
            blobs.put_manifest(working.object, &cbor::to_vec(&sealed))?;
            Ok((sealed, manifest))
        };
        let (sealed, manifest) = seal().map_err(|e| storage(&e))?;
        Ok((sealed, manifest, sums))
    };
    let (sealed, manifest, sums) = task::blocking(work).await.ok_or_else(internal)??;
    let digest = hex::encode(sealed.digest());
    let file = manifest_file(draft.object);
    let put = draft.put(call, sealed, &manifest, condition);
    let mut output = described_output(call, &bucket, &manifest.etag);
    output.server_side_encryption = Some(upload.sse.name().to_owned());
    output.sse_kms_key_id = (upload.sse == SseMode::Kms).then(|| upload.key_arn.to_string());
    output.checksum_type = checksum_type(&upload);
    set_checksum!(output, sums.algorithm.as_str(), sums.value.clone());
    let mut outcome = Outcome::of(call, output)
        .touching(&bucket, Some(call.key()))
        .noting("SSEApplied", upload.sse.name())
        .noting("manifestSha256", digest)
        .writing(vec![file])
        .changing(permit, Change::Complete { upload: upload.id, put, request });
    outcome.turn = Some(turn);
    Ok(outcome)
}

fn described_output(call: &Call, bucket: &Bucket, etag: &str) -> CompleteMultipartUploadOutput {
    let host = call.head.header("host").unwrap_or_default();
    CompleteMultipartUploadOutput {
        location: Some(format!("http://{host}{}", call.head.path)),
        bucket: Some(bucket.name.clone()),
        key: Some(call.key().to_owned()),
        etag: Some(quoted(etag)),
        ..CompleteMultipartUploadOutput::default()
    }
}

/// The answer to a repeated call whose first reply was lost.
async fn repeated(
    call: &Call,
    bucket: &Bucket,
    text: &str,
    request: &[u8; 32],
    error: ApiError,
) -> Result<Outcome, ApiError> {
    let (id, owner) = (parse_upload_id(text)?, bucket.id);
    let completed = call.read(move |index| index.completed(owner, id)).await?;
    if let Some(rev) = completed.as_ref().and_then(|completed| completed.hidden) {
        // Nobody may be told of a commit whose record is not in the ledger.
        let visible = call.gateway.index.published(rev);
        let waited = tokio::time::timeout(COMPLETE_WAIT_MAX, visible).await;
        waited.map_err(|_| unavailable())?;
    }
    match completed.map(|completed| completed.answer) {
        Some(done) if done.key == call.key() && done.request == *request => {
            let output = described_output(call, bucket, &done.etag);
            Ok(Outcome::of(call, output).touching(bucket, Some(call.key())))
        }
        Some(_) => Err(no_such_upload(text)),
        None => Err(error),
    }
}

fn check_order(asked: &[CompletedPart]) -> Result<(), ApiError> {
    if asked.is_empty() || asked.len() > PARTS_MAX as usize {
        let text = "The XML you provided was not well-formed or did not validate against our published schema";
        return Err(s3("MalformedXML", text));
    }
    let numbers: Vec<i64> = asked.iter().map(|p| p.part_number.unwrap_or(0)).collect();
    if numbers.windows(2).all(|pair| pair.first() < pair.last()) {
        return Ok(());
    }
    let text = "The list of parts was not in ascending order. The parts list must be specified in \
                order by part number.";
    Err(s3("InvalidPartOrder", text))
}

fn request_digest(asked: &[CompletedPart]) -> [u8; 32] {
    let pairs: Vec<(i64, String)> = asked
        .iter()
        .map(|p| (p.part_number.unwrap_or(0), unquoted(p.etag.as_deref().unwrap_or("")).to_owned()))
        .collect();
    sha256(&cbor::to_vec(&pairs))
}

/// The stored parts that the request names.
fn choose(asked: &[CompletedPart], stored: Vec<Part>) -> Result<Vec<Part>, ApiError> {
    let mut by_number: HashMap<i64, Part> =
        stored.into_iter().map(|part| (i64::from(part.segment.part), part)).collect();
    asked
        .iter()
        .map(|wanted| {
            let part = by_number.remove(&wanted.part_number.unwrap_or(0));
            let etag = wanted.etag.as_deref().map(unquoted);
            part.filter(|part| etag == Some(part.etag.as_str())).ok_or_else(invalid_part)
        })
        .collect()
}

fn check_sizes(parts: &[Part], claimed: Option<i64>) -> Result<(), ApiError> {
    let total: u64 = parts.iter().map(|part| part.segment.length).sum();
    let small = parts.iter().rev().skip(1).find(|part| part.segment.length < PART_MIN_BYTES);
    if let Some(part) = small {
        let text = "Your proposed upload is smaller than the minimum allowed size";
        return Err(s3("EntityTooSmall", text)
            .with("PartNumber", part.segment.part.to_string())
            .with("ProposedSize", part.segment.length.to_string())
            .with("MinSizeAllowed", PART_MIN_BYTES.to_string()));
    }
    if total > OBJECT_MAX_BYTES {
        let text = "Your proposed upload exceeds the maximum allowed size";
        return Err(s3("EntityTooLarge", text));
    }
    if claimed.is_some_and(|claimed| u64::try_from(claimed).ok() != Some(total)) {
        let text =
            "The provided 'x-amz-mp-object-size' header value does not match what was computed.";
        return Err(s3("InvalidRequest", text));
    }
    Ok(())
}

/// The checksum of the whole object that the request names, of the upload's algorithm.
fn wanted_checksum(input: &CompleteMultipartUploadRequest, upload: &Upload) -> Option<String> {
    match algorithm(upload).name() {
        "CRC32" => input.checksum_crc32.clone(),
        "CRC32C" => input.checksum_crc32c.clone(),
        "CRC64NVME" => input.checksum_crc64nvme.clone(),
        "SHA1" => input.checksum_sha1.clone(),
        "SHA256" => input.checksum_sha256.clone(),
        _ => None,
    }
}

/// Opens the parts' checksums, compares those that the request names, and makes the object's.
fn object_sums(
    draft: &Draft,
    upload: &Upload,
    parts: &[Part],
    asked: &[CompletedPart],
) -> Result<Sums, ApiError> {
    let algorithm = algorithm(upload);
    let mut sums = Vec::with_capacity(parts.len());
    let mut md5 = Md5::new();
    for (part, asked) in parts.iter().zip(asked) {
        let number = part.segment.part;
        let opened = open_sums(&draft.data_key, &sums_subject(draft.object, number), &part.sums)
            .map_err(|e| storage(&e))?;
        let value = Checksum::parse(algorithm, &opened.value).map_err(|_| internal())?;
        let named = match algorithm.name() {
            "CRC32" => &asked.checksum_crc32,
            "CRC32C" => &asked.checksum_crc32c,
            "CRC64NVME" => &asked.checksum_crc64nvme,
            "SHA1" => &asked.checksum_sha1,
            _ => &asked.checksum_sha256,
        };
        if named.as_ref().is_some_and(|named| *named != opened.value) {
            return Err(invalid_part());
        }
        md5.update(opened.md5.unwrap_or_default());
        sums.push((value, part.segment.length));
    }
    let full = upload.full_object.unwrap_or(true);
    let whole = if full {
        ObjectChecksum::full(algorithm, &sums)
    } else {
        let values: Vec<Checksum> = sums.iter().map(|(value, _)| *value).collect();
        ObjectChecksum::composite(algorithm, &values)
    };
    Ok(Sums {
        algorithm: algorithm.name().to_owned(),
        full_object: full,
        value: whole.map_err(|_| internal())?.to_string(),
        parts: parts.iter().zip(&sums).map(|(p, (v, _))| (p.segment.part, v.base64())).collect(),
        md5: (draft.sse == SseMode::Aes256).then(|| md5.finalize().to_vec()),
    })
}

fn etag(draft: &Draft, parts: &[Part], md5: Option<&[u8]>, env: &dyn writ_model::Env) -> String {
    let stem = match (draft.sse, md5) {
        (SseMode::Aes256, Some(md5)) => hex::encode(md5),
        _ => env.nonce().to_string(),
    };
    format!("{stem}-{}", parts.len())
}
