//! What keyd sealed in this run, kept in case front could not store it.
//!
//! keyd takes a new descriptor as the newest at once. If front dies before its commit, it comes back
//! with the old one, which keyd refuses; the answer to the last batch of its `load` then gives the
//! newest again, for front to store.

use std::collections::{HashMap, VecDeque};

use writ_keyd_client::protocol::Sealed;

use crate::limits;

/// A sealed descriptor and the tokens that go with it.
struct Kept {
    descriptor: Vec<u8>,
    tokens: Vec<Vec<u8>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Unconfirmed {
    kept: HashMap<String, Kept>,
    /// Ids in the order in which they came, to forget the oldest.
    order: VecDeque<String>,
    /// Ids of which front showed an old descriptor.
    lost: VecDeque<String>,
}

impl Unconfirmed {
    /// Keeps what was sealed for `id`.
    pub(crate) fn keep(&mut self, id: String, descriptor: Vec<u8>, tokens: Vec<Vec<u8>>) {
        if self.order.len() >= limits::UNCONFIRMED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        if self.kept.insert(id.clone(), Kept { descriptor, tokens }).is_none() {
            self.order.push_back(id);
        }
    }

    /// Front showed an old descriptor of `id`.
    pub(crate) fn lost(&mut self, id: String) {
        if self.kept.contains_key(&id) && !self.lost.contains(&id) {
            self.lost.push_back(id);
        }
    }

    /// The newest of everything that front has lost: descriptors, and the tokens of those that are
    /// keys, in the order of descriptors and of each one's backing keys. `None` if nothing is lost.
    pub(crate) fn take_lost(&mut self) -> Option<Sealed> {
        let lost = std::mem::take(&mut self.lost);
        let mut sealed = Sealed { descriptors: Vec::new(), tokens: Vec::new(), position: None };
        for kept in lost.iter().filter_map(|id| self.kept.get(id)) {
            sealed.descriptors.push(kept.descriptor.clone());
            sealed.tokens.extend(kept.tokens.iter().cloned());
        }
        (!sealed.descriptors.is_empty()).then_some(sealed)
    }
}
