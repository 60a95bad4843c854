//! `KeyMetadata` and the audited resource of a key.

use writ_aws::generated::kms::KeyMetadata;
use writ_keyd_client::descriptor::{KeyDescriptor, KeyState};
use writ_model::Arn;
use writ_store::state::Key;
use writ_trail::record::Resource;

/// What DescribeKey and CreateKey tell of a key.
pub(crate) fn metadata(key: &Key, descriptor: &KeyDescriptor) -> KeyMetadata {
    let manager = if descriptor.managed_by.is_some() { "AWS" } else { "CUSTOMER" };
    KeyMetadata {
        aws_account_id: Some(descriptor.account.to_string()),
        key_id: descriptor.key_id.to_string(),
        arn: Some(descriptor.arn.to_string()),
        creation_date: Some(descriptor.created),
        enabled: Some(descriptor.state == KeyState::Enabled),
        description: Some(key.description.clone()),
        key_usage: Some(descriptor.usage.clone()),
        key_state: Some(descriptor.state.name().to_owned()),
        deletion_date: descriptor.deletion_date,
        origin: Some(descriptor.origin.clone()),
        key_manager: Some(manager.to_owned()),
        customer_master_key_spec: Some(descriptor.spec.clone()),
        key_spec: Some(descriptor.spec.clone()),
        encryption_algorithms: Some(vec![descriptor.spec.clone()]),
        multi_region: Some(descriptor.multi_region != 0),
        ..KeyMetadata::default()
    }
}

/// A key in the `resources` of a record.
pub(crate) fn resource(arn: &Arn) -> Resource {
    Resource { arn: arn.clone(), account: arn.account(), kind: "AWS::KMS::Key" }
}
