//! Tests of the frames and messages of managed hosts.

use proptest::prelude::*;
use writ_model::Nonce;

use super::log::{Alarm, Delivered, Entry, Event, Routes, Summary};
use super::*;
use crate::ed25519::SoftKey;

fn frame(seq: u64, payload: Payload) -> Frame {
    Frame {
        v: Version,
        host: "web-1".parse().unwrap(),
        boot: Uuid::from_bytes([1; 16]),
        epoch: 3,
        seq,
        mono_ms: 12,
        wall: Timestamp::from_secs(1_800_000_000),
        source: "sshd".to_owned(),
        class: Class::Security,
        payload,
        signature: None,
    }
}

fn line(text: &[u8]) -> Payload {
    Payload::Line(Line { inode: 7, end: 90, text: text.to_vec(), partial: false })
}

#[test]
fn frame_round_trips_with_each_payload() {
    let report = SourceReport { name: "sshd".to_owned(), fault: Some("no file".to_owned()) };
    let began = Began { version: "1".to_owned(), config: Hash([3; 32]), sources: vec![report] };
    let record = Record { kind: 1300, serial: 9, text: b"syscall=59".to_vec() };
    let gap = Gap { from: 1, to: 3, count: 2, class: Class::Audit, reason: GapReason::Full };
    for payload in [
        Payload::Began(began),
        line(b"Accepted publickey for root"),
        Payload::Record(record),
        Payload::Gap(gap),
        Payload::Canary("t".to_owned()),
        Payload::Note("n".to_owned()),
        Payload::Ended("stop".to_owned()),
    ] {
        let frame = frame(4, payload);
        assert_eq!(Frame::from_bytes(&frame.to_bytes().unwrap()).unwrap(), frame);
    }
}

#[test]
fn frame_beyond_a_limit_is_refused_in_both_directions() {
    let mut nameless = frame(0, line(b"x"));
    nameless.source = "no name".to_owned();
    let long = frame(0, line(&vec![b'x'; limits::HOST_PAYLOAD_MAX_BYTES + 1]));
    let wordy = frame(0, Payload::Note("x".repeat(limits::HOST_TEXT_MAX_BYTES + 1)));
    for frame in [nameless, long, wordy] {
        assert!(frame.to_bytes().is_err());
        assert!(Frame::from_bytes(&cbor::to_vec(&frame)).is_err());
    }
}

#[test]
fn chain_tells_a_changed_frame_from_the_one_that_was_announced() {
    let [first, second] =
        [frame(0, line(b"a")), frame(1, line(b"b"))].map(|f| f.to_bytes().unwrap());
    let start = Position::default();
    let end = start.after(&first).after(&second);
    assert_eq!(end.next_seq, 2);
    let changed = frame(0, line(b"A")).to_bytes().unwrap();
    assert_ne!(start.after(&changed).after(&second), end);
    // What is lost takes its place with the head behind it.
    let class = Class::Audit;
    let head = start.after(&first).head;
    let lost =
        Lost { first: 0, count: 1, class, reason: GapReason::Damaged, head, signature: None };
    assert_eq!(start.behind(&lost).unwrap().after(&second), end);
    assert!(start.behind(&Lost { first: 1, ..lost }).is_err());
    assert!(start.behind(&Lost { count: 0, ..lost }).is_err());
    assert!(start.behind(&Lost { count: u64::MAX, ..lost }).is_ok());
    assert!(start.after(&first).behind(&Lost { first: 1, count: u64::MAX, ..lost }).is_err());
}

#[test]
fn messages_round_trip() {
    let position = Position { next_seq: 4, head: Hash([9; 32]) };
    let welcome = Welcome { epoch: 3, held: position, beat_ms: 1000 };
    let hello = Hello {
        v: Version,
        host: "web-1".parse().unwrap(),
        boot: Uuid::from_bytes([1; 16]),
        epoch: 4,
        instance: Nonce([2; 16]),
        config: Hash([1; 32]),
        end: position,
        acked: Position::default(),
        kept: 1,
        hardening: vec![SourceReport { name: "reader: Landlock".to_owned(), fault: None }],
    };
    hello.check().unwrap();
    let key = SoftKey::from_seed(&[4; 32]).unwrap();
    let config = SignedConfig::sign(hello.host.clone(), 1, "watch = \"w:1\"".to_owned(), &key);
    let audit = AuditState { enabled: 1, pid: 77, lost: 0, rules: Hash([6; 32]) };
    let beat = Beat {
        end: position,
        mono_ms: 5,
        wall: Timestamp::from_secs(9),
        looked_ms: 1,
        spool_bytes: 100,
        spool_max_bytes: 1000,
        dropped: 0,
        sources: vec![SourceBeat { name: "sshd".to_owned(), frames: 3, fault: None }],
        audit: Some(audit),
    };
    beat.check().unwrap();
    for message in [
        FromAgent::Enrol(Enrol {
            v: Version,
            token: [1; 32],
            key: [2; 32],
            proof: [3; 64],
            config: "watch = \"w:1\"".to_owned(),
        }),
        FromAgent::Hello(hello),
        FromAgent::Frames(Frames { from: position, items: vec![Item::Frame(vec![1])] }),
        FromAgent::Beat(beat),
        FromAgent::Bye(Bye { end: position, reason: "reboot".to_owned(), signature: [1; 64] }),
    ] {
        assert_eq!(cbor::from_slice::<FromAgent>(&cbor::to_vec(&message)).unwrap(), message);
    }
    for message in [
        ToAgent::Welcome(welcome.clone()),
        ToAgent::Ack(position),
        ToAgent::Refuse(Refusal::Rebase(welcome)),
        ToAgent::Refuse(Refusal::Other("no".to_owned())),
        ToAgent::Configure(config.unwrap()),
    ] {
        assert_eq!(cbor::from_slice::<ToAgent>(&cbor::to_vec(&message)).unwrap(), message);
    }
    let what = "two roots".to_owned();
    let alarm = Alarm { kind: "fork".to_owned(), host: None, what, key: Some("k".to_owned()) };
    let routes = Routes { file: Some(Hash([1; 32])), channels: vec!["pager".to_owned()] };
    let summary = Summary { day: "2026-11-22".to_owned(), manager: None, message: Hash([2; 32]) };
    for event in [
        Event::Alarm(Alarm { key: None, ..alarm.clone() }),
        Event::Alarm(alarm),
        Event::Delivered(Delivered { entry: 3, channel: "pager".to_owned() }),
        Event::Routes(routes),
        Event::Summary(summary),
    ] {
        let entry = Entry { v: Version, at: Timestamp::from_secs(1), event };
        assert_eq!(Entry::from_bytes(&entry.to_bytes().unwrap()).unwrap(), entry);
    }
}

proptest! {
    #[test]
    fn reading_never_panics_and_is_strict(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = Frame::from_bytes(&bytes) {
            prop_assert_eq!(frame.to_bytes().unwrap(), bytes.clone());
        }
        if let Ok(entry) = Entry::from_bytes(&bytes) {
            prop_assert_eq!(entry.to_bytes().unwrap(), bytes);
        }
    }
}
