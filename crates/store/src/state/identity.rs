//! Accounts and the objects of IAM.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use writ_model::{AccessKeyId, AccountId, Arn, Timestamp, UniqueId};

use crate::Blob;

/// A customer's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its 12 digits.
    pub id: AccountId,
    /// When it was opened.
    pub created: Timestamp,
    /// The account alias, if one is set (CreateAccountAlias).
    pub alias: Option<String>,
}

/// An IAM user. The account's root is implied and has no object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name as it was given; names are unique without regard to case.
    pub name: String,
    /// The path, `/` at least.
    pub path: String,
    /// `AIDA…`.
    pub unique_id: UniqueId,
    /// When it was made.
    pub created: Timestamp,
    /// The sealed descriptor.
    pub descriptor: Blob,
    /// Policy name to document, verbatim.
    pub inline_policies: BTreeMap<String, String>,
    /// Managed policies, by ARN.
    pub attached_policies: BTreeSet<Arn>,
    /// The groups that the user is in, by name in lower case.
    pub groups: BTreeSet<String>,
    /// The managed policy that bounds the user's permissions.
    pub boundary: Option<Arn>,
    /// Tags, key to value.
    pub tags: BTreeMap<String, String>,
}

/// A long-term access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: AccessKeyId,
    /// The user whose key it is, by name in lower case; `None` for the account's root.
    pub user: Option<String>,
    /// False after UpdateAccessKey with status Inactive.
    pub active: bool,
    /// When it was issued.
    pub created: Timestamp,
    /// The secret, wrapped by the key module.
    pub wrapped: Blob,
    /// The sealed descriptor.
    pub descriptor: Blob,
}

/// An IAM group. Its members are the users that name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name as it was given; names are unique without regard to case.
    pub name: String,
    /// The path, `/` at least.
    pub path: String,
    /// `AGPA…`.
    pub unique_id: UniqueId,
    /// When it was made.
    pub created: Timestamp,
    /// Policy name to document, verbatim.
    pub inline_policies: BTreeMap<String, String>,
    /// Managed policies, by ARN.
    pub attached_policies: BTreeSet<Arn>,
}

/// An IAM role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The name as it was given; names are unique without regard to case.
    pub name: String,
    /// The path, `/` at least.
    pub path: String,
    /// `AROA…`.
    pub unique_id: UniqueId,
    /// When it was made.
    pub created: Timestamp,
    /// What the owner wrote about it.
    pub description: Option<String>,
    /// Who may assume it, verbatim.
    pub trust_policy: String,
    /// The users and roles that the trust policy names, with the unique ids that they had when it
    /// was written: one that is deleted and made anew under its old name does not match.
    #[serde(default)]
    pub principals: BTreeMap<Arn, UniqueId>,
    /// The longest session, in seconds.
    pub max_session_secs: u32,
    /// The sealed descriptor.
    pub descriptor: Blob,
    /// Policy name to document, verbatim.
    pub inline_policies: BTreeMap<String, String>,
    /// Managed policies, by ARN.
    pub attached_policies: BTreeSet<Arn>,
    /// The managed policy that bounds the role's permissions.
    pub boundary: Option<Arn>,
    /// Tags, key to value.
    pub tags: BTreeMap<String, String>,
}

/// A customer's managed policy with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedPolicy {
    /// `arn:aws:iam::ACCOUNT:policy/PATH/NAME`.
    pub arn: Arn,
    /// The name as it was given; names are unique without regard to case.
    pub name: String,
    /// The path, `/` at least.
    pub path: String,
    /// `ANPA…`.
    pub unique_id: UniqueId,
    /// What the owner wrote about it.
    pub description: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When a version was last made or chosen.
    pub updated: Timestamp,
    /// The versions that exist, oldest first; at most five.
    pub versions: Vec<PolicyVersion>,
    /// The version in force: `v1`.
    pub default_version: String,
    /// The number of the next version; numbers are never used again.
    pub next_version: u32,
    /// Tags, key to value.
    pub tags: BTreeMap<String, String>,
}

impl ManagedPolicy {
    /// The version in force.
    pub fn in_force(&self) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.id == self.default_version)
    }
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersion {
    /// `v1`, `v2`, …
    pub id: String,
    /// The document, verbatim.
    pub document: String,
    /// When it was made.
    pub created: Timestamp,
}

/// The end of all sessions of a principal that were issued before a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Whose sessions: the unique id of a user or role, or the account id for its root.
    pub subject: String,
    /// Sessions issued before this moment are over.
    pub before: Timestamp,
}
