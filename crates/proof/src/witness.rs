//! The add-checkpoint request of a witness and what it must answer (C2SP tlog-witness).
//!
//! [`decide`] is the whole judgement, without I/O: the caller persists the new state atomically
//! **before** it answers, and only then signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::merkle;
use crate::note::{Note, VerifierKey};

const WHAT: &str = "add-checkpoint request";

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the log believes the witness last cosigned; 0 for none.
    pub old: u64,
    /// The consistency proof from there, at most 63 hashes.
    pub proof: Vec<Hash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: Note,
}

impl AddCheckpoint {
    /// Reads a body.
    pub fn from_bytes(body: &[u8]) -> Result<AddCheckpoint, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        Error::limit("request bytes", body.len(), limits::NOTE_MAX_BYTES + 4096)?;
        let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, note) =
            text.split_once("\n\n").ok_or_else(|| malformed("it has no blank line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = decimal(old.ok_or_else(|| malformed("it does not begin with `old `"))?)?;
        let mut proof = Vec::new();
        for line in lines {
            Error::limit(
                "consistency proof hashes",
                proof.len() + 1,
                limits::CONSISTENCY_MAX_HASHES,
            )?;
            let hash = STANDARD.decode(line).ok().and_then(|bytes| Hash::from_slice(&bytes));
            proof.push(hash.ok_or_else(|| malformed("a proof line is not 32 bytes in base64"))?);
        }
        Ok(AddCheckpoint { old, proof, checkpoint: Note::from_bytes(note.as_bytes())? })
    }

    /// The body's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("old {}\n", self.old);
        for hash in &self.proof {
            head.push_str(&STANDARD.encode(hash.0));
            head.push('\n');
        }
        head.push('\n');
        let mut body = head.into_bytes();
        body.extend_from_slice(&self.checkpoint.to_bytes());
        body
    }
}

/// What a witness knows of a log: the last checkpoint that it cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitnessState {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// The answer; [`WitnessAnswer::status`] is its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessAnswer {
    /// 400: malformed, or the old size is above the new.
    BadRequest,
    /// 403: no signature by the log's key, or a bad one.
    Forbidden,
    /// 404: a log that this witness does not know.
    UnknownLog,
    /// 409: the old size is not the witness's latest, which is this. The body is the size and a
    /// newline, its media type `text/x.tlog.size`.
    Conflict(u64),
    /// 422: the proof does not hold, or the same size has another root: a fork.
    Unprocessable,
    /// 200: persist this state, then cosign.
    Cosign(WitnessState),
}

impl WitnessAnswer {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            WitnessAnswer::BadRequest => 400,
            WitnessAnswer::Forbidden => 403,
            WitnessAnswer::UnknownLog => 404,
            WitnessAnswer::Conflict(_) => 409,
            WitnessAnswer::Unprocessable => 422,
            WitnessAnswer::Cosign(_) => 200,
        }
    }
}

/// What a witness answers. `key_of` gives the key of a log by its origin; `state_of` what the witness
/// last cosigned for it.
pub fn decide(
    request: &AddCheckpoint,
    key_of: &dyn Fn(&str) -> Option<VerifierKey>,
    state_of: &dyn Fn(&str) -> Option<WitnessState>,
) -> WitnessAnswer {
    let Ok(checkpoint) = Checkpoint::of(&request.checkpoint) else {
        return WitnessAnswer::BadRequest;
    };
    let Some(key) = key_of(&checkpoint.origin) else { return WitnessAnswer::UnknownLog };
    if Checkpoint::verify(&request.checkpoint, &key).is_err() {
        return WitnessAnswer::Forbidden;
    }
    if request.old > checkpoint.size {
        return WitnessAnswer::BadRequest;
    }
    let known = state_of(&checkpoint.origin)
        .unwrap_or(WitnessState { size: 0, root: merkle::empty_root() });
    if request.old != known.size {
        return WitnessAnswer::Conflict(known.size);
    }
    let new = WitnessState { size: checkpoint.size, root: checkpoint.root };
    if new.size == 0 && new.root != merkle::empty_root() {
        return WitnessAnswer::Unprocessable;
    }
    let proven =
        merkle::verify_consistency(known.size, new.size, &known.root, &new.root, &request.proof);
    if proven.is_ok() { WitnessAnswer::Cosign(new) } else { WitnessAnswer::Unprocessable }
}

#[cfg(test)]
#[path = "tests/witness.rs"]
mod tests;
