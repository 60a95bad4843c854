//! Whether every record of every commit is in the ledger.
//!
//! A commit of `count` records gives ordinals 0 to count-1, and revisions of one store epoch have no
//! gap. So whoever sees all logs (an auditor, watch) sees a record that was left out. Records arrive in
//! any order: requests overtake each other on their way to the ledger.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::StoreEpoch;

use crate::error::Error;
use crate::leaf::{Commit, Source};

/// The commits seen so far. The memory that it takes grows with what is missing, not with what is there.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    stores: BTreeMap<(Source, StoreEpoch), Store>,
}

#[derive(Debug, Clone, Default)]
struct Store {
    /// All commits up to this revision are complete.
    complete: u64,
    open: BTreeMap<u64, Open>,
    replaces: Option<StoreEpoch>,
}

#[derive(Debug, Clone)]
struct Open {
    count: u32,
    seen: BTreeSet<u32>,
}

/// A commit of which records are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The channel of the store.
    pub source: Source,
    /// The life of the store.
    pub epoch: StoreEpoch,
    /// The first revision that is missing or incomplete.
    pub first: u64,
    /// The last one: more than `first` only for a run of which nothing at all was seen.
    pub last: u64,
    /// The missing ordinals of a commit of which some records were seen.
    pub ordinals: Vec<u32>,
}

impl Commits {
    /// Nothing seen.
    pub fn new() -> Commits {
        Commits::default()
    }

    /// Notes a record's commit, once for a record however many logs it is in.
    pub fn see(&mut self, source: Source, commit: &Commit) -> Result<(), Error> {
        const WHAT: &str = "commit";
        let Commit { epoch, rev, ordinal, count, replaces } = *commit;
        if rev == 0 || ordinal >= count {
            return Err(Error::malformed(WHAT, "its ordinal, count or revision cannot be"));
        }
        if replaces.is_some() && (rev != 1 || replaces == Some(epoch)) {
            return Err(Error::malformed(WHAT, "only an epoch's first commit replaces another"));
        }
        let store = self.stores.entry((source, epoch)).or_default();
        let open = store.open.entry(rev).or_insert(Open { count, seen: BTreeSet::new() });
        if rev <= store.complete || open.count != count || !open.seen.insert(ordinal) {
            if open.seen.is_empty() {
                store.open.remove(&rev);
            }
            return Err(Error::malformed(WHAT, "a record of it comes twice, or its count changes"));
        }
        store.replaces = store.replaces.or(replaces);
        while let Some(next) = store.complete.checked_add(1) {
            let whole = |open: &Open| open.seen.len() == usize::try_from(open.count).unwrap_or(0);
            if !store.open.get(&next).is_some_and(whole) {
                break;
            }
            store.open.remove(&next);
            store.complete = next;
        }
        Ok(())
    }

    /// Up to which revision everything of a store is there.
    pub fn complete(&self, source: Source, epoch: StoreEpoch) -> u64 {
        self.stores.get(&(source, epoch)).map_or(0, |store| store.complete)
    }

    /// The epoch that `epoch` says it replaces.
    pub fn replaces(&self, source: Source, epoch: StoreEpoch) -> Option<StoreEpoch> {
        self.stores.get(&(source, epoch)).and_then(|store| store.replaces)
    }

    /// What is missing before the newest record of each store. Records that are on their way are
    /// missing too: at the end of a live log a finding means something only if it stays.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        for ((source, epoch), store) in &self.stores {
            let (source, epoch) = (*source, *epoch);
            let mut next = store.complete.saturating_add(1);
            for (rev, open) in &store.open {
                if next < *rev {
                    let last = rev.saturating_sub(1);
                    missing.push(Missing {
                        source,
                        epoch,
                        first: next,
                        last,
                        ordinals: Vec::new(),
                    });
                }
                next = rev.saturating_add(1);
                // Enough to name; a hostile count cannot make the list long.
                let absent = (0..open.count).filter(|ordinal| !open.seen.contains(ordinal));
                let ordinals: Vec<u32> = absent.take(64).collect();
                if !ordinals.is_empty() {
                    missing.push(Missing { source, epoch, first: *rev, last: *rev, ordinals });
                }
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch(n: u8) -> StoreEpoch {
        StoreEpoch::from_bytes([n; 16])
    }

    fn commit(rev: u64, ordinal: u32, count: u32) -> Commit {
        Commit { epoch: epoch(1), rev, ordinal, count, replaces: None }
    }

    #[test]
    fn a_record_left_out_is_named() {
        let mut commits = Commits::new();
        let mut see = |rev, ordinal, count| {
            commits.see(Source::Front, &commit(rev, ordinal, count)).unwrap();
        };
        see(1, 0, 1);
        see(2, 0, 3);
        see(2, 2, 3);
        see(6, 0, 1);
        assert_eq!(commits.complete(Source::Front, epoch(1)), 1);
        let found: Vec<_> =
            commits.missing().into_iter().map(|m| (m.first, m.last, m.ordinals)).collect();
        assert_eq!(found, [(2, 2, vec![1]), (3, 5, vec![])]);
    }

    #[test]
    fn stores_are_counted_apart() {
        let mut commits = Commits::new();
        commits.see(Source::Front, &commit(1, 0, 1)).unwrap();
        commits.see(Source::S3, &commit(1, 0, 1)).unwrap();
        let restored = Commit { epoch: epoch(2), replaces: Some(epoch(1)), ..commit(1, 0, 1) };
        commits.see(Source::Front, &restored).unwrap();
        assert_eq!(commits.replaces(Source::Front, epoch(2)), Some(epoch(1)));
        assert!(commits.missing().is_empty());
    }

    #[test]
    fn commits_that_cannot_be_are_refused() {
        let mut commits = Commits::new();
        commits.see(Source::Front, &commit(1, 0, 1)).unwrap();
        commits.see(Source::Front, &commit(2, 0, 2)).unwrap();
        for bad in [
            commit(0, 0, 1),
            commit(3, 1, 1),
            commit(3, 0, 0),
            commit(1, 0, 1),
            commit(2, 0, 2),
            commit(2, 1, 3),
            Commit { replaces: Some(epoch(3)), ..commit(3, 0, 1) },
            Commit { epoch: epoch(4), replaces: Some(epoch(4)), ..commit(1, 0, 1) },
        ] {
            assert!(commits.see(Source::Front, &bad).is_err(), "{bad:?}");
        }
        assert_eq!(commits.missing().len(), 1, "a refused record leaves no trace");
    }

    proptest! {
        #[test]
        fn any_order_is_complete_and_any_omission_shows(
            counts in prop::collection::vec(1u32..4, 1..12),
            seed in any::<u64>(),
        ) {
            let mut all: Vec<Commit> = (1..).zip(&counts)
                .flat_map(|(rev, count)| (0..*count).map(move |o| commit(rev, o, *count)))
                .collect();
            all.sort_by_key(|c| crate::hash::sha256(&[seed.to_be_bytes().to_vec(), crate::cbor::to_vec(c)].concat()));
            let see = |list: &[Commit]| {
                let mut commits = Commits::new();
                list.iter().for_each(|c| commits.see(Source::S3, c).unwrap());
                commits
            };
            prop_assert!(see(&all).missing().is_empty());
            prop_assert_eq!(see(&all).complete(Source::S3, epoch(1)), counts.len() as u64);
            let lost = all.remove(0);
            let newest = all.iter().map(|c| c.rev).max().unwrap_or(0);
            // What follows the last record that is there cannot be missed from here; the next commit shows it.
            if lost.rev <= newest {
                prop_assert!(!see(&all).missing().is_empty());
            }
        }
    }
}
