//! Whether the approvals that there are make a grant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use writ_model::{AccountId, PersonId, Timestamp, Ulid};

use super::{Approved, Asked, Decision, Touches};
use crate::hash::Hash;
use crate::limits;
use crate::roster::{Approver, Roster, SlotName};

/// What there is beside the request.
#[derive(Debug, Clone, Default)]
pub struct Evidence<'a> {
    /// The decisions of humans, in any order.
    pub approved: &'a [Approved],
    /// The customers who want to be asked, of those whom the request touches.
    pub lockboxes: BTreeSet<AccountId>,
    /// What customers have said.
    pub consents: BTreeMap<AccountId, Consent>,
}

/// What a customer has said of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// Yes or no.
    pub decision: Decision,
    /// Until when the customer agrees, at most.
    pub not_after: Option<Timestamp>,
}

/// What comes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody said no.
    Denied(String),
    /// Enough have agreed.
    Granted(Grant),
    /// Somebody has still to agree.
    Waiting(Vec<Missing>),
}

/// What enough approvals make. It is named by the digest of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The request.
    pub request: Ulid,
    /// SHA-256 of the signed request.
    pub digest: Hash,
    /// Who may use it.
    pub person: PersonId,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when, itself excluded.
    pub not_after: Timestamp,
}

impl Grant {
    /// True in `[not_before, not_after)`. The one place where this is compared.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.not_before <= at && at < self.not_after
    }
}

/// Whose agreement is still needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The slot of the rule; `customer` for a lockbox.
    pub slot: String,
    /// How many people more.
    pub count: u32,
    /// Who may be one of them.
    pub from: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` needs {} more of {}", self.slot, self.count, self.from)
    }
}

/// What comes of a request with these decisions. A denial by anybody who may fill a slot is final; each human
/// counts once; what can lead to customers' data needs two humans whatever its rule says.
pub fn decide(asked: &Asked, roster: &Roster, evidence: &Evidence<'_>) -> Outcome {
    if let Some(denied) = evidence.approved.iter().find(|approved| approved.denies()) {
        return Outcome::Denied(denied.approval.approver.to_string());
    }
    let touches = asked.touches(roster);
    // What somebody says whose data it is not, counts for nothing.
    let consents: BTreeMap<AccountId, Consent> = evidence
        .consents
        .iter()
        .filter(|(account, _)| touches.touches(**account))
        .map(|(account, consent)| (*account, *consent))
        .collect();
    let refused = consents.iter().find(|(_, consent)| consent.decision == Decision::Deny);
    if let Some((account, _)) = refused {
        return Outcome::Denied(format!("the customer {account}"));
    }
    let mut counted: BTreeMap<&PersonId, &Approved> = BTreeMap::new();
    for approved in evidence.approved {
        counted.entry(&approved.approval.approver).or_insert(approved);
    }
    let mut missing = missing_people(asked, roster, &counted);
    missing.extend(missing_customers(asked, roster, &evidence.lockboxes, &consents));
    if !missing.is_empty() {
        return Outcome::Waiting(missing);
    }
    let (mut from, mut to) = (asked.request.not_before, asked.request.not_after);
    for approved in counted.values() {
        from = from.max(approved.approval.not_before);
        to = to.min(approved.approval.not_after);
    }
    for consent in consents.values() {
        to = to.min(consent.not_after.unwrap_or(to));
    }
    if to <= from {
        return Outcome::Denied("the approvals' windows, which have no time in common".to_owned());
    }
    Outcome::Granted(Grant {
        request: asked.request.id,
        digest: asked.digest,
        person: asked.request.requester.clone(),
        not_before: from,
        not_after: to,
    })
}

fn missing_people(
    asked: &Asked,
    roster: &Roster,
    counted: &BTreeMap<&PersonId, &Approved>,
) -> Vec<Missing> {
    let Some(group) = roster.group(&asked.request.group) else {
        let (slot, from) = ("group".to_owned(), "a group that is gone".to_owned());
        return vec![Missing { slot, count: 1, from }];
    };
    let mut missing = Vec::new();
    for slot in &group.rule.0 {
        let from = match &slot.from {
            Approver::Group(name) => format!("the group `{name}`"),
            Approver::Owner => format!("the owners of `{}`", group.name),
            Approver::ManagerOfRequester => "the requester's manager".to_owned(),
            // A slot of a customer stands for those who have no lockbox, too.
            Approver::Customer => continue,
        };
        let have = count_in(counted, &slot.slot);
        if have < slot.count {
            let count = slot.count - have;
            missing.push(Missing { slot: slot.slot.to_string(), count, from });
        }
    }
    let humans = u32::try_from(counted.len()).unwrap_or(u32::MAX);
    let wanted = if asked.touches(roster).any() { limits::CUSTOMER_DATA_MIN_APPROVERS } else { 1 };
    if missing.is_empty() && humans < wanted {
        let from = "those who may approve it".to_owned();
        missing.push(Missing { slot: "any".to_owned(), count: wanted - humans, from });
    }
    missing
}

fn count_in(counted: &BTreeMap<&PersonId, &Approved>, slot: &SlotName) -> u32 {
    let count = counted.values().filter(|approved| approved.approval.slot == *slot).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn missing_customers(
    asked: &Asked,
    roster: &Roster,
    lockboxes: &BTreeSet<AccountId>,
    consents: &BTreeMap<AccountId, Consent>,
) -> Vec<Missing> {
    let touches = asked.touches(roster);
    let mut wanted: BTreeSet<AccountId> =
        lockboxes.iter().copied().filter(|account| touches.touches(*account)).collect();
    let missing = |who: String| Missing { slot: "customer".to_owned(), count: 1, from: who };
    let asks = roster
        .group(&asked.request.group)
        .is_some_and(|group| group.rule.0.iter().any(|slot| slot.from == Approver::Customer));
    let mut nobody = None;
    if asks {
        wanted.extend(asked.request.account);
        match &touches {
            Touches::Only(accounts) => wanted.extend(accounts),
            Touches::Everybody if asked.request.account.is_none() => {
                nobody = Some(missing("the customer; ask anew and name the account".to_owned()));
            }
            Touches::Everybody => {}
        }
    }
    wanted.retain(|account| !consents.contains_key(account));
    let customers = wanted.into_iter().map(|account| missing(format!("the customer {account}")));
    customers.chain(nobody).collect()
}
