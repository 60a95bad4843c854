//! Read-only answers about buckets and objects that clients ask for: what is the same for all.

use writ_aws::ApiError;
use writ_aws::generated::s3::{
    GetBucketAclOutput, GetBucketEncryptionOutput, GetBucketLocationOutput,
    GetBucketOwnershipControlsOutput, GetBucketVersioningOutput, GetObjectAclOutput,
    GetObjectAclRequest, GetPublicAccessBlockOutput, Grant, Grantee, HeadBucketOutput, Owner,
    OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use writ_model::AccountId;

use super::list_buckets::owner_id;
use crate::gateway::call::{Call, Outcome};
use crate::gateway::object::find;

pub(super) fn head_bucket(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:ListBucket", &bucket, None)?;
    let output = HeadBucketOutput {
        bucket_region: Some(call.gateway.region.to_string()),
        ..HeadBucketOutput::default()
    };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

pub(super) fn location(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetBucketLocation", &bucket, None)?;
    let here = call.gateway.region.as_str();
    // Buckets of the first region have an empty constraint.
    let location_constraint = Some(if here == "us-east-1" { "" } else { here }.to_owned());
    Ok(Outcome::of(call, GetBucketLocationOutput { location_constraint }).touching(&bucket, None))
}

pub(super) fn versioning(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetBucketVersioning", &bucket, None)?;
    Ok(Outcome::of(call, GetBucketVersioningOutput::default()).touching(&bucket, None))
}

pub(super) fn encryption(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetEncryptionConfiguration", &bucket, None)?;
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            sse_algorithm: "aws:kms".to_owned(),
            kms_master_key_id: None,
        }),
        bucket_key_enabled: Some(false),
        blocked_encryption_types: None,
    };
    let output = GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration {
            rules: vec![rule],
        }),
    };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

pub(super) fn ownership(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetBucketOwnershipControls", &bucket, None)?;
    let rules = vec![OwnershipControlsRule { object_ownership: "BucketOwnerEnforced".to_owned() }];
    let output =
        GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

pub(super) fn public_access_block(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetBucketPublicAccessBlock", &bucket, None)?;
    let all = PublicAccessBlockConfiguration {
        block_public_acls: Some(true),
        ignore_public_acls: Some(true),
        block_public_policy: Some(true),
        restrict_public_buckets: Some(true),
    };
    let output = GetPublicAccessBlockOutput { public_access_block_configuration: Some(all) };
    Ok(Outcome::of(call, output).touching(&bucket, None))
}

pub(super) fn bucket_acl(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetBucketAcl", &bucket, None)?;
    let (owner, grants) = owner_controls(bucket.account);
    Ok(Outcome::of(call, GetBucketAclOutput { owner, grants }).touching(&bucket, None))
}

pub(super) async fn object_acl(call: &Call) -> Result<Outcome, ApiError> {
    let input: GetObjectAclRequest = call.input(&[])?;
    let bucket = call.bucket()?;
    call.authorize("s3:GetObjectAcl", &bucket, Some(call.key()))?;
    find(call, &bucket, call.key(), input.version_id.as_deref()).await?;
    let (owner, grants) = owner_controls(bucket.account);
    let output = GetObjectAclOutput { owner, grants, ..GetObjectAclOutput::default() };
    Ok(Outcome::of(call, output).touching(&bucket, Some(call.key())))
}

/// The owner has full control and nobody else anything.
fn owner_controls(account: AccountId) -> (Option<Owner>, Option<Vec<Grant>>) {
    let id = Some(owner_id(account));
    let grantee = Grantee {
        id: id.clone(),
        r#type: "CanonicalUser".to_owned(),
        display_name: None,
        email_address: None,
        uri: None,
    };
    let grant = Grant { grantee: Some(grantee), permission: Some("FULL_CONTROL".to_owned()) };
    (Some(Owner { id, display_name: None }), Some(vec![grant]))
}
