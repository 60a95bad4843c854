//! Encrypt: the reference slice. Every operation that uses a key reads like this one.
//!
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html>
//!
//! The plaintext in `input` is not used here: keyd reads it, the key's name and the encryption context
//! from the bytes that the caller signed. What this file adds is the caller's own policies, which keyd
//! does not have, and the stored key, whose seals keyd checks.

use writ_aws::Output as _;
use writ_aws::generated::kms::encrypt::{EncryptRequest, EncryptResponse};
use writ_keyd_client::protocol::Use;
use writ_service::call::{Call, Outcome};

use crate::access::{authorize, context, usable, with_encryption_context};
use crate::metadata::resource;
use crate::resolve::{Accept, resolve};
use crate::{Result, error};

/// Carries out Encrypt.
///
/// # Errors
/// KMS's own: NotFoundException, AccessDeniedException, DisabledException,
/// KMSInvalidStateException, DryRunOperationException.
pub(crate) async fn run(call: &Call, input: EncryptRequest) -> Result {
    // 1. Which key? A foreign one that may not be used looks like one that does not exist.
    let target = resolve(call, &input.key_id, Accept::Any)?;

    // 2. May the caller? Only an allow makes a permit, and only a permit reaches keyd.
    let context =
        with_encryption_context(context(call, &target), input.encryption_context.as_ref());
    let permit = authorize(call, &target, "kms:Encrypt", &context)?;

    // 3. Can the key, in its state?
    usable(&target)?;
    if input.dry_run == Some(true) {
        return Err(dry_run());
    }

    // 4. keyd decides the sealed key policy for itself, records the use, and uses the key.
    let used = call.use_keys(&permit, Use::of(vec![target.used()])).await?;

    // 5. The pipeline records the call with keyd's position and holds the reply for the ledger.
    let reply = EncryptResponse {
        ciphertext_blob: used.ciphertext,
        key_id: Some(target.arn().to_string()),
        encryption_algorithm: Some("SYMMETRIC_DEFAULT".to_owned()),
    };
    Ok(Outcome::reply(reply.into_value())
        .touching(resource(target.arn()))
        .recorded_at(Some(used.position)))
}

/// The answer to a dry run whose every check passed.
pub(crate) fn dry_run() -> writ_aws::ApiError {
    let message = "The request would have succeeded, but the DryRun option is set.";
    error("DryRunOperationException", message)
}
