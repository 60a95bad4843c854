//! What recordings say of themselves in the clear, and the ledger says again.

use writ_model::{Timestamp, Ulid};

use crate::cbor;
use crate::hash::Hash;
use crate::{cbor_enum, cbor_map};

/// How far a recording is. The recorder's key in keyd signs it, and it becomes a record of the
/// operator log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The session's id.
    pub session: Ulid,
    /// The number of the frame that holds this.
    pub seq: u64,
    /// The hash of the frame before that, or of the header.
    pub head: Hash,
    /// The bastion's wall clock.
    pub wall: Timestamp,
    /// Bytes recorded before.
    pub totals: Totals,
}
cbor_map!(Checkpoint { 1: session, 2: seq, 3: head, 4: wall, 5: totals });

/// Bytes of data by direction, as they were before they were sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// From the operator to the host.
    pub to_host: u64,
    /// From the host to the operator.
    pub from_host: u64,
    /// The host's standard error.
    pub errors: u64,
}
cbor_map!(Totals { 1: to_host, 2: from_host, 3: errors });

/// The orderly end of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How far it came.
    pub at: Checkpoint,
    /// Why the session ended.
    pub reason: String,
}
cbor_map!(End { 1: at, 2: reason });

/// The end of a recording whose recorder failed: what a later start found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// How far what verifies came. The wall clock is that of the later start.
    pub at: Checkpoint,
    /// Bytes after it that do not verify, and were put aside.
    pub torn_bytes: u64,
    /// SHA-256 of these bytes.
    pub torn_digest: Hash,
}
cbor_map!(Cut { 1: at, 2: torn_bytes, 3: torn_digest });

/// Any of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A checkpoint.
    Checkpoint(Checkpoint),
    /// The orderly end.
    End(End),
    /// The mark `truncated`.
    Truncated(Cut),
}
cbor_enum!(Mark { 0: Checkpoint(_), 1: End(_), 2: Truncated(_) });

impl Mark {
    /// What keyd signs of a mark begins with this.
    pub const LABEL: &[u8] = b"writ-recording-v1";

    /// What keyd signs of it, with its key of use records.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [Mark::LABEL, &cbor::to_vec(self)].concat()
    }

    /// How far the recording was.
    pub fn at(&self) -> &Checkpoint {
        match self {
            Mark::Checkpoint(at) => at,
            Mark::End(end) => &end.at,
            Mark::Truncated(cut) => &cut.at,
        }
    }
}
