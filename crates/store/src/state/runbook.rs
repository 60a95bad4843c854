//! The catalogue of runbooks, and their runs. They are the platform's: [`AccountId::PLATFORM`] owns them.
//!
//! What people and keyd signed is kept as they signed it, and judged anew from those bytes each time.
//!
//! [`AccountId::PLATFORM`]: writ_model::AccountId::PLATFORM

use serde::{Deserialize, Serialize};
use writ_model::{PersonId, Timestamp, Ulid};

use crate::Blob;

/// One version of a runbook. Its entry never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// Its name.
    pub name: String,
    /// Counts from 1.
    pub version: u64,
    /// What names the entry, in hexadecimal.
    pub digest: String,
    /// The `catalogue@writ` statement with its signatures, as it came.
    pub statement: Blob,
    /// When front took it.
    pub published: Timestamp,
    /// Its end, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawn>,
}

impl Runbook {
    /// The id of a version of a runbook: in the order of the versions.
    pub fn id_of(name: &str, version: u64) -> String {
        format!("{name}/{version:010}")
    }
}

/// The end of a version of a runbook. Nothing un-ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// Who withdrew it.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// One run of a runbook on one host, from its order on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Names it for good.
    pub id: Ulid,
    /// The request on which it rests.
    pub request: Ulid,
    /// On whose request.
    pub person: PersonId,
    /// Where.
    pub host: String,
    /// The runbook.
    pub runbook: String,
    /// Which version of it.
    pub version: u64,
    /// What names its entry, in hexadecimal.
    pub entry: String,
    /// The order with keyd's signature (`writ_proof::runbook::SignedOrder`).
    pub order: Blob,
    /// When the order is over.
    pub not_after: Timestamp,
    /// What it can tell at most, in bits.
    pub bits: u32,
    /// When keyd signed the order.
    pub ordered: Timestamp,
    /// When its host began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Its end, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<RunEnd>,
}

/// How a run ended, in words of closed lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEnd {
    /// `ok`, `failed`, `refused`, `timeout`, `killed`, or `lost`: the host never told.
    pub outcome: String,
    /// Why, unless it is `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The field of the schema that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What it answered, as one JSON object that keeps the entry's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// When front heard of it.
    pub at: Timestamp,
}
