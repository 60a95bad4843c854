//! C-04: history cannot be changed, cut or reordered unnoticed; `c04_fork` has those who re-sign it.
//! Each attack is made on a copy of a stopped site's directory; `writ verify` must end with the exit
//! code of its kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use writ_tests::site::{self, ANN};
use writ_tests::{Client, Site, until};

use crate::operations::{Actor, text};

/// A stopped site with a history, and what its customer remembers of it.
struct History {
    site: Site,
    seen: PathBuf,
}

impl History {
    fn make() -> History {
        let mut site = Site::start();
        let root = Actor::root(&site, Client::Boto, ANN);
        let key = text(&root.ok("kms", "CreateKey", json!({})), "/KeyMetadata/KeyId");
        root.ok("s3", "CreateBucket", json!({"Bucket": "safe"}));
        for n in 0..5 {
            root.ok("iam", "CreateUser", json!({"UserName": format!("u{n}")}));
            root.ok("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}));
            root.ok(
                "s3",
                "PutObject",
                json!({"Bucket": "safe", "Key": format!("k{n}"), "Body": "AAAA"}),
            );
        }
        let seen = site.home().join("seen");
        covered(&site, &root, &seen);
        assert!(site.stop().success());
        let verdict = site::verify(site.dir(), site.genesis(), &seen);
        assert_eq!(verdict.code, 0, "the control: {}", verdict.text);
        History { site, seen }
    }

    /// The exit code of `writ verify` after `attack` on a copy, by somebody who saw it before or not.
    fn after(&self, name: &str, remembers: bool, attack: impl FnOnce(&Path)) -> (i32, String) {
        let copy = self.site.home().join(name);
        let status = Command::new("cp").arg("-a").arg(self.site.dir()).arg(&copy).status().unwrap();
        assert!(status.success());
        attack(&copy);
        let seen = self.site.home().join(format!("{name}.seen"));
        if remembers {
            fs::copy(&self.seen, &seen).unwrap();
        }
        let verdict = site::verify(&copy, self.site.genesis(), &seen);
        (verdict.code, verdict.text)
    }
}

/// Waits until a signed and cosigned checkpoint covers everything that happened so far.
fn covered(site: &Site, root: &Actor<'_>, seen: &Path) {
    let last =
        root.clients.call(Client::Boto, &root.who, ("iam", "ListUsers"), &json!({})).unwrap();
    let last = last["ResponseMetadata"]["RequestId"].as_str().unwrap().to_owned();
    site.ledger().of_request(&last);
    let records = site.ledger().events().len();
    until("a checkpoint that covers it", || {
        let verdict = site::verify(site.dir(), site.genesis(), seen);
        let line = verdict.text.lines().find(|line| line.trim_start().starts_with("logs "))?;
        let leaves: usize = line.split(',').nth(1)?.split_whitespace().next()?.parse().ok()?;
        (verdict.code == 0 && leaves >= records).then_some(())
    });
}

/// `logs/writ/SITE/…` of a log: `operator`, `checkpoint`, or `account/…`.
fn log(dir: &Path, name: &str) -> PathBuf {
    let writ = dir.join("trail/logs/writ");
    let site = fs::read_dir(&writ).unwrap().next().unwrap().unwrap().file_name();
    writ.join(site).join(name)
}

fn account() -> String {
    format!("account/{ANN}")
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap_or_else(|_| panic!("no file {}", path.display()));
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Replaces the first `from` by `to`, of one length.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the text");
    bytes[at..at + to.len()].copy_from_slice(to);
}

fn first_file(folder: &Path) -> PathBuf {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let path = paths.into_iter().next().unwrap();
    if path.is_dir() { first_file(&path) } else { path }
}

type Attack = (&'static str, i32, fn(&Path));

/// Several things are wrong after some attacks; the kind with the lowest number is the answer.
const ATTACKS: [Attack; 14] = [
    ("a name in a record is changed", 15, |dir| {
        let path = log(dir, &account()).join("records.dat");
        change(&path, |bytes| replace(bytes, b"\"userName\":\"u3\"", b"\"userName\":\"u9\""));
    }),
    ("a record is cut off", 20, |dir| {
        change(&log(dir, &account()).join("records.dat"), |bytes| bytes.truncate(bytes.len() - 9));
    }),
    ("the records of an account are gone", 20, |dir| {
        fs::remove_file(log(dir, &account()).join("records.dat")).unwrap();
    }),
    ("a leaf is changed", 14, |dir| {
        let path = first_file(&log(dir, &account()).join("tile/entries"));
        change(&path, |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
        });
    }),
    ("a hash in a tile is changed", 14, |dir| {
        change(&first_file(&log(dir, &account()).join("tile/0")), |bytes| bytes[40] ^= 1);
    }),
    ("two hashes in a tile change places", 14, |dir| {
        change(&first_file(&log(dir, &account()).join("tile/0")), |bytes| {
            let (first, rest) = bytes.split_at_mut(32);
            first.swap_with_slice(&mut rest[..32]);
        });
    }),
    ("the log of an account is gone", 20, |dir| {
        fs::remove_dir_all(log(dir, &account())).unwrap();
    }),
    ("the tiles of the operator log are gone", 20, |dir| {
        fs::remove_dir_all(log(dir, "operator").join("tile")).unwrap();
    }),
    ("the checkpoint names another root", 11, |dir| {
        for name in ["checkpoint", "cosigned"] {
            let path = log(dir, "checkpoint").join(name);
            change(&path, |bytes| {
                let line = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0;
                bytes[line + 5] = if bytes[line + 5] == b'A' { b'B' } else { b'A' };
            });
        }
    }),
    ("the checkpoint has no signature of keyd", 11, |dir| {
        for name in ["checkpoint", "cosigned"] {
            let path = log(dir, "checkpoint").join(name);
            change(&path, |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let (body, _) = text.split_once("\n\n").unwrap();
                *bytes = format!("{body}\n\n").into_bytes();
            });
        }
    }),
    ("the witness's cosignature is gone", 12, |dir| {
        for name in ["checkpoint", "cosigned"] {
            let path = log(dir, "checkpoint").join(name);
            change(&path, |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let kept = text
                    .lines()
                    .filter(|line| !(line.starts_with('\u{2014}') && line.contains("/watch ")));
                *bytes = kept.map(|line| format!("{line}\n")).collect::<String>().into_bytes();
            });
        }
    }),
    ("a byte of the write-ahead log is changed", 14, |dir| {
        change(&first_file(&dir.join("trail/wal")), |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
        });
    }),
    ("the write-ahead log is gone", 20, |dir| {
        fs::remove_dir_all(dir.join("trail/wal")).unwrap();
    }),
    ("the genesis is another's", 10, |dir| {
        for path in ["trail/genesis", "genesis"] {
            change(&dir.join(path), |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            });
        }
    }),
];

/// Each attack on its own copy, by somebody who had never looked before.
#[test]
fn c04_every_change_is_found_with_its_exit_code() {
    let history = History::make();
    let mut faults = Vec::new();
    for (number, (what, expected, attack)) in ATTACKS.iter().enumerate() {
        let (code, text) = history.after(&format!("copy{number}"), false, attack);
        println!("exit {code:2}: {what}");
        if code != *expected {
            faults.push(format!("{what}: exit {code} instead of {expected}\n{text}"));
        }
    }
    println!("{} attacks on the history", ATTACKS.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A whole older directory is put back: everything in it is right, but somebody has seen more.
#[test]
fn c04_rollback_is_found_by_whoever_saw_more() {
    let mut site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    root.ok("iam", "CreateUser", json!({"UserName": "early"}));
    let seen = site.home().join("seen");
    let looks = |site: &Site| site::verify(site.dir(), site.genesis(), &seen).code == 0;
    until("a first look", || looks(&site).then_some(()));
    assert!(site.stop().success());
    let old = site.home().join("old");
    let status = Command::new("cp").arg("-a").arg(site.dir()).arg(&old).status().unwrap();
    assert!(status.success());
    let before = site.home().join("seen.before");
    fs::copy(&seen, &before).unwrap();
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    let root = Actor::root(&site, Client::Boto, ANN);
    for n in 0..3 {
        root.ok("iam", "CreateUser", json!({"UserName": format!("late{n}")}));
    }
    until("the customer to see more", || {
        looks(&site);
        (fs::read(&seen).unwrap() != fs::read(&before).unwrap()).then_some(())
    });
    assert!(site.stop().success());
    assert!(looks(&site), "the control");
    // watch keeps its own copy, which the attacker does not have; the customer's memory is enough.
    let verdict = site::verify(&old, site.genesis(), &seen);
    assert_eq!(verdict.code, 13, "{}", verdict.text);
}

/// The digest of genesis comes out of band: another installation's ledger is not this one.
#[test]
fn c04_another_genesis_is_refused() {
    let history = History::make();
    let other = "00".repeat(32);
    let seen = history.site.home().join("other.seen");
    let verdict = site::verify(history.site.dir(), &other, &seen);
    assert_eq!(verdict.code, 10, "{}", verdict.text);
}
