//! What customers decide about operators. The account owns it; the sealed descriptor is what counts.

use serde::{Deserialize, Serialize};
use writ_model::{Arn, LockboxMode, Said, Timestamp, Ulid};

use crate::Blob;

/// An account's lockbox. An account without one has it off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockbox {
    /// Whether operators must ask.
    pub mode: LockboxMode,
    /// When it was last set.
    pub updated: Timestamp,
    /// Who of the account last set it.
    pub by: Arn,
    /// The sealed descriptor.
    pub descriptor: Blob,
}

/// Whether operators may work for an account. Without one they may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Support {
    /// False: no operator's grant that touches the account holds.
    pub enabled: bool,
    /// When it was last set.
    pub updated: Timestamp,
    /// Who of the account last set it.
    pub by: Arn,
    /// The sealed descriptor.
    pub descriptor: Blob,
}

/// What a customer has said of one request for access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The request.
    pub request: Ulid,
    /// SHA-256 of the request as its requester signed it, in hexadecimal.
    pub digest: String,
    /// What was said last.
    pub said: Said,
    /// Until when the customer agrees, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// When it was said.
    pub updated: Timestamp,
    /// Who of the account said it.
    pub by: Arn,
    /// The sealed descriptor.
    pub descriptor: Blob,
}
