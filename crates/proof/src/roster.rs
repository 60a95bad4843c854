//! The root of trust: the genesis statement, and the chain of roster statements after it.
//!
//! Genesis is leaf 0 of the operator log. Its digest reaches a customer out of band; everything else
//! follows from it. Each roster statement names the one before it and is signed under the rules that
//! the roster had before it.

use std::collections::{BTreeMap, BTreeSet};

use writ_model::Timestamp;

use crate::cbor::Version;
use crate::ed25519::PublicKey;
use crate::error::Error;
use crate::hash::Hash;
use crate::note::VerifierKey;
use crate::origin::SiteId;
use crate::sshsig::{SshPublicKey, VerifiedSsh};
use crate::statement::{Namespace, Signed, Statement};
use crate::{cbor_enum, cbor_map};

/// The version of genesis and roster statements that this build writes and reads.
pub const ROSTER_VERSION: u64 = 1;

/// How many founders an installation outside mode `dev` has at least.
pub const FOUNDERS_MIN: usize = 3;

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

/// One key of one person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonKey {
    /// The person's opaque id.
    pub person: String,
    /// The key.
    pub key: SshPublicKey,
}
cbor_map!(PersonKey { 1: person, 2: key });

/// What a kind of statement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The kind.
    pub namespace: Namespace,
    /// How many different people must sign, at least 1.
    pub threshold: u32,
    /// Whether each must do it with a hardware key, touched and with verification of the user.
    pub hardware: bool,
}
cbor_map!(Rule { 1: namespace, 2: threshold, 3: hardware });

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

/// A change of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterStatement {
    /// Version 1.
    pub v: Version<ROSTER_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// Its number; genesis is 0.
    pub seq: u64,
    /// The digest of the signed statement before it.
    pub prev: Hash,
    /// When it was made, by its signers' word.
    pub created: Timestamp,
    /// What changes.
    pub change: Change,
}
cbor_map!(RosterStatement { 1: v, 2: site, 3: seq, 4: prev, 5: created, 6: change });

impl Statement for RosterStatement {
    const NAMESPACE: Namespace = Namespace::Roster;
}

/// What a roster statement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A person gets a key.
    AddKey(PersonKey),
    /// A person loses a key.
    RemoveKey(PersonKey),
    /// A kind of statement gets a rule.
    SetRule(Rule),
}
cbor_enum!(Change { 0: AddKey(_), 1: RemoveKey(_), 2: SetRule(_) });

/// Who may say what, after a number of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    site: SiteId,
    seq: u64,
    head: Hash,
    keys: BTreeMap<SshPublicKey, String>,
    rules: BTreeMap<Namespace, Rule>,
}

impl Roster {
    /// The roster right after genesis, which is checked as by [`Genesis::verify`].
    pub fn begin(signed: &Signed, expected: Option<Hash>) -> Result<(Genesis, Roster), Error> {
        let genesis = Genesis::verify(signed, expected)?;
        let roster = Roster::of(&genesis, signed.digest())?;
        Ok((genesis, roster))
    }

    /// The roster after genesis and `statements`, in order.
    pub fn replay<'a>(
        genesis: &Signed,
        expected: Option<Hash>,
        statements: impl IntoIterator<Item = &'a Signed>,
    ) -> Result<(Genesis, Roster), Error> {
        let (genesis, mut roster) = Roster::begin(genesis, expected)?;
        for statement in statements {
            roster.apply(statement)?;
        }
        Ok((genesis, roster))
    }

    /// Applies a statement that follows this roster and is signed under its rules. On an error the
    /// roster stays as it was.
    pub fn apply(&mut self, signed: &Signed) -> Result<RosterStatement, Error> {
        let (statement, signers) = signed.verify::<RosterStatement>()?;
        if statement.site != self.site {
            return rule("roster statement", "it is of another installation");
        }
        if Some(statement.seq) != self.seq.checked_add(1) || statement.prev != self.head {
            return rule("roster statement", "it does not follow the last one");
        }
        self.permits(Namespace::Roster, &signers)?;
        let mut next = self.clone();
        next.change(&statement.change)?;
        next.check()?;
        next.seq = statement.seq;
        next.head = signed.digest();
        *self = next;
        Ok(statement)
    }

    /// Whether `signers` satisfy the rule for statements of `namespace`. Every signer must be in the
    /// roster; a person counts once, whatever the number of keys.
    pub fn permits(
        &self,
        namespace: Namespace,
        signers: &[VerifiedSsh],
    ) -> Result<BTreeSet<&str>, Error> {
        let Some(wanted) = self.rules.get(&namespace) else {
            return rule("statement", "the roster has no rule for its kind");
        };
        let mut people = BTreeSet::new();
        for signer in signers {
            let Some(person) = self.keys.get(&signer.key) else {
                return rule("statement", "a signer's key is not in the roster");
            };
            let verified =
                signer.hardware.is_some_and(|flags| flags.user_present() && flags.user_verified());
            if wanted.hardware && !verified {
                return rule("statement", "its rule needs hardware keys that verify their user");
            }
            people.insert(person.as_str());
        }
        if people.len() < usize::try_from(wanted.threshold).unwrap_or(usize::MAX) {
            return rule("statement", "too few people have signed it");
        }
        Ok(people)
    }

    /// The person who has `key`.
    pub fn person(&self, key: &SshPublicKey) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// The rule for a kind of statement.
    pub fn rule(&self, namespace: Namespace) -> Option<Rule> {
        self.rules.get(&namespace).copied()
    }

    /// The number of the last statement; genesis is 0.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The digest of the last signed statement.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// The installation.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    fn of(genesis: &Genesis, head: Hash) -> Result<Roster, Error> {
        let keys = genesis.founders.iter().map(|f| (f.key.clone(), f.person.clone())).collect();
        let rules: BTreeMap<_, _> = genesis.rules.iter().map(|r| (r.namespace, *r)).collect();
        if rules.len() != genesis.rules.len() {
            return rule("genesis", "a kind of statement has two rules");
        }
        let roster = Roster { site: genesis.site.clone(), seq: 0, head, keys, rules };
        roster.check()?;
        Ok(roster)
    }

    fn change(&mut self, change: &Change) -> Result<(), Error> {
        const WHAT: &str = "roster statement";
        match change {
            Change::AddKey(PersonKey { person, key }) => {
                // A key names one human being: nobody gets another's.
                if self.keys.insert(key.clone(), person.clone()).is_some() {
                    return rule(WHAT, "the key is in the roster already");
                }
            }
            Change::RemoveKey(PersonKey { person, key }) => {
                if self.keys.remove(key).as_ref() != Some(person) {
                    return rule(WHAT, "the person does not have the key");
                }
            }
            Change::SetRule(new) => {
                self.rules.insert(new.namespace, *new);
            }
        }
        Ok(())
    }

    /// INVARIANT: the roster can be changed by the people in it.
    fn check(&self) -> Result<(), Error> {
        let people = |hardware: bool| -> usize {
            let fits = self.keys.iter().filter(|(key, _)| !hardware || key.is_hardware());
            fits.map(|(_, person)| person).collect::<BTreeSet<_>>().len()
        };
        for wanted in self.rules.values() {
            let threshold = usize::try_from(wanted.threshold).unwrap_or(usize::MAX);
            if threshold == 0 || threshold > people(wanted.hardware) {
                return rule("roster", "a rule needs nobody, or more people than there are");
            }
        }
        if !self.rules.contains_key(&Namespace::Roster) {
            return rule("roster", "it has no rule for its own changes");
        }
        Ok(())
    }
}

fn rule<T>(what: &'static str, why: &'static str) -> Result<T, Error> {
    Err(Error::Rule { what, why })
}

#[cfg(test)]
#[path = "tests/roster.rs"]
mod tests;
