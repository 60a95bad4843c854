//! The head file: what keyd must remember over a restart, appended and never rewritten.
//!
//! A record is `length u32 BE | first 8 bytes of SHA-256(body) | body (CBOR)`. Records are the last
//! checkpoint signed for each log, the head of the use-record chain, the accounts that have signed
//! something, genesis and the newest statement of the roster. A torn last record, which a crash leaves
//! behind, is ignored; a damaged one before the end stops the start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;

use writ_keyd_client::protocol::{RosterHead, UsePosition};
use writ_model::{AccountId, failpoint};
use writ_proof::hash::sha256;
use writ_proof::{cbor, cbor_enum, cbor_map};

use crate::crypto::take;
use crate::locked::Locked;
use crate::{Error, limits};

const CHECK_BYTES: usize = 8;

/// One record of the head file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadRecord {
    /// A checkpoint that is signed.
    Signed(SignedHead),
    /// The chain of use records, as far as it was when this was written.
    Chain(UsePosition),
    /// The last position that trail has acknowledged.
    Acknowledged(UsePosition),
    /// An account that has signed a request: it never gets a first credential again.
    Account(AccountId),
    /// The digest of the genesis statement of the first start.
    Genesis([u8; 32]),
    /// The newest statement of the roster.
    Roster(RosterHead),
}
cbor_enum!(HeadRecord {
    0: Signed(_),
    1: Chain(_),
    2: Acknowledged(_),
    3: Account(_),
    4: Genesis(_),
    5: Roster(_),
});

/// The last checkpoint signed for one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedHead {
    /// The log.
    pub origin: String,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: [u8; 32],
}
cbor_map!(SignedHead { 1: origin, 2: size, 3: root });

/// What a head file says, the last word on each subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// By origin.
    pub signed: BTreeMap<String, SignedHead>,
    /// The chain's last persisted head.
    pub chain: Option<UsePosition>,
    /// The last acknowledged position.
    pub acknowledged: Option<UsePosition>,
    /// Accounts that have signed a request.
    pub accounts: BTreeSet<AccountId>,
    /// The genesis statement.
    pub genesis: Option<[u8; 32]>,
    /// The newest statement of the roster.
    pub roster: Option<RosterHead>,
    /// Bytes of whole records; what follows is a torn tail.
    pub length: usize,
}

impl Head {
    /// Reads a head file.
    ///
    /// # Errors
    /// A record that is not the last one is damaged.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Head, Error> {
        let mut head = Head::default();
        let mut rest = bytes;
        while let Some((record, after)) = next(rest, head.length)? {
            head.apply(record);
            head.length = bytes.len() - after.len();
            rest = after;
        }
        Ok(head)
    }

    fn apply(&mut self, record: HeadRecord) {
        match record {
            HeadRecord::Signed(signed) => {
                self.signed.insert(signed.origin.clone(), signed);
            }
            HeadRecord::Chain(position) => self.chain = Some(position),
            HeadRecord::Acknowledged(position) => self.acknowledged = Some(position),
            HeadRecord::Account(account) => {
                self.accounts.insert(account);
            }
            HeadRecord::Genesis(digest) => self.genesis = Some(digest),
            HeadRecord::Roster(roster) => self.roster = Some(roster),
        }
    }
}

fn next(rest: &[u8], at: usize) -> Result<Option<(HeadRecord, &[u8])>, Error> {
    let mut input = rest;
    let Some(length) = take::<4>(&mut input) else { return Ok(None) };
    let Some(check) = take::<CHECK_BYTES>(&mut input) else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limits::HEAD_RECORD_MAX_BYTES {
        return Err(Error::HeadDamaged { at });
    }
    let Some((body, after)) = input.split_at_checked(length) else { return Ok(None) };
    let whole = sha256(body).0.starts_with(&check);
    match cbor::from_slice(body) {
        Ok(record) if whole => Ok(Some((record, after))),
        // A crash can leave the last record with its length but not all of its bytes.
        _ if after.is_empty() => Ok(None),
        _ => Err(Error::HeadDamaged { at }),
    }
}

fn frame(record: &HeadRecord) -> Vec<u8> {
    let body = cbor::to_vec(record);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let check = sha256(&body).0;
    let mut bytes = Vec::with_capacity(4 + CHECK_BYTES + body.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend(check.iter().take(CHECK_BYTES));
    bytes.extend_from_slice(&body);
    bytes
}

/// Where heads go.
pub(crate) trait HeadLog: Send + Sync {
    /// Appends `records`; when it returns they are durable.
    ///
    /// # Errors
    /// The disk refused: nothing may be signed that the head does not know.
    fn append(&self, records: &[HeadRecord]) -> std::io::Result<()>;
}

/// The head file, open for appending. After a failed append it refuses all others: what the disk
/// holds is then unknown.
pub(crate) struct HeadFile(Locked<Option<File>>);

impl HeadFile {
    /// Appends to `file`, of which `length` bytes are whole records; cuts a torn tail.
    ///
    /// # Errors
    /// The file cannot be cut or written.
    pub(crate) fn open(mut file: File, length: usize) -> Result<HeadFile, Error> {
        use std::io::{Seek, SeekFrom};
        let length = length as u64;
        file.set_len(length).map_err(Error::io("cutting the head file's torn tail"))?;
        file.seek(SeekFrom::Start(length)).map_err(Error::io("finding the head file's end"))?;
        Ok(HeadFile(Locked::new(Some(file))))
    }
}

impl HeadLog for HeadFile {
    fn append(&self, records: &[HeadRecord]) -> std::io::Result<()> {
        let bytes: Vec<u8> = records.iter().flat_map(frame).collect();
        let mut slot = self.0.lock();
        let mut file =
            slot.take().ok_or_else(|| std::io::Error::other("an append failed before"))?;
        failpoint::hit("keyd.before_head");
        file.write_all(&bytes)?;
        failpoint::hit("keyd.before_head_sync");
        file.sync_data()?;
        failpoint::hit("keyd.after_head");
        *slot = Some(file);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A head that lives in memory.
    #[derive(Default)]
    pub(crate) struct MemoryHead(Locked<Vec<u8>>);

    impl MemoryHead {
        /// The bytes that a head file would hold.
        pub(crate) fn bytes(&self) -> Vec<u8> {
            self.0.lock().clone()
        }
    }

    impl HeadLog for MemoryHead {
        fn append(&self, records: &[HeadRecord]) -> std::io::Result<()> {
            let mut bytes = self.0.lock();
            records.iter().for_each(|record| bytes.extend(frame(record)));
            Ok(())
        }
    }

    fn signed(origin: &str, size: u64) -> HeadRecord {
        HeadRecord::Signed(SignedHead { origin: origin.to_owned(), size, root: [7; 32] })
    }

    fn sample() -> Vec<u8> {
        let log = MemoryHead::default();
        log.append(&[signed("a", 1), signed("b", 2)]).unwrap();
        log.append(&[signed("a", 3)]).unwrap();
        log.bytes()
    }

    #[test]
    fn head_keeps_the_last_word_of_each_log() {
        let bytes = sample();
        let head = Head::parse(&bytes).unwrap();
        assert_eq!(head.length, bytes.len());
        assert_eq!((head.signed["a"].size, head.signed["b"].size), (3, 2));
    }

    #[test]
    fn head_with_a_torn_tail_loses_only_that_record() {
        let bytes = sample();
        let two = Head::parse(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(two.signed["a"].size, 1);
        for cut in 0..bytes.len() {
            let head = Head::parse(&bytes[..cut]).unwrap();
            assert!(head.length <= cut);
        }
        let mut last = bytes.clone();
        *last.last_mut().unwrap() ^= 1;
        assert_eq!(Head::parse(&last).unwrap().signed["a"].size, 1);
    }

    #[test]
    fn head_with_damage_before_the_end_is_refused() {
        let mut bytes = sample();
        bytes[14] ^= 1;
        assert!(matches!(Head::parse(&bytes), Err(Error::HeadDamaged { at: 0 })));
        // What can be read is not always what was written.
        let (bytes, first) = (sample(), frame(&signed("a", 1)).len());
        let second = first + frame(&signed("b", 2)).len();
        for (at, place) in [(0, first - 1), (first, second - 1)] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let found = Head::parse(&changed);
            assert!(
                matches!(found, Err(Error::HeadDamaged { at: found }) if found == at),
                "{place}"
            );
        }
    }

    #[test]
    fn head_record_is_as_long_as_its_limit_and_not_longer() {
        let limit = limits::HEAD_RECORD_MAX_BYTES;
        let body = |name: usize| cbor::to_vec(&signed(&"x".repeat(name), 1)).len();
        let longest = 500 + limit - body(500);
        assert_eq!(body(longest), limit);
        for (name, fits) in [(longest, true), (longest + 1, false), (longest + 2, false)] {
            let bytes = frame(&signed(&"x".repeat(name), 1));
            assert_eq!(Head::parse(&bytes).is_ok_and(|head| head.length == bytes.len()), fits);
            assert_eq!(Head::parse(&bytes).is_err(), !fits, "{name}");
        }
    }

    #[test]
    fn head_file_goes_on_after_a_torn_tail() {
        let file = tempfile::tempfile().unwrap();
        let bytes = sample();
        (&file).write_all(&bytes[..bytes.len() - 3]).unwrap();
        let head = Head::parse(&bytes[..bytes.len() - 3]).unwrap();
        let log = HeadFile::open(file.try_clone().unwrap(), head.length).unwrap();
        log.append(&[signed("c", 9)]).unwrap();
        use std::io::{Read, Seek, SeekFrom};
        let mut all = Vec::new();
        let mut file = file;
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut all).unwrap();
        assert_eq!(Head::parse(&all).unwrap().signed["c"].size, 9);
    }
}
