//! One file for each operation or noun, named as S3 names it.

mod abort_multipart_upload;
mod bucket_policy;
mod complete_multipart_upload;
mod copy_object;
mod create_bucket;
mod create_multipart_upload;
mod delete_bucket;
mod delete_object;
mod delete_objects;
mod get_object;
mod get_object_attributes;
mod list_buckets;
mod list_multipart_uploads;
mod list_objects;
mod list_parts;
mod put_object;
mod settings;
mod upload_part;
mod upload_part_copy;

use hyper::body::Incoming;
use writ_aws::{ApiError, Service};

use super::call::{Call, Outcome};

/// Carries out the call. Everything that is not here is answered as not implemented.
pub(crate) async fn run(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    match call.operation.name {
        "AbortMultipartUpload" => abort_multipart_upload::run(call).await,
        "CompleteMultipartUpload" => complete_multipart_upload::run(call, body).await,
        "CopyObject" => copy_object::run(call).await,
        "CreateBucket" => create_bucket::run(call, body).await,
        "CreateMultipartUpload" => create_multipart_upload::run(call).await,
        "DeleteBucket" => delete_bucket::run(call),
        "DeleteBucketPolicy" => bucket_policy::delete(call),
        "DeleteObject" => delete_object::run(call),
        "DeleteObjects" => delete_objects::run(call, body).await,
        "GetBucketAcl" => settings::bucket_acl(call),
        "GetBucketEncryption" => settings::encryption(call),
        "GetBucketLocation" => settings::location(call),
        "GetBucketOwnershipControls" => settings::ownership(call),
        "GetBucketPolicy" => bucket_policy::get(call),
        "GetBucketVersioning" => settings::versioning(call),
        "GetObject" => get_object::get(call).await,
        "GetObjectAcl" => settings::object_acl(call).await,
        "GetObjectAttributes" => get_object_attributes::run(call).await,
        "GetPublicAccessBlock" => settings::public_access_block(call),
        "HeadBucket" => settings::head_bucket(call),
        "HeadObject" => get_object::head(call).await,
        "ListBuckets" => list_buckets::run(call),
        "ListMultipartUploads" => list_multipart_uploads::run(call).await,
        "ListObjects" => list_objects::v1(call).await,
        "ListObjectsV2" => list_objects::v2(call).await,
        "ListParts" => list_parts::run(call).await,
        "PutBucketPolicy" => bucket_policy::put(call, body).await,
        "PutObject" => put_object::run(call, body).await,
        "UploadPart" => upload_part::run(call, body).await,
        "UploadPartCopy" => upload_part_copy::run(call).await,
        name => Err(ApiError::not_implemented(Service::S3, name)),
    }
}
