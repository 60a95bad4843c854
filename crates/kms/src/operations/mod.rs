//! One module for each operation, named as AWS names it.

mod cancel_key_deletion;
mod create_alias;
mod create_key;
mod decrypt;
mod delete_alias;
mod describe_key;
mod disable_key;
mod enable_key;
pub mod encrypt;
mod generate_data_key;
mod generate_data_key_without_plaintext;
mod generate_random;
mod get_key_policy;
mod get_key_rotation_status;
mod list_aliases;
mod list_key_policies;
mod list_keys;
mod list_resource_tags;
mod managed_key;
mod put_key_policy;
mod re_encrypt;
mod reseal;
mod schedule_key_deletion;
mod tag_resource;
mod untag_resource;
mod update_alias;
mod update_key_description;

use writ_aws::{ApiError, Input as _, Service, Value};
use writ_service::call::Call;

use crate::Result;
use crate::resolve::MaterialIndex;

/// Carries out the call's operation.
pub(crate) async fn execute(call: &Call, input: Value, materials: &MaterialIndex) -> Result {
    use writ_aws::generated::kms as api;
    match call.operation.name {
        "CancelKeyDeletion" => {
            let input = api::cancel_key_deletion::CancelKeyDeletionRequest::from_value(input)?;
            cancel_key_deletion::run(call, input).await
        }
        "CreateAlias" => {
            create_alias::run(call, api::create_alias::CreateAliasRequest::from_value(input)?).await
        }
        "CreateKey" => {
            create_key::run(call, api::create_key::CreateKeyRequest::from_value(input)?).await
        }
        "Decrypt" => {
            decrypt::run(call, api::decrypt::DecryptRequest::from_value(input)?, materials).await
        }
        "DeleteAlias" => {
            delete_alias::run(call, api::delete_alias::DeleteAliasRequest::from_value(input)?).await
        }
        "DescribeKey" => {
            describe_key::run(call, &api::describe_key::DescribeKeyRequest::from_value(input)?)
        }
        "DisableKey" => {
            disable_key::run(call, api::disable_key::DisableKeyRequest::from_value(input)?).await
        }
        "EnableKey" => {
            enable_key::run(call, api::enable_key::EnableKeyRequest::from_value(input)?).await
        }
        "Encrypt" => encrypt::run(call, api::encrypt::EncryptRequest::from_value(input)?).await,
        "GenerateDataKey" => {
            let input = api::generate_data_key::GenerateDataKeyRequest::from_value(input)?;
            generate_data_key::run(call, input).await
        }
        "GenerateDataKeyWithoutPlaintext" => {
            use api::generate_data_key_without_plaintext::GenerateDataKeyWithoutPlaintextRequest;
            let input = GenerateDataKeyWithoutPlaintextRequest::from_value(input)?;
            generate_data_key_without_plaintext::run(call, input).await
        }
        "GenerateRandom" => {
            let input = api::generate_random::GenerateRandomRequest::from_value(input)?;
            generate_random::run(call, input).await
        }
        _ => execute_metadata(call, input, materials).await,
    }
}

/// The operations that use no key: metadata, policies, tags, lists; and ReEncrypt.
async fn execute_metadata(call: &Call, input: Value, materials: &MaterialIndex) -> Result {
    use writ_aws::generated::kms as api;
    match call.operation.name {
        "GetKeyPolicy" => {
            get_key_policy::run(call, &api::get_key_policy::GetKeyPolicyRequest::from_value(input)?)
        }
        "GetKeyRotationStatus" => {
            let input =
                api::get_key_rotation_status::GetKeyRotationStatusRequest::from_value(input)?;
            get_key_rotation_status::run(call, &input)
        }
        "ListAliases" => {
            list_aliases::run(call, &api::list_aliases::ListAliasesRequest::from_value(input)?)
        }
        "ListKeyPolicies" => {
            let input = api::list_key_policies::ListKeyPoliciesRequest::from_value(input)?;
            list_key_policies::run(call, &input)
        }
        "ListKeys" => list_keys::run(call, &api::list_keys::ListKeysRequest::from_value(input)?),
        "ListResourceTags" => {
            let input = api::list_resource_tags::ListResourceTagsRequest::from_value(input)?;
            list_resource_tags::run(call, &input)
        }
        "PutKeyPolicy" => {
            let input = api::put_key_policy::PutKeyPolicyRequest::from_value(input)?;
            put_key_policy::run(call, input).await
        }
        "ReEncrypt" => {
            let input = api::re_encrypt::ReEncryptRequest::from_value(input)?;
            re_encrypt::run(call, input, materials).await
        }
        "ScheduleKeyDeletion" => {
            let input = api::schedule_key_deletion::ScheduleKeyDeletionRequest::from_value(input)?;
            schedule_key_deletion::run(call, input).await
        }
        "TagResource" => {
            tag_resource::run(call, &api::tag_resource::TagResourceRequest::from_value(input)?)
        }
        "UntagResource" => untag_resource::run(
            call,
            &api::untag_resource::UntagResourceRequest::from_value(input)?,
        ),
        "UpdateAlias" => {
            update_alias::run(call, api::update_alias::UpdateAliasRequest::from_value(input)?).await
        }
        "UpdateKeyDescription" => {
            use api::update_key_description::UpdateKeyDescriptionRequest;
            update_key_description::run(call, UpdateKeyDescriptionRequest::from_value(input)?)
        }
        other => Err(ApiError::not_implemented(Service::Kms, other)),
    }
}
