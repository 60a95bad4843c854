//! `CreateBucket`: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>

use hyper::body::Incoming;
use writ_aws::ApiError;
use writ_aws::generated::s3::{CreateBucketOutput, CreateBucketRequest};
use writ_model::Env as _;

use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::{not_implemented, s3};
use crate::gateway::object::refuse_acl;
use crate::gateway::upload;
use crate::index::{Bucket, Change};
use crate::limits::SMALL_BODY_MAX_BYTES;
use crate::wire::bucket_name;

/// The region whose buckets have no location constraint.
const FIRST_REGION: &str = "us-east-1";

pub(super) async fn run(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    let name = call.target.bucket.clone().unwrap_or_default();
    let arn = format!("arn:aws:s3:::{name}");
    // The body is part of what is decided.
    let bytes = upload::small(call, body, SMALL_BODY_MAX_BYTES).await?;
    let input: CreateBucketRequest = call.input(&bytes)?;
    let named = input.create_bucket_configuration.as_ref();
    let named = named.and_then(|c| c.location_constraint.clone()).filter(|c| !c.is_empty());
    let constraint = named.map(|constraint| ("s3:locationconstraint", constraint));
    let permit = call.authorize_account("s3:CreateBucket", &arn, constraint)?;
    if !bucket_name::is_valid(&name) {
        let text = "The specified bucket is not valid.";
        return Err(s3("InvalidBucketName", text).with("BucketName", name));
    }
    refuse_acl(call)?;
    if call.amz("x-amz-bucket-object-lock-enabled").is_some_and(|v| v != "false") {
        return Err(not_implemented("object lock"));
    }
    if call.amz("x-amz-object-ownership").is_some_and(|v| v != "BucketOwnerEnforced") {
        let text = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(s3("InvalidBucketAclWithObjectOwnership", text));
    }
    let configuration = input.create_bucket_configuration;
    if configuration.as_ref().is_some_and(|c| c.location.is_some() || c.bucket.is_some()) {
        return Err(not_implemented("directory buckets"));
    }
    if configuration.as_ref().is_some_and(|c| c.tags.as_ref().is_some_and(|t| !t.is_empty())) {
        return Err(not_implemented("tags of buckets"));
    }
    let constraint = configuration.and_then(|c| c.location_constraint);
    check_location(call, constraint.as_deref())?;
    let output =
        CreateBucketOutput { location: Some(format!("/{name}")), ..CreateBucketOutput::default() };
    let outcome = Outcome::of(call, output);
    let own = call.gateway.index.bucket(&name).filter(|b| b.account == call.caller.account);
    if let Some(bucket) = own.filter(|_| call.gateway.region.as_str() == FIRST_REGION) {
        // There the call has always been one that may be repeated.
        return Ok(outcome.touching(&bucket, None));
    }
    let bucket = Bucket {
        name,
        id: call.gateway.env.nonce(),
        account: call.caller.account,
        created: call.now,
        policy: None,
    };
    Ok(outcome.touching(&bucket, None).changing(permit, Change::CreateBucket(bucket)))
}

fn check_location(call: &Call, constraint: Option<&str>) -> Result<(), ApiError> {
    let here = call.gateway.region.as_str();
    let illegal = |named: &str| {
        let text = format!(
            "The {named} location constraint is incompatible for the region specific endpoint this \
             request was sent to."
        );
        s3("IllegalLocationConstraintException", &text)
    };
    match constraint.filter(|c| !c.is_empty()) {
        None if here == FIRST_REGION => Ok(()),
        None => Err(illegal("unspecified")),
        Some("EU") if here == "eu-west-1" => Ok(()),
        Some(FIRST_REGION) => {
            Err(s3("InvalidLocationConstraint", "The specified location-constraint is not valid"))
        }
        Some(named) if named == here => Ok(()),
        Some(named) => Err(illegal(named)),
    }
}
