//! `DeleteObjects`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use serde_json::Map;
use writ_aws::ApiError;
use writ_aws::checksum::{Algorithm, Checksum};
use writ_aws::generated::s3::{DeleteObjectsOutput, DeleteObjectsRequest, DeletedObject, Error};

use super::delete_object::refuse_version;
use crate::gateway::call::{Also, Call, Outcome};
use crate::gateway::fault::{bad_digest, checksum, key_too_long, s3};
use crate::gateway::upload;
use crate::index::{Change, Condition};
use crate::limits::{DELETE_BODY_MAX_BYTES, DELETE_KEYS_MAX, KEY_MAX_BYTES};

pub(super) async fn run(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.refuse_strangers(&bucket)?;
    let bytes = upload::small(call, body, DELETE_BODY_MAX_BYTES).await?;
    check_body(call, &bytes)?;
    let input: DeleteObjectsRequest = call.input(&bytes)?;
    refuse_version(None, input.mfa.as_deref())?;
    let objects = input.delete.objects;
    if objects.is_empty() || objects.len() > DELETE_KEYS_MAX {
        let text = "The XML you provided was not well-formed or did not validate against our published schema";
        return Err(s3("MalformedXML", text));
    }
    let quiet = input.delete.quiet == Some(true);
    let (mut deleted, mut errors, mut keys, mut also) = (vec![], vec![], vec![], vec![]);
    let mut permit = None;
    for object in objects {
        let allowed = match refuse_version(object.version_id.as_deref(), None) {
            Ok(()) if object.key.len() > KEY_MAX_BYTES => Err(key_too_long()),
            Ok(()) if object.etag.is_some() || object.size.is_some() => {
                Err(crate::gateway::fault::not_implemented("conditions in DeleteObjects"))
            }
            Ok(()) => call.authorize("s3:DeleteObject", &bucket, Some(&object.key)),
            Err(error) => Err(error),
        };
        match allowed {
            Ok(allowed) => {
                permit = Some(allowed);
                let mut parameters = Map::new();
                parameters.insert("bucketName".to_owned(), bucket.name.as_str().into());
                parameters.insert("key".to_owned(), object.key.as_str().into());
                let resources = Call::touched(&bucket, Some(&object.key));
                also.push(Also { name: "DeleteObject", parameters, resources });
                if !quiet {
                    let key = Some(object.key.clone());
                    deleted.push(DeletedObject { key, ..DeletedObject::default() });
                }
                keys.push((object.key, Condition::default()));
            }
            Err(error) => errors.push(Error {
                key: Some(object.key),
                code: Some(error.code.into_owned()),
                message: Some(error.message),
                ..Error::default()
            }),
        }
    }
    let output = DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    };
    let mut outcome = Outcome::of(call, output).touching(&bucket, None);
    outcome.also = also;
    let change = Change::Delete { bucket: bucket.id, keys, at: call.now };
    Ok(match permit {
        Some(permit) => outcome.changing(permit, change),
        None => outcome,
    })
}

/// The body must be covered by a checksum or Content-MD5.
fn check_body(call: &Call, body: &[u8]) -> Result<(), ApiError> {
    let mut covered = false;
    if let Some(text) = call.head.header("content-md5") {
        let given = STANDARD.decode(text.trim()).ok().filter(|b| b.len() == 16);
        let given = given
            .ok_or_else(|| s3("InvalidDigest", "The Content-MD5 you specified was invalid."))?;
        let found: [u8; 16] = Md5::digest(body).into();
        if given != found {
            return Err(bad_digest("Content-MD5"));
        }
        covered = true;
    }
    for (name, text) in call.amz_all() {
        let Some(algorithm) = Algorithm::of_header(&name) else { continue };
        let algorithm = algorithm.map_err(|e| checksum(&e))?;
        if Checksum::parse(algorithm, text).map_err(|e| checksum(&e))?
            != Checksum::of(algorithm, body)
        {
            return Err(bad_digest(algorithm.name()));
        }
        covered = true;
    }
    if covered {
        return Ok(());
    }
    Err(s3(
        "InvalidRequest",
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
    ))
}
