//! Budgets of transactions, and the proofs that were seen: what keeps a ticket from being used
//! twice. Both are bounded; when one is full, keyd refuses and never forgets.

use std::collections::{HashMap, HashSet};

use writ_model::{Nonce, Timestamp};

use crate::limits;

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
    /// When the transaction's signature is over.
    pub(crate) until: Timestamp,
}

#[derive(Default)]
struct Account {
    /// Different uses, each with how often it was repeated.
    uses: HashMap<[u8; 32], u32>,
    until: Timestamp,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Budgets {
    accounts: HashMap<(Nonce, String), Account>,
    proofs: HashSet<(Nonce, Nonce)>,
    proof_ends: Vec<(Timestamp, (Nonce, Nonce))>,
}

impl Budgets {
    /// Remembers a proof of possession; false if it was seen before or there is no room.
    pub(crate) fn first_time(&mut self, ticket: Nonce, proof: Nonce, until: Timestamp) -> bool {
        if self.proofs.len() >= limits::REPLAY_SET_MAX || !self.proofs.insert((ticket, proof)) {
            return false;
        }
        self.proof_ends.push((until, (ticket, proof)));
        true
    }

    /// How many different uses the transaction's row has had, this one not counted.
    pub(crate) fn spent(&self, spend: &Spend) -> u32 {
        let account = self.accounts.get(&(spend.transaction, spend.row.clone()));
        let Some(account) = account else { return 0 };
        let others = account.uses.keys().filter(|known| **known != spend.digest).count();
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Counts a use; false if it was repeated too often or there is no room. That the ticket's
    /// budget has room for it is checked before, with [`Budgets::spent`] and under the same lock.
    pub(crate) fn spend(&mut self, spend: &Spend) -> bool {
        let name = (spend.transaction, spend.row.clone());
        if self.accounts.len() >= limits::BUDGETS_MAX && !self.accounts.contains_key(&name) {
            return false;
        }
        let account = self.accounts.entry(name).or_default();
        account.until = account.until.max(spend.until);
        let repeats = account.uses.entry(spend.digest).or_default();
        *repeats += 1;
        *repeats <= limits::ADMISSIONS_PER_SIGNATURE
    }

    /// Forgets what is over: the tickets of these transactions have died.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.accounts.retain(|_, account| now <= account.until);
        let proofs = &mut self.proofs;
        self.proof_ends.retain(|(until, pair)| {
            let live = now <= *until;
            if !live {
                proofs.remove(pair);
            }
            live
        });
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
            until: Timestamp::from_secs(10),
        }
    }

    #[test]
    fn budget_counts_different_uses_and_bounds_repeats() {
        let mut budgets = Budgets::default();
        assert!(budgets.spend(&spend(1)));
        assert_eq!(budgets.spent(&spend(1)), 0, "a repeat is free");
        assert_eq!(budgets.spent(&spend(2)), 1, "another use is not");
        for _ in 1..limits::ADMISSIONS_PER_SIGNATURE {
            assert!(budgets.spend(&spend(1)));
        }
        assert!(!budgets.spend(&spend(1)), "repeated too often");
        budgets.sweep(Timestamp::from_secs(10));
        assert_eq!(budgets.spent(&spend(2)), 1, "still in the window");
        budgets.sweep(Timestamp::from_secs(11));
        assert_eq!(budgets.spent(&spend(2)), 0);
    }

    #[test]
    fn proof_works_once() {
        let mut budgets = Budgets::default();
        let until = Timestamp::from_secs(10);
        assert!(budgets.first_time(Nonce([1; 16]), Nonce([2; 16]), until));
        assert!(!budgets.first_time(Nonce([1; 16]), Nonce([2; 16]), until));
        assert!(budgets.first_time(Nonce([1; 16]), Nonce([3; 16]), until));
        budgets.sweep(Timestamp::from_secs(10));
        assert!(!budgets.first_time(Nonce([1; 16]), Nonce([2; 16]), until));
    }
}
