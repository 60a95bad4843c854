//! Tests of the chain of roster statements.

use expect_test::expect;

use super::*;
use crate::ed25519::{Signer as _, SoftKey};
use crate::note::KeyKind;
use crate::sshsig::SkFlags;

fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn person(n: u8) -> PersonKey {
    PersonKey { person: format!("p{n}"), key: SshPublicKey::Ed25519(soft(n).public_key().0) }
}

fn rule_of(threshold: u32) -> Rule {
    Rule { namespace: Namespace::Roster, threshold, hardware: false }
}

fn genesis() -> Genesis {
    let public = |n| soft(n).public_key();
    let witness = VerifierKey::new("watch.example", KeyKind::Cosignature, public(106)).unwrap();
    Genesis {
        v: Version,
        site: "site-1".parse().unwrap(),
        created: Timestamp::from_secs(1_800_000_000),
        mode: Mode::Software,
        founders: vec![person(1), person(2), person(3)],
        rules: vec![rule_of(2)],
        keyd: KeydKeys {
            checkpoint: public(101),
            use_records: public(102),
            ssh_ca: public(103),
            run_orders: public(104),
            krl: public(105),
        },
        watch: public(106),
        witnesses: vec![witness.to_string()],
        channel: ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) },
    }
}

fn sign<T: Statement>(statement: &T, keys: &[u8]) -> Signed {
    let mut signed = Signed::new(statement).unwrap();
    keys.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

fn begin() -> (Signed, Roster) {
    let signed = sign(&genesis(), &[1, 2, 3]);
    let (_, roster) = Roster::begin(&signed, Some(signed.digest())).unwrap();
    (signed, roster)
}

fn next(roster: &Roster, change: Change) -> RosterStatement {
    RosterStatement {
        v: Version,
        site: roster.site().clone(),
        seq: roster.seq() + 1,
        prev: roster.head(),
        created: Timestamp::from_secs(1),
        change,
    }
}

#[test]
fn genesis_format_is_fixed() {
    expect!["5c3bb9334dfbb16a5bfbb6273f9b683a2d7c0200b3ecc1ff5c61be323181d9f5"]
        .assert_eq(&sign(&genesis(), &[1, 2, 3]).digest().to_string());
}

#[test]
fn genesis_needs_all_founders_and_nobody_else() {
    let all = sign(&genesis(), &[1, 2, 3]);
    assert_eq!(Genesis::verify(&all, Some(all.digest())).unwrap(), genesis());
    assert!(Genesis::verify(&all, Some(Hash::ZERO)).is_err());
    for keys in [&[1, 2][..], &[1, 2, 4], &[1, 2, 3, 4], &[1, 1, 2, 3], &[]] {
        assert!(Genesis::verify(&sign(&genesis(), keys), None).is_err(), "{keys:?}");
    }
}

#[test]
fn genesis_that_cannot_work_is_refused() {
    type Harm = fn(&mut Genesis);
    let harms: [(&str, Harm); 8] = [
        ("a founder twice", |g| g.founders[2].person = g.founders[1].person.clone()),
        ("a key twice", |g| g.founders[2].key = g.founders[1].key.clone()),
        ("more needed than there are", |g| g.rules = vec![rule_of(4)]),
        ("nobody needed", |g| g.rules = vec![rule_of(0)]),
        ("no rule for the roster", |g| g.rules.clear()),
        ("two rules for one kind", |g| g.rules.push(rule_of(1))),
        ("one key, two purposes", |g| g.keyd.krl = g.keyd.checkpoint),
        ("a witness that is none", |g| g.witnesses.push("x".to_owned())),
    ];
    for (name, harm) in harms {
        let mut harmed = genesis();
        harm(&mut harmed);
        assert!(Genesis::verify(&sign(&harmed, &[1, 2, 3]), None).is_err(), "{name}");
    }
    let mut two = genesis();
    two.founders.pop();
    assert!(Genesis::verify(&sign(&two, &[1, 2]), None).is_err(), "two founders outside dev");
    two.mode = Mode::Dev;
    assert!(Genesis::verify(&sign(&two, &[1, 2]), None).is_ok());
}

#[test]
fn roster_changes_under_the_rules_before_the_change() {
    let (first, mut roster) = begin();
    let mut chain = Vec::new();
    let steps: [(Change, &[u8], bool); 9] = [
        (Change::AddKey(person(4)), &[1], false),
        (Change::AddKey(person(4)), &[1, 4], false),
        (Change::AddKey(person(4)), &[1, 2], true),
        (Change::AddKey(person(4)), &[1, 2], false),
        (Change::SetRule(rule_of(5)), &[1, 4], false),
        (Change::SetRule(rule_of(3)), &[1, 4], true),
        (Change::RemoveKey(person(1)), &[2, 3], false),
        (Change::RemoveKey(person(1)), &[2, 3, 4], true),
        (Change::RemoveKey(person(2)), &[2, 3, 4], false),
    ];
    for (change, keys, holds) in steps {
        let before = roster.clone();
        let signed = sign(&next(&roster, change.clone()), keys);
        let applied = roster.apply(&signed);
        assert_eq!(applied.is_ok(), holds, "{change:?} by {keys:?}: {applied:?}");
        if holds { chain.push(signed) } else { assert_eq!(roster, before) }
    }
    assert_eq!(roster.person(&person(1).key), None);
    assert_eq!(roster.person(&person(4).key), Some("p4"));
    assert_eq!(roster.rule(Namespace::Roster), Some(rule_of(3)));
    let (_, replayed) = Roster::replay(&first, None, &chain).unwrap();
    assert_eq!(replayed, roster);
    assert!(Roster::replay(&first, None, &chain[1..]).is_err(), "one left out");
    chain.swap(0, 1);
    assert!(Roster::replay(&first, None, &chain).is_err(), "two swapped");
}

#[test]
fn a_person_with_two_keys_counts_once() {
    let (_, mut roster) = begin();
    let second = PersonKey { person: "p1".to_owned(), key: person(9).key };
    roster.apply(&sign(&next(&roster, Change::AddKey(second)), &[1, 2])).unwrap();
    assert!(roster.apply(&sign(&next(&roster, Change::AddKey(person(5))), &[1, 9])).is_err());
}

#[test]
fn a_rule_for_hardware_wants_touch_and_verification() {
    let (_, mut roster) = begin();
    let key = SshPublicKey::SkEd25519 { key: [1; 32], application: "ssh:writ".to_owned() };
    let hardware = PersonKey { person: "p1".to_owned(), key: key.clone() };
    roster.apply(&sign(&next(&roster, Change::AddKey(hardware)), &[1, 2])).unwrap();
    let wanted = Rule { namespace: Namespace::Approval, threshold: 1, hardware: true };
    roster.apply(&sign(&next(&roster, Change::SetRule(wanted)), &[1, 2])).unwrap();
    let by = |key: SshPublicKey, flags: Option<u8>| {
        let hardware = flags.map(|flags| SkFlags { flags, counter: 1 });
        roster.permits(Namespace::Approval, &[VerifiedSsh { key, hardware }]).is_ok()
    };
    assert!(by(key.clone(), Some(5)));
    assert!(!by(key.clone(), Some(1)), "touched, not verified");
    assert!(!by(key, Some(4)), "verified, not touched");
    assert!(!by(person(1).key, None), "a software key");
    assert!(roster.permits(Namespace::Review, &[]).is_err(), "a kind without a rule");
}
