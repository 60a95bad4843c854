//! Nonces for decisions: what makes an approver's signature good once, for one request and one decision.
//!
//! They are kept in memory alone. After a restart none is known: an approver asks for another one.

use std::collections::BTreeMap;

use writ_model::{Nonce, PersonId, Timestamp, Ulid};
use writ_proof::access::{Approval, Decision, LedgerHead};

use crate::limits;
use crate::world::Refusal;

/// What an approver puts into their statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// 16 random bytes.
    pub nonce: Nonce,
    /// The operator log when it was given out.
    pub ledger: LedgerHead,
    /// It is good before this time.
    pub expires: Timestamp,
}

/// For whom a nonce was given out, and for what.
type For = (Ulid, PersonId, Decision);

/// The nonces that are out: one at most for each approver, request and decision.
#[derive(Debug, Default)]
pub struct Nonces {
    out: BTreeMap<For, Challenge>,
}

impl Nonces {
    /// Gives one out. It replaces the one before it.
    ///
    /// # Errors
    /// Too many are out.
    pub fn give(
        &mut self,
        (request, approver, decision): (Ulid, &PersonId, Decision),
        nonce: Nonce,
        ledger: LedgerHead,
        now: Timestamp,
    ) -> Result<Challenge, Refusal> {
        self.out.retain(|_, challenge| now < challenge.expires);
        let whose = (request, approver.clone(), decision);
        if self.out.len() >= limits::NONCES_MAX && !self.out.contains_key(&whose) {
            let why = "too many decisions are being made: try again in some minutes";
            return Err(Refusal::TooMany(why.to_owned()));
        }
        let challenge = Challenge { nonce, ledger, expires: now.plus(limits::NONCE_LIFETIME) };
        self.out.insert(whose, challenge.clone());
        Ok(challenge)
    }

    /// Fails unless the nonce in a decision was given out for it and is still good.
    ///
    /// # Errors
    /// It was not, or is used.
    pub fn check(&self, approval: &Approval, now: Timestamp) -> Result<(), Refusal> {
        let bad = |why: &str| Err(Refusal::Nonce(format!("{why}: run `writ approve` again")));
        let whose = (approval.request, approval.approver.clone(), approval.decision);
        match self.out.get(&whose) {
            Some(challenge) if challenge.nonce == approval.nonce => {
                if now >= challenge.expires {
                    return bad("its nonce is older than 5 minutes");
                }
                if challenge.ledger != approval.ledger {
                    return bad("it names another state of the ledger than it was given");
                }
                Ok(())
            }
            _ => bad("its nonce was not given out for this decision, or was used"),
        }
    }

    /// Takes a nonce that was checked: it is good no more.
    pub fn take(&mut self, approval: &Approval) {
        self.out.remove(&(approval.request, approval.approver.clone(), approval.decision));
    }
}
