//! The first statement: who begins, under which rules, and the machines' keys.

use std::collections::BTreeSet;

use writ_model::Timestamp;

use super::{FOUNDERS_MIN, GroupName, PersonKey, ROSTER_VERSION, Roster, rule};
use crate::cbor::Version;
use crate::ed25519::PublicKey;
use crate::error::Error;
use crate::hash::Hash;
use crate::note::{KeyKind, VerifierKey};
use crate::origin::{LogName, Origin, SiteId};
use crate::statement::{Namespace, Signed, Statement};
use crate::{cbor_enum, cbor_map};

/// The first statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Version 1.
    pub v: Version<ROSTER_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// When it was made, by the founders' word.
    pub created: Timestamp,
    /// How the installation runs; it never changes.
    pub mode: Mode,
    /// The founders, each with one key.
    pub founders: Vec<PersonKey>,
    /// The first rules.
    pub rules: Vec<Rule>,
    /// keyd's public keys.
    pub keyd: KeydKeys,
    /// The key with which watch signs the host log and cosigns the checkpoint log.
    pub watch: PublicKey,
    /// The witnesses' verifier keys, watch's first.
    pub witnesses: Vec<String>,
    /// What trail and watch expect of each other on their connection.
    pub channel: ChannelPins,
}
cbor_map!(Genesis {
    1: v,
    2: site,
    3: created,
    4: mode,
    5: founders,
    6: rules,
    7: keyd,
    8: watch,
    9: witnesses,
    10: channel,
});

impl Statement for Genesis {
    const NAMESPACE: Namespace = Namespace::Genesis;
}

/// How an installation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Software keys and software founders; irrevocable for its data directory.
    Dev,
    /// Keys in software, opened by a quorum of people.
    Software,
    /// Keys under a hardware security module.
    Hsm,
    /// An attested trusted execution environment.
    Tee,
}
cbor_enum!(Mode { 0: Dev, 1: Software, 2: Hsm, 3: Tee });

/// What a kind of statement needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The kind.
    pub namespace: Namespace,
    /// How many different people must sign, at least 1.
    pub threshold: u32,
    /// Whether each must do it with a hardware key, touched and with verification of the user.
    pub hardware: bool,
    /// The group of which they must be members; anybody who is enrolled without one.
    pub group: Option<GroupName>,
}
cbor_map!(Rule { 1: namespace, 2: threshold, 3: hardware, 4: opt group });

/// keyd's public keys, one a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeydKeys {
    /// Signs checkpoints of the checkpoint log and the operator log.
    pub checkpoint: PublicKey,
    /// Signs the heads of the use-record chain.
    pub use_records: PublicKey,
    /// Signs SSH certificates of users and hosts.
    pub ssh_ca: PublicKey,
    /// Signs run orders and session deadlines.
    pub run_orders: PublicKey,
    /// Signs SSH revocation lists.
    pub krl: PublicKey,
}
cbor_map!(KeydKeys { 1: checkpoint, 2: use_records, 3: ssh_ca, 4: run_orders, 5: krl });

/// SHA-256 of the SubjectPublicKeyInfo of each end's TLS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelPins {
    /// trail's.
    pub trail: Hash,
    /// watch's.
    pub watch: Hash,
}
cbor_map!(ChannelPins { 1: trail, 2: watch });

impl Genesis {
    /// The genesis that `signed` holds: signed by all founders and nobody else, and complete.
    /// `expected` is its digest as it came out of band; without it nothing outside vouches for it.
    pub fn verify(signed: &Signed, expected: Option<Hash>) -> Result<Genesis, Error> {
        let found = signed.digest();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Error::Mismatch { what: "genesis statement", expected, found });
        }
        let (genesis, signers) = signed.verify::<Genesis>()?;
        genesis.check()?;
        let founders: BTreeSet<_> = genesis.founders.iter().map(|founder| &founder.key).collect();
        let signed_by: BTreeSet<_> = signers.iter().map(|signer| &signer.key).collect();
        if let Some(absent) = founders.difference(&signed_by).next() {
            return Err(Error::Unsigned {
                wanted: format!("the founder {}", absent.fingerprint()),
            });
        }
        if founders != signed_by {
            return rule("genesis", "somebody who is no founder has signed it");
        }
        Ok(genesis)
    }

    /// The verifier keys of the witnesses.
    pub fn witness_keys(&self) -> Result<Vec<VerifierKey>, Error> {
        self.witnesses.iter().map(|witness| witness.parse()).collect()
    }

    /// The key that signs checkpoints of the host log, named as the log.
    pub fn host_log_key(&self) -> Result<VerifierKey, Error> {
        let origin = Origin::new(self.site.clone(), LogName::Host);
        VerifierKey::new(&origin.to_string(), KeyKind::Ed25519, self.watch)
    }

    /// The key with which keyd cosigns the host log: `SITE/keyd`.
    pub fn keyd_cosigner(&self) -> Result<VerifierKey, Error> {
        let name = self.keyd_cosigner_name();
        VerifierKey::new(&name, KeyKind::Cosignature, self.keyd.checkpoint)
    }

    /// The name under which keyd cosigns.
    pub fn keyd_cosigner_name(&self) -> String {
        format!("{}/keyd", self.site)
    }

    fn check(&self) -> Result<(), Error> {
        let people: BTreeSet<_> = self.founders.iter().map(|founder| &founder.person).collect();
        let keys: BTreeSet<_> = self.founders.iter().map(|founder| &founder.key).collect();
        let least = if self.mode == Mode::Dev { 1 } else { FOUNDERS_MIN };
        if people.len() < least {
            return rule("genesis", "it has too few founders for its mode");
        }
        if people.len() != self.founders.len() || keys.len() != self.founders.len() {
            return rule("genesis", "a founder or a key is named twice");
        }
        self.witness_keys()?;
        let KeydKeys { checkpoint, use_records, ssh_ca, run_orders, krl } = self.keyd;
        let machine = [checkpoint, use_records, ssh_ca, run_orders, krl, self.watch];
        if BTreeSet::from(machine).len() != machine.len() {
            return rule("genesis", "one key serves two purposes");
        }
        Roster::of(self, Hash::ZERO).map(|_| ())
    }
}
