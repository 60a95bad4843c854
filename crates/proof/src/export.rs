//! The account bundle: the history of one account in one file, for a customer who has no access to
//! the ledger's directory (`writ export`, `writ verify --bundle`).
//!
//! ```text
//! magic "WRTB" | version u16 | part | part | … | part
//! part: length u32 | deterministic CBOR of Part
//! ```
//! Integers are big-endian. The parts come in one order: `Begin`; the leaves of the operator log, of
//! the checkpoint log and of the account log, 256 a part; keyd's batches of use records; `End`, with the
//! SHA-256 of everything before it. So a bundle has one form, is read and written in one pass, and
//! nobody needs all of it in memory. Whatever the customer may not read stands there as a hash, which
//! is all that roots and the chain of use records need.
//!
//! This is the codec. It proves nothing: that what a bundle holds belongs together and was signed is
//! for a verifier to find out, as with any other copy of a ledger.

use writ_model::AccountId;

use crate::at_most::AtMost;
use crate::cbor;
use crate::error::Error;
use crate::hash::{Hash, Hasher};
use crate::limits;
use crate::origin::LogName;
use crate::use_record::UseBatchView;
use crate::{cbor_enum, cbor_map};

/// The version of the format that this build writes and reads.
pub const EXPORT_VERSION: u16 = 1;
/// Bytes before the first part.
pub const PREAMBLE_BYTES: usize = 6;
/// Bytes before each part's CBOR.
pub const PREFIX_BYTES: usize = 4;

const MAGIC: &[u8; 4] = b"WRTB";
const WHAT: &str = "account bundle";

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The first: whose it is, and what everything rests on.
    Begin(Box<Begin>),
    /// The last.
    End(End),
    /// Leaves of one log.
    Leaves(Leaves),
    /// Use records of keyd.
    Uses(UseBatchView),
}
cbor_enum!(Part { 0: Begin(_), 1: Leaves(_), 2: Uses(_), 3: End(_) });

/// Whose bundle it is, and what everything rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The account whose log it holds.
    pub account: AccountId,
    /// The signed genesis statement.
    pub genesis: Vec<u8>,
    /// The checkpoint of the checkpoint log, signed and cosigned: a signed note.
    pub checkpoint: Vec<u8>,
    /// The checkpoint of the operator log, signed: a signed note.
    pub operator: Vec<u8>,
}
cbor_map!(Begin { 1: account, 2: genesis, 3: checkpoint, 4: operator });

/// Consecutive leaves of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves {
    /// The log.
    pub log: LogName,
    /// The index of the first.
    pub first: u64,
    /// The leaves: 256, and at least one in the last part of a log.
    pub nodes: AtMost<Node, { limits::EXPORT_PART_MAX_NODES }>,
}
cbor_map!(Leaves { 1: log, 2: first, 3: nodes });

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Its leaf hash alone.
    Hash(Hash),
    /// The leaf with its record.
    Line(Line),
}
cbor_enum!(Node { 0: Hash(_), 1: Line(_) });

/// A leaf with the record that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The leaf's bytes, as they lie in the tree.
    pub leaf: Vec<u8>,
    /// The record's bytes.
    pub record: Vec<u8>,
}
cbor_map!(Line { 1: leaf, 2: record });

/// The end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// SHA-256 of everything before this part: shows damage, and proves nothing.
    pub digest: Hash,
}
cbor_map!(End { 1: digest });

/// What a bundle begins with.
pub fn preamble() -> [u8; PREAMBLE_BYTES] {
    let [a, b, c, d] = *MAGIC;
    let [high, low] = EXPORT_VERSION.to_be_bytes();
    [a, b, c, d, high, low]
}

/// The length of a part's CBOR from its prefix, if a part may be that long.
pub fn part_length(prefix: [u8; PREFIX_BYTES]) -> Result<usize, Error> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    Error::limit("part bytes", length, limits::EXPORT_PART_MAX_BYTES)?;
    Ok(length)
}

/// The sequence of a bundle's parts: writer and readers step through it part by part, so that both
/// hold to one order and one digest.
#[derive(Clone)]
pub struct Sequence {
    stage: Stage,
    account: Option<AccountId>,
    /// Leaves so far of the log of this stage.
    leaves: u64,
    digest: Hasher,
}

/// What came last; in the order of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Preamble,
    Begin,
    Operator,
    Checkpoint,
    Account,
    Uses,
    End,
}

impl Sequence {
    /// Reads the preamble.
    pub fn begin(preamble: &[u8; PREAMBLE_BYTES]) -> Result<Sequence, Error> {
        let [a, b, c, d, version @ ..] = *preamble;
        if [a, b, c, d] != *MAGIC {
            return Err(Error::malformed(WHAT, "it does not begin with the magic of one"));
        }
        let version = u16::from_be_bytes(version);
        if version != EXPORT_VERSION {
            let value = version.to_string();
            return Err(Error::Unsupported { what: "account bundle version", value });
        }
        let mut digest = Hasher::new();
        digest.update(preamble);
        Ok(Sequence { stage: Stage::Preamble, account: None, leaves: 0, digest })
    }

    /// Reads the next part from its CBOR, which must be one that may come here.
    pub fn read(&mut self, body: &[u8]) -> Result<Part, Error> {
        let prefix = prefix(body)?;
        let part: Part = cbor::from_slice(body)?;
        self.step(&part)?;
        self.digest.update(&prefix);
        self.digest.update(body);
        Ok(part)
    }

    /// The bytes of the next part, with its prefix.
    pub fn write(&mut self, part: &Part) -> Result<Vec<u8>, Error> {
        self.step(part)?;
        let body = cbor::to_vec(part);
        let mut bytes = prefix(&body)?.to_vec();
        bytes.extend_from_slice(&body);
        self.digest.update(&bytes);
        Ok(bytes)
    }

    /// The last part of a bundle that has come so far.
    pub fn end(&self) -> Part {
        Part::End(End { digest: self.digest.clone().finish() })
    }

    /// Fails if the last part has not come.
    pub fn finish(&self) -> Result<(), Error> {
        match self.stage {
            Stage::End => Ok(()),
            _ => Err(Error::malformed(WHAT, "it ends before its last part: it was cut")),
        }
    }

    fn step(&mut self, part: &Part) -> Result<(), Error> {
        let malformed = |why| Err(Error::malformed(WHAT, why));
        let stage = match part {
            Part::Begin(_) => Stage::Begin,
            Part::End(_) => Stage::End,
            Part::Leaves(leaves) => match leaves.log {
                LogName::Operator => Stage::Operator,
                LogName::Checkpoint => Stage::Checkpoint,
                LogName::Account(account) if self.account == Some(account) => Stage::Account,
                _ => return malformed("it holds leaves of a log of others"),
            },
            Part::Uses(_) => Stage::Uses,
        };
        let may_repeat = matches!(part, Part::Leaves(_) | Part::Uses(_));
        let is_next = self.stage < stage || (self.stage == stage && may_repeat);
        // The first part is `Begin`, and `Begin` is nowhere else.
        if !is_next || (self.stage == Stage::Preamble) != (stage == Stage::Begin) {
            return malformed("its parts are not in order");
        }
        let fresh = self.stage != stage;
        match part {
            Part::Begin(begin) => self.account = Some(begin.account),
            Part::End(end) if end.digest != self.digest.clone().finish() => {
                return malformed("its content is not what its last part says: it was damaged");
            }
            Part::Leaves(leaves) => self.leaves(leaves, fresh)?,
            Part::End(_) | Part::Uses(_) => {}
        }
        self.stage = stage;
        Ok(())
    }

    /// The parts of a log are full up to the last one.
    fn leaves(&mut self, leaves: &Leaves, fresh: bool) -> Result<(), Error> {
        let count = leaves.nodes.0.len();
        Error::limit("leaves in a part", count, limits::EXPORT_PART_MAX_NODES)?;
        let before = if fresh { 0 } else { self.leaves };
        let is_full = before.is_multiple_of(limits::EXPORT_PART_MAX_NODES as u64);
        if count == 0 || !is_full || leaves.first != before {
            return Err(Error::malformed(WHAT, "leaves are missing, or stand twice"));
        }
        self.leaves = before.saturating_add(count as u64);
        Ok(())
    }
}

fn prefix(body: &[u8]) -> Result<[u8; PREFIX_BYTES], Error> {
    Error::limit("part bytes", body.len(), limits::EXPORT_PART_MAX_BYTES)?;
    Ok(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes())
}

/// Reads a whole bundle from memory and shows each part; a file is read with [`Sequence`].
pub fn read_all(bytes: &[u8], visit: &mut dyn FnMut(Part)) -> Result<(), Error> {
    let cut = || Error::malformed(WHAT, "it ends within a part: it was cut");
    let (preamble, mut rest) = bytes.split_first_chunk::<PREAMBLE_BYTES>().ok_or_else(cut)?;
    let mut sequence = Sequence::begin(preamble)?;
    while !rest.is_empty() {
        let (prefix, after) = rest.split_first_chunk::<PREFIX_BYTES>().ok_or_else(cut)?;
        let (body, after) = after.split_at_checked(part_length(*prefix)?).ok_or_else(cut)?;
        visit(sequence.read(body)?);
        rest = after;
    }
    sequence.finish()
}

#[cfg(test)]
#[path = "tests/export.rs"]
mod tests;
