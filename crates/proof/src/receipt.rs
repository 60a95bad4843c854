//! Receipts: one leaf's proof in one file, checkable offline (C2SP tlog-proof).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::merkle;
use crate::note::Note;
use crate::policy::{Policy, Satisfied};

const WHAT: &str = "receipt";
const MAGIC: &str = "c2sp.org/tlog-proof@v1";

/// A receipt; its file has the extension `.tlog-proof`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Opaque data that nothing authenticates: ours is the leaf's bytes.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index.
    pub index: u64,
    /// The inclusion proof, lowest hash first.
    pub proof: Vec<Hash>,
    /// The checkpoint, with the log's signature and cosignatures.
    pub checkpoint: Note,
}

impl Receipt {
    /// Reads a receipt.
    pub fn from_bytes(bytes: &[u8]) -> Result<Receipt, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        Error::limit("receipt bytes", bytes.len(), 3 * limits::NOTE_MAX_BYTES)?;
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, note) =
            text.split_once("\n\n").ok_or_else(|| malformed("it has no blank line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(MAGIC) {
            return Err(malformed("the first line is not that of version 1"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(line) => {
                lines.next();
                Some(STANDARD.decode(line).map_err(|_| malformed("the extra data is not base64"))?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = decimal(index.ok_or_else(|| malformed("it has no index"))?)?;
        let mut proof = Vec::new();
        for line in lines {
            Error::limit("inclusion proof hashes", proof.len() + 1, limits::INCLUSION_MAX_HASHES)?;
            let hash = STANDARD.decode(line).ok().and_then(|bytes| Hash::from_slice(&bytes));
            proof.push(hash.ok_or_else(|| malformed("a proof line is not 32 bytes in base64"))?);
        }
        let checkpoint = Note::from_bytes(note.as_bytes())?;
        Ok(Receipt { extra, index, proof, checkpoint })
    }

    /// The receipt's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{MAGIC}\n");
        if let Some(extra) = &self.extra {
            head.push_str(&format!("extra {}\n", STANDARD.encode(extra)));
        }
        head.push_str(&format!("index {}\n", self.index));
        for hash in &self.proof {
            head.push_str(&format!("{}\n", STANDARD.encode(hash.0)));
        }
        head.push('\n');
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.checkpoint.to_bytes());
        bytes
    }

    /// Checks that `leaf` (its bytes) is in the log under `policy`.
    pub fn verify(&self, leaf: &[u8], policy: &Policy) -> Result<Satisfied, Error> {
        let satisfied = policy.check(&self.checkpoint)?;
        let Checkpoint { size, root, .. } = &satisfied.checkpoint;
        merkle::verify_inclusion(&merkle::leaf_hash(leaf), self.index, *size, &self.proof, root)?;
        Ok(satisfied)
    }
}
