//! Whether those who signed may say it.

use std::collections::BTreeSet;

use writ_model::{PersonId, Timestamp};

use super::{Change, KeyKind, Mode, PersonKey, Roster, RosterStatement, rule};
use crate::error::Error;
use crate::sshsig::{SshPublicKey, VerifiedSsh};
use crate::statement::Namespace;

const WHAT: &str = "statement";

impl Roster {
    /// The people among `signers` who count under the rule for statements of `namespace` at `at`; an
    /// error unless they are enough. Every signer must be in the roster; a person counts once,
    /// whatever the number of keys.
    pub fn permits(
        &self,
        namespace: Namespace,
        signers: &[VerifiedSsh],
        at: Timestamp,
    ) -> Result<BTreeSet<&PersonId>, Error> {
        self.permits_without(namespace, signers, at, &BTreeSet::new())
    }

    /// The same for a change of the roster: whom it gives something to does not count, and the owners
    /// of a group do not change it by themselves.
    pub(super) fn permits_change(
        &self,
        statement: &RosterStatement,
        signers: &[VerifiedSsh],
    ) -> Result<(), Error> {
        let gains = self.gains(&statement.change);
        let counted =
            self.permits_without(Namespace::Roster, signers, statement.created, &gains)?;
        let owners = self.owners_of(&statement.change);
        if !owners.is_empty() && counted.iter().all(|person| owners.contains(*person)) {
            return rule(
                WHAT,
                "the owners of a group do not change it by themselves: somebody else \
                               must sign too",
            );
        }
        Ok(())
    }

    /// The person who has made a signature that holds, and may be counted: with a key of the roster, in the
    /// way for which it was enrolled, and with `hardware` by a token that has verified its user.
    pub fn signer(&self, signer: &VerifiedSsh, hardware: bool) -> Result<&PersonId, Error> {
        let Some((person, key)) = self.held(&signer.key) else {
            return Err(unknown(&signer.key));
        };
        self.check_signature(hardware, signer, key)?;
        Ok(person)
    }

    fn permits_without(
        &self,
        namespace: Namespace,
        signers: &[VerifiedSsh],
        at: Timestamp,
        without: &BTreeSet<PersonId>,
    ) -> Result<BTreeSet<&PersonId>, Error> {
        let Some(wanted) = self.rules.get(&namespace) else {
            return rule(WHAT, "the roster has no rule for its kind");
        };
        let (mut counted, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for signer in signers {
            let person = self.signer(signer, wanted.hardware)?;
            if without.contains(person) {
                left_out.insert(format!("{person} (it gives them something)"));
            } else if wanted.group.as_ref().is_some_and(|g| self.member(g, person, at).is_none()) {
                left_out.insert(format!("{person} (not in the group that signs)"));
            } else {
                counted.insert(person);
            }
        }
        if counted.len() >= usize::try_from(wanted.threshold).unwrap_or(usize::MAX) {
            return Ok(counted);
        }
        let list = |people: Vec<String>| {
            if people.is_empty() { "nobody".to_owned() } else { people.join(", ") }
        };
        let whose = wanted.group.as_ref().map_or(String::new(), |g| format!(" of the group `{g}`"));
        Err(Error::Refused {
            what: WHAT,
            why: format!(
                "it needs the signatures of {} people{whose}; counted: {}; not counted: {}",
                wanted.threshold,
                list(counted.iter().map(|person| person.to_string()).collect()),
                list(left_out.into_iter().collect()),
            ),
        })
    }

    /// What a rule wants of one signature (operator-access: the rules of the verifier).
    fn check_signature(
        &self,
        hardware: bool,
        signer: &VerifiedSsh,
        key: &PersonKey,
    ) -> Result<(), Error> {
        match (&signer.webauthn, key.kind()) {
            (Some(webauthn), KeyKind::Passkey) => {
                let rp_id = signer.key.application().unwrap_or_default();
                if !self.is_origin(&webauthn.origin, rp_id) {
                    return Err(Error::Refused {
                        what: WHAT,
                        why: format!("`{}` is no page of this installation", webauthn.origin),
                    });
                }
                // A passkey is never anything else than a key in hardware whose user was verified.
                if signer.hardware.is_none_or(|f| !f.user_present() || !f.user_verified()) {
                    return rule(
                        WHAT,
                        "the passkey has not verified who holds it: set a PIN on it",
                    );
                }
            }
            (None, KeyKind::SecurityKey | KeyKind::Software) => {}
            _ => return rule(WHAT, "a key has signed in another way than it was enrolled for"),
        }
        if !hardware {
            return Ok(());
        }
        let Some(flags) = signer.hardware.filter(|f| f.user_present() && f.user_verified()) else {
            return rule(WHAT, "its rule needs hardware keys that verify their user");
        };
        if flags.backed_up() && self.mode != Mode::Dev {
            return rule(WHAT, "its rule needs keys that cannot leave their hardware");
        }
        Ok(())
    }

    /// True if a page of `origin` may ask for signatures with keys of the site `rp_id`.
    pub fn is_origin(&self, origin: &str, rp_id: &str) -> bool {
        let host = |rest: &str| {
            let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
            let of_site = host == rp_id || host.ends_with(&format!(".{rp_id}"));
            of_site && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
        };
        match origin.strip_prefix("http://") {
            // A browser takes plain HTTP for safe on this machine alone.
            Some(rest) => self.mode == Mode::Dev && rp_id == "localhost" && host(rest),
            None => {
                let listed = self.origins.iter().any(|known| known == origin);
                listed && origin.strip_prefix("https://").is_some_and(host)
            }
        }
    }

    /// The people to whom a change gives something.
    fn gains(&self, change: &Change) -> BTreeSet<PersonId> {
        match change {
            Change::AddKey(key) => BTreeSet::from([key.person.clone()]),
            Change::AddMember(membership) => BTreeSet::from([membership.person.clone()]),
            Change::Enrol(enrolment) => BTreeSet::from([enrolment.id.person.clone()]),
            Change::SetGroup(group) => {
                let held = self.groups.get(&group.name);
                let was = |person: &&PersonId| {
                    held.is_some_and(|held| held.group.owners.0.contains(*person))
                };
                let owners = group.owners.0.iter().filter(|person| !was(person));
                let rights = |held: &super::Grouped| {
                    (&held.group.rights, &held.group.rule) != (&group.rights, &group.rule)
                };
                let members = held.filter(|held| rights(held)).map(|held| held.members.keys());
                owners.chain(members.into_iter().flatten()).cloned().collect()
            }
            // Who may sign under a new rule signs for it only if the rule before it lets them.
            Change::SetRule(_)
            | Change::EndEnrolment(_)
            | Change::RemoveGroup(_)
            | Change::RemoveHost(_)
            | Change::RemoveKey(_)
            | Change::RemoveMember(_)
            | Change::SetHost(_)
            | Change::SetOrigins(_) => BTreeSet::new(),
        }
    }

    /// The owners of the group whose rule or owners' membership a change is about.
    fn owners_of(&self, change: &Change) -> BTreeSet<PersonId> {
        let owners = |name| -> BTreeSet<PersonId> {
            let held = self.groups.get(name);
            held.map(|held| held.group.owners.0.iter().cloned().collect()).unwrap_or_default()
        };
        match change {
            Change::SetGroup(group) => owners(&group.name),
            Change::RemoveGroup(name) => owners(name),
            Change::AddMember(new) => {
                let owners = owners(&new.group);
                if owners.contains(&new.person) { owners } else { BTreeSet::new() }
            }
            _ => BTreeSet::new(),
        }
    }
}

fn unknown(key: &SshPublicKey) -> Error {
    let why = format!("the key {key:?} has signed it and is not in the roster");
    Error::Refused { what: WHAT, why }
}
