//! Quotas of IAM and STS ("IAM and AWS STS quotas" in the IAM user guide). Sizes of single policy
//! documents are limits of crate `policy`, shapes those of the service models.

/// Users in an account.
pub const USERS_MAX: usize = 5_000;

/// Roles in an account.
pub const ROLES_MAX: usize = 1_000;

/// Groups in an account.
pub const GROUPS_MAX: usize = 300;

/// Customer managed policies in an account.
pub const POLICIES_MAX: usize = 1_500;

/// Versions of a managed policy.
pub const POLICY_VERSIONS_MAX: usize = 5;

/// Versions of all managed policies of an account that are in use.
pub const POLICY_VERSIONS_IN_USE_MAX: usize = 10_000;

/// Managed policies attached to a user, role or group.
pub const ATTACHED_POLICIES_MAX: usize = 10;

/// Groups of a user.
pub const GROUPS_PER_USER_MAX: usize = 10;

/// Access keys of a user, or of the account's root.
pub const ACCESS_KEYS_MAX: usize = 2;

/// Tags of a user, role or policy.
pub const TAGS_MAX: usize = 50;

/// Items of a page when the request names no number.
pub const PAGE_ITEMS_DEFAULT: usize = 100;

/// Items of a page at most.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// The longest session of a role that was created without saying, in seconds.
pub const ROLE_SESSION_DEFAULT_SECS: u32 = 3_600;

/// A session of AssumeRole without a duration, in seconds.
pub const SESSION_DEFAULT_SECS: u64 = 3_600;

/// A session that a role session assumed (role chaining), in seconds.
pub const CHAINED_SESSION_MAX_SECS: u64 = 3_600;

/// Tags of a session, inherited ones included.
pub const SESSION_TAGS_MAX: usize = 50;

/// Managed session policies of a session.
pub const SESSION_POLICY_ARNS_MAX: usize = 10;
