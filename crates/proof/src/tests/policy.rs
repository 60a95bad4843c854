//! Tests of witness policies.

use super::*;
use crate::ed25519::{Signer as _, SoftKey};
use crate::hash::Hash;
use crate::merkle::tests::{MemoryTiles, leaves};
use crate::receipt::Receipt;

const ORIGIN: &str = "example.com/log";

fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn log() -> VerifierKey {
    VerifierKey::new(ORIGIN, KeyKind::Ed25519, soft(0).public_key()).unwrap()
}

fn witness(n: u8) -> VerifierKey {
    VerifierKey::new(&format!("w{n}.example"), KeyKind::Cosignature, soft(n).public_key()).unwrap()
}

fn note(root: Hash, size: u64, witnesses: &[u8]) -> Note {
    let mut note = Checkpoint::new(ORIGIN, size, root).to_note().unwrap();
    note.add(note.sign(ORIGIN, &soft(0)).unwrap());
    for n in witnesses {
        let time = Timestamp::from_secs(1000 + u64::from(*n));
        note.add(note.cosign(&format!("w{n}.example"), &soft(*n), time).unwrap());
    }
    note
}

fn nested() -> String {
    let mut text = format!("# comment\nlog {} https://log.example/\n", log());
    for n in 1..=6 {
        text.push_str(&format!("witness\tX{n} {}\n", witness(n)));
    }
    text.push_str(
        "group X 2 X1 X2 X3\n  group Y any X4 X5 X6  \ngroup both all X Y\nquorum both\n",
    );
    text
}

#[test]
fn quorum_of_groups_is_counted() {
    let policy = Policy::parse(&nested()).unwrap();
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example/"));
    let check = |witnesses: &[u8]| policy.check(&note(Hash([1; 32]), 9, witnesses));
    for enough in [&[1, 2, 4][..], &[1, 3, 6], &[1, 2, 3, 4, 5, 6]] {
        let satisfied = check(enough).unwrap();
        assert_eq!(satisfied.cosigned.len(), enough.len());
        assert_eq!(satisfied.checkpoint.size, 9);
        let newest = 1000 + u64::from(*enough.iter().max().unwrap());
        assert_eq!(satisfied.newest(), Some(Timestamp::from_secs(newest)));
    }
    for short in [&[][..], &[1, 2], &[1, 2, 3], &[1, 4, 5, 6], &[4, 5, 6]] {
        assert!(matches!(check(short), Err(Error::Unsigned { .. })), "{short:?}");
    }
    // A bad cosignature by a known witness refuses, even where the others would do.
    let mut bad = note(Hash([1; 32]), 9, &[1, 2, 3, 4]);
    let mut line = bad.signatures()[3].clone();
    line.blob[20] ^= 1;
    bad.add(line);
    assert!(matches!(policy.check(&bad), Err(Error::BadSignature { .. })));
}

#[test]
fn log_must_sign_under_its_own_name() {
    let policy = Policy::k_of_n(&log(), &[witness(1), witness(2)], 1).unwrap();
    assert!(policy.check(&note(Hash::ZERO, 1, &[2])).is_ok());
    let mut other = Checkpoint::new("example.com/other", 1, Hash::ZERO).to_note().unwrap();
    other.add(other.sign(ORIGIN, &soft(0)).unwrap());
    assert!(policy.check(&other).is_err());
    let unsigned = Checkpoint::new(ORIGIN, 1, Hash::ZERO).to_note().unwrap();
    assert!(policy.check(&unsigned).is_err());
    let none = Policy::k_of_n(&log(), &[], 0).unwrap();
    assert!(none.check(&note(Hash::ZERO, 1, &[])).is_ok());
    assert!(Policy::k_of_n(&log(), &[witness(1)], 2).is_err());
}

#[test]
fn policy_of_other_forms_is_refused() {
    let base = nested();
    let check = |from: &str, to: &str| {
        let text = base.replacen(from, to, 1);
        assert_ne!(text, base);
        assert!(Policy::parse(&text).is_err(), "{from:?} to {to:?}");
    };
    check("quorum both\n", "");
    check("quorum both", "quorum both\nquorum both");
    check("quorum both", "quorum neither");
    check("quorum both", "quorum both X");
    check("group X 2", "group X 4");
    check("group X 2", "group X 0");
    check("group X 2", "group X 02");
    check("group X 2", "group none 2");
    check("group X 2 X1 X2 X3", "group X 2 X1 X2 X2");
    check("group Y any X4", "group Y any X1");
    check("group Y any X4 X5 X6", "group Y any");
    check("group both all X Y", "group both all X Z");
    check("group both all X Y", "group X all Y");
    check("# comment", "comment");
    check("# comment", "# com\u{7}ment");
    check("# comment", "# com\rment");
    check(&witness(2).to_string(), &witness(1).to_string());
    check(&witness(1).to_string(), &log().to_string());
    check("https://log.example/", "https://log.example/ more");
    let twice = format!("log {}\n{base}", log());
    assert!(Policy::parse(&twice).is_err());
}

#[test]
fn receipt_proves_its_leaf_and_no_other() {
    let all: Vec<Vec<u8>> = (0..300usize).map(|n| n.to_be_bytes().to_vec()).collect();
    let tiles = MemoryTiles::of(&leaves(300));
    let root = crate::merkle::root_at(&tiles, 300).unwrap();
    let receipt = Receipt {
        extra: Some(b"leaf".to_vec()),
        index: 257,
        proof: crate::merkle::inclusion_proof(&tiles, 257, 300).unwrap(),
        checkpoint: note(root, 300, &[1]),
    };
    let bytes = receipt.to_bytes();
    assert!(bytes.starts_with(b"c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 257\n"));
    let receipt = Receipt::from_bytes(&bytes).unwrap();
    assert_eq!(receipt.to_bytes(), bytes);
    let policy = Policy::k_of_n(&log(), &[witness(1)], 1).unwrap();
    assert!(receipt.verify(&all[257], &policy).is_ok());
    assert!(receipt.verify(&all[256], &policy).is_err());
    let strict = Policy::k_of_n(&log(), &[witness(1), witness(2)], 2).unwrap();
    assert!(receipt.verify(&all[257], &strict).is_err());
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("@v1", "@v2"),
        ("index 257", "index 0257"),
        ("index 257\n", ""),
        ("extra bGVhZg==", "extra bGVhZg"),
        ("extra bGVhZg==\nindex 257\n", "index 257\nextra bGVhZg==\n"),
    ] {
        assert!(Receipt::from_bytes(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}
