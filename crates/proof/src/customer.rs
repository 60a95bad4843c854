//! What customers decide, as bytes and as evidence.

use writ_model::{LockboxMode, Said, Timestamp};

use crate::access::{Consent, Decision};
use crate::cbor_enum;

cbor_enum!(LockboxMode { 0: Off, 1: Streamlined });
cbor_enum!(Said { 0: Approved, 1: Refused, 2: Withdrawn });

/// What a customer has said, as [`crate::access::decide`] takes it.
pub fn consent(said: Said, not_after: Option<Timestamp>) -> Consent {
    match said {
        Said::Approved => Consent { decision: Decision::Approve, not_after },
        Said::Refused | Said::Withdrawn => Consent { decision: Decision::Deny, not_after: None },
    }
}
