//! Tests of the spool.

use writ_model::{Timestamp, Uuid};
use writ_proof::cbor::Version;
use writ_proof::hostlog::{Line, Payload};

use super::*;

const CAP: u64 = 1_000_000;
const SEGMENT: u64 = 2_000;

fn frame(seq: u64, class: Class) -> Vec<u8> {
    let text = format!("line {seq}").into_bytes();
    let line = Line { inode: 1, end: seq + 1, text, partial: false };
    let frame = Frame {
        v: Version,
        host: "web-1".parse().unwrap(),
        boot: Uuid::from_bytes([1; 16]),
        epoch: 1,
        seq,
        mono_ms: seq,
        wall: Timestamp::from_secs(1_800_000_000),
        source: "sshd".to_owned(),
        class,
        payload: Payload::Line(line),
        signature: None,
    };
    frame.to_bytes().unwrap()
}

fn open(dir: &Path, cap: u64, acked: Position) -> (Spool, Vec<u64>) {
    let mut seen = Vec::new();
    let (spool, _) = Spool::open(dir, cap, SEGMENT, acked, |frame| seen.push(frame.seq)).unwrap();
    (spool, seen)
}

fn fill(spool: &mut Spool, count: u64, class: Class) {
    for _ in 0..count {
        let seq = spool.end().next_seq;
        spool.append(&[frame(seq, class)]).unwrap();
    }
}

/// Everything from `from` on, as watch would take it in; it must lead to the spool's end.
fn drain(spool: &Spool, from: Position) -> Vec<Item> {
    let (mut reader, lost) = spool.reader(from).unwrap();
    let mut all: Vec<Item> = lost.map(Item::Lost).into_iter().collect();
    loop {
        let items = spool.read(&mut reader, 3_000).unwrap();
        if items.is_empty() {
            break;
        }
        all.extend(items);
    }
    let reached = all.iter().fold(from, |place, item| match item {
        Item::Frame(bytes) => place.after(bytes),
        Item::Lost(lost) => place.behind(lost).unwrap(),
    });
    assert_eq!(reached, spool.end());
    all
}

fn lost_in(items: &[Item]) -> Vec<(u64, u64, GapReason)> {
    let lost = items.iter().filter_map(|item| match item {
        Item::Lost(lost) => Some((lost.first, lost.count, lost.reason)),
        Item::Frame(_) => None,
    });
    lost.collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    disk::replace(path, &bytes, 0o600).unwrap();
}

#[test]
fn spool_goes_on_after_a_restart_and_lets_go_of_what_is_acknowledged() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 50, Class::Security);
    let middle = {
        let (mut reader, _) = spool.reader(Position::default()).unwrap();
        spool.read(&mut reader, 1_000).unwrap();
        reader.place()
    };
    let end = spool.end();
    drop(spool);
    let (mut spool, seen) = open(temp.path(), CAP, middle);
    assert_eq!((spool.end(), seen.len()), (end, 50));
    assert!(lost_in(&drain(&spool, middle)).is_empty());
    let before = numbers(temp.path()).unwrap().len();
    spool.ack(end);
    spool.release().unwrap();
    assert!(before > 2, "{before}");
    assert_eq!(numbers(temp.path()).unwrap().len(), 1);
    assert!(drain(&spool, end).is_empty());
}

#[test]
fn spool_cut_at_every_byte_opens_and_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 3, Class::Security);
    let path = path_of(temp.path(), 0);
    let bytes = std::fs::read(&path).unwrap();
    for end in 0..bytes.len() {
        disk::replace(&path, &bytes[..end], 0o600).unwrap();
        let (mut spool, seen) = open(temp.path(), CAP, Position::default());
        assert!(seen.len() < 3, "{end}");
        fill(&mut spool, 1, Class::Security);
        assert_eq!(drain(&spool, Position::default()).len(), seen.len() + 1, "{end}");
    }
}

#[test]
fn spool_with_a_flipped_bit_loses_that_frame_and_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 5, Class::Security);
    let length = std::fs::metadata(path_of(temp.path(), 0)).unwrap().len();
    // Anywhere within the second entry of five equal ones.
    let entry = (usize::try_from(length).unwrap() - HEADER_BYTES) / 5;
    for at in HEADER_BYTES + entry..HEADER_BYTES + 2 * entry {
        flip(&path_of(temp.path(), 0), at);
        let expected = [(1, 1, GapReason::Damaged)];
        assert_eq!(lost_in(&drain(&spool, Position::default())), expected, "byte {at}, running");
        let (again, _) = open(temp.path(), CAP, Position::default());
        assert_eq!(lost_in(&drain(&again, Position::default())), expected, "byte {at}");
        flip(&path_of(temp.path(), 0), at);
    }
}

#[test]
fn spool_without_a_segment_says_what_is_missing() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 50, Class::Security);
    std::fs::remove_file(path_of(temp.path(), 1)).unwrap();
    let (spool, seen) = open(temp.path(), CAP, Position::default());
    let lost = lost_in(&drain(&spool, Position::default()));
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].1 + seen.len() as u64, 50);
}

#[test]
fn full_spool_gives_up_the_lowest_class_and_never_security() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), 20_000, Position::default());
    for _ in 0..100 {
        fill(&mut spool, 1, Class::Metric);
        fill(&mut spool, 1, Class::Security);
        fill(&mut spool, 1, Class::Audit);
        if !lost_in(&drain(&spool, Position::default())).is_empty() {
            break;
        }
    }
    let classes = |spool: &Spool| -> Vec<Class> {
        let frames = drain(spool, Position::default());
        let class = |item: &Item| match item {
            Item::Frame(bytes) => Some(Frame::from_bytes(bytes).unwrap().class),
            Item::Lost(lost) => {
                assert_ne!(lost.class, Class::Security);
                None
            }
        };
        frames.iter().filter_map(class).collect()
    };
    let count = |spool: &Spool, class| classes(spool).iter().filter(|c| **c == class).count();
    let audits = count(&spool, Class::Audit);
    assert!(count(&spool, Class::Metric) < 5 && audits > 20, "metrics go first");
    // Security alone fills the rest; then its source has to wait.
    let mut kept = count(&spool, Class::Security);
    let refused = loop {
        match spool.append(&[frame(spool.end().next_seq, Class::Security)]) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_no_room());
    assert_eq!(count(&spool, Class::Security), kept);
    assert_eq!(count(&spool, Class::Audit), 0);
    let (again, _) = open(temp.path(), 20_000, Position::default());
    assert_eq!(count(&again, Class::Security), kept);
}

#[test]
fn reader_goes_on_where_it_was_when_the_spool_was_thinned_below_it() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), 20_000, Position::default());
    fill(&mut spool, 60, Class::Audit);
    let (mut reader, _) = spool.reader(Position::default()).unwrap();
    let mut place = Position::default();
    for item in spool.read(&mut reader, 1_000).unwrap() {
        place = after(place, &item);
    }
    fill(&mut spool, 200, Class::Audit);
    loop {
        let items = spool.read(&mut reader, 1_000).unwrap();
        if items.is_empty() {
            break;
        }
        for item in items {
            place = after(place, &item);
        }
    }
    assert_eq!(place, spool.end());
}

#[test]
fn spool_of_an_old_copy_holds_nothing_that_watch_has_not_had() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 5, Class::Security);
    let acked = Position { next_seq: 9, head: writ_proof::Hash([7; 32]) };
    let (again, _) = open(temp.path(), CAP, acked);
    assert!(again.unacknowledged().unwrap().is_empty());
    assert_eq!(again.acked(), spool.end());
}

#[test]
fn segment_numbers_go_beyond_sixteen_bits() {
    let temp = tempfile::tempdir().unwrap();
    let (first, _) = create(temp.path(), (1 << 16) - 1, Position::default()).unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 40, Class::Security);
    assert!(numbers(temp.path()).unwrap().last() > Some(&(1 << 16)));
    let (again, seen) = open(temp.path(), CAP, Position::default());
    assert_eq!((again.end(), seen.len()), (spool.end(), 40));
    assert_eq!(first.number, 65_535);
}

#[test]
fn rebased_spool_begins_behind_what_watch_holds() {
    let temp = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(temp.path(), CAP, Position::default());
    fill(&mut spool, 5, Class::Security);
    let held = Position { next_seq: 90, head: writ_proof::Hash([7; 32]) };
    let kept = spool.unacknowledged().unwrap();
    assert_eq!(kept.len(), 5);
    spool.rebase(held, &[frame(90, Class::Security), frame(91, Class::Security)]).unwrap();
    assert_eq!(spool.end().next_seq, 92);
    assert_eq!(drain(&spool, held).len(), 2);
    let (again, seen) = open(temp.path(), CAP, held);
    assert_eq!((again.end(), seen), (spool.end(), vec![90, 91]));
    // A watch that has lost what it held hears what is missing.
    let earlier = Position { next_seq: 80, head: writ_proof::Hash([6; 32]) };
    assert_eq!(lost_in(&drain(&again, earlier)), [(80, 10, GapReason::Rebased)]);
}
