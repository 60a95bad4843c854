//! Tests of the account bundle's codec.

use expect_test::expect;
use writ_model::Uuid;

use super::*;
use crate::use_record::ViewedRecord;

fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

fn leaves(log: LogName, first: u64, count: usize) -> Part {
    let line = Line { leaf: vec![1, 2], record: b"{}".to_vec() };
    let node = |n: usize| match n {
        0 => Node::Line(line.clone()),
        _ => Node::Hash(Hash([3; 32])),
    };
    Part::Leaves(Leaves { log, first, nodes: AtMost((0..count).map(node).collect()) })
}

fn uses() -> Part {
    let records = AtMost(vec![ViewedRecord::Hash(Hash([4; 32])), ViewedRecord::Whole(vec![5])]);
    let boot = Uuid::from_bytes([6; 16]);
    let (head, signature) = (Hash([7; 32]), [8; 64]);
    Part::Uses(UseBatchView { boot, first_seq: 0, records, head, signature })
}

fn begin() -> Part {
    let (genesis, checkpoint, operator) = (vec![1], vec![2], vec![3]);
    Part::Begin(Box::new(Begin { account: account(12), genesis, checkpoint, operator }))
}

/// All parts but the last.
fn parts() -> Vec<Part> {
    let own = LogName::Account(account(12));
    vec![
        begin(),
        leaves(LogName::Operator, 0, 1),
        leaves(LogName::Checkpoint, 0, 256),
        leaves(LogName::Checkpoint, 256, 2),
        leaves(own, 0, 3),
        uses(),
        uses(),
    ]
}

fn write(parts: &[Part]) -> Result<Vec<u8>, Error> {
    let mut bytes = preamble().to_vec();
    let mut sequence = Sequence::begin(&preamble())?;
    for part in parts {
        bytes.extend(sequence.write(part)?);
    }
    bytes.extend(sequence.write(&sequence.end())?);
    Ok(bytes)
}

fn read(bytes: &[u8]) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    read_all(bytes, &mut |part| parts.push(part))?;
    parts.pop();
    Ok(parts)
}

#[test]
fn bundle_round_trips_and_its_format_is_fixed() {
    let bytes = write(&parts()).unwrap();
    assert_eq!(read(&bytes).unwrap(), parts());
    let short = write(&[begin(), leaves(LogName::Operator, 0, 2), uses()]).unwrap();
    expect!["5752544200010000000e8200a4010c02410103410204410300000039"]
        .assert_eq(&hex::encode(&short[..28]));
    expect!["45fe"].assert_eq(&hex::encode(&crate::hash::sha256(&short).0[..2]));
}

#[test]
fn parts_out_of_order_are_neither_written_nor_read() {
    let own = LogName::Account(account(12));
    let other = LogName::Account(account(13));
    let table: [(&str, Vec<Part>); 10] = [
        ("no beginning", vec![leaves(LogName::Operator, 0, 1)]),
        ("two beginnings", vec![begin(), begin()]),
        (
            "another order of logs",
            vec![begin(), leaves(own, 0, 1), leaves(LogName::Operator, 0, 1)],
        ),
        ("leaves after uses", vec![begin(), uses(), leaves(own, 0, 1)]),
        ("another account's log", vec![begin(), leaves(other, 0, 1)]),
        ("watch's log", vec![begin(), leaves(LogName::Host, 0, 1)]),
        ("first leaf missing", vec![begin(), leaves(own, 1, 1)]),
        ("part not full", vec![begin(), leaves(own, 0, 255), leaves(own, 255, 1)]),
        ("leaf twice", vec![begin(), leaves(own, 0, 256), leaves(own, 255, 1)]),
        ("empty part", vec![begin(), leaves(own, 0, 0)]),
    ];
    for (name, parts) in table {
        assert!(write(&parts).is_err(), "{name}");
        // What the writer refuses, a reader refuses as well.
        let mut bytes = preamble().to_vec();
        for part in &parts {
            let body = cbor::to_vec(part);
            bytes.extend(prefix(&body).unwrap());
            bytes.extend(body);
        }
        let error = read(&bytes).unwrap_err().to_string();
        assert!(!error.contains("it was cut"), "{name}: {error}");
    }
    assert!(write(&[begin(), leaves(own, 0, 257)]).is_err());
}

#[test]
fn cut_changed_or_longer_bundle_is_refused() {
    let bytes = write(&parts()).unwrap();
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "cut to {length}");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(read(&changed).is_err(), "byte {at}");
    }
    assert!(read(&[bytes.clone(), vec![0]].concat()).is_err());
    assert!(read(&[bytes.clone(), bytes[6..].to_vec()].concat()).is_err());
}

#[test]
fn newer_version_foreign_file_and_endless_part_are_refused() {
    let mut newer = write(&parts()).unwrap();
    newer[5] = 2;
    let error = read(&newer).unwrap_err().to_string();
    assert_eq!(error, "account bundle version `2` is not supported");
    assert!(read(b"WRTW\0\x01").unwrap_err().to_string().contains("magic"));
    let endless = [&preamble()[..], &[0xff; 4]].concat();
    assert!(matches!(read(&endless).unwrap_err(), Error::TooLarge { .. }));
}
