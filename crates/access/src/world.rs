//! What decisions are made from, and how they are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::{Consent, Touches};
use writ_proof::roster::{GroupName, Roster};
use writ_store::state::AccessRequest;
use writ_store::{Entry, Snapshot};

/// Everything that a decision is made from.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The state.
    pub snapshot: &'a Snapshot,
    /// The roster as it is.
    pub roster: &'a Roster,
    /// What HR says of people.
    pub hr: &'a dyn Hr,
    /// What customers say.
    pub customers: &'a dyn Customers,
    /// The time.
    pub now: Timestamp,
}

impl World<'_> {
    /// The request of this id.
    pub fn request(&self, id: Ulid) -> Result<&Arc<Entry<AccessRequest>>, Refusal> {
        let found = self.snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id.to_string());
        found.ok_or_else(|| Refusal::NotFound(format!("there is no request `{id}`")))
    }
}

/// What HR says of people. It takes rights away and gives none.
pub trait Hr: Send + Sync {
    /// Fails if HR keeps a person from acting now; in `group`, where one is named.
    ///
    /// # Errors
    /// Why not.
    fn may_act(&self, person: &PersonId, group: Option<&GroupName>) -> Result<(), String>;

    /// The person's manager.
    fn manager(&self, person: &PersonId) -> Option<PersonId>;
}

/// What customers say of operators' access.
pub trait Customers: Send + Sync {
    /// Those who want to be asked, of those whom a request touches.
    fn lockboxes(&self, touches: &Touches) -> BTreeSet<AccountId>;

    /// Those whose support role is disabled, of those whom a request touches.
    fn disabled(&self, touches: &Touches) -> BTreeSet<AccountId>;

    /// What they have said of a request.
    fn consents(&self, request: Ulid) -> BTreeMap<AccountId, Consent>;
}

/// Why something was not done. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It cannot be read, or is not what is taken here.
    #[error("{0}")]
    Malformed(String),
    /// The nonce is unknown, used, too old, or of something else.
    #[error("{0}")]
    Nonce(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It is over.
    #[error("{0}")]
    Over(String),
    /// The rules do not allow it.
    #[error("{0}")]
    Refused(String),
    /// Its id is another's.
    #[error("{0}")]
    Taken(String),
    /// There are too many.
    #[error("{0}")]
    TooMany(String),
}

impl Refusal {
    /// One word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed(_) => "Malformed",
            Refusal::Nonce(_) => "BadNonce",
            Refusal::NotFound(_) => "NotFound",
            Refusal::Over(_) => "Over",
            Refusal::Refused(_) => "Refused",
            Refusal::Taken(_) => "Taken",
            Refusal::TooMany(_) => "TooMany",
        }
    }
}

pub(crate) fn refused<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Refused(why.into()))
}
