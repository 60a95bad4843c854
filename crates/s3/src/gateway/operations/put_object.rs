//! `PutObject`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

use std::sync::Arc;

use hyper::body::Incoming;
use writ_aws::ApiError;
use writ_aws::generated::s3::{PutObjectOutput, PutObjectRequest};
use writ_model::Env as _;
use writ_service::task;

use crate::format::SseMode;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::encryption::Wish;
use crate::gateway::fault::{
    internal, no_such_key, not_implemented, precondition, slow_down, storage,
};
use crate::gateway::intake::{Claims, Intake};
use crate::gateway::object::{
    DEFAULT_ALGORITHM, Draft, metadata, quoted, refuse_unsupported, set_checksum,
};
use crate::gateway::sink::Sink;
use crate::gateway::upload;
use crate::index::{Bucket, Change, Condition};
use crate::wire::conditions::write_condition;

pub(super) async fn run(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    let input: PutObjectRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutObject", &bucket, Some(call.key()))?;
    refuse_unsupported(call)?;
    let condition = write_condition(input.if_match.as_deref(), input.if_none_match.as_deref())
        .ok_or_else(|| not_implemented("If-None-Match"))?;
    let (wish, claims) = (Wish::of(call)?, Claims::of(call)?);
    let metadata = metadata(call, input.metadata)?;
    foresee(call, &bucket, call.key(), &condition).await?;
    let admission = call.gateway.streams.admit(call.caller.account).await.ok_or_else(slow_down)?;

    let arn = bucket.object_arn(call.key());
    let new = call.generate(&permit, &wish, &arn).await?;
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
    let algorithm = claims.algorithm.unwrap_or(DEFAULT_ALGORITHM);
    let (header, expected) = (draft.header(call, None, 0), claims.length);
    let (blobs, key) = (Arc::clone(&call.gateway.blobs), Arc::clone(&draft.data_key));
    let md5 = claims.names_md5() || draft.sse == SseMode::Aes256;
    let begin = move || Sink::begin(&blobs, &key, &header, algorithm, md5, Some(expected));
    let sink = task::blocking(begin).await.ok_or_else(internal)?.map_err(|e| storage(&e))?;
    let written = upload::receive(call, body, Intake::new(claims, sink), &draft.key_arn).await?;
    drop(admission);

    let (sse, key_arn, checksum) = (draft.sse, draft.key_arn.clone(), written.checksum);
    let (put, file) = draft.seal_whole(call, written, condition).await?;
    let mut output = PutObjectOutput {
        etag: Some(quoted(&put.entry.etag)),
        checksum_type: Some("FULL_OBJECT".to_owned()),
        server_side_encryption: Some(sse.name().to_owned()),
        sse_kms_key_id: (sse == SseMode::Kms).then(|| key_arn.to_string()),
        ..PutObjectOutput::default()
    };
    set_checksum!(output, checksum.algorithm().name(), checksum.base64());
    Ok(Outcome::of(call, output)
        .touching(&bucket, Some(call.key()))
        .noting("bytesTransferredIn", put.entry.size)
        .noting("SSEApplied", sse.name())
        .noting("manifestSha256", hex::encode(put.body.sealed.digest()))
        .writing(vec![file])
        .changing(permit, Change::Put(put)))
}

/// Refuses early what the index would refuse later, so that a body need not come in vain. The decision
/// that counts is made in the index's transaction.
pub(super) async fn foresee(
    call: &Call,
    bucket: &Bucket,
    key: &str,
    condition: &Condition,
) -> Result<(), ApiError> {
    if *condition == Condition::default() {
        return Ok(());
    }
    let (id, name) = (bucket.id, key.to_owned());
    let found = call.read(move |index| index.entry(id, &name)).await?;
    match (&condition.etag, found) {
        (_, Some(_)) if condition.absent => Err(precondition("If-None-Match")),
        (Some(_), None) => Err(no_such_key(key)),
        (Some(etag), Some((entry, _))) if *etag != entry.etag && etag != "*" => {
            Err(precondition("If-Match"))
        }
        _ => Ok(()),
    }
}
