//! The total order of committed changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Uuid;

/// The place of a commit in the store's one total order; the first commit is 1, 0 means "nothing yet".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    pub fn next(self) -> Revision {
        Revision(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one life of a store. A store that is restored from a backup gets a new epoch, so that its
/// revisions cannot be taken for those of the lost one.
pub type StoreEpoch = Uuid;
