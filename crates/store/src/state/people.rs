//! Persons of the operating side, as the HR feed and our own decisions left them.
//!
//! Nothing here gives anybody a right: who may approve, and with which key, is the roster's. A person
//! who is not enabled here may do nothing, whatever the roster says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use writ_model::Timestamp;

/// One human being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The opaque id of the feed; never another's, and what the ledger names.
    pub id: String,
    /// Raised when the person leaves and again when they are hired again: what was bound to an
    /// earlier one is dead.
    pub epoch: u32,
    /// What the person may do.
    pub state: PersonState,
    /// Why, in state `suspended`.
    pub why: Option<Why>,
    /// When that state began.
    pub since: Timestamp,
    /// What the feed said last.
    pub hr_state: HrState,
    /// The name under which the person signs in.
    pub user_name: String,
    /// The name that people read; never in the ledger.
    pub display_name: String,
    /// May be empty.
    pub email: String,
    /// Employee or contractor.
    pub employment: Employment,
    /// The person id of the manager; nobody at the top.
    pub manager: Option<String>,
    /// The organisational unit.
    pub team: String,
    /// The job.
    pub job_code: String,
    /// Who pays; may be empty.
    pub cost_center: String,
    /// From this moment on the person may do nothing.
    pub valid_until: Option<Timestamp>,
    /// Evidence for the gates.
    pub gates: Gates,
    /// Evidence from before this moment opens no gate: it is of an earlier employment.
    pub gates_from: Option<Timestamp>,
    /// When manager, team or job last changed.
    pub moved_at: Option<Timestamp>,
    /// Memberships that must be approved anew since a move, by group.
    pub reapprovals: BTreeMap<String, Reapproval>,
    /// Since when full files have lacked the person.
    pub absent_since: Option<Timestamp>,
    /// What ended when the person last left.
    pub receipt: Option<Receipt>,
    /// When the feed first named the person.
    pub created: Timestamp,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonState {
    /// Announced: nothing.
    Requested,
    /// HR says active, and a gate is open: nothing but what passes the gate.
    Gated,
    /// What the memberships allow.
    Enabled,
    /// The same, until memberships that were not approved anew reach their deadlines.
    Moving,
    /// Nothing; memberships are kept.
    Suspended,
    /// Nothing, for ever in this epoch.
    Left,
}

impl PersonState {
    /// The word in records and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            PersonState::Requested => "requested",
            PersonState::Gated => "gated",
            PersonState::Enabled => "enabled",
            PersonState::Moving => "moving",
            PersonState::Suspended => "suspended",
            PersonState::Left => "left",
        }
    }
}

/// Why a person is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Full files lacked the person for too long and nobody answered.
    Absence,
    /// A gate lapsed, or `valid_until` has come.
    Gate,
    /// The feed says leave, or no longer active.
    Leave,
    /// The feed says terminated, among so many that a human must confirm it.
    MassChange,
}

impl Why {
    /// The word in records and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Absence => "absence",
            Why::Gate => "gate",
            Why::Leave => "leave",
            Why::MassChange => "mass_change",
        }
    }
}

/// What the feed says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HrState {
    /// Announced.
    Requested,
    /// At work.
    Active,
    /// Away.
    Leave,
    /// Gone.
    Terminated,
}

impl HrState {
    /// The word in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            HrState::Requested => "requested",
            HrState::Active => "active",
            HrState::Leave => "leave",
            HrState::Terminated => "terminated",
        }
    }
}

/// How a person is employed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Employment {
    /// By the provider.
    Employee,
    /// By another company; always with an end.
    Contractor,
}

impl Employment {
    /// The word in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Employment::Employee => "employee",
            Employment::Contractor => "contractor",
        }
    }
}

/// What a person has done before access; no details of a screening.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// When the non-disclosure agreement was signed.
    pub nda: Option<Timestamp>,
    /// The acceptable-use policy and code of conduct.
    pub policy: Option<PolicyAccepted>,
    /// Required training is good until then.
    pub training_until: Option<Timestamp>,
    /// Screening, as the law allows.
    pub screening: Screening,
}

/// Which version of the policy was accepted, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyAccepted {
    /// The version.
    pub version: String,
    /// When.
    pub at: Timestamp,
}

/// How far screening is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screening {
    /// Done, with a good result.
    Cleared(Cleared),
    /// Not known, or not done.
    #[default]
    Pending,
    /// The law or the role asks for none.
    NotRequired,
}

/// When screening was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleared {
    /// When.
    pub at: Timestamp,
}

/// A membership that must be approved anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reapproval {
    /// The move; an approval after it is a new one.
    pub moved_at: Timestamp,
    /// From this moment on the old approval is worth nothing.
    pub deadline: Timestamp,
}

/// Everything that ended when a person left, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The epoch that ended.
    pub epoch: u32,
    /// The number of the enrolment that ended with it, if there was one.
    pub enrolment: Option<u64>,
    /// When the end was found in the feed.
    pub found: Timestamp,
    /// What ended.
    pub ended: Vec<ReceiptItem>,
}

/// One thing that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptItem {
    /// `person`, `enrolment` or `membership`.
    pub what: String,
    /// Which one: the person, `PERSON/EPOCH`, or the group.
    pub id: String,
    /// When; absent while keyd has not acknowledged it.
    pub at: Option<Timestamp>,
}

/// What the HR feed last delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HrFeed {
    /// SHA-256 of the file, in hexadecimal; empty before the first delivery that was taken.
    pub digest: String,
    /// When the file was changed, by its file system, in milliseconds since 1970.
    pub changed_ms: u64,
    /// When it was taken.
    pub taken: Timestamp,
    /// How many good lines it had.
    pub rows: u64,
    /// How many problems it had.
    pub problems: u64,
    /// True if more persons were missing than the rule for absences allows: nobody is suspended for it.
    pub shrunk: bool,
    /// The alarm that is open, in words.
    pub alarm: Option<String>,
    /// When silence was last told.
    pub silence_told: Option<Timestamp>,
    /// Terminations that wait for a human's word.
    pub mass_change: Option<MassChange>,
}

/// One delivery that ended too many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MassChange {
    /// SHA-256 of the file that brought it, in hexadecimal.
    pub digest: String,
    /// When.
    pub at: Timestamp,
    /// How many persons.
    pub persons: u64,
}
