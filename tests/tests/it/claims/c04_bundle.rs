//! C-04 for a customer who has no access to the data directory: the bundle of a real site's account is
//! verified with public keys alone, and refused after each attack on it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use writ_proof::export::{Node, Part, Sequence, preamble, read_all};
use writ_proof::leaf::Head;
use writ_proof::origin::LogName;
use writ_proof::use_record::{UseRecord, ViewedRecord, What};
use writ_tests::site::{self, ANN, BOB, Verdict};
use writ_tests::{Client, Site, until};

use crate::operations::{Actor, text};

/// Names that bob alone knows.
const BOBS: [&str; 3] = ["bobs-colleague", "bobs-bucket", "bobs-purpose"];

/// A stopped site, with an earlier and a later bundle of ann.
struct Bundles {
    site: Site,
    /// Made while everything ran.
    early: PathBuf,
    /// Made after the stop.
    late: PathBuf,
}

impl Bundles {
    fn make() -> Bundles {
        let mut site = Site::start();
        let early = site.home().join("early.writ");
        let ann = Actor::root(&site, Client::Boto, ANN);
        let key = anns_history(&ann, "a");
        bobs_history(&Actor::root(&site, Client::Boto, BOB), &key);
        until("a checkpoint that covers ann's log", || {
            let made = site::export(site.dir(), ANN, &early);
            (made.code == 0).then_some(())
        });
        anns_history(&ann, "b");
        assert!(site.stop().success());
        let late = site.home().join("late.writ");
        let made = site::export(site.dir(), ANN, &late);
        assert_eq!(made.code, 0, "{}", made.text);
        println!("{}", made.text);
        Bundles { site, early, late }
    }

    fn verify(&self, bundle: &Path, seen: &str) -> Verdict {
        let seen = self.site.home().join(seen);
        site::verify_bundle(bundle, ANN, self.site.genesis(), &seen)
    }
}

/// Users, uses of a key that bob may use as well, and objects; answers the key's ARN.
fn anns_history(ann: &Actor<'_>, prefix: &str) -> String {
    let key = text(&ann.ok("kms", "CreateKey", json!({})), "/KeyMetadata/Arn");
    let everybody = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": [format!("arn:aws:iam::{ANN}:root"), format!("arn:aws:iam::{BOB}:root")]},
        "Action": "kms:*", "Resource": "*"}]});
    let policy = json!({"KeyId": key, "PolicyName": "default", "Policy": everybody.to_string()});
    ann.ok("kms", "PutKeyPolicy", policy);
    let bucket = format!("{prefix}-safe");
    ann.ok("s3", "CreateBucket", json!({"Bucket": bucket}));
    for n in 0..4 {
        ann.ok("iam", "CreateUser", json!({"UserName": format!("{prefix}{n}")}));
        ann.ok("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}));
        let put = json!({"Bucket": bucket, "Key": format!("k{n}"), "Body": "AAAA"});
        ann.ok("s3", "PutObject", put);
    }
    ann.refused("iam", "GetUser", json!({"UserName": "nobody"}), "NoSuchEntity");
    key
}

/// What must not be in ann's bundle, and a use of her key that her log tells of.
fn bobs_history(bob: &Actor<'_>, anns_key: &str) {
    bob.ok("iam", "CreateUser", json!({"UserName": BOBS[0]}));
    bob.ok("s3", "CreateBucket", json!({"Bucket": BOBS[1]}));
    bob.ok("kms", "CreateKey", json!({"Description": BOBS[2]}));
    bob.ok("kms", "Encrypt", json!({"KeyId": anns_key, "Plaintext": "AAAA"}));
}

fn parts_of(path: &Path) -> Vec<Part> {
    let mut parts = Vec::new();
    read_all(&fs::read(path).unwrap(), &mut |part| parts.push(part)).unwrap();
    parts.pop();
    parts
}

/// Writes a bundle of these parts, with an end that fits.
fn write(path: &Path, parts: &[Part]) {
    let mut sequence = Sequence::begin(&preamble()).unwrap();
    let mut bytes = preamble().to_vec();
    for part in parts {
        bytes.extend(sequence.write(part).unwrap());
    }
    bytes.extend(sequence.write(&sequence.end()).unwrap());
    fs::write(path, bytes).unwrap();
}

fn own() -> LogName {
    LogName::Account(ANN.parse().unwrap())
}

fn nodes(parts: &mut [Part], log: LogName) -> &mut Vec<Node> {
    let found = parts.iter_mut().find_map(|part| match part {
        Part::Leaves(leaves) if leaves.log == log => Some(&mut leaves.nodes.0),
        _ => None,
    });
    found.unwrap()
}

type Attack = (&'static str, i32, fn(&mut Vec<Part>));

const ATTACKS: [Attack; 8] = [
    ("a name in a record is changed", 15, |parts| {
        let changed = nodes(parts, own()).iter_mut().find_map(|node| match node {
            Node::Line(line) => {
                let record = String::from_utf8(line.record.clone()).unwrap();
                let other = record.replace("\"userName\":\"a3\"", "\"userName\":\"a9\"");
                (other != record).then(|| line.record = other.into_bytes())
            }
            Node::Hash(_) => None,
        });
        changed.expect("a record that names a3");
    }),
    ("two leaves change places", 14, |parts| nodes(parts, own()).swap(3, 4)),
    ("a leaf is left out, its neighbour stands twice", 14, |parts| {
        let nodes = nodes(parts, own());
        nodes[3] = nodes[4].clone();
    }),
    ("the newest leaf is cut", 20, |parts| drop(nodes(parts, own()).pop())),
    ("the heads of the account are withheld", 14, |parts| {
        let is_own = |record: &[u8]| matches!(Head::from_bytes(record), Ok(Head::Log(head)) if head.origin.log == own());
        let lists = parts.iter_mut().filter_map(|part| match part {
            Part::Leaves(leaves) if leaves.log == LogName::Checkpoint => Some(&mut leaves.nodes.0),
            _ => None,
        });
        for node in lists.flatten() {
            if let Node::Line(line) = node
                && is_own(&line.record)
            {
                *node = Node::Hash(writ_proof::leaf::leaf_hash(&line.leaf));
            }
        }
    }),
    ("the checkpoint's signature is gone", 11, |parts| {
        let begin = parts.iter_mut().find_map(|part| match part {
            Part::Begin(begin) => Some(begin),
            _ => None,
        });
        let note = &mut begin.unwrap().checkpoint;
        let text = String::from_utf8(note.clone()).unwrap();
        let kept =
            text.lines().filter(|l| !(l.starts_with('\u{2014}') && l.contains("/checkpoint ")));
        *note = kept.map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    }),
    ("a use record is withheld", 17, |parts| {
        let records = parts.iter_mut().rev().filter_map(|part| match part {
            Part::Uses(batch) => Some(&mut batch.records.0),
            _ => None,
        });
        let is_use = |record: &&mut ViewedRecord| match record {
            ViewedRecord::Whole(bytes) => matches!(UseRecord::from_bytes(bytes).unwrap().what,
                What::Use(used) if used.op == "kms:Encrypt"),
            ViewedRecord::Hash(_) => false,
        };
        let record = records.flatten().find(is_use).expect("a use of ann's");
        if let ViewedRecord::Whole(bytes) = &record {
            *record = ViewedRecord::Hash(writ_proof::hash::sha256(bytes));
        }
    }),
    ("keyd's newest records are cut", 17, |parts| {
        let last = parts.iter().rposition(|part| matches!(part, Part::Uses(_))).unwrap();
        parts.remove(last);
    }),
];

#[test]
fn c04_bundle_of_an_account_is_verified_offline_and_attacked() {
    let bundles = Bundles::make();
    let verdict = bundles.verify(&bundles.early, "seen");
    assert_eq!(verdict.code, 0, "made while it ran: {}", verdict.text);
    let verdict = bundles.verify(&bundles.late, "seen");
    assert_eq!(verdict.code, 0, "made after the stop: {}", verdict.text);
    println!("{}", verdict.text);
    let verdict = bundles.verify(&bundles.early, "seen");
    assert_eq!(verdict.code, 13, "the older one afterwards: {}", verdict.text);
    is_whole_and_holds_nothing_of_bob(&bundles);

    let attacked = bundles.site.home().join("attacked.writ");
    let honest = parts_of(&bundles.late);
    for (number, (what, code, attack)) in ATTACKS.iter().enumerate() {
        write(&attacked, &honest);
        let verdict = bundles.verify(&attacked, &format!("seen{number}.control"));
        assert_eq!(verdict.code, 0, "the control of `{what}`: {}", verdict.text);
        let mut parts = honest.clone();
        attack(&mut parts);
        write(&attacked, &parts);
        let verdict = bundles.verify(&attacked, &format!("seen{number}"));
        println!("exit {:2}: {what}", verdict.code);
        assert_eq!(verdict.code, *code, "{what}: {}", verdict.text);
    }
    println!("{} attacks on a bundle", ATTACKS.len());

    let genesis = "00".repeat(32);
    let seen = bundles.site.home().join("seen.other");
    let verdict = site::verify_bundle(&bundles.late, ANN, &genesis, &seen);
    assert_eq!(verdict.code, 10, "another genesis: {}", verdict.text);
    let verdict = site::verify_bundle(&bundles.late, BOB, bundles.site.genesis(), &seen);
    assert_eq!(verdict.code, 14, "passed off as bob's: {}", verdict.text);
    let again = site::export(bundles.site.dir(), ANN, &bundles.late);
    assert_eq!(again.code, 1, "the file exists");
    assert!(again.text.contains("--overwrite"), "{}", again.text);
}

/// Every event of ann's log is there, and no word of bob's.
fn is_whole_and_holds_nothing_of_bob(bundles: &Bundles) {
    let events = bundles.site.ledger().events();
    let anns = events.iter().filter(|event| event.log == ANN).count();
    let mut parts = parts_of(&bundles.late);
    let held: Vec<Value> = nodes(&mut parts, own())
        .iter()
        .filter_map(|node| match node {
            Node::Line(line) => serde_json::from_slice(&line.record).ok(),
            Node::Hash(_) => None,
        })
        .collect();
    assert_eq!(held.len(), anns);
    let by_bob = |record: &&Value| record["userIdentity"]["accountId"] == BOB;
    assert_eq!(held.iter().filter(by_bob).count(), 1, "ann sees that bob used her key");
    let bytes = fs::read(&bundles.late).unwrap();
    let holds = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(holds("\"userName\":\"a3\""), "the control: ann's names are there");
    let theirs: Vec<_> = events.iter().filter(|event| event.log == BOB).collect();
    assert!(theirs.len() >= 4, "the control: bob did something");
    for event in theirs {
        let record = event.record.to_string();
        assert!(!holds(event.text("/eventID")), "an event of bob's: {record}");
    }
    for word in BOBS {
        assert!(events.iter().any(|e| e.record.to_string().contains(word)), "the control: {word}");
        assert!(!holds(word), "bob's word `{word}` is in ann's bundle");
    }
    println!("{anns} records of ann, {} bytes", bytes.len());
}
