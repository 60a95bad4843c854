//! Access: what an operator asks for, what each approver signs, and whether that is enough.
//!
//! A [`Request`] is signed by who asks, each [`Approval`] by one other human over the same facts. Neither is
//! worth anything but together and under the roster: [`Asked::verify`], [`Approved::verify`] and [`decide`]
//! are the one judgement, which front, keyd, watch and `writ verify` share. Nothing here asks a clock, a
//! database or HR; who does, passes in what it knows.

mod approved;
mod asked;
mod opening;
mod quorum;
mod scope;

use writ_model::{AccountId, Nonce, PersonId, Timestamp, Ulid};

use crate::cbor::Version;
use crate::error::Error;
use crate::hash::Hash;
use crate::origin::SiteId;
use crate::roster::{GroupName, SlotName};
use crate::statement::{Namespace, Statement};
use crate::{cbor_enum, cbor_map};

pub use approved::{Approved, may_fill};
pub use asked::{Asked, Touches};
pub use opening::{Opened, Opening, seal_info};
pub use quorum::{Consent, Evidence, Grant, Missing, Outcome, decide};
pub(crate) use scope::hides;
pub use scope::{FileRight, FileRule, PlaybackScope, RecordedAccounts, Scope, SshRights, SshScope};

/// The version of requests and approvals that this build writes and reads.
pub const ACCESS_VERSION: u64 = 1;

/// Somebody asks for access: the body of a `request@writ` statement. It never changes; to ask for more is a
/// new request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The format's version.
    pub v: Version<ACCESS_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// Names the request for good.
    pub id: Ulid,
    /// Who asks, and signs.
    pub requester: PersonId,
    /// The number of the requester's enrolment: a later one of the same person has not asked.
    pub enrolment: u64,
    /// The permission group as whose member the requester asks.
    pub group: GroupName,
    /// The statement that last set that group: its rule and its rights are those that are meant.
    pub revision: u64,
    /// What kind of reason it is.
    pub basis: Basis,
    /// Why, in words.
    pub reason: String,
    /// The ticket that it belongs to.
    pub ticket: Ticket,
    /// The customer on whose account the work is, if it is for one.
    pub account: Option<AccountId>,
    /// What is asked for, exactly.
    pub scope: Scope,
    /// From when on. Whole seconds.
    pub not_before: Timestamp,
    /// Until when, itself excluded. Whole seconds.
    pub not_after: Timestamp,
    /// When it was made, by the requester's word. Who became an approver later does not count.
    pub created: Timestamp,
}
cbor_map!(Request {
    1: v, 2: site, 3: id, 4: requester, 5: enrolment, 6: group, 7: revision, 8: basis, 9: reason,
    10: ticket, 11: opt account, 12: scope, 13: not_before, 14: not_after, 15: created,
});

impl Statement for Request {
    const NAMESPACE: Namespace = Namespace::Request;
}

/// Why operators come to a customer's data at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The customer asked for support.
    CustomerSupport,
    /// An order of a court or an authority.
    LegalOrder,
    /// A review of security or of what was done.
    Review,
    /// The provider's own operation: an outage, a change.
    Service,
}
cbor_enum!(Basis { 0: CustomerSupport, 1: Service, 2: Review, 3: LegalOrder });

impl Basis {
    /// All of them.
    pub const ALL: [Basis; 4] =
        [Basis::CustomerSupport, Basis::LegalOrder, Basis::Review, Basis::Service];

    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Basis::CustomerSupport => "customer-support",
            Basis::LegalOrder => "legal-order",
            Basis::Review => "review",
            Basis::Service => "service",
        }
    }
}

/// A ticket, by the system that holds it and its id there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// `writ` for the tickets that Writ itself keeps.
    pub system: String,
    /// Its id there.
    pub id: String,
}
cbor_map!(Ticket { 1: system, 2: id });

/// The system of the tickets that Writ itself keeps.
pub const OWN_TICKETS: &str = "writ";

/// One human's decision: the body of an `approval@writ` statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The format's version.
    pub v: Version<ACCESS_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// The request.
    pub request: Ulid,
    /// SHA-256 of the request as its requester signed it.
    pub request_digest: Hash,
    /// Who asks.
    pub requester: PersonId,
    /// Who decides, and signs.
    pub approver: PersonId,
    /// What is decided.
    pub decision: Decision,
    /// The slot of the group's rule that this fills.
    pub slot: SlotName,
    /// What is agreed to: the request's own, spelled out.
    pub scope: Scope,
    /// The customer: the request's own.
    pub account: Option<AccountId>,
    /// From when on; not before the request's.
    pub not_before: Timestamp,
    /// Until when; not after the request's. An approver may shorten, never widen.
    pub not_after: Timestamp,
    /// The request's ticket.
    pub ticket: Ticket,
    /// The group's revision: the request's own.
    pub revision: u64,
    /// Given out by front for this approver, request and decision; it works once.
    pub nonce: Nonce,
    /// The operator log when it was signed.
    pub ledger: LedgerHead,
    /// When it was signed, by the approver's word. Nothing is decided by it.
    pub signed: Timestamp,
}
cbor_map!(Approval {
    1: v, 2: site, 3: request, 4: request_digest, 5: requester, 6: approver, 7: decision, 8: slot,
    9: scope, 10: opt account, 11: not_before, 12: not_after, 13: ticket, 14: revision, 15: nonce,
    16: ledger, 17: signed,
});

impl Statement for Approval {
    const NAMESPACE: Namespace = Namespace::Approval;
}

/// What an approver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Yes, in the window of the approval.
    Approve,
    /// No, for good.
    Deny,
}
cbor_enum!(Decision { 0: Approve, 1: Deny });

impl Decision {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Decision::Approve => "approve",
            Decision::Deny => "deny",
        }
    }
}

/// How far a log was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerHead {
    /// The log's origin.
    pub origin: String,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}
cbor_map!(LedgerHead { 1: origin, 2: size, 3: root });

const REQUEST: &str = "request";
const APPROVAL: &str = "approval";
const OPENING: &str = "opening of a recording";

fn refused<T>(what: &'static str, why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Refused { what, why: why.into() })
}

#[cfg(test)]
#[path = "tests/access.rs"]
mod tests;
