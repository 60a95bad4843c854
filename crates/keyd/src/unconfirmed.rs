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
