//! What keyd sealed in this run, kept in case front could not store it.
//!
//! keyd takes a new descriptor as the newest at once. If front dies before its commit, or the commit
//! fails, it loads with the old one, which keyd refuses; the answer to the last batch of its `load`
//! then gives the newest again, for front to store. What was new and does not come at all is gone.

use std::collections::{HashMap, HashSet, VecDeque};

use writ_keyd_client::protocol::Sealed;

use crate::limits;

/// A sealed descriptor with what goes with it.
struct Kept {
    descriptor: Vec<u8>,
    tokens: Vec<Vec<u8>>,
    policy: Option<String>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Unconfirmed {
    kept: HashMap<String, Kept>,
    /// Ids in the order in which they came, to forget the oldest.
    order: VecDeque<String>,
    /// Ids of which front showed an old descriptor.
    lost: VecDeque<String>,
    /// Kept ids of which front showed any descriptor in the load that runs.
    shown: HashSet<String>,
}

impl Unconfirmed {
    /// Keeps what was sealed for `id`, with the policy text of a key.
    pub(crate) fn keep(
        &mut self,
        id: String,
        descriptor: Vec<u8>,
        tokens: Vec<Vec<u8>>,
        policy: Option<String>,
    ) {
        if self.kept.insert(id.clone(), Kept { descriptor, tokens, policy }).is_some() {
            // It is the newest now: what is forgotten first must not be what was just sealed.
            self.order.retain(|known| *known != id);
        }
        self.order.push_back(id);
        if self.order.len() > limits::UNCONFIRMED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
    }

    /// Front begins to show what it holds.
    pub(crate) fn begin_load(&mut self) {
        self.shown.clear();
        self.lost.clear();
    }

    /// Front showed a descriptor of `id`.
    pub(crate) fn shown(&mut self, id: String) {
        if self.kept.contains_key(&id) {
            self.shown.insert(id);
        }
    }

    /// Front showed an old descriptor of `id`.
    pub(crate) fn lost(&mut self, id: String) {
        if self.kept.contains_key(&id) && !self.lost.contains(&id) {
            self.lost.push_back(id);
        }
    }

    /// The descriptors of what front did not show at all, which are kept no longer: creations that it
    /// could not store, and deletions that it did.
    pub(crate) fn take_missing(&mut self) -> Vec<Vec<u8>> {
        let shown = std::mem::take(&mut self.shown);
        self.order.retain(|id| shown.contains(id));
        let missing = self.kept.extract_if(|id, _| !shown.contains(id));
        missing.map(|(_, kept)| kept.descriptor).collect()
    }

    /// The newest of what front has lost, at most [`limits::LOST_MAX`]: descriptors, and tokens and
    /// policies of those that are keys, in the order of descriptors and of each one's backing keys.
    /// `None` if nothing is lost.
    pub(crate) fn take_lost(&mut self) -> Option<Sealed> {
        let lost = std::mem::take(&mut self.lost);
        let (descriptors, tokens, policies) = (Vec::new(), Vec::new(), Vec::new());
        let mut sealed = Sealed { descriptors, tokens, position: None, policies };
        for kept in lost.iter().filter_map(|id| self.kept.get(id)).take(limits::LOST_MAX) {
            sealed.descriptors.push(kept.descriptor.clone());
            sealed.tokens.extend(kept.tokens.iter().cloned());
            sealed.policies.extend(kept.policy.clone());
        }
        (!sealed.descriptors.is_empty()).then_some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(unconfirmed: &mut Unconfirmed, id: &str, n: u8) {
        let policy = Some(format!("policy {n}"));
        unconfirmed.keep(id.to_owned(), vec![n], vec![vec![n, n]], policy);
    }

    /// What comes back: descriptors, tokens and policies by the number that each was kept with.
    fn lost(unconfirmed: &mut Unconfirmed) -> Vec<u8> {
        let Some(lost) = unconfirmed.take_lost() else { return Vec::new() };
        let numbers: Vec<u8> = lost.descriptors.iter().map(|bytes| bytes[0]).collect();
        assert_eq!(lost.tokens, numbers.iter().map(|n| vec![*n, *n]).collect::<Vec<_>>());
        assert_eq!(
            lost.policies,
            numbers.iter().map(|n| format!("policy {n}")).collect::<Vec<_>>()
        );
        assert_eq!(lost.position, None);
        numbers
    }

    #[test]
    fn newest_of_what_front_lost_comes_back_once_and_in_order() {
        let mut kept = Unconfirmed::default();
        for (id, n) in [("a", 1), ("b", 2), ("c", 3), ("a", 4)] {
            keep(&mut kept, id, n);
        }
        kept.begin_load();
        for id in ["c", "a", "c", "unknown"] {
            kept.shown(id.to_owned());
            kept.lost(id.to_owned());
        }
        assert_eq!(lost(&mut kept), [3, 4]);
        assert!(kept.take_lost().is_none(), "told once");
        let missing = kept.take_missing();
        assert_eq!(missing, [vec![2]], "b was not shown at all");
        kept.lost("b".to_owned());
        assert!(kept.take_lost().is_none(), "what was missing is kept no longer");
    }

    #[test]
    fn load_that_was_broken_off_says_nothing_of_the_next() {
        let mut kept = Unconfirmed::default();
        keep(&mut kept, "a", 1);
        kept.begin_load();
        kept.shown("a".to_owned());
        kept.lost("a".to_owned());
        kept.begin_load();
        assert!(kept.take_lost().is_none());
        assert_eq!(kept.take_missing(), [vec![1]]);
    }

    #[test]
    fn oldest_are_forgotten_when_too_many_wait() {
        let mut kept = Unconfirmed::default();
        let id = |n: usize| format!("id {n}");
        (0..limits::UNCONFIRMED_MAX).for_each(|n| keep(&mut kept, &id(n), 1));
        // Sealed again, it is the newest.
        keep(&mut kept, &id(0), 2);
        assert_eq!(kept.kept.len(), limits::UNCONFIRMED_MAX);
        keep(&mut kept, "one more", 3);
        assert_eq!(
            (kept.kept.len(), kept.order.len()),
            (limits::UNCONFIRMED_MAX, limits::UNCONFIRMED_MAX)
        );
        assert!(kept.kept.contains_key(&id(0)) && !kept.kept.contains_key(&id(1)));
        (0..limits::LOST_MAX + 2).for_each(|n| kept.lost(id(n)));
        assert_eq!(lost(&mut kept).len(), limits::LOST_MAX);
    }
}
