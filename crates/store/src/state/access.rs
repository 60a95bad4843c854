//! Requests, decisions on them, grants and tickets. They are the platform's: [`AccountId::PLATFORM`] owns
//! them.
//!
//! What people signed is kept as they signed it, and judged anew from those bytes each time. The members beside
//! it are for listings and for whoever follows the feed; no right rests on them alone.
//!
//! [`AccountId::PLATFORM`]: writ_model::AccountId::PLATFORM

use serde::{Deserialize, Serialize};
use writ_model::{AccountId, PersonId, Timestamp, Ulid};

use crate::Blob;

/// A request for access, from its filing on. The statement in it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Names it for good.
    pub id: Ulid,
    /// Who asks.
    pub requester: PersonId,
    /// SHA-256 of the signed statement, in hexadecimal. It names the grant, too.
    pub digest: String,
    /// The `request@writ` statement with its signature, as it came.
    pub statement: Blob,
    /// When front took it.
    pub filed: Timestamp,
    /// It waits for decisions before this time only.
    pub pending_until: Timestamp,
    /// What has become of it.
    pub state: RequestState,
    /// When that became so.
    pub since: Timestamp,
    /// Why, in words; of a denial by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What has become of a request. Only the first one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Enough have agreed: there is a grant.
    Approved,
    /// Somebody has said no.
    Denied,
    /// Too few had agreed in time.
    Expired,
    /// It waits for decisions.
    Pending,
    /// Its requester took it back, or may not ask any more.
    Withdrawn,
}

impl RequestState {
    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestState::Approved => "approved",
            RequestState::Denied => "denied",
            RequestState::Expired => "expired",
            RequestState::Pending => "pending",
            RequestState::Withdrawn => "withdrawn",
        }
    }
}

/// One human's decision on a request, the newest of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessApproval {
    /// The request.
    pub request: Ulid,
    /// Who decided.
    pub approver: PersonId,
    /// `approve` or `deny`.
    pub decision: String,
    /// The `approval@writ` statement with its signature, as it came.
    pub statement: Blob,
    /// When front took it.
    pub at: Timestamp,
}

impl AccessApproval {
    /// The id of a person's decision on a request.
    pub fn id_of(request: Ulid, approver: &PersonId) -> String {
        format!("{request}/{approver}")
    }
}

/// What enough approvals made. It is good in its window, while it has no end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessGrant {
    /// The request.
    pub request: Ulid,
    /// SHA-256 of the signed request, in hexadecimal.
    pub digest: String,
    /// Who may use it.
    pub person: PersonId,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when, itself excluded.
    pub not_after: Timestamp,
    /// When it was made.
    pub granted: Timestamp,
    /// The customers to whose data it can lead; absent if that is anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touches: Option<Vec<AccountId>>,
    /// Its end, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<GrantEnd>,
}

/// The end of a grant. Nothing un-ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantEnd {
    /// Why.
    pub reason: EndReason,
    /// When.
    pub at: Timestamp,
    /// Who ended it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PersonId>,
}

/// Why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Its window is over.
    Expired,
    /// Its person's manager, team or job changed.
    JobChange,
    /// Its person left.
    Leaver,
    /// A customer took an agreement back.
    LockboxWithdrawn,
    /// The roster does not give it any more: the group, the membership, the enrolment or a host changed.
    PolicyChanged,
    /// Somebody revoked it.
    Revoked,
    /// The customer switched the support role off.
    RoleDisabled,
    /// Its person is suspended.
    Suspended,
    /// Its ticket was closed.
    TicketClosed,
    /// The runbook that it was for has ended on each of its hosts: there is one run each.
    Used,
}

impl EndReason {
    /// The name in files, listings and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::Expired => "expired",
            EndReason::JobChange => "job_change",
            EndReason::Leaver => "leaver",
            EndReason::LockboxWithdrawn => "lockbox_withdrawn",
            EndReason::PolicyChanged => "policy_changed",
            EndReason::Revoked => "revoked",
            EndReason::RoleDisabled => "role_disabled",
            EndReason::Suspended => "suspended",
            EndReason::TicketClosed => "ticket_closed",
            EndReason::Used => "used",
        }
    }
}

/// A ticket that Writ itself keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Its id, such as `OPS-17`; it is never used again for another.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Who opened it.
    pub opened_by: PersonId,
    /// When.
    pub opened: Timestamp,
    /// Its end, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<TicketClosed>,
}

/// The end of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketClosed {
    /// Who closed it.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}
