//! Checkpoints: keyd signs one only if it extends the last one that it signed for the same log.

use std::collections::BTreeMap;

use writ_keyd_client::protocol::{Checkpoint, Refusal};
use writ_proof::checkpoint;
use writ_proof::ed25519::SoftKey;
use writ_proof::hash::Hash;
use writ_proof::merkle;
use writ_proof::origin::{Origin, SiteId};

use crate::head::{HeadLog, HeadRecord, SignedHead};
use crate::locked::Locked;
use crate::refuse::{forbidden, unavailable};

/// The last checkpoint signed for each log.
pub(crate) struct Checkpoints {
    site: SiteId,
    signed: Locked<BTreeMap<String, SignedHead>>,
}

impl Checkpoints {
    /// What the head file remembers.
    pub(crate) fn new(site: SiteId, signed: BTreeMap<String, SignedHead>) -> Checkpoints {
        Checkpoints { site, signed: Locked::new(signed) }
    }

    /// Signs `asked`, after its head is durable.
    pub(crate) fn sign(
        &self,
        asked: &Checkpoint,
        key: &SoftKey,
        log: &dyn HeadLog,
        chain: Option<HeadRecord>,
    ) -> Result<String, Refusal> {
        let origin: Origin =
            asked.origin.parse().map_err(|_| forbidden("the origin is not of our form"))?;
        if origin.site != self.site || !origin.log.is_signed_by_keyd() {
            return Err(forbidden("checkpoints of this log are not signed by the key module"));
        }
        // Held to the end: two checkpoints of one log are never signed side by side.
        let mut signed = self.signed.lock();
        let last = signed.get(&asked.origin);
        if let Some(last) = last {
            extends(last, asked)?;
        }
        let head = SignedHead { origin: asked.origin.clone(), size: asked.size, root: asked.root };
        if last != Some(&head) {
            let records: Vec<_> =
                [Some(HeadRecord::Signed(head.clone())), chain].into_iter().flatten().collect();
            log.append(&records).map_err(|_| unavailable("the head file cannot be written"))?;
            signed.insert(asked.origin.clone(), head);
        }
        note(asked, key).map_err(|_| forbidden("the checkpoint cannot be written as a note"))
    }
}

fn extends(last: &SignedHead, asked: &Checkpoint) -> Result<(), Refusal> {
    let proof: Vec<Hash> = asked.proof.iter().map(|hash| Hash(*hash)).collect();
    let (old, new) = (Hash(last.root), Hash(asked.root));
    merkle::verify_consistency(last.size, asked.size, &old, &new, &proof)
        .map_err(|_| forbidden("the checkpoint does not extend the last one signed for this log"))
}

fn note(asked: &Checkpoint, key: &SoftKey) -> Result<String, writ_proof::Error> {
    let checkpoint = checkpoint::Checkpoint::new(&asked.origin, asked.size, Hash(asked.root));
    let mut note = checkpoint.to_note()?;
    let signature = note.sign(&asked.origin, key)?;
    note.add(signature);
    String::from_utf8(note.to_bytes()).map_err(|_| writ_proof::Error::Signing)
}
