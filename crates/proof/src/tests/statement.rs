//! Tests of statements and their signatures.

use expect_test::expect;

use super::*;
use crate::ed25519::SoftKey;
use crate::sshsig::SshPublicKey;

#[derive(Debug, PartialEq, Eq)]
struct Note {
    text: String,
}
cbor_map!(Note { 1: text });

impl Statement for Note {
    const NAMESPACE: Namespace = Namespace::Request;
}

#[derive(Debug)]
struct Other {
    text: String,
}
cbor_map!(Other { 1: text });

impl Statement for Other {
    const NAMESPACE: Namespace = Namespace::Approval;
}

fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn signed(keys: &[u8]) -> Signed {
    let mut signed = Signed::new(&Note { text: "please".to_owned() }).unwrap();
    keys.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

#[test]
fn statement_format_is_fixed() {
    let one = signed(&[1]);
    expect!["a10166706c65617365"].assert_eq(&hex::encode(one.body()));
    expect!["732506fce4d5e2c2456cb591f4cfa7c3a9e8fcd0de72538f3af2015d38989d67"]
        .assert_eq(&one.digest().to_string());
    assert_eq!(Signed::from_bytes(&one.to_bytes()).unwrap(), one);
}

#[test]
fn statement_names_its_signers() {
    let (note, signers) = signed(&[1, 2]).verify::<Note>().unwrap();
    assert_eq!(note.text, "please");
    let keys: Vec<_> = signers.iter().map(|signer| signer.key.clone()).collect();
    assert_eq!(keys, [1, 2].map(|n| SshPublicKey::Ed25519(soft(n).public_key().0)));
}

#[test]
fn statement_is_refused_when_anything_is_off() {
    assert!(signed(&[]).verify::<Note>().is_err(), "unsigned");
    assert!(signed(&[1, 1]).verify::<Note>().is_err(), "a key twice");
    assert!(signed(&[1]).verify::<Other>().is_err(), "another kind");
    let mut moved = signed(&[1]);
    moved.namespace = Namespace::Approval;
    assert!(moved.verify::<Other>().is_err(), "a signature of another namespace");
    let mut changed = signed(&[1]);
    let last = changed.body.len() - 1;
    changed.body[last] ^= 1;
    assert!(changed.verify::<Note>().is_err(), "another body");
    let mut half = signed(&[1, 2]);
    half.signatures[1][150] ^= 1;
    assert!(half.verify::<Note>().is_err(), "one bad signature among good ones");
    let foreign = SshSig::sign(b"else", "request@writ", &soft(3)).unwrap();
    assert!(signed(&[1]).add(&foreign).is_err());
}

#[test]
fn namespaces_are_those_of_the_specification() {
    for namespace in Namespace::ALL {
        assert_eq!(namespace.as_str().parse::<Namespace>().unwrap(), *namespace);
        assert!(namespace.as_str().ends_with("@writ"));
    }
    assert!("other@writ".parse::<Namespace>().is_err());
}
