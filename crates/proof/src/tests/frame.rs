//! Tests of the frames of the write-ahead log.

use expect_test::expect;
use proptest::prelude::*;
use writ_model::{AccountId, Timestamp, Uuid};

use super::*;
use crate::cbor::Version;
use crate::ed25519::{Signer as _, SoftKey};
use crate::leaf::{Commit, Kind, Source};
use crate::use_record::{Boot, ChainEnd, UseBatch, What};

fn leaf() -> Leaf {
    Leaf {
        v: Version,
        seq: 5,
        time: Timestamp::from_millis(1_800_000_000_123),
        kind: Kind::Event,
        log: LogName::Account(AccountId::from_number(123_456_789_012).unwrap()),
        event_id: Uuid::from_bytes([1; 16]),
        source: Source::Front,
        commit: Some(Commit {
            epoch: Uuid::from_bytes([2; 16]),
            rev: 300,
            ordinal: 0,
            count: 2,
            replaces: None,
        }),
        use_position: None,
        rec: Hash([3; 32]),
    }
}

fn batch(entries: usize) -> Batch {
    let key = SoftKey::from_seed(&[7; 32]).unwrap();
    let mut chain = ChainEnd::begin(Uuid::from_bytes([9; 16]));
    let boot = Boot { persisted: None, acknowledged: None, signed: Vec::new() };
    let (bytes, last) = chain.add(Timestamp::from_secs(1), What::Boot(boot));
    let mut frontier = Frontier::new();
    frontier.append(Hash([4; 32]));
    Batch {
        entries: (0..entries)
            .map(|n| Entry { record: vec![b'{'; n + 2], leaves: vec![leaf().to_bytes()] })
            .collect(),
        uses: vec![UseBatch::sign(vec![bytes], 0, last, &key).unwrap()],
        statements: vec![b"signed".to_vec()],
        frontiers: vec![LogFrontier { log: LogName::Operator, frontier }],
    }
}

/// `count` chained frames in one segment.
fn segment(count: usize) -> Vec<u8> {
    let mut end = WalEnd::default();
    let mut segment = Vec::new();
    for n in 0..count {
        let frame =
            Frame { epoch: 1, first_seq: end.next_seq, prev: end.hash, batch: batch(n % 3) };
        let bytes = frame.to_bytes().unwrap();
        assert_eq!(Frame::from_bytes(&bytes).unwrap(), frame);
        end = WalEnd { epoch: 1, next_seq: frame.next_seq(), hash: frame_hash(&bytes) };
        segment.extend_from_slice(&bytes);
    }
    segment
}

fn scan(segment: &[u8]) -> (WalEnd, usize, Option<FrameError>) {
    let mut end = WalEnd::default();
    let mut count = 0;
    for located in Frames::new(segment) {
        match located.and_then(|located| end.step(&located)) {
            Ok(()) => count += 1,
            Err(error) => return (end, count, Some(error)),
        }
    }
    (end, count, None)
}

#[test]
fn leaf_format_is_fixed() {
    let mut full = leaf();
    full.use_position = Some(crate::use_record::UsePosition {
        boot: Uuid::from_bytes([5; 16]),
        seq: 70_000,
        hash: Hash([6; 32]),
    });
    expect!["aa01010205031b000001a3185c507b0481000582011b0000001cbe991a1406500101010101010101010101010101010107810008a40150020202020202020202020202020202020219012c0300040209a3015005050505050505050505050505050505021a0001117003582006060606060606060606060606060606060606060606060606060606060606060a58200303030303030303030303030303030303030303030303030303030303030303"].assert_eq(&hex::encode(full.to_bytes()));
    assert_eq!(Leaf::from_bytes(&full.to_bytes()).unwrap(), full);
    let mut other = full.to_bytes();
    assert_eq!(other[2], 1);
    other[2] = 2;
    assert!(Leaf::from_bytes(&other).is_err(), "a version that this build does not know");
}

#[test]
fn frame_format_is_fixed() {
    let frame = Frame { epoch: 3, first_seq: 258, prev: Hash([8; 32]), batch: Batch::default() };
    expect!["0000003f70fea844575254570001000000000000000300000000000001020808080808080808080808080808080808080808080808080808080808080808a40180028003800480"].assert_eq(&hex::encode(frame.to_bytes().unwrap()));
    expect!["6d260aae334aa496439ef61066288920a8f69d7206a4642602796d2490cdfaef"]
        .assert_eq(&frame_hash(&frame.to_bytes().unwrap()).to_string());
    let entries = batch(1);
    expect!["f8bf14782e1b74bc877124e0e262bf142fe9659aa340305503125b1b3a16bb15"]
        .assert_eq(&crate::hash::sha256(&cbor::to_vec(&entries)).to_string());
}

#[test]
fn segment_reads_back() {
    let segment = segment(5);
    let (end, count, error) = scan(&segment);
    assert_eq!((count, error), (5, None));
    assert_eq!(end.next_seq, 1 + 2 + 1);
    assert_eq!(scan(&[]), (WalEnd::default(), 0, None));
}

#[test]
fn segment_cut_anywhere_is_torn_at_its_last_frame() {
    let whole = segment(2);
    let ends: Vec<u64> = Frames::new(&whole).map(|located| located.unwrap().end).collect();
    for length in 0..whole.len() {
        let (_, count, error) = scan(&whole[..length]);
        let complete = ends.iter().filter(|end| **end <= length as u64).count();
        assert_eq!(count, complete, "cut at {length}");
        let at_end = length == 0 || ends.contains(&(length as u64));
        let start = if complete == 0 { 0 } else { ends[complete - 1] };
        let torn = FrameError { at: start, fault: FrameFault::Torn };
        assert_eq!(error, (!at_end).then_some(torn), "cut at {length}");
    }
}

#[test]
fn zeros_after_the_last_frame_are_torn() {
    for zeros in [1, 7, 8, 9, 100] {
        let mut bytes = segment(2);
        let at = bytes.len() as u64;
        bytes.resize(bytes.len() + zeros, 0);
        let (_, count, error) = scan(&bytes);
        assert_eq!(count, 2);
        assert_eq!(error, Some(FrameError { at, fault: FrameFault::Torn }));
    }
}

#[test]
fn every_changed_byte_before_the_last_frame_is_corruption_and_in_it_torn() {
    let whole = segment(3);
    let located: Vec<Located> = Frames::new(&whole).map(Result::unwrap).collect();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let (_, count, error) = scan(&bytes);
        let expected = located.iter().filter(|frame| frame.end <= at as u64).count();
        assert_eq!(count, expected, "byte {at}");
        let error = error.unwrap();
        assert_eq!(error.at, located[expected].at, "byte {at}");
        match (expected, error.fault) {
            (2, FrameFault::Torn) | (0 | 1, FrameFault::Corrupt { .. }) => {}
            (_, fault) => panic!("byte {at}: {fault}"),
        }
    }
}

#[test]
fn frames_out_of_place_break_the_chain() {
    let whole = segment(3);
    let frames: Vec<&[u8]> = Frames::new(&whole)
        .map(Result::unwrap)
        .map(|located| &whole[located.at as usize..located.end as usize])
        .collect();
    for order in [vec![0, 2], vec![1], vec![0, 0], vec![0, 2, 1]] {
        let bytes: Vec<u8> = order.iter().flat_map(|n| frames[*n].to_vec()).collect();
        let (_, _, error) = scan(&bytes);
        assert!(matches!(error.unwrap().fault, FrameFault::Chain { .. }), "{order:?}");
    }
    let mut end = WalEnd { epoch: 2, ..WalEnd::default() };
    let first = Frames::new(&whole).next().unwrap().unwrap();
    assert!(end.step(&first).is_err(), "an older epoch");
}

#[test]
fn frame_of_another_version_is_not_taken_for_torn() {
    let mut bytes = segment(1);
    bytes[13] = 2;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..4]), &bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_be_bytes());
    let (_, _, error) = scan(&bytes);
    assert!(matches!(error.unwrap().fault, FrameFault::Format(Error::Unsupported { .. })));
}

#[test]
fn use_chain_is_checked_as_a_whole() {
    let key = SoftKey::from_seed(&[7; 32]).unwrap();
    let batch = batch(0).uses.remove(0);
    let public = key.public_key();
    let fresh = || ChainEnd::begin(Uuid::from_bytes([9; 16]));
    let mut end = fresh();
    assert_eq!(end.accept(&batch, &public).unwrap().len(), 1);
    assert_eq!(end.hash(), batch.head);
    assert_eq!(batch.positions(Hash::ZERO), [batch.position()]);
    assert!(end.accept(&batch, &public).is_err(), "the same batch again");
    type Harm = fn(&mut UseBatch);
    let harms: [(&str, Harm); 6] = [
        ("a record changed", |b| b.records[0][0] ^= 1),
        ("a record left out", |b| b.records.clear()),
        ("another head", |b| b.head.0[0] ^= 1),
        ("another signature", |b| b.signature[0] ^= 1),
        ("another boot", |b| b.boot = Uuid::from_bytes([8; 16])),
        ("a gap", |b| b.first_seq = 1),
    ];
    for (name, harm) in harms {
        let mut harmed = batch.clone();
        harm(&mut harmed);
        let mut end = fresh();
        assert!(end.accept(&harmed, &public).is_err(), "{name}");
        assert_eq!(end, fresh(), "{name}");
    }
    let other = SoftKey::from_seed(&[6; 32]).unwrap().public_key();
    assert!(fresh().accept(&batch, &other).is_err(), "another key");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Frames::new(&bytes).count() <= 1);
        Frame::from_bytes(&bytes).ok();
        Leaf::from_bytes(&bytes).ok();
        crate::use_record::UseRecord::from_bytes(&bytes).ok();
    }

    #[test]
    fn a_checksummed_frame_of_any_content_is_read_without_panic(
        content in prop::collection::vec(any::<u8>(), 46..300),
    ) {
        let body = [MAGIC.to_vec(), FRAME_VERSION.to_be_bytes().to_vec(), content].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), &body).to_be_bytes();
        let bytes = [length.to_vec(), checksum.to_vec(), body].concat();
        if let Ok(frame) = Frame::from_bytes(&bytes) {
            prop_assert_eq!(frame.to_bytes().unwrap(), bytes);
        }
    }
}
