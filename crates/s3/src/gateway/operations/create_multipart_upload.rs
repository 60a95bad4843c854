//! `CreateMultipartUpload`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>

use std::sync::Arc;

use writ_aws::ApiError;
use writ_aws::checksum::{Algorithm, ChecksumType};
use writ_aws::generated::s3::{CreateMultipartUploadOutput, CreateMultipartUploadRequest};
use writ_model::{Env as _, Nonce};
use writ_policy::Permit;

use crate::format::SseMode;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::encryption::Wish;
use crate::gateway::fault::{checksum, no_such_upload, s3};
use crate::gateway::object::{DEFAULT_ALGORITHM, Draft, metadata, refuse_unsupported};
use crate::index::{Bucket, Change, Upload};

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: CreateMultipartUploadRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutObject", &bucket, Some(call.key()))?;
    refuse_unsupported(call)?;
    let algorithm = input.checksum_algorithm.as_deref().map(Algorithm::parse).transpose();
    let algorithm = algorithm.map_err(|e| checksum(&e))?;
    let kind = read_type(algorithm, input.checksum_type.as_deref())?;
    let wish = Wish::of(call)?;
    let metadata = metadata(call, input.metadata)?;
    call.gateway.blobs.admits(0).map_err(|e| crate::gateway::fault::storage(&e))?;
    let new = call.generate(&permit, &wish, &bucket.object_arn(call.key())).await?;
    let upload = Upload {
        id: call.gateway.env.nonce(),
        bucket: bucket.id,
        key: call.key().to_owned(),
        object: call.gateway.env.nonce(),
        initiator: call.caller.arn.clone(),
        created: call.now,
        key_arn: new.key_arn,
        wrapped: new.wrapped,
        context: wish.context,
        metadata,
        sse: wish.mode,
        algorithm: algorithm.map(|a| a.name().to_owned()),
        full_object: kind.map(|kind| kind == ChecksumType::FullObject),
    };
    let output = CreateMultipartUploadOutput {
        bucket: Some(bucket.name.clone()),
        key: Some(upload.key.clone()),
        upload_id: Some(upload.id.to_string()),
        server_side_encryption: Some(upload.sse.name().to_owned()),
        sse_kms_key_id: (upload.sse == SseMode::Kms).then(|| upload.key_arn.to_string()),
        checksum_algorithm: upload.algorithm.clone(),
        checksum_type: upload.algorithm.as_ref().and(checksum_type(&upload)),
        ..CreateMultipartUploadOutput::default()
    };
    Ok(Outcome::of(call, output)
        .touching(&bucket, Some(call.key()))
        .noting("SSEApplied", upload.sse.name())
        .changing(permit, Change::CreateUpload(Box::new(upload))))
}

fn read_type(
    algorithm: Option<Algorithm>,
    text: Option<&str>,
) -> Result<Option<ChecksumType>, ApiError> {
    let Some(algorithm) = algorithm else {
        return match text {
            None => Ok(None),
            Some(_) => {
                let text = "The x-amz-checksum-type header can only be used with the \
                            x-amz-checksum-algorithm header.";
                Err(s3("InvalidRequest", text))
            }
        };
    };
    let invalid = || s3("InvalidRequest", "Value for x-amz-checksum-type header is invalid.");
    let kind = match text {
        Some(text) => ChecksumType::parse(text).ok_or_else(invalid)?,
        None => algorithm.default_type(),
    };
    algorithm.check_type(kind).map_err(|e| checksum(&e))?;
    Ok(Some(kind))
}

/// The algorithm that an upload's parts are stored with.
pub(super) fn algorithm(upload: &Upload) -> Algorithm {
    let named = upload.algorithm.as_deref().and_then(|name| Algorithm::parse(name).ok());
    named.unwrap_or(DEFAULT_ALGORITHM)
}

/// The type of an upload's checksum, by name.
pub(super) fn checksum_type(upload: &Upload) -> Option<String> {
    let full = upload.full_object.unwrap_or(true);
    let kind = if full { ChecksumType::FullObject } else { ChecksumType::Composite };
    Some(kind.name().to_owned())
}

/// Reads an upload id.
pub(super) fn parse_upload_id(text: &str) -> Result<Nonce, ApiError> {
    let mut id = [0u8; 16];
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match hex::decode_to_slice(text, &mut id) {
        Ok(()) if lower => Ok(Nonce(id)),
        _ => Err(no_such_upload(text)),
    }
}

/// The open upload that a call names: of this bucket and this key.
pub(super) async fn find_upload(
    call: &Call,
    bucket: &Bucket,
    text: &str,
) -> Result<Upload, ApiError> {
    let (id, bucket) = (parse_upload_id(text)?, bucket.id);
    let upload = call.read(move |index| index.upload(bucket, id)).await?;
    upload.filter(|upload| upload.key == call.key()).ok_or_else(|| no_such_upload(text))
}

/// The object that an upload will become, with its data key.
pub(super) async fn draft(
    call: &Call,
    permit: &Permit,
    bucket: &Arc<Bucket>,
    upload: &Upload,
) -> Result<Draft, ApiError> {
    let arn = bucket.object_arn(&upload.key);
    let key = call.unwrap(permit, &upload.key_arn, &upload.wrapped, &upload.context, &arn).await?;
    Ok(Draft {
        bucket: Arc::clone(bucket),
        key: upload.key.clone(),
        object: upload.object,
        data_key: Arc::new(key),
        key_arn: upload.key_arn.clone(),
        wrapped: upload.wrapped.clone(),
        context: upload.context.clone(),
        sse: upload.sse,
        metadata: upload.metadata.clone(),
    })
}
