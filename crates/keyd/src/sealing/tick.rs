//! `tick`: what the sealed schedule demands, by keyd's own clock: deletions that are due.

use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor, KeyState};
use writ_keyd_client::protocol::{Refusal, Reply, Sealed};

use crate::engine::Engine;
use crate::narrate;

/// Deletions in one tick.
const DELETIONS_MAX: usize = 64;

impl Engine {
    /// Turns keys whose date has come into tombstones; front drops their tokens.
    pub(crate) fn tick(&self) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let due = self.catalogue.read().due(self.env.now(), DELETIONS_MAX);
        let mut position = None;
        let mut sealed = Vec::new();
        for key in due {
            self.domain.forget(&key.backing_keys);
            let arn = key.arn.clone();
            let revision = key.revision + 1;
            let gone = KeyDescriptor { state: KeyState::Destroyed, revision, ..key };
            let gone = Descriptor::Key(Box::new(gone));
            let bytes = self.seal_new(&gone)?;
            self.unconfirmed.lock().keep(gone.id(), bytes.clone(), Vec::new(), None);
            sealed.push(bytes);
            position = Some(self.record(narrate::own("tick:DestroyKey", Some(arn))));
        }
        let (tokens, policies) = (Vec::new(), Vec::new());
        Ok(Reply::Sealed(Sealed { descriptors: sealed, tokens, position, policies }))
    }
}
