//! KMS keys and aliases. Nothing here is key material: tokens are wrapped by the key module.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use writ_model::{Arn, KeyId, Region, Timestamp, UniqueId};

use crate::Blob;

/// A KMS key's metadata, policy and wrapped backing keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
    pub arn: Arn,
    /// The last part of the ARN.
    pub key_id: KeyId,
    /// Where it lives.
    pub region: Region,
    /// What the owner wrote about it; empty if nothing.
    pub description: String,
    /// The key policy, verbatim.
    pub policy: String,
    /// The users and roles that the key policy names, with the unique ids that they had when it was
    /// written: one that is deleted and made anew under its old name does not match.
    #[serde(default)]
    pub principals: BTreeMap<Arn, UniqueId>,
    /// Tags, key to value.
    pub tags: BTreeMap<String, String>,
    /// The sealed descriptor: spec, usage, state, owner, policy digest.
    pub descriptor: Blob,
    /// The backing keys, wrapped, oldest first. Empty once the key is destroyed.
    pub tokens: Vec<Blob>,
    /// When it was made.
    pub created: Timestamp,
    /// The service that manages it for the customer, such as `s3`; `None` for a customer's own.
    pub managed_by: Option<String>,
}

/// An alias of a KMS key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `arn:aws:kms:REGION:ACCOUNT:alias/NAME`.
    pub arn: Arn,
    /// Where it lives.
    pub region: Region,
    /// The name with its prefix: `alias/NAME`.
    pub name: String,
    /// The key that it stands for, in the same account and region.
    pub target: KeyId,
    /// The sealed descriptor.
    pub descriptor: Blob,
    /// When it was made.
    pub created: Timestamp,
    /// When its target last changed.
    pub updated: Timestamp,
}
