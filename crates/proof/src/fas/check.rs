//! Whether a ticket allows a use: the conjunction of root and caveats.

use std::collections::BTreeMap;

use writ_model::{Region, Timestamp};

use super::root::{ContextRule, Forward, Holder, ResourceRule, context_digest};
use super::{Caveat, VerifiedTicket};
use crate::hash::Hash;
use crate::limits;

/// A downstream use, as keyd derived it from the presented request and from the channel.
#[derive(Debug, Clone, Copy)]
pub struct TicketUse<'a> {
    /// Whose channel made the proof of possession.
    pub holder: &'a Holder,
    /// The called service, for example `kms`.
    pub audience: &'a str,
    /// The region of the called service.
    pub region: &'a Region,
    /// The action, for example `kms:Decrypt`.
    pub action: &'a str,
    /// The resource's ARN.
    pub resource: &'a str,
    /// The encryption context.
    pub context: &'a BTreeMap<String, String>,
    /// SHA-256 of the downstream request's body.
    pub request: Hash,
    /// How many uses of this audience and action the transaction has had before.
    pub spent: u32,
}

/// Why a ticket does not allow a use. It is a verdict on this use, not an error of the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No row of the ticket names this action for this service.
    #[error("the ticket does not allow the action")]
    Action,
    /// The ticket is for another service.
    #[error("the ticket is for another service")]
    Audience,
    /// The transaction has had all its uses.
    #[error("the ticket's budget is used up")]
    Budget,
    /// The proof's time is too far from keyd's.
    #[error("the proof's time is too far off")]
    Clock,
    /// The encryption context is another.
    #[error("the ticket does not allow this encryption context")]
    Context,
    /// The ticket or a caveat has ended.
    #[error("the ticket has expired")]
    Expired,
    /// The bytes are not a ticket's.
    #[error("the ticket is malformed")]
    Format,
    /// Presented by somebody else than its holder.
    #[error("the ticket belongs to another holder")]
    Holder,
    /// The MAC does not hold.
    #[error("the ticket was not made by this key module, or was changed")]
    Mac,
    /// Made in the future, by more than the skew.
    #[error("the ticket is not valid yet")]
    NotYet,
    /// The proof of possession does not hold.
    #[error("the proof of possession does not hold")]
    Possession,
    /// The ticket is for another region.
    #[error("the ticket is for another region")]
    Region,
    /// A caveat names another request.
    #[error("the ticket is for another request")]
    Request,
    /// The resource is another.
    #[error("the ticket does not allow this resource")]
    Resource,
    /// Its MAC key is gone; the caller gets a retryable answer, and the client signs again.
    #[error("the ticket's key is unknown, as after a restart; sign the request again")]
    UnknownKey,
}

pub(super) fn allows(
    ticket: &VerifiedTicket,
    wanted: &TicketUse<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let root = ticket.root();
    if now >= ticket.expires() {
        return Err(Refusal::Expired);
    }
    if root.iat.millis() > now.millis().saturating_add(limits::TICKET_SKEW_MS) {
        return Err(Refusal::NotYet);
    }
    if root.holder != *wanted.holder {
        return Err(Refusal::Holder);
    }
    if root.req.region != *wanted.region {
        return Err(Refusal::Region);
    }
    forwards(&root.fwd, wanted)?;
    ticket.caveats().iter().try_for_each(|caveat| holds(caveat, wanted, now))
}

/// True if some row allows the use; otherwise the refusal of the row that came furthest.
fn forwards(rows: &[Forward], wanted: &TicketUse<'_>) -> Result<(), Refusal> {
    let mut furthest = (0, Refusal::Audience);
    for row in rows {
        let steps = [
            (row.audience == wanted.audience, Refusal::Audience),
            (row.action == wanted.action, Refusal::Action),
            (row.resource.admits(wanted), Refusal::Resource),
            (row.context.admits(wanted), Refusal::Context),
            (wanted.spent < row.budget, Refusal::Budget),
        ];
        let failed = steps.iter().zip(0..).find(|((holds, _), _)| !holds);
        let Some(((_, refusal), step)) = failed else { return Ok(()) };
        if step >= furthest.0 {
            furthest = (step, *refusal);
        }
    }
    Err(furthest.1)
}

fn holds(caveat: &Caveat, wanted: &TicketUse<'_>, now: Timestamp) -> Result<(), Refusal> {
    let (holds, refusal) = match caveat {
        Caveat::Audience(audience) => (audience == wanted.audience, Refusal::Audience),
        Caveat::Action(action) => (action == wanted.action, Refusal::Action),
        Caveat::Budget(budget) => (wanted.spent < *budget, Refusal::Budget),
        Caveat::ContextDigest(digest) => {
            (*digest == context_digest(wanted.context), Refusal::Context)
        }
        Caveat::Expires(at) => (now < *at, Refusal::Expired),
        Caveat::RequestDigest(digest) => (*digest == wanted.request, Refusal::Request),
        Caveat::Resource(resource) => (resource == wanted.resource, Refusal::Resource),
    };
    if holds { Ok(()) } else { Err(refusal) }
}

impl ResourceRule {
    fn admits(&self, wanted: &TicketUse<'_>) -> bool {
        match self {
            ResourceRule::Any => true,
            ResourceRule::OneOf(arns) => arns.iter().any(|arn| arn == wanted.resource),
        }
    }
}

impl ContextRule {
    fn admits(&self, wanted: &TicketUse<'_>) -> bool {
        match self {
            ContextRule::Any => true,
            ContextRule::Exactly(digests) => digests.contains(&context_digest(wanted.context)),
            ContextRule::Includes(pair) => wanted.context.get(&pair.key) == Some(&pair.value),
        }
    }
}
