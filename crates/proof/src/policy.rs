//! The verifier's trust file: which logs, which witnesses, and how many of them (C2SP tlog-policy).

use std::collections::{BTreeMap, BTreeSet};

use writ_model::Timestamp;

use crate::checkpoint::{Checkpoint, decimal};
use crate::ed25519::PublicKey;
use crate::error::Error;
use crate::limits;
use crate::note::{KeyKind, Note, VerifierKey};

const WHAT: &str = "policy";

/// A parsed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Peer>,
    witnesses: BTreeMap<String, Peer>,
    groups: BTreeMap<String, Group>,
    quorum: Option<String>,
}

/// A log or witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its key.
    pub key: VerifierKey,
    /// Where it is reached; what that means is the application's matter.
    pub url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<String>,
}

/// A checkpoint that satisfies a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Satisfied {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses that cosigned it, by their names in the policy, with the times that they give.
    pub cosigned: BTreeMap<String, Timestamp>,
}

impl Policy {
    /// Reads a policy file.
    pub fn parse(text: &str) -> Result<Policy, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        Error::limit("policy bytes", text.len(), limits::POLICY_MAX_BYTES)?;
        if text.chars().any(|c| (c < ' ' && c != '\t' && c != '\n') || c == '\u{7f}') {
            return Err(malformed("it holds a control character"));
        }
        let mut parser = Parser::default();
        for line in text.split('\n') {
            let words: Vec<&str> =
                line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            parser.line(&words)?;
        }
        let quorum = parser.quorum.take().ok_or_else(|| malformed("it has no quorum line"))?;
        Ok(Policy { quorum, ..parser.policy })
    }

    /// A policy in code: one log, these witnesses, at least `threshold` of them.
    pub fn k_of_n(
        log: &VerifierKey,
        witnesses: &[VerifierKey],
        threshold: usize,
    ) -> Result<Policy, Error> {
        let mut text = format!("log {log}\n");
        for (at, witness) in witnesses.iter().enumerate() {
            text.push_str(&format!("witness w{at} {witness}\n"));
        }
        if threshold == 0 {
            text.push_str("quorum none\n");
        } else {
            text.push_str(&format!("group all-witnesses {threshold}"));
            (0..witnesses.len()).for_each(|at| text.push_str(&format!(" w{at}")));
            text.push_str("\nquorum all-witnesses\n");
        }
        Policy::parse(&text)
    }

    /// The logs.
    pub fn logs(&self) -> &[Peer] {
        &self.logs
    }

    /// The witnesses by name.
    pub fn witnesses(&self) -> &BTreeMap<String, Peer> {
        &self.witnesses
    }

    /// The checkpoint in `note`, if one of the logs signed it under its own name and a quorum of the
    /// witnesses cosigned it. A bad signature by any known key refuses it.
    pub fn check(&self, note: &Note) -> Result<Satisfied, Error> {
        let checkpoint = Checkpoint::of(note)?;
        let log = self.logs.iter().find(|log| log.key.name() == checkpoint.origin);
        let log =
            log.ok_or_else(|| Error::Unsigned { wanted: "a log of the policy".to_owned() })?;
        Checkpoint::verify(note, &log.key)?;
        let keys: Vec<VerifierKey> = self.witnesses.values().map(|w| w.key.clone()).collect();
        let verified = note.verify(&keys)?;
        let mut cosigned = BTreeMap::new();
        for (name, witness) in &self.witnesses {
            let found = verified.iter().find(|signature| signature.key == witness.key);
            if let Some(time) = found.and_then(|signature| signature.time) {
                cosigned.insert(name.clone(), time);
            }
        }
        match &self.quorum {
            Some(quorum) if !self.witnessed(quorum, &cosigned) => {
                Err(Error::Unsigned { wanted: format!("the quorum `{quorum}` of the policy") })
            }
            _ => Ok(Satisfied { checkpoint, cosigned }),
        }
    }

    /// Groups name only what stands before them, so the recursion ends.
    fn witnessed(&self, name: &str, cosigned: &BTreeMap<String, Timestamp>) -> bool {
        match self.groups.get(name) {
            Some(group) => {
                let count = group.members.iter().filter(|m| self.witnessed(m, cosigned)).count();
                count >= group.threshold
            }
            None => cosigned.contains_key(name),
        }
    }
}

impl Satisfied {
    /// The newest time that a witness gives.
    pub fn newest(&self) -> Option<Timestamp> {
        self.cosigned.values().copied().max()
    }
}

struct Parser {
    policy: Policy,
    members: BTreeSet<String>,
    log_keys: BTreeSet<PublicKey>,
    witness_keys: BTreeSet<PublicKey>,
    quorum: Option<Option<String>>,
}

impl Default for Parser {
    fn default() -> Parser {
        let policy = Policy {
            logs: Vec::new(),
            witnesses: BTreeMap::new(),
            groups: BTreeMap::new(),
            quorum: None,
        };
        let (members, log_keys, witness_keys) = Default::default();
        Parser { policy, members, log_keys, witness_keys, quorum: None }
    }
}

impl Parser {
    fn line(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key, url @ ..] => self.log(key, url),
            ["witness", name, key, url @ ..] => self.witness(name, key, url),
            ["group", name, threshold, members @ ..] => self.group(name, threshold, members),
            ["quorum", name] => self.quorum(name),
            _ => Err(Error::malformed(WHAT, "a line is none of log, witness, group and quorum")),
        }
    }

    fn log(&mut self, key: &str, url: &[&str]) -> Result<(), Error> {
        let peer = peer(key, url, KeyKind::Ed25519)?;
        if !self.log_keys.insert(peer.key.key()) {
            return Err(Error::malformed(WHAT, "a log is listed twice"));
        }
        self.policy.logs.push(peer);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: &[&str]) -> Result<(), Error> {
        self.new_name(name)?;
        let peer = peer(key, url, KeyKind::Cosignature)?;
        if !self.witness_keys.insert(peer.key.key()) {
            return Err(Error::malformed(WHAT, "a witness is listed twice"));
        }
        self.policy.witnesses.insert(name.to_owned(), peer);
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), Error> {
        self.new_name(name)?;
        let threshold = match threshold {
            "any" => 1,
            "all" => members.len(),
            number => usize::try_from(decimal(number)?).unwrap_or(usize::MAX),
        };
        if threshold == 0 || threshold > members.len() {
            return Err(Error::malformed(WHAT, "a group's threshold is not 1 to its members"));
        }
        for member in members {
            self.known_name(member)?;
            if !self.members.insert((*member).to_owned()) {
                return Err(Error::malformed(WHAT, "a name is a member twice"));
            }
        }
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.policy.groups.insert(name.to_owned(), Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), Error> {
        if self.quorum.is_some() {
            return Err(Error::malformed(WHAT, "it has two quorum lines"));
        }
        if name == "none" {
            self.quorum = Some(None);
        } else {
            self.known_name(name)?;
            self.quorum = Some(Some(name.to_owned()));
        }
        Ok(())
    }

    fn new_name(&self, name: &str) -> Result<(), Error> {
        if name == "none" || self.known_name(name).is_ok() {
            return Err(Error::malformed(WHAT, "a name is defined twice, or is `none`"));
        }
        Ok(())
    }

    fn known_name(&self, name: &str) -> Result<(), Error> {
        let Policy { witnesses, groups, .. } = &self.policy;
        if witnesses.contains_key(name) || groups.contains_key(name) {
            Ok(())
        } else {
            Err(Error::malformed(WHAT, "a name is used before it is defined"))
        }
    }
}

fn peer(key: &str, url: &[&str], kind: KeyKind) -> Result<Peer, Error> {
    let key: VerifierKey = key.parse()?;
    if key.kind() != kind {
        return Err(Error::malformed(WHAT, "a key is not of the type that its line needs"));
    }
    match url {
        [] => Ok(Peer { key, url: None }),
        [url] => Ok(Peer { key, url: Some((*url).to_owned()) }),
        _ => Err(Error::malformed(WHAT, "a line has too many words")),
    }
}

#[cfg(test)]
#[path = "tests/policy.rs"]
mod tests;
