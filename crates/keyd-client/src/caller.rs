//! Who signed a request, as keyd verified it.

use writ_model::{AccessKeyId, AccountId, Arn, Timestamp};
use writ_proof::{cbor_enum, cbor_map};

/// The kinds of principals that can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerKind {
    /// A session of a role.
    AssumedRole,
    /// The account itself.
    Root,
    /// An IAM user, with a long-term key or in a session of GetSessionToken.
    User,
}
cbor_enum!(CallerKind { 0: AssumedRole, 1: Root, 2: User });

/// The verified signer of a request. Every field comes from a credential that keyd sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What kind of principal it is.
    pub kind: CallerKind,
    /// The account that the principal belongs to.
    pub account: AccountId,
    /// `arn:aws:iam::A:root`, `arn:aws:iam::A:user/…` or `arn:aws:sts::A:assumed-role/ROLE/SESSION`.
    pub arn: Arn,
    /// `AIDA…`, the account id for root, or `AROA…:SESSION`: what `aws:userid` holds.
    pub unique_id: String,
    /// The name of the user; absent for root and roles.
    pub user_name: Option<String>,
    /// The access key that signed.
    pub access_key_id: AccessKeyId,
    /// What is known of the temporary session; absent for long-term keys.
    pub session: Option<Session>,
    /// True if an identity policy, which keyd does not evaluate, let the credential be issued
    /// (`writ:CredentialDelegated`).
    pub delegated: bool,
}
cbor_map!(Caller {
    1: kind, 2: account, 3: arn, 4: unique_id, 5: opt user_name, 6: access_key_id, 7: opt session,
    8: delegated,
});

/// The facts that a session credential carries; its evaluation needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The role behind a role session; absent for GetSessionToken.
    pub role: Option<SessionRole>,
    /// When it was issued (`aws:TokenIssueTime`).
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When its caller proved a second factor, if at all.
    pub mfa_at: Option<Timestamp>,
    /// `sts:SourceIdentity`; it survives role chaining.
    pub source_identity: Option<String>,
    /// Session tags, sorted by key (`aws:PrincipalTag/…`).
    pub tags: Vec<(String, String)>,
    /// Keys of tags that go on to the next role of a chain.
    pub transitive_tag_keys: Vec<String>,
    /// The inline session policy, verbatim.
    pub policy: Option<String>,
    /// Managed session policies.
    pub policy_arns: Vec<Arn>,
    /// True if a role session assumed this role: such a chain lasts at most one hour.
    pub chained: bool,
}
cbor_map!(Session {
    1: opt role, 2: issued, 3: expires, 4: opt mfa_at, 5: opt source_identity, 6: tags,
    7: transitive_tag_keys, 8: opt policy, 9: policy_arns, 10: chained,
});

/// The role that a session runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRole {
    /// `arn:aws:iam::A:role/PATH/NAME`, the value of `aws:PrincipalArn`.
    pub arn: Arn,
    /// `AROA…`.
    pub unique_id: String,
    /// The role's name without its path.
    pub name: String,
    /// The session's name.
    pub session_name: String,
}
cbor_map!(SessionRole { 1: arn, 2: unique_id, 3: name, 4: session_name });
