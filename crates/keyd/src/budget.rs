//! Budgets of transactions, and the proofs that were seen: what keeps a ticket from being used
//! twice. Both are bounded; when one is full, keyd refuses and never forgets.

use std::collections::HashMap;

use writ_model::{AccountId, Nonce, Timestamp};

use crate::limits;
use crate::shared::{Full, Room, Shared};

/// What a use counts under: one transaction, one action on one object. Repeats of the very same use
/// (a client's retry within the signature's window) are counted once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spend {
    /// The transaction.
    pub(crate) transaction: Nonce,
    /// The action, and the object that the context binds it to.
    pub(crate) row: String,
    /// SHA-256 over resource, context and input.
    pub(crate) digest: [u8; 32],
    /// Whose the transaction is.
    pub(crate) account: AccountId,
    /// When no ticket of the transaction can come any more: its signature is over, or, for a presigned
    /// URL, each use of which is a transaction of its own, its ticket.
    pub(crate) until: Timestamp,
}

/// See the module.
pub(crate) struct Budgets {
    /// For each transaction and row its different uses, each with how often it was repeated.
    uses: Shared<(Nonce, String), HashMap<[u8; 32], u32>>,
    proofs: Shared<(Nonce, Nonce), ()>,
}

/// Why a proof or use does not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotCounted {
    /// There is no room; later there is.
    Full,
    /// The proof was seen before, or the use was repeated too often.
    Repeated,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets {
            uses: Shared::new(Room::of(limits::BUDGETS_MAX)),
            proofs: Shared::new(Room::of(limits::REPLAY_SET_MAX)),
        }
    }
}

impl Budgets {
    /// Remembers a proof of possession.
    pub(crate) fn first_time(
        &mut self,
        proof: (Nonce, Nonce),
        account: AccountId,
        until: Timestamp,
    ) -> Result<(), NotCounted> {
        if self.proofs.get_mut(&proof).is_some() {
            return Err(NotCounted::Repeated);
        }
        self.proofs.insert(proof, account, until, 0, ()).map_err(|Full| NotCounted::Full)
    }

    /// How many different uses the transaction's row has had, this one not counted.
    pub(crate) fn spent(&mut self, spend: &Spend) -> u32 {
        let uses = self.uses.get_mut(&spend.name());
        let others = uses.map_or(0, |uses| uses.keys().filter(|k| **k != spend.digest).count());
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Counts a use. That the ticket's budget has room for it is checked before, with
    /// [`Budgets::spent`] and under the same lock.
    pub(crate) fn spend(&mut self, spend: &Spend) -> Result<(), NotCounted> {
        let name = spend.name();
        let Some(uses) = self.uses.get_mut(&name) else {
            let first = HashMap::from([(spend.digest, 1)]);
            let kept = self.uses.insert(name, spend.account, spend.until, 0, first);
            return kept.map_err(|Full| NotCounted::Full);
        };
        let repeats = uses.entry(spend.digest).or_default();
        *repeats += 1;
        let fits = *repeats <= limits::ADMISSIONS_PER_SIGNATURE;
        self.uses.extend(&name, spend.until);
        if fits { Ok(()) } else { Err(NotCounted::Repeated) }
    }

    /// Forgets what is over: the tickets of these transactions have died.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.uses.sweep(now);
        self.proofs.sweep(now);
    }
}

impl Spend {
    fn name(&self) -> (Nonce, String) {
        (self.transaction, self.row.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(digest: u8) -> Spend {
        Spend {
            transaction: Nonce([1; 16]),
            row: "kms:Decrypt".to_owned(),
            digest: [digest; 32],
            account: AccountId::from_number(1).unwrap(),
            until: Timestamp::from_secs(10),
        }
    }

    #[test]
    fn budget_counts_different_uses_and_bounds_repeats() {
        let mut budgets = Budgets::default();
        budgets.spend(&spend(1)).unwrap();
        assert_eq!(budgets.spent(&spend(1)), 0, "a repeat is free");
        assert_eq!(budgets.spent(&spend(2)), 1, "another use is not");
        for _ in 1..limits::ADMISSIONS_PER_SIGNATURE {
            budgets.spend(&spend(1)).unwrap();
        }
        assert_eq!(budgets.spend(&spend(1)), Err(NotCounted::Repeated), "too often");
        budgets.sweep(Timestamp::from_secs(10));
        assert_eq!(budgets.spent(&spend(2)), 1, "still in the window");
        budgets.sweep(Timestamp::from_secs(11));
        assert_eq!(budgets.spent(&spend(2)), 0);
    }

    #[test]
    fn proof_works_once() {
        let mut budgets = Budgets::default();
        let mut proof = |n| {
            let account = AccountId::from_number(1).unwrap();
            budgets.first_time((Nonce([1; 16]), Nonce([n; 16])), account, Timestamp::from_secs(10))
        };
        proof(2).unwrap();
        assert_eq!(proof(2), Err(NotCounted::Repeated));
        proof(3).unwrap();
        budgets.sweep(Timestamp::from_secs(10));
        let again = (Nonce([1; 16]), Nonce([2; 16]));
        let (account, until) = (AccountId::from_number(1).unwrap(), Timestamp::from_secs(10));
        assert_eq!(budgets.first_time(again, account, until), Err(NotCounted::Repeated));
    }
}
