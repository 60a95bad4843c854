//! Links to enrol. They are the platform's: [`AccountId::PLATFORM`] owns them.
//!
//! Nothing here gives a right: what is proposed is a change of the roster that people must sign.
//!
//! [`AccountId::PLATFORM`]: writ_model::AccountId::PLATFORM

use serde::{Deserialize, Serialize};
use writ_model::{PersonId, Timestamp};

use crate::Blob;

/// One link, from its opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// SHA-256 of the link's token, in hexadecimal; the token is stored nowhere.
    pub id: String,
    /// Who gets keys.
    pub person: PersonId,
    /// Who opened it.
    pub opened_by: PersonId,
    /// SHA-256 of the key and the message that opened it, in hexadecimal: it opens no second one.
    pub opening: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// The link takes keys before this time only.
    pub expires: Timestamp,
    /// What its holder has shown; then the link is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
}

/// The keys that the holder of a link has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The change of the roster, in CBOR; nobody has signed it.
    pub change: Blob,
    /// The format of the attestation that came with a passkey. None is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<String>,
    /// When.
    pub at: Timestamp,
}
