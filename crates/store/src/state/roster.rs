//! The statements of the roster. They are the platform's: [`AccountId::PLATFORM`] owns them.
//!
//! [`AccountId::PLATFORM`]: writ_model::AccountId::PLATFORM

use serde::{Deserialize, Serialize};

use crate::Blob;

/// One signed statement after genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterEntry {
    /// Its number, from 1.
    pub seq: u64,
    /// The statement with its signatures, as they came.
    pub statement: Blob,
}

impl RosterEntry {
    /// The id of the statement of this number: in the order of the numbers.
    pub fn id_of(seq: u64) -> String {
        format!("{seq:020}")
    }
}
