//! Tests of cosignatures and add-checkpoint requests.

use super::*;
use crate::ed25519::{Signer as _, SoftKey};
use crate::merkle::tests::{MemoryTiles, leaves};
use crate::merkle::{consistency_proof, empty_root, root_at};
use crate::note::KeyKind;

const ORIGIN: &str = "example.com/log";

fn root(size: u64) -> Hash {
    let all = leaves(usize::try_from(size).unwrap());
    root_at(&MemoryTiles::of(&all), size).unwrap()
}

fn key() -> SoftKey {
    SoftKey::from_seed(&[1; 32]).unwrap()
}

fn request(old: u64, size: u64) -> AddCheckpoint {
    let tiles = MemoryTiles::of(&leaves(usize::try_from(size).unwrap()));
    let mut checkpoint = Checkpoint::new(ORIGIN, size, root(size)).to_note().unwrap();
    checkpoint.add(checkpoint.sign(ORIGIN, &key()).unwrap());
    let proof = consistency_proof(&tiles, old, size).unwrap_or_default();
    AddCheckpoint { old, proof, checkpoint }
}

fn answer(request: &AddCheckpoint, known: Option<(u64, Hash)>) -> WitnessAnswer {
    // Through its bytes, as a witness gets it.
    let request = AddCheckpoint::from_bytes(&request.to_bytes()).unwrap();
    let vkey = VerifierKey::new(ORIGIN, KeyKind::Ed25519, key().public_key()).unwrap();
    let keys = |origin: &str| (origin == ORIGIN).then(|| vkey.clone());
    let states = |_: &str| known.map(|(size, root)| WitnessState { size, root });
    decide(&request, &keys, &states)
}

#[test]
fn witness_cosigns_what_extends_its_last() {
    for (old, size) in [(0, 0), (0, 1), (0, 9), (1, 2), (5, 9), (8, 300), (9, 9)] {
        let known = (old > 0).then(|| (old, root(old)));
        let expected = WitnessAnswer::Cosign(WitnessState { size, root: root(size) });
        assert_eq!(answer(&request(old, size), known), expected, "{old} to {size}");
    }
}

#[test]
fn witness_answers_each_refusal_with_its_status() {
    let check = |request: &AddCheckpoint, known, status, why: &str| {
        assert_eq!(answer(request, known).status(), status, "{why}");
    };
    let five = Some((5, root(5)));
    check(&request(10, 9), five, 400, "old above new");
    let mut unsigned = request(5, 9);
    let stranger = SoftKey::from_seed(&[2; 32]).unwrap();
    let line = unsigned.checkpoint.sign(ORIGIN, &stranger).unwrap();
    let plain = Checkpoint::of(&unsigned.checkpoint).unwrap();
    unsigned.checkpoint = plain.to_note().unwrap();
    unsigned.checkpoint.add(line);
    check(&unsigned, five, 403, "signed by another key");
    let mut foreign = request(5, 9);
    foreign.checkpoint = Checkpoint::new("example.com/x", 9, root(9)).to_note().unwrap();
    foreign.checkpoint.add(foreign.checkpoint.sign(ORIGIN, &key()).unwrap());
    check(&foreign, five, 404, "unknown log");
    assert_eq!(answer(&request(4, 9), five), WitnessAnswer::Conflict(5));
    assert_eq!(answer(&request(0, 9), five), WitnessAnswer::Conflict(5));
    assert_eq!(answer(&request(4, 9), None), WitnessAnswer::Conflict(0));
    let mut bad = request(5, 9);
    bad.proof[0].0[0] ^= 1;
    check(&bad, five, 422, "proof changed");
    let mut short = request(5, 9);
    short.proof.pop();
    check(&short, five, 422, "proof cut");
    check(&request(5, 5), Some((5, root(6))), 422, "same size, other root");
    let mut more = request(5, 5);
    more.proof.push(Hash::ZERO);
    check(&more, five, 422, "a proof where none belongs");
    let mut first = request(0, 9);
    first.proof.push(Hash::ZERO);
    check(&first, None, 422, "a proof from nothing");
    let mut empty = request(0, 0);
    empty.checkpoint = Checkpoint::new(ORIGIN, 0, Hash([1; 32])).to_note().unwrap();
    empty.checkpoint.add(empty.checkpoint.sign(ORIGIN, &key()).unwrap());
    check(&empty, None, 422, "the empty tree has one root");
    assert_eq!(root(0), empty_root());
}

#[test]
fn body_of_the_specification_round_trips() {
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let request = AddCheckpoint::from_bytes(body.as_bytes()).unwrap();
    assert_eq!((request.old, request.proof.len()), (20_852_014, 4));
    assert_eq!(request.checkpoint.signatures().len(), 2);
    assert_eq!(request.to_bytes(), body.as_bytes());
    for (from, to) in [
        ("old 2", "old 02"),
        ("old 2", "old  2"),
        ("old 2", "old +2"),
        ("old 2", "new 2"),
        ("old 20852014\n", ""),
        ("PlRNCrwH", "PlRNCr"),
        ("kaw=\n", "kaw= \n"),
        ("kaw=\n", "kaw=\r\n"),
    ] {
        let changed = body.replacen(from, to, 1);
        assert!(AddCheckpoint::from_bytes(changed.as_bytes()).is_err(), "{from:?} to {to:?}");
    }
    let line = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
    let many = |count| body.replacen(line, &line.repeat(count), 1);
    assert!(AddCheckpoint::from_bytes(many(60).as_bytes()).is_ok());
    assert!(AddCheckpoint::from_bytes(many(61).as_bytes()).is_err(), "64 proof lines");
}
