//! What this crate asks of others: the roster, and the key module's endings.

use std::pin::Pin;

use writ_model::Timestamp;

/// A future of a port, boxed so that ports can be trait objects.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A person's place in a group, as the roster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// When it was last approved.
    pub approved: Timestamp,
    /// True in a group that can lead to customer data, keys, the ledger or watch.
    pub privileged: bool,
}

/// Who is enrolled, and in which group. HR data never reaches it.
pub trait Roster: Send + Sync {
    /// When the enrolment began that the person has at `at`; `None` without one, or if it has ended.
    fn enrolled_since(&self, person: &str, at: Timestamp) -> Option<Timestamp>;

    /// The number of the enrolment that the person has now.
    fn enrolment(&self, person: &str) -> Option<u64>;

    /// The person's place in `group` at `at`, in `[from, expires)`.
    fn membership(&self, group: &str, person: &str, at: Timestamp) -> Option<Membership>;

    /// All places of the person at `at`, by group.
    fn memberships(&self, person: &str, at: Timestamp) -> Vec<(String, Membership)>;
}

/// Something of a person that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The enrolment, with everything that it opened. Nothing un-ends it: a re-hire enrols anew.
    Enrolment {
        /// Whose.
        person: String,
        /// Its number in the roster; `None` for somebody who was not enrolled.
        number: Option<u64>,
    },
    /// Sessions that were opened before a moment.
    Sessions {
        /// Whose.
        person: String,
        /// The epoch in which the person acts.
        epoch: u32,
        /// The moment.
        before: Timestamp,
    },
}

/// Why an ending is not known yet. It is tried again until it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key module did not take an ending: {what}")]
pub struct EndError {
    /// What failed.
    pub what: String,
}

/// Carries endings to where they are enforced beside the store.
pub trait Endings: Send + Sync {
    /// Returns when the ending is in force.
    fn end<'a>(&'a self, ending: &'a Ending) -> PortFuture<'a, Result<(), EndError>>;
}
