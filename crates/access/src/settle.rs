//! What becomes of a request when nobody of the operator has said anything new: a customer has.

use writ_model::Ulid;
use writ_proof::access::{Approved, Decision, Evidence};
use writ_proof::statement::Signed;
use writ_store::state::{AccessGrant, AccessRequest};

use crate::decision::{asked, decisions, follow, judge};
use crate::request::check_pending;
use crate::world::{Refusal, World};

/// A request as it is with what customers say now.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The request as it is then.
    pub request: AccessRequest,
    /// The grant, if nothing was missing but the customers.
    pub grant: Option<Made>,
}

/// A grant that a customer's word made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// It.
    pub grant: AccessGrant,
    /// How many people have approved it.
    pub approvers: usize,
}

/// Judges a pending request anew, with the decisions that are stored.
///
/// # Errors
/// It does not wait any more, or does not hold.
pub fn settle(world: &World<'_>, id: Ulid) -> Result<Settled, Refusal> {
    let entry = world.request(id)?;
    check_pending(entry, world.now)?;
    let asked = asked(entry, world)?;
    let held = decisions(world.snapshot, id);
    let approved: Vec<Approved> = held
        .filter_map(|held| {
            let signed = Signed::from_bytes(held.statement.as_slice()).ok()?;
            judge(&signed, &asked, world).ok()
        })
        .collect();
    let touches = asked.request().touches(world.roster);
    let evidence = Evidence {
        approved: &approved,
        lockboxes: world.customers.lockboxes(&touches),
        consents: world.customers.consents(id),
    };
    let outcome = writ_proof::access::decide(&asked, world.roster, &evidence);
    let approvers =
        approved.iter().filter(|one| one.approval().decision == Decision::Approve).count();
    let (request, grant, _) = follow(&entry.value, outcome, &touches, world);
    Ok(Settled { request, grant: grant.map(|grant| Made { grant, approvers }) })
}
