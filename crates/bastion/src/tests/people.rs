//! A roster of one founder, `anna`, and what she may do on the one host: for tests, also the integration tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use writ_keyd_client::operator::Evidence;
use writ_model::{Timestamp, Ulid};
use writ_proof::access::{FileRule, Grant, SshScope};
use writ_proof::at_most::AtMost;
use writ_proof::cbor::Version;
use writ_proof::ed25519::{PublicKey, Signer as _, SoftKey};
use writ_proof::hash::Hash;
use writ_proof::roster::{ChannelPins, Genesis, KeydKeys, Mode, PersonKey, Roster, Rule};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed};

/// The key of this number; `anna`'s is 1.
pub(crate) fn soft(number: u8) -> SoftKey {
    SoftKey::from_seed(&[number; 32]).unwrap()
}

pub(crate) fn public(number: u8) -> PublicKey {
    soft(number).public_key()
}

pub(crate) fn ssh_key(number: u8) -> SshPublicKey {
    SshPublicKey::Ed25519(public(number).0)
}

/// What genesis begins.
pub(crate) fn roster() -> Roster {
    let key = ssh_key(1);
    let genesis = Genesis {
        v: Version,
        site: "test".parse().unwrap(),
        created: Timestamp::from_secs(1_700_000_000),
        mode: Mode::Dev,
        founders: vec![PersonKey { person: "anna".parse().unwrap(), key, passkey: None }],
        rules: vec![Rule {
            namespace: Namespace::Roster,
            threshold: 1,
            hardware: false,
            group: None,
        }],
        keyd: KeydKeys {
            checkpoint: public(101),
            use_records: public(102),
            ssh_ca: public(103),
            run_orders: public(104),
            krl: public(105),
        },
        watch: public(106),
        witnesses: Vec::new(),
        channel: ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) },
    };
    let mut signed = Signed::new(&genesis).unwrap();
    signed.sign(&soft(1)).unwrap();
    Roster::begin(&signed, None).unwrap().1
}

/// A grant of `anna`'s from `from` for an hour, with a shell and these files, as `svc` on `web-1`.
pub(crate) fn held(from: Timestamp, files: &[&str]) -> Arc<super::Held> {
    Arc::new(super::Held {
        grant: Grant {
            request: Ulid::from_bytes([7; 16]),
            digest: Hash([7; 32]),
            person: "anna".parse().unwrap(),
            not_before: from,
            not_after: from.plus(Duration::from_secs(3600)),
        },
        scope: SshScope {
            hosts: AtMost(vec!["web-1".parse().unwrap()]),
            login: "svc".to_owned(),
            interactive: true,
            commands: AtMost(Vec::new()),
            files: AtMost(files.iter().map(|rule| rule.parse::<FileRule>().unwrap()).collect()),
        },
        evidence: Evidence { request: Vec::new(), approvals: Vec::new() },
        accounts: Vec::new(),
        pseudonym: "op-x".to_owned(),
    })
}

/// Under this roster these grants are live.
pub(crate) fn access(roster: Roster, grants: Vec<Arc<super::Held>>) -> super::Access {
    super::Access {
        roster: Arc::new(roster),
        grants,
        ended: BTreeMap::new(),
        away: BTreeMap::new(),
        unwatched: BTreeMap::new(),
    }
}
