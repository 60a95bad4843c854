//! Every bound of this crate, with its unit and source.
//!
//! The quotas are those of "IAM and AWS STS quotas", "Quotas for AWS Organizations", the KMS
//! developer guide and the S3 user guide.

/// Longest policy document of any kind, in characters (type `policyDocumentType` of IAM's model).
pub const DOCUMENT_MAX_CHARS: usize = 131_072;

/// A managed policy or a permissions boundary, in characters without whitespace.
pub const MANAGED_POLICY_MAX_CHARS: usize = 6_144;

/// All inline policies of a user together, in characters without whitespace.
pub const USER_INLINE_MAX_CHARS: usize = 2_048;

/// All inline policies of a role together, in characters without whitespace.
pub const ROLE_INLINE_MAX_CHARS: usize = 10_240;

/// All inline policies of a group together, in characters without whitespace.
pub const GROUP_INLINE_MAX_CHARS: usize = 5_120;

/// A role trust policy, in characters without whitespace.
pub const TRUST_POLICY_MAX_CHARS: usize = 2_048;

/// An inline session policy, in characters, whitespace included.
pub const SESSION_POLICY_MAX_CHARS: usize = 2_048;

/// A service or resource control policy, in characters, whitespace included.
pub const ORGANIZATION_POLICY_MAX_CHARS: usize = 5_120;

/// A KMS key policy, in bytes (32 KB).
pub const KEY_POLICY_MAX_BYTES: usize = 32 * 1024;

/// An S3 bucket policy, in bytes (20 KB).
pub const BUCKET_POLICY_MAX_BYTES: usize = 20 * 1024;

/// A VPC endpoint policy, in characters.
pub const VPC_ENDPOINT_POLICY_MAX_CHARS: usize = 20_480;

/// Longest `service:Action` that can match anything, in bytes. The longest action of AWS has fewer
/// than 100; the bound lets a request's action be folded on the stack.
pub const ACTION_MAX_BYTES: usize = 160;

/// Most errors that one parse reports.
pub const PARSE_ERRORS_MAX: usize = 50;

/// Longest line that [`crate::cases::eval_case`] reads, in bytes.
pub const CASE_LINE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Services whose resources resource control policies apply to (AWS Organizations user guide,
/// "List of AWS services that support RCPs").
pub const RCP_SERVICES: [&str; 12] = [
    "aoss",
    "cognito-identity",
    "cognito-idp",
    "cognito-sync",
    "dynamodb",
    "ecr",
    "kms",
    "logs",
    "s3",
    "secretsmanager",
    "sqs",
    "sts",
];
