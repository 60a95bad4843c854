//! Sealed descriptors: the facts about principals and keys that keyd itself decides from.
//!
//! A descriptor is deterministic CBOR followed by a tag that only keyd can make:
//! `"WSD2" | dk id u32 BE | length u32 BE | descriptor | HMAC-SHA256 tag 32`. It is not secret; front
//! stores it, can read it, and hands all of them back when keyd starts. keyd keeps id -> newest
//! revision in memory and refuses an older one.

use writ_model::{
    AccessKeyId, AccountId, Arn, KeyId, LockboxMode, Region, Said, Timestamp, UniqueId,
};
use writ_proof::Hash;
use writ_proof::cbor::{self, CborError};
use writ_proof::{cbor_enum, cbor_map};

/// The first bytes of a sealed descriptor; the digit is the format's version.
pub const MAGIC: &[u8; 4] = b"WSD2";
/// Bytes before the descriptor: magic, domain key id, length.
pub const HEADER_BYTES: usize = 12;
/// Bytes of the tag after it.
pub const TAG_BYTES: usize = 32;

/// Reads the content of a sealed descriptor **without checking its tag**: for display and indexes.
pub fn peek(sealed: &[u8]) -> Result<Descriptor, CborError> {
    let body = sealed.len().checked_sub(TAG_BYTES).and_then(|end| sealed.get(HEADER_BYTES..end));
    cbor::from_slice(body.unwrap_or_default())
}

/// What can be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descriptor {
    /// The status of a long-term access key.
    AccessKey(AccessKeyDescriptor),
    /// An alias of a key.
    Alias(AliasDescriptor),
    /// A KMS key.
    Key(Box<KeyDescriptor>),
    /// A role with its trust policy.
    Role(RoleDescriptor),
    /// A user.
    User(UserDescriptor),
    /// What a customer has said of a request for access.
    Consent(ConsentDescriptor),
    /// An account's lockbox.
    Lockbox(LockboxDescriptor),
    /// Whether operators may use an account's support role.
    Support(SupportDescriptor),
}
cbor_enum!(Descriptor {
    0: AccessKey(_),
    1: Alias(_),
    2: Key(_),
    3: Role(_),
    4: User(_),
    5: Consent(_),
    6: Lockbox(_),
    7: Support(_),
});

impl Descriptor {
    /// The catalogue's name of the thing: stable over revisions, different for different kinds.
    pub fn id(&self) -> String {
        match self {
            Descriptor::AccessKey(d) => format!("access-key/{}", d.id),
            Descriptor::Alias(d) => format!("alias/{}", d.arn),
            Descriptor::Key(d) => format!("key/{}", d.arn),
            Descriptor::Role(d) => format!("role/{}", d.unique_id),
            Descriptor::User(d) => format!("user/{}", d.unique_id),
            Descriptor::Consent(d) => ConsentDescriptor::id_of(d.account, &d.request),
            Descriptor::Lockbox(d) => format!("lockbox/{}", d.account),
            Descriptor::Support(d) => format!("support/{}", d.account),
        }
    }

    /// Its revision; the first is 1.
    pub fn revision(&self) -> u64 {
        match self {
            Descriptor::AccessKey(d) => d.revision,
            Descriptor::Alias(d) => d.revision,
            Descriptor::Key(d) => d.revision,
            Descriptor::Role(d) => d.revision,
            Descriptor::User(d) => d.revision,
            Descriptor::Consent(d) => d.revision,
            Descriptor::Lockbox(d) => d.revision,
            Descriptor::Support(d) => d.revision,
        }
    }
}

/// A user's identity. The account's root is implied and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDescriptor {
    /// Owner.
    pub account: AccountId,
    /// `AIDA…`.
    pub unique_id: String,
    /// The user's name.
    pub name: String,
    /// The path, `/` at least.
    pub path: String,
    /// Counts from 1.
    pub revision: u64,
    /// True in the last revision of a deleted user.
    pub deleted: bool,
}
cbor_map!(UserDescriptor { 1: account, 2: unique_id, 3: name, 4: path, 5: revision, 6: deleted });

/// A role's identity and the policy that says who may assume it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDescriptor {
    /// Owner.
    pub account: AccountId,
    /// `AROA…`.
    pub unique_id: String,
    /// The role's name.
    pub name: String,
    /// The path, `/` at least.
    pub path: String,
    /// The trust policy, verbatim.
    pub trust_policy: String,
    /// The longest session, in seconds.
    pub max_session_secs: u64,
    /// Counts from 1.
    pub revision: u64,
    /// True in the last revision of a deleted role.
    pub deleted: bool,
    /// The users and roles that the trust policy names, as they were when it was written: who is made
    /// anew under an old name is not meant, who is renamed is.
    pub principals: Vec<(Arn, UniqueId)>,
}
cbor_map!(RoleDescriptor {
    1: account,
    2: unique_id,
    3: name,
    4: path,
    5: trust_policy,
    6: max_session_secs,
    7: revision,
    8: deleted,
    9: principals,
});

/// Whether a long-term access key may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyDescriptor {
    /// The key.
    pub id: AccessKeyId,
    /// Owner.
    pub account: AccountId,
    /// The user's `AIDA…`; absent for a key of the account's root.
    pub user: Option<String>,
    /// False after UpdateAccessKey with status Inactive.
    pub active: bool,
    /// When it was issued.
    pub created: Timestamp,
    /// Counts from 1.
    pub revision: u64,
    /// True in the last revision of a deleted key.
    pub deleted: bool,
}
cbor_map!(AccessKeyDescriptor {
    1: id, 2: account, 3: opt user, 4: active, 5: created, 6: revision, 7: deleted,
});

/// The state of a KMS key (AWS KMS, "Key states").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// `Disabled`.
    Disabled,
    /// `Enabled`.
    Enabled,
    /// `PendingDeletion`.
    PendingDeletion,
    /// Deleted for good: the tombstone that keeps an old token from being used again.
    Destroyed,
}
cbor_enum!(KeyState { 0: Disabled, 1: Enabled, 2: PendingDeletion, 3: Destroyed });

impl KeyState {
    /// The name in the KMS API.
    pub fn name(self) -> &'static str {
        match self {
            KeyState::Disabled => "Disabled",
            KeyState::Enabled => "Enabled",
            KeyState::PendingDeletion | KeyState::Destroyed => "PendingDeletion",
        }
    }
}

/// Everything about a key that decides its use. Fields of later steps are there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescriptor {
    /// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
    pub arn: Arn,
    /// Owner.
    pub account: AccountId,
    /// Where it lives.
    pub region: Region,
    /// The id in the ARN.
    pub key_id: KeyId,
    /// `SYMMETRIC_DEFAULT`.
    pub spec: String,
    /// `ENCRYPT_DECRYPT`.
    pub usage: String,
    /// `AWS_KMS`.
    pub origin: String,
    /// When it was made.
    pub created: Timestamp,
    /// 0 = single Region, 1 = primary, 2 = replica.
    pub multi_region: u64,
    /// Its state.
    pub state: KeyState,
    /// SHA-256 of the key policy's text.
    pub policy_digest: [u8; 32],
    /// Root of the Merkle map of grants; zero while there are none.
    pub grants_root: [u8; 32],
    /// Automatic rotation, in days.
    pub rotation_days: Option<u64>,
    /// From when on the key may be destroyed, in state `PendingDeletion`.
    pub deletion_date: Option<Timestamp>,
    /// When imported material expires.
    pub material_expiry: Option<Timestamp>,
    /// Ids of the backing keys, oldest first; the last one encrypts.
    pub backing_keys: Vec<[u8; 16]>,
    /// The service whose managed key this is, such as `s3`; absent for customer-managed keys.
    pub managed_by: Option<String>,
    /// Counts from 1.
    pub revision: u64,
    /// The users and roles that the key policy names, as they were when it was written.
    pub principals: Vec<(Arn, UniqueId)>,
}
cbor_map!(KeyDescriptor {
    1: arn, 2: account, 3: region, 4: key_id, 5: spec, 6: usage, 7: origin, 8: created,
    9: multi_region, 10: state, 11: policy_digest, 12: grants_root, 13: opt rotation_days,
    14: opt deletion_date, 15: opt material_expiry, 16: backing_keys, 17: opt managed_by,
    18: revision, 19: principals,
});

/// Which key an alias means. Sealed, so that front cannot point `alias/prod` at a foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasDescriptor {
    /// `arn:aws:kms:REGION:ACCOUNT:alias/NAME`.
    pub arn: Arn,
    /// Owner.
    pub account: AccountId,
    /// The key's id, in the same account and region.
    pub target: KeyId,
    /// Counts from 1.
    pub revision: u64,
    /// True in the last revision of a deleted alias.
    pub deleted: bool,
}
cbor_map!(AliasDescriptor { 1: arn, 2: account, 3: target, 4: revision, 5: deleted });

/// An account's lockbox, as its customer last set it. An account without one has it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockboxDescriptor {
    /// Whose it is.
    pub account: AccountId,
    /// Whether operators must ask.
    pub mode: LockboxMode,
    /// Counts from 1.
    pub revision: u64,
}
cbor_map!(LockboxDescriptor { 1: account, 2: mode, 3: revision });

/// Whether operators may work for an account, as its customer last said. Without one they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportDescriptor {
    /// Whose support role it is.
    pub account: AccountId,
    /// False: no operator's grant that touches the account holds.
    pub enabled: bool,
    /// Counts from 1.
    pub revision: u64,
}
cbor_map!(SupportDescriptor { 1: account, 2: enabled, 3: revision });

/// What a customer has said of one request for access, made from a request that the customer signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentDescriptor {
    /// Whose consent it is.
    pub account: AccountId,
    /// SHA-256 of the request as its requester signed it.
    pub request: Hash,
    /// What was said last.
    pub said: Said,
    /// Until when the customer agrees, at most.
    pub not_after: Option<Timestamp>,
    /// Who of the account said it.
    pub principal: Arn,
    /// When, by keyd's clock.
    pub time: Timestamp,
    /// Counts from 1.
    pub revision: u64,
}
cbor_map!(ConsentDescriptor {
    1: account, 2: request, 3: said, 4: opt not_after, 5: principal, 6: time, 7: revision,
});

impl ConsentDescriptor {
    /// The catalogue's name of what `account` has said of a request.
    pub fn id_of(account: AccountId, request: &Hash) -> String {
        format!("consent/{account}/{request}")
    }
}
