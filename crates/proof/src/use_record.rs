//! keyd's own record of every use of a key, allowed or denied, and the chain that holds them.
//!
//! The records of one boot of keyd form a chain: `h_0 = H(0 ‖ H(record_0))`, `h_i = H(h_{i-1} ‖
//! H(record_i))`, with H = SHA-256. Record 0 of a boot names where the boot before it ended. An event
//! of the ledger carries only `{boot, seq, hash}`, so continuity can be checked without seeing other
//! accounts' records. keyd signs the head once a batch.

use writ_model::{AccountId, Arn, Timestamp, Ulid, UniqueId, Uuid};

use crate::at_most::AtMost;
use crate::cbor::{self, Encode, Version, Writer};
use crate::ed25519::{PublicKey, Signature, Signer};
use crate::error::Error;
use crate::hash::{Hash, sha256, sha256_of};
use crate::leaf::LogHead;
use crate::limits;
use crate::roster::HostName;
use crate::{cbor_enum, cbor_map};

/// The version of the use record that this build writes and reads.
pub const USE_RECORD_VERSION: u64 = 1;

const HEAD_LABEL: &str = "writ-use-head-v1";

/// The place of a record in keyd's chain, with the chain's hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsePosition {
    /// The boot of keyd.
    pub boot: Uuid,
    /// The record's number within the boot, from 0.
    pub seq: u64,
    /// The chain's hash after that record.
    pub hash: Hash,
}
cbor_map!(UsePosition { 1: boot, 2: seq, 3: hash });

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseRecord {
    /// Version 1.
    pub v: Version<USE_RECORD_VERSION>,
    /// The boot of keyd.
    pub boot: Uuid,
    /// Number within the boot, from 0.
    pub seq: u64,
    /// keyd's clock.
    pub time: Timestamp,
    /// What happened.
    pub what: What,
}
cbor_map!(UseRecord { 1: v, 2: boot, 3: seq, 4: time, 5: what });

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// keyd started: record 0 of every boot, and of no other place.
    Boot(Boot),
    /// Somebody asked for a use of a key.
    Use(Box<Use>),
}
cbor_enum!(What { 0: Boot(_), 1: Use(_) });

/// Where the boot before this one ended, as far as keyd knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The last head that keyd had persisted.
    pub persisted: Option<UsePosition>,
    /// The last position that trail had acknowledged.
    pub acknowledged: Option<UsePosition>,
    /// The last checkpoint that keyd had signed of each log.
    pub signed: Vec<LogHead>,
}
cbor_map!(Boot { 1: opt persisted, 2: opt acknowledged, 3: signed });

/// A use of a key, asked for and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The operation, `kms:Decrypt`, or keyd's own command, `ssh_sign`.
    pub op: String,
    /// The key's ARN.
    pub key: Option<Arn>,
    /// Which backing key of it.
    pub backing_key: Option<[u8; 16]>,
    /// On whose authority; absent when nobody could be authenticated.
    pub principal: Option<UsePrincipal>,
    /// What proved that authority.
    pub proof: UseProof,
    /// SHA-256 of the request (SigV4's string to sign).
    pub request: Option<Hash>,
    /// Digest of the encryption context ([`crate::fas::context_digest`]).
    pub context: Option<Hash>,
    /// SHA-256 of the key policy that was evaluated.
    pub policy: Option<Hash>,
    /// The grant that allowed it, by its id.
    pub grant: Option<String>,
    /// What the decision rests on.
    pub basis: Basis,
    /// How it ended.
    pub result: UseResult,
    /// The request id of the reply.
    pub request_id: Uuid,
    /// The event id of the ledger record that will tell of it.
    pub event_id: Uuid,
    /// The services through which it came, in order, by their service principals.
    pub via: Vec<String>,
    /// What an order of a runbook was signed for: the ledger's event must say the same.
    pub run: Option<UseRun>,
}
cbor_map!(Use {
    1: op,
    2: opt key,
    3: opt backing_key,
    4: opt principal,
    5: proof,
    6: opt request,
    7: opt context,
    8: opt policy,
    9: opt grant,
    10: basis,
    11: result,
    12: request_id,
    13: event_id,
    14: via,
    15: opt run,
});

/// The run that an order is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseRun {
    /// Its id.
    pub run: Ulid,
    /// Digest of the catalogue's entry.
    pub entry: Hash,
    /// The host that may run it.
    pub host: HostName,
}
cbor_map!(UseRun { 1: run, 2: entry, 3: host });

/// The principal of a use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsePrincipal {
    /// Its ARN.
    pub arn: Arn,
    /// Its unique id; an account's root and a service have none.
    pub unique_id: Option<UniqueId>,
    /// Its account.
    pub account: AccountId,
}
cbor_map!(UsePrincipal { 1: arn, 2: opt unique_id, 3: account });

/// What proved the principal's authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseProof {
    /// Nothing did (keyd's own scheduled work, or a denied attempt).
    None,
    /// The customer's signature on this very request, by SHA-256 of the signature.
    Signature(Hash),
    /// A forward access session.
    Ticket(TicketProof),
    /// A request for access with its approvals, by SHA-256 of the signed request.
    Request(Hash),
}
cbor_enum!(UseProof { 0: None, 1: Signature(_), 2: Ticket(_), 3: Request(_) });

/// A forward access session as proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketProof {
    /// SHA-256 of the ticket.
    pub ticket: Hash,
    /// The event of the customer's own request.
    pub parent: Uuid,
    /// SHA-256 of the customer's signature on that request.
    pub signature: Hash,
}
cbor_map!(TicketProof { 1: ticket, 2: parent, 3: signature });

/// What a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The key policy leaves the decision to the account's identity policies.
    Delegated,
    /// A KMS grant.
    Grant,
    /// Nothing allowed it, or nothing had to.
    None,
    /// The key policy itself.
    Policy,
    /// People's approvals, under the roster.
    Roster,
}
cbor_enum!(Basis { 0: None, 1: Policy, 2: Grant, 3: Delegated, 4: Roster });

/// How a use ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseResult {
    /// Refused, with the error code.
    Denied(String),
    /// Done.
    Ok,
}
cbor_enum!(UseResult { 0: Ok, 1: Denied(_) });

impl UseRecord {
    /// The record's bytes, over which the chain runs.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Reads a record, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<UseRecord, Error> {
        Error::limit("use record bytes", bytes.len(), limits::USE_RECORD_MAX_BYTES)?;
        let record: UseRecord = cbor::from_slice(bytes)?;
        if (record.seq == 0) == matches!(record.what, What::Boot(_)) {
            Ok(record)
        } else {
            Err(Error::malformed("use record", "record 0 of a boot, and no other, tells of it"))
        }
    }
}

/// The chain's hash after `record`, given its hash before (zero before the first record of a boot).
pub fn chain(before: &Hash, record: &[u8]) -> Hash {
    chain_hash(before, &sha256(record))
}

/// The same for whoever has only the record's SHA-256.
fn chain_hash(before: &Hash, record: &Hash) -> Hash {
    sha256_of(&[&before.0, &record.0])
}

/// What keyd signs for the head of a batch.
pub fn head_message(head: &UsePosition) -> Vec<u8> {
    let mut message = HEAD_LABEL.as_bytes().to_vec();
    message.push(0);
    let mut writer = Writer::default();
    writer.array(3);
    head.boot.encode(&mut writer);
    head.seq.encode(&mut writer);
    head.hash.encode(&mut writer);
    message.extend_from_slice(&writer.into_bytes());
    message
}

/// keyd's side of the chain: it numbers and chains records. It is what keyd keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainEnd {
    boot: Uuid,
    next: u64,
    hash: Hash,
}

impl ChainEnd {
    /// A new boot; the first record to add is its boot record.
    pub fn begin(boot: Uuid) -> ChainEnd {
        ChainEnd { boot, next: 0, hash: Hash::ZERO }
    }

    /// The end of a chain after `position`: what a reader that has checked up to there keeps.
    pub fn after(position: UsePosition) -> ChainEnd {
        ChainEnd { boot: position.boot, next: position.seq.saturating_add(1), hash: position.hash }
    }

    /// Adds a record made at `time`; answers its bytes and its position.
    pub fn add(&mut self, time: Timestamp, what: What) -> (Vec<u8>, UsePosition) {
        let record = UseRecord { v: Version, boot: self.boot, seq: self.next, time, what };
        let bytes = record.to_bytes();
        let position = self.step(&bytes);
        (bytes, position)
    }

    /// Checks a whole batch that must continue exactly here, and steps over it. On an error nothing
    /// is stepped over.
    pub fn accept(&mut self, batch: &UseBatch, key: &PublicKey) -> Result<Vec<UseRecord>, Error> {
        let records = batch.verify(*self, key)?;
        *self = ChainEnd::after(batch.position());
        Ok(records)
    }

    /// The same for a batch of which only some records may be read: the others are `None`.
    pub fn accept_view(
        &mut self,
        view: &UseBatchView,
        key: &PublicKey,
    ) -> Result<Vec<(UsePosition, Option<UseRecord>)>, Error> {
        let records = view.records.0.iter().map(|record| match record {
            ViewedRecord::Hash(hash) => (*hash, None),
            ViewedRecord::Whole(bytes) => (sha256(bytes), Some(bytes.as_slice())),
        });
        let claim = Claim { position: view.position(), first_seq: view.first_seq };
        let records = claim.verify(*self, records, &view.signature, key)?;
        *self = ChainEnd::after(view.position());
        Ok(records)
    }

    /// The boot that the chain belongs to.
    pub fn boot(&self) -> Uuid {
        self.boot
    }

    /// The number of the next record.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The chain's hash so far.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    fn step(&mut self, record: &[u8]) -> UsePosition {
        let hash = chain(&self.hash, record);
        let position = UsePosition { boot: self.boot, seq: self.next, hash };
        *self = ChainEnd::after(position);
        position
    }
}

/// Consecutive records of one boot, with keyd's signature over the chain's hash after the last.
/// keyd streams these to trail, which puts them into the WAL as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseBatch {
    /// The boot of keyd.
    pub boot: Uuid,
    /// The number of the first record.
    pub first_seq: u64,
    /// The records' bytes, at least one.
    pub records: Vec<Vec<u8>>,
    /// The chain's hash after the last record.
    pub head: Hash,
    /// keyd's signature over [`head_message`] of the last position.
    pub signature: Signature,
}
cbor_map!(UseBatch { 1: boot, 2: first_seq, 3: records, 4: head, 5: signature });

impl UseBatch {
    /// Signs `records`, which begin at `first_seq` and end at `last`.
    pub fn sign(
        records: Vec<Vec<u8>>,
        first_seq: u64,
        last: UsePosition,
        key: &dyn Signer,
    ) -> Result<UseBatch, Error> {
        let signature = key.sign(&head_message(&last))?;
        Ok(UseBatch { boot: last.boot, first_seq, records, head: last.hash, signature })
    }

    /// The position of the last record.
    pub fn position(&self) -> UsePosition {
        last_position(self.boot, self.first_seq, self.records.len(), self.head)
    }

    /// What somebody may see of it who may read only the records that `shows` answers true for.
    pub fn viewed(&self, shows: &dyn Fn(&UseRecord) -> bool) -> Result<UseBatchView, Error> {
        let mut records = Vec::with_capacity(self.records.len());
        for bytes in &self.records {
            records.push(match shows(&UseRecord::from_bytes(bytes)?) {
                true => ViewedRecord::Whole(bytes.clone()),
                false => ViewedRecord::Hash(sha256(bytes)),
            });
        }
        let UseBatch { boot, first_seq, head, signature, .. } = *self;
        Ok(UseBatchView { boot, first_seq, records: AtMost(records), head, signature })
    }

    /// The position of each record, given the chain's hash before the first.
    pub fn positions(&self, before: Hash) -> Vec<UsePosition> {
        let mut end = ChainEnd { boot: self.boot, next: self.first_seq, hash: before };
        self.records.iter().map(|record| end.step(record)).collect()
    }

    /// True if the signature is `key`'s over the claimed head. It says nothing about the records.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(&head_message(&self.position()), &self.signature)
    }

    fn verify(&self, end: ChainEnd, key: &PublicKey) -> Result<Vec<UseRecord>, Error> {
        let records = self.records.iter().map(|bytes| (sha256(bytes), Some(bytes.as_slice())));
        let claim = Claim { position: self.position(), first_seq: self.first_seq };
        let records = claim.verify(end, records, &self.signature, key)?;
        Ok(records.into_iter().filter_map(|(_, record)| record).collect())
    }
}

/// A [`UseBatch`] as it is shown to a customer: of other accounts' records only the hashes, over which
/// the chain runs as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseBatchView {
    /// The boot of keyd.
    pub boot: Uuid,
    /// The number of the first record.
    pub first_seq: u64,
    /// The records in order, at least one.
    pub records: AtMost<ViewedRecord, { limits::USE_BATCH_MAX_RECORDS }>,
    /// The chain's hash after the last record.
    pub head: Hash,
    /// keyd's signature over [`head_message`] of the last position.
    pub signature: Signature,
}
cbor_map!(UseBatchView { 1: boot, 2: first_seq, 3: records, 4: head, 5: signature });

/// One record of a [`UseBatchView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewedRecord {
    /// SHA-256 of the record.
    Hash(Hash),
    /// The record's bytes.
    Whole(Vec<u8>),
}
cbor_enum!(ViewedRecord { 0: Hash(_), 1: Whole(_) });

impl UseBatchView {
    /// The position of the last record.
    pub fn position(&self) -> UsePosition {
        last_position(self.boot, self.first_seq, self.records.0.len(), self.head)
    }
}

fn last_position(boot: Uuid, first_seq: u64, count: usize, head: Hash) -> UsePosition {
    let seq = first_seq.saturating_add((count as u64).saturating_sub(1));
    UsePosition { boot, seq, hash: head }
}

/// What a batch says of itself.
struct Claim {
    /// Of its last record.
    position: UsePosition,
    first_seq: u64,
}

impl Claim {
    /// Checks that the records, each by its hash and (where it may be read) its bytes, continue the
    /// chain at `end` up to the claimed position, and that keyd signed it.
    fn verify<'a>(
        &self,
        end: ChainEnd,
        records: impl ExactSizeIterator<Item = (Hash, Option<&'a [u8]>)>,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<Vec<(UsePosition, Option<UseRecord>)>, Error> {
        const WHAT: &str = "use batch";
        Error::limit("use records in a batch", records.len(), limits::USE_BATCH_MAX_RECORDS)?;
        if records.len() == 0 {
            return Err(Error::malformed(WHAT, "it holds no record"));
        }
        let boot = end.boot;
        if self.position.boot != boot || self.first_seq != end.next {
            return Err(Error::malformed(WHAT, "it does not continue the chain"));
        }
        let mut hash = end.hash;
        let mut read = Vec::with_capacity(records.len());
        for ((record_hash, bytes), seq) in records.zip(self.first_seq..) {
            let record = bytes.map(UseRecord::from_bytes).transpose()?;
            if record.as_ref().is_some_and(|r| r.boot != boot || r.seq != seq) {
                return Err(Error::malformed(WHAT, "a record's own position is another"));
            }
            hash = chain_hash(&hash, &record_hash);
            read.push((UsePosition { boot, seq, hash }, record));
        }
        let found = self.position.hash;
        if hash != found {
            let what = "head of the use-record chain";
            return Err(Error::Mismatch { what, expected: hash, found });
        }
        if !key.verifies(&head_message(&self.position), signature) {
            return Err(Error::BadSignature { by: key.to_string() });
        }
        Ok(read)
    }
}

#[cfg(test)]
#[path = "tests/use_record.rs"]
mod tests;
