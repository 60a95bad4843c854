//! `CopyObject`: opens the source under its key and seals the copy under another, both the customer's.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>

use std::ops::Range;
use std::sync::Arc;

use writ_aws::ApiError;
use writ_aws::checksum::Algorithm;
use writ_aws::generated::s3::{CopyObjectOutput, CopyObjectRequest, CopyObjectResult};
use writ_model::Env as _;
use writ_policy::Permit;
use writ_service::task;

use crate::format::{Metadata, SegmentHeader, SseMode};
use crate::gateway::call::{Call, Outcome};
use crate::gateway::download::Source;
use crate::gateway::encryption::Wish;
use crate::gateway::fault::{
    access_denied, argument, checksum, internal, no_such_bucket, not_implemented, precondition, s3,
    slow_down, storage,
};
use crate::gateway::object::{
    DEFAULT_ALGORITHM, Draft, Found, find, metadata, quoted, refuse_unsupported, set_checksum,
};
use crate::gateway::sink::{Sink, Written};
use crate::index::{Bucket, Change};
use crate::limits::PUT_MAX_BYTES;
use crate::wire::conditions::{ReadConditions, Verdict, write_condition};
use crate::wire::copy_source;

pub(super) async fn run(call: &Call) -> Result<Outcome, ApiError> {
    let input: CopyObjectRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutObject", &bucket, Some(call.key()))?;
    refuse_unsupported(call)?;
    let condition = write_condition(input.if_match.as_deref(), input.if_none_match.as_deref())
        .ok_or_else(|| not_implemented("If-None-Match"))?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match.clone(),
        if_none_match: input.copy_source_if_none_match.clone(),
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let origin = Origin::find(call, &input.copy_source, &conditions).await?;
    let wish = Wish::of(call)?;
    let metadata = copied_metadata(call, &input, &origin, &bucket)?;
    let algorithm = input.checksum_algorithm.as_deref().map(Algorithm::parse).transpose();
    let algorithm = algorithm.map_err(|e| checksum(&e))?.unwrap_or(DEFAULT_ALGORITHM);

    let size = origin.found.entry.size;
    let source_digest = hex::encode(origin.found.body.sealed.digest());
    let source = origin.open(call, 0..size).await?;
    let new = call.generate(&permit, &wish, &bucket.object_arn(call.key())).await?;
    let draft = Draft {
        bucket: Arc::clone(&bucket),
        key: call.key().to_owned(),
        object: call.gateway.env.nonce(),
        data_key: Arc::new(new.key),
        key_arn: new.key_arn,
        wrapped: new.wrapped,
        context: wish.context,
        sse: wish.mode,
        metadata,
    };
    let header = draft.header(call, None, 0);
    let written = copy(call, &draft, header, algorithm, source, size).await?;
    let (sse, key_arn, sum) = (draft.sse, draft.key_arn.clone(), written.checksum);
    let (put, file) = draft.seal_whole(call, written, condition).await?;
    let mut result = CopyObjectResult {
        etag: Some(quoted(&put.entry.etag)),
        last_modified: Some(put.entry.mtime),
        checksum_type: Some("FULL_OBJECT".to_owned()),
        ..CopyObjectResult::default()
    };
    set_checksum!(result, sum.algorithm().name(), sum.base64());
    let output = CopyObjectOutput {
        copy_object_result: Some(result),
        server_side_encryption: Some(sse.name().to_owned()),
        sse_kms_key_id: (sse == SseMode::Kms).then(|| key_arn.to_string()),
        ..CopyObjectOutput::default()
    };
    Ok(Outcome::of(call, output)
        .touching(&bucket, Some(call.key()))
        .noting("SSEApplied", sse.name())
        .noting("sourceManifestSha256", source_digest)
        .noting("manifestSha256", hex::encode(put.body.sealed.digest()))
        .writing(vec![file])
        .changing(permit, Change::Put(put)))
}

/// The metadata of the copy. Refuses a source that is too large, and a copy that changes nothing.
fn copied_metadata(
    call: &Call,
    input: &CopyObjectRequest,
    origin: &Origin,
    bucket: &Bucket,
) -> Result<Metadata, ApiError> {
    if origin.found.entry.size > PUT_MAX_BYTES {
        let text = "The specified copy source is larger than the maximum allowable size for a copy \
                    source: 5368709120";
        return Err(s3("InvalidRequest", text));
    }
    let replace = match input.metadata_directive.as_deref() {
        None | Some("COPY") => false,
        Some("REPLACE") => true,
        Some(other) => {
            return Err(argument("x-amz-metadata-directive", other, "Unknown metadata directive."));
        }
    };
    let onto_itself = origin.bucket.id == bucket.id && origin.found.entry.key == call.key();
    if onto_itself && !replace && call.amz("x-amz-server-side-encryption").is_none() {
        let text = "This copy request is illegal because it is trying to copy an object to itself \
                    without changing the object's metadata, storage class, website redirect \
                    location or encryption attributes.";
        return Err(s3("InvalidRequest", text));
    }
    match replace {
        true => metadata(call, input.metadata.clone()),
        false => Ok(origin.found.metadata.clone()),
    }
}

/// The object that is copied from, with the permit to read it.
pub(super) struct Origin {
    pub(super) bucket: Arc<Bucket>,
    pub(super) found: Found,
    permit: Permit,
}

impl Origin {
    /// Finds what `x-amz-copy-source` names, if the caller may read it and the conditions hold.
    pub(super) async fn find(
        call: &Call,
        header: &str,
        conditions: &ReadConditions,
    ) -> Result<Origin, ApiError> {
        let invalid = || argument("x-amz-copy-source", header, "Invalid copy source object key");
        let source = copy_source::parse(header).ok_or_else(invalid)?;
        let bucket = call.gateway.index.bucket(&source.bucket);
        let bucket = bucket.ok_or_else(|| no_such_bucket(&source.bucket))?;
        call.expect_owner(&bucket, "x-amz-source-expected-bucket-owner")?;
        if call.amz("x-amz-copy-source-server-side-encryption-customer-algorithm").is_some() {
            return Err(not_implemented("SSE-C"));
        }
        let permit = call.authorize("s3:GetObject", &bucket, Some(&source.key))?;
        let found = find(call, &bucket, &source.key, source.version.as_deref()).await?;
        match conditions.decide(&found.entry.etag, found.entry.mtime) {
            Verdict::Proceed => Ok(Origin { bucket, found, permit }),
            Verdict::Fail(_) => Err(precondition("x-amz-copy-source-If-Match")),
            Verdict::NotModified => Err(precondition("x-amz-copy-source-If-None-Match")),
        }
    }

    /// The source's plaintext in `range`, under its own data key.
    pub(super) async fn open(&self, call: &Call, range: Range<u64>) -> Result<Source, ApiError> {
        let (key, manifest) = self.found.open(call, &self.permit, &self.bucket).await?;
        Ok(Source::new(&call.gateway.blobs, key, &manifest, &range, &self.found))
    }
}

/// Re-encrypts `length` bytes from `source` into a new segment.
pub(super) async fn copy(
    call: &Call,
    draft: &Draft,
    header: SegmentHeader,
    algorithm: Algorithm,
    mut source: Source,
    length: u64,
) -> Result<Written, ApiError> {
    let streams = &call.gateway.streams;
    let _admission = streams.admit(call.caller.account).await.ok_or_else(slow_down)?;
    let mut guard = call.gateway.guard(&call.caller, &[&draft.key_arn, source.key_arn()]);
    let (blobs, key) = (Arc::clone(&call.gateway.blobs), Arc::clone(&draft.data_key));
    let md5 = draft.sse == SseMode::Aes256;
    let begin = move || Sink::begin(&blobs, &key, &header, algorithm, md5, Some(length));
    let mut sink = task::blocking(begin).await.ok_or_else(internal)?.map_err(|e| storage(&e))?;
    loop {
        if !guard.holds() {
            return Err(access_denied());
        }
        let frames = streams.frames_a_step();
        let step = task::blocking(move || {
            let moved = match source.next(frames) {
                Ok(Some(bytes)) => sink.feed(&bytes).map(|()| true),
                Ok(None) => Ok(false),
                Err(error) => Err(storage(&error)),
            };
            (source, sink, moved)
        });
        let (from, to, moved) = step.await.ok_or_else(internal)?;
        (source, sink) = (from, to);
        if !moved? {
            break;
        }
    }
    if sink.length() != length {
        return Err(internal());
    }
    task::blocking(move || sink.finish()).await.ok_or_else(internal)?.map_err(|e| storage(&e))
}
