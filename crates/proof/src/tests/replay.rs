//! Tests of reading a whole log.

use writ_model::{Timestamp, Uuid};

use super::*;
use crate::cbor::{self, Version};
use crate::ed25519::{Signer as _, SoftKey};
use crate::frame::{Frame, Frames, LogFrontier, frame_hash};
use crate::leaf::{Kind, Source};
use crate::use_record::{Boot, UseBatch, What};

fn keyd() -> SoftKey {
    SoftKey::from_seed(&[7; 32]).unwrap()
}

fn entry(record: &[u8], places: &[(LogName, u64)]) -> Entry {
    let leaves = places.iter().map(|(log, seq)| Leaf {
        v: Version,
        seq: *seq,
        time: Timestamp::from_secs(1),
        kind: Kind::Config,
        log: *log,
        event_id: Uuid::from_bytes([1; 16]),
        source: Source::Front,
        commit: None,
        use_position: None,
        rec: crate::hash::sha256(record),
    });
    Entry { record: record.to_vec(), leaves: leaves.map(|leaf| leaf.to_bytes()).collect() }
}

fn uses(boot: u8) -> UseBatch {
    let mut chain = ChainEnd::begin(Uuid::from_bytes([boot; 16]));
    let what = Boot { persisted: None, acknowledged: None, signed: Vec::new() };
    let (bytes, last) = chain.add(Timestamp::from_secs(1), What::Boot(what));
    UseBatch::sign(vec![bytes], 0, last, &keyd()).unwrap()
}

fn account() -> LogName {
    LogName::Account(writ_model::AccountId::from_number(1).unwrap())
}

/// Two batches, the second with a record in two logs, and with what a test did to the second.
fn history(harm: impl Fn(&mut Batch)) -> Vec<u8> {
    let batches = [
        vec![entry(b"a", &[(LogName::Operator, 0)])],
        vec![
            entry(b"b", &[(LogName::Operator, 1), (account(), 0)]),
            entry(b"c", &[(account(), 1)]),
        ],
    ];
    let mut logs: BTreeMap<LogName, Frontier> = BTreeMap::new();
    let mut end = WalEnd::default();
    let mut bytes = Vec::new();
    for (entries, number) in batches.into_iter().zip(0u8..) {
        let mut touched = BTreeSet::new();
        for entry in &entries {
            for leaf in &entry.leaves {
                let log = Leaf::from_bytes(leaf).unwrap().log;
                logs.entry(log).or_default().append(leaf::leaf_hash(leaf));
                touched.insert(log);
            }
        }
        let frontier = |log: LogName| LogFrontier { log, frontier: logs[&log].clone() };
        let mut batch = Batch {
            entries,
            uses: vec![uses(number)],
            statements: Vec::new(),
            frontiers: touched.into_iter().map(frontier).collect(),
        };
        if number == 1 {
            harm(&mut batch);
        }
        let frame = Frame { epoch: 1, first_seq: end.next_seq, prev: end.hash, batch };
        let frame_bytes = frame.to_bytes().unwrap();
        end = WalEnd { epoch: 1, next_seq: frame.next_seq(), hash: frame_hash(&frame_bytes) };
        bytes.extend_from_slice(&frame_bytes);
    }
    bytes
}

fn read(bytes: &[u8]) -> (Replay, Result<(), ReplayError>) {
    let mut replay = Replay::new();
    for located in Frames::new(bytes) {
        let before = replay.clone();
        let accepted = replay.accept(&located.unwrap(), &keyd().public_key());
        if let Err(error) = accepted {
            assert_eq!(replay, before, "a refused frame leaves no trace");
            return (replay, Err(error));
        }
    }
    (replay, Ok(()))
}

#[test]
fn replay_of_an_honest_log_ends_where_the_writer_ended() {
    let (replay, result) = read(&history(|_| {}));
    assert_eq!(result, Ok(()));
    assert_eq!(replay.end().next_seq, 3);
    let sizes: Vec<u64> = replay.logs().values().map(Frontier::size).collect();
    assert_eq!(sizes, [2, 2]);
    assert_eq!(replay.last_use(), Some(uses(1).position()));
    let bytes = cbor::to_vec(&ReplayState::from(&replay));
    let kept: ReplayState = cbor::from_slice(&bytes).unwrap();
    assert_eq!(Replay::from(kept), replay);
}

#[test]
fn replay_refuses_every_harm() {
    type Harm = fn(&mut Batch);
    let harms: [(&str, Harm); 11] = [
        ("a record changed", |b| b.entries[0].record = b"B".to_vec()),
        ("a leaf left out of one log", |b| {
            b.entries[0].leaves.pop();
        }),
        ("an entry left out", |b| {
            b.entries.pop();
        }),
        ("entries swapped", |b| b.entries.swap(0, 1)),
        ("an entry without a leaf", |b| b.entries[0].leaves.clear()),
        ("a leaf twice", |b| {
            let leaf = b.entries[0].leaves[0].clone();
            b.entries[0].leaves.push(leaf);
        }),
        ("leaves of two records in one entry", |b| {
            let leaf = b.entries[1].leaves[0].clone();
            b.entries[0].leaves.push(leaf);
        }),
        ("a frontier left out", |b| {
            b.frontiers.pop();
        }),
        ("another frontier", |b| {
            b.frontiers[0].frontier.append(Hash::ZERO);
        }),
        ("a use record changed", |b| b.uses[0].records[0][5] ^= 1),
        ("the same use records again", |b| b.uses.push(uses(1))),
    ];
    for (name, harm) in harms {
        let (replay, result) = read(&history(harm));
        assert!(matches!(result, Err(ReplayError::Content { .. })), "{name}: {result:?}");
        assert_eq!(replay.end().next_seq, 1, "{name}");
    }
}
