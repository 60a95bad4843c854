//! Checkpoints: keyd signs one only if it extends the last one that it signed for the same log, and cosigns
//! watch's host log by the same rule.

use std::collections::BTreeMap;

use writ_keyd_client::protocol::{Checkpoint, Refusal};
use writ_model::Timestamp;
use writ_proof::checkpoint;
use writ_proof::ed25519::SoftKey;
use writ_proof::hash::{Hash, sha256};
use writ_proof::merkle;
use writ_proof::note::VerifierKey;
use writ_proof::origin::{Origin, SiteId};
use writ_proof::stream::WitnessReply;
use writ_proof::witness::{AddCheckpoint, WitnessAnswer, WitnessState, decide};

use crate::head::{HeadLog, HeadRecord, SignedHead};
use crate::locked::Locked;
use crate::refuse::{forbidden, unavailable};

/// As whom keyd cosigns, and when.
pub(crate) struct Cosigner<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: &'a SoftKey,
    pub(crate) now: Timestamp,
}

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

impl Checkpoints {
    /// Cosigns the checkpoint of watch's host log in `body`, as a witness answers: 200 with the line, 409 with
    /// the size that was cosigned last, 422 for another tree. The head is durable before the line is made.
    ///
    /// # Errors
    /// The head file cannot be written.
    pub(crate) fn cosign(
        &self,
        body: &[u8],
        host_log: &VerifierKey,
        cosigner: &Cosigner<'_>,
        log: &dyn HeadLog,
        chain: Option<HeadRecord>,
    ) -> Result<WitnessReply, Refusal> {
        let reply = |status, answer| WitnessReply { request: sha256(body), status, body: answer };
        let mut signed = self.signed.lock();
        let last = signed.get(host_log.name());
        let known = last.map(|last| WitnessState { size: last.size, root: Hash(last.root) });
        let Ok(mut request) = AddCheckpoint::from_bytes(body) else {
            return Ok(reply(WitnessAnswer::BadRequest.status(), Vec::new()));
        };
        // An answer may have been lost on its way: the very same once more needs no proof.
        if let Ok(asked) = checkpoint::Checkpoint::of(&request.checkpoint)
            && let Some(known) = known.filter(|k| (k.size, k.root) == (asked.size, asked.root))
        {
            (request.old, request.proof) = (known.size, Vec::new());
        }
        let key_of = |origin: &str| (origin == host_log.name()).then(|| host_log.clone());
        let answer = decide(&request, &key_of, &|_| known);
        let status = answer.status();
        let new = match answer {
            WitnessAnswer::Cosign(new) => new,
            WitnessAnswer::Conflict(size) => {
                return Ok(reply(status, format!("{size}\n").into_bytes()));
            }
            _ => return Ok(reply(status, Vec::new())),
        };
        if known != Some(new) {
            let origin = host_log.name().to_owned();
            let head = SignedHead { origin: origin.clone(), size: new.size, root: new.root.0 };
            let records: Vec<_> =
                [Some(HeadRecord::Signed(head.clone())), chain].into_iter().flatten().collect();
            log.append(&records).map_err(|_| unavailable("the head file cannot be written"))?;
            signed.insert(origin, head);
        }
        let line = request.checkpoint.cosign(cosigner.name, cosigner.key, cosigner.now);
        let line = line.map_err(|_| unavailable("the host log cannot be cosigned"))?;
        Ok(reply(status, line.to_string().into_bytes()))
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
