//! What the console asks of front.

use std::pin::Pin;

use writ_model::{PersonId, Timestamp};
use writ_proof::hash::Hash;
use writ_proof::origin::SiteId;
use writ_proof::roster::{Change, PersonKey};
use writ_service::http::{Refused, Request};

use crate::caller::Caller;

/// A future of a port.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps enrolments and tells the ledger of them.
pub trait Desk: Send + Sync {
    /// The installation.
    fn site(&self) -> &SiteId;

    /// True in mode `dev`.
    fn is_dev(&self) -> bool;

    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// True if browsers may sign for this installation at pages of `origin` with keys of `rp_id`.
    fn is_origin(&self, origin: &str, rp_id: &str) -> bool;

    /// The enrolment whose link has a token of this SHA-256.
    fn look(&self, link: &Hash) -> Option<Link>;

    /// Opens a link for a person, as one commit with its record.
    fn open<'a>(
        &'a self,
        caller: &'a Caller,
        person: &'a PersonId,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Opened, Refused>>;

    /// Keeps the keys that the holder of a link has shown, as one commit with its record; a link takes
    /// them once. `attestation` is the format of what came with a passkey.
    fn propose<'a>(
        &'a self,
        link: &'a Hash,
        keys: Vec<PersonKey>,
        attestation: Option<String>,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>>;

    /// Records that something was refused; of strangers only so many a second.
    fn refused<'a>(
        &'a self,
        event: &'static str,
        refused: &'a Refused,
        request: &'a Request,
    ) -> PortFuture<'a, ()>;
}

/// A link that was opened. Nothing else holds its token.
pub struct Opened {
    /// The enrolment.
    pub id: String,
    /// What the link ends with.
    pub token: [u8; crate::limits::TOKEN_BYTES],
    /// When the link ends.
    pub expires: Timestamp,
}

/// An enrolment, as the page shows it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Whose.
    pub person: PersonId,
    /// Who opened it.
    pub opened_by: PersonId,
    /// When the link ends.
    pub expires: Timestamp,
    /// True if the person has keys already: then the link takes one more.
    pub enrolled: bool,
    /// The passkeys that the person has, which need not be made again.
    pub passkeys: Vec<Vec<u8>>,
    /// What has become of it.
    pub state: State,
}

/// What has become of an enrolment.
#[derive(Debug, Clone)]
pub enum State {
    /// The roster has the keys.
    Done(Change),
    /// The link ended without keys.
    Expired,
    /// It waits for keys.
    Open,
    /// It waits for signatures.
    Proposed(Change),
}

impl State {
    /// As programs read it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            State::Done(_) => "done",
            State::Expired => "expired",
            State::Open => "open",
            State::Proposed(_) => "proposed",
        }
    }

    /// The proposed change.
    pub const fn change(&self) -> Option<&Change> {
        match self {
            State::Done(change) | State::Proposed(change) => Some(change),
            State::Expired | State::Open => None,
        }
    }
}
