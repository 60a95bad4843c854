//! The ledger leaf: what the Merkle trees commit to, and how it names its record.
//!
//! A leaf is small and holds no customer data: the record lies beside the tree and is named by
//! [`Leaf::rec`]. The encoding is deterministic CBOR whose first field is the format's version.

use writ_model::{StoreEpoch, Timestamp, Uuid};

use crate::cbor::{self, Version};
use crate::ed25519::Signature;
use crate::error::Error;
use crate::hash::{Hash, sha256};
use crate::limits;
use crate::merkle;
use crate::origin::{LogName, Origin};
use crate::use_record::UsePosition;
use crate::{cbor_enum, cbor_map, committed};

/// The version of the leaf format that this build writes and reads.
pub const LEAF_VERSION: u64 = 1;

/// One leaf of one log. A record that goes into several logs has a leaf in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Version 1.
    pub v: Version<LEAF_VERSION>,
    /// Index in its own log, from 0.
    pub seq: u64,
    /// When the leaf was sequenced.
    pub time: Timestamp,
    /// What its record is.
    pub kind: Kind,
    /// The log that it lies in.
    pub log: LogName,
    /// The record's event id; the same in every log that the record goes into.
    pub event_id: Uuid,
    /// The channel by which the record came; never what a message claimed.
    pub source: Source,
    /// The store commit that the record belongs to; absent for reads and denials.
    pub commit: Option<Commit>,
    /// The use of a key that the record tells of.
    pub use_position: Option<UsePosition>,
    /// The hash that names the record: [`rec`].
    pub rec: Hash,
}
cbor_map!(Leaf {
    1: v,
    2: seq,
    3: time,
    4: kind,
    5: log,
    6: event_id,
    7: source,
    8: opt commit,
    9: opt use_position,
    10: rec,
});

impl Leaf {
    /// The leaf's bytes, as they lie in entry bundles.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Reads a leaf, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<Leaf, Error> {
        Error::limit("leaf bytes", bytes.len(), limits::LEAF_MAX_BYTES)?;
        Ok(cbor::from_slice(bytes)?)
    }
}

/// The Merkle leaf hash of a leaf's bytes (RFC 6962 section 2.1).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    merkle::leaf_hash(leaf)
}

/// The hash by which a leaf of this kind names `record`: for an event the hash of the JSON record's
/// committed form, for everything else SHA-256 of the record's bytes.
pub fn rec(kind: Kind, record: &[u8]) -> Result<Hash, Error> {
    match kind {
        Kind::Event => committed::commit(&committed::parse(record)?),
        Kind::Boot
        | Kind::Checkpoint
        | Kind::Config
        | Kind::Delivery
        | Kind::Gap
        | Kind::Redacted
        | Kind::Statement => Ok(sha256(record)),
    }
}

/// What a leaf's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A process began or ended: JSON.
    Boot,
    /// The head of another log ([`LogHead`]) or of keyd's chain ([`UseHead`]): CBOR [`Head`].
    Checkpoint,
    /// A setting took effect: JSON.
    Config,
    /// A file was put into a bucket: JSON {key, sha256, first index, last index}.
    Delivery,
    /// A CloudTrail record: JSON.
    Event,
    /// Records are missing, and why: JSON.
    Gap,
    /// Values of an earlier record were destroyed: who, why, when, under which rule: JSON.
    Redacted,
    /// A signed statement: the bytes of [`crate::statement::Signed`].
    Statement,
}
cbor_enum!(Kind {
    0: Event,
    1: Statement,
    2: Delivery,
    3: Redacted,
    4: Gap,
    5: Config,
    6: Checkpoint,
    7: Boot,
});

/// The channel by which something came. Who is at its other end is what the descriptor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The SSH bastion.
    Bastion,
    /// IAM, STS, KMS, CloudTrail and the Writ API.
    Front,
    /// The key module.
    Keyd,
    /// The object gateway.
    S3,
    /// The supervisor.
    Supervisor,
    /// The ledger writer itself.
    Trail,
    /// The security organisation's watch.
    Watch,
}
cbor_enum!(Source { 0: Front, 1: S3, 2: Trail, 3: Keyd, 4: Supervisor, 5: Watch, 6: Bastion });

impl Source {
    /// The lower-case name: `front`, `s3`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Bastion => "bastion",
            Source::Front => "front",
            Source::Keyd => "keyd",
            Source::S3 => "s3",
            Source::Supervisor => "supervisor",
            Source::Trail => "trail",
            Source::Watch => "watch",
        }
    }
}

/// The place of a record in the commits of a store. Of every commit all ordinals 0..count-1 have a
/// leaf, and revisions of one epoch have no gap; so a record left out shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit {
    /// The life of the store that committed.
    pub epoch: StoreEpoch,
    /// The commit's revision.
    pub rev: u64,
    /// The record's place among those of the commit, from 0.
    pub ordinal: u32,
    /// How many records the commit has, at least 1.
    pub count: u32,
    /// In the first commit of an epoch that was opened by a restore: the epoch that it replaces.
    pub replaces: Option<StoreEpoch>,
}
cbor_map!(Commit { 1: epoch, 2: rev, 3: ordinal, 4: count, 5: opt replaces });

/// The record of a [`Kind::Checkpoint`] leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Of another log.
    Log(LogHead),
    /// Of keyd's chain of use records.
    Uses(UseHead),
}
cbor_enum!(Head { 0: Log(_), 1: Uses(_) });

impl Head {
    /// The record's bytes; the leaf's `rec` is their SHA-256.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Reads such a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Head, Error> {
        Ok(cbor::from_slice(bytes)?)
    }
}

/// Size and root of a log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// The log's full name.
    pub origin: Origin,
    /// How many leaves it has.
    pub size: u64,
    /// Its Merkle root.
    pub root: Hash,
}
cbor_map!(LogHead { 1: origin, 2: size, 3: root });

/// The last signed head of keyd's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseHead {
    /// The last record of the chain.
    pub position: UsePosition,
    /// keyd's signature over it ([`crate::use_record::head_message`]).
    pub signature: Signature,
}
cbor_map!(UseHead { 1: position, 2: signature });
