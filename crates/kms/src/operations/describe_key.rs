//! DescribeKey: <https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::describe_key::{DescribeKeyRequest, DescribeKeyResponse};
use writ_service::call::{Call, Outcome};

use crate::Result;
use crate::access::{authorize, context};
use crate::metadata::{metadata, resource};
use crate::resolve::{Accept, resolve};

pub(crate) fn run(call: &Call, input: &DescribeKeyRequest) -> Result {
    let target = resolve(call, &input.key_id, Accept::Any)?;
    authorize(call, &target, "kms:DescribeKey", &context(call, &target))?;
    let reply =
        DescribeKeyResponse { key_metadata: Some(metadata(&target.entry, &target.descriptor)) };
    Ok(Outcome::reply(reply.into_value()).touching(resource(target.arn())))
}
