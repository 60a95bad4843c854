//! The root of trust: the genesis statement, and the chain of roster statements after it.
//!
//! Genesis is leaf 0 of the operator log. Its digest reaches a customer out of band; everything else
//! follows from it. Each roster statement names the one before it and is signed under the rules that
//! the roster had before it. So whoever has the statements, has the roster: who the people are, with
//! which keys, in which groups, under which rules, and which hosts hold whose data. keyd, front, watch
//! and `writ verify` replay them with this one code.

mod change;
mod check;
mod genesis;
mod group;
mod host;
mod key;
mod log;
mod lookup;
mod names;
mod signers;

use std::collections::BTreeMap;

use writ_model::{PersonId, Timestamp};

use crate::at_most::AtMost;
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::origin::SiteId;
use crate::sshsig::SshPublicKey;
use crate::statement::{Namespace, Signed};

pub use change::{Change, Enrolment, EnrolmentId, MemberId, Membership, RosterStatement};
pub use genesis::{ChannelPins, Genesis, KeydKeys, Mode, Rule};
pub use group::{
    Admits, Approver, Attribute, Group, Member, RequestKind, Rights, Slot, Tier, is_login,
};
pub use host::{Accounts, Host, HostPattern, matches_pattern};
pub use key::{KeyKind, Passkey, PersonKey, SSH_APPLICATION};
pub use lookup::Understaffed;
pub use names::{GroupName, HostName, RunbookName, SlotName};

/// The version of genesis and roster statements that this build writes and reads.
pub const ROSTER_VERSION: u64 = 1;

/// How many founders an installation outside mode `dev` has at least.
pub const FOUNDERS_MIN: usize = 3;

/// The group that there is from the beginning: the founders, for good.
pub const FOUNDERS: &str = "founders";

const STATEMENT: &str = "roster statement";

/// Who may say what, after a number of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    site: SiteId,
    mode: Mode,
    seq: u64,
    head: Hash,
    created: Timestamp,
    people: BTreeMap<PersonId, Person>,
    /// Every key that ever was somebody's: a key names one human being for good.
    keys: BTreeMap<SshPublicKey, PersonId>,
    rules: BTreeMap<Namespace, Rule>,
    groups: BTreeMap<GroupName, Grouped>,
    hosts: BTreeMap<HostName, Host>,
    origins: Vec<String>,
}

/// What the roster has of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The number of the newest enrolment; 1 for the first.
    pub enrolment: u64,
    /// When that began, by its statement's word.
    pub since: Timestamp,
    /// False once that has ended.
    pub enrolled: bool,
    /// The keys; none once it has ended.
    pub keys: Vec<PersonKey>,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grouped {
    group: Group,
    /// The statement that set it last.
    seq: u64,
    members: BTreeMap<PersonId, Member>,
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
        let bytes = signed.to_bytes().len();
        Error::limit("roster statement bytes", bytes, limits::ROSTER_STATEMENT_MAX_BYTES)?;
        let (statement, signers) = signed.verify::<RosterStatement>()?;
        if statement.site != self.site {
            return rule(STATEMENT, "it is of another installation");
        }
        if Some(statement.seq) != self.seq.checked_add(1) || statement.prev != self.head {
            return refused(format!(
                "it does not follow statement {}, the newest; make it anew from the roster as it is",
                self.seq
            ));
        }
        if statement.created < self.created {
            return rule(STATEMENT, "it is dated before the statement before it");
        }
        if statement.seq > limits::ROSTER_MAX_STATEMENTS {
            return rule(STATEMENT, "the roster takes no more statements");
        }
        self.permits_change(&statement, &signers)?;
        self.change(&statement)?;
        self.seq = statement.seq;
        self.head = signed.digest();
        self.created = statement.created;
        Ok(statement)
    }

    /// Fails if the change of `statement` could not be made, whoever signs it: for those who propose it.
    pub fn would_change(&self, statement: &RosterStatement) -> Result<(), Error> {
        self.clone().change(statement)
    }

    fn of(genesis: &Genesis, head: Hash) -> Result<Roster, Error> {
        let rules: BTreeMap<_, _> =
            genesis.rules.iter().map(|r| (r.namespace, r.clone())).collect();
        if rules.len() != genesis.rules.len() {
            return rule("genesis", "a kind of statement has two rules");
        }
        let mut roster = Roster {
            site: genesis.site.clone(),
            mode: genesis.mode,
            seq: 0,
            head,
            created: genesis.created,
            people: BTreeMap::new(),
            keys: BTreeMap::new(),
            rules,
            groups: BTreeMap::new(),
            hosts: BTreeMap::new(),
            origins: Vec::new(),
        };
        for founder in &genesis.founders {
            founder.check()?;
            let keys = vec![founder.clone()];
            roster.keys.insert(founder.key.clone(), founder.person.clone());
            let (enrolment, since) = (1, genesis.created);
            let person = Person { enrolment, since, enrolled: true, keys };
            roster.people.insert(founder.person.clone(), person);
        }
        roster.found(genesis)?;
        roster.check()?;
        Ok(roster)
    }

    /// The founders' own group. It gives no rights; rules may name it.
    fn found(&mut self, genesis: &Genesis) -> Result<(), Error> {
        let name = founders()?;
        let from = genesis.created;
        let member = Member { from, approved: from, expires: None, seq: 0 };
        let members = genesis.founders.iter().map(|f| (f.person.clone(), member)).collect();
        let group = Group {
            name: name.clone(),
            title: "Founders".to_owned(),
            tier: Tier::Privileged,
            owners: AtMost(Vec::new()),
            rule: AtMost(Vec::new()),
            rights: None,
            admits: None,
        };
        self.groups.insert(name, Grouped { group, seq: 0, members });
        Ok(())
    }

    /// INVARIANT: a change that fails has changed nothing. What only adds is checked before it writes;
    /// what may break something is tried on a copy.
    fn change(&mut self, statement: &RosterStatement) -> Result<(), Error> {
        match &statement.change {
            Change::AddKey(key) => self.add_key(key),
            Change::AddMember(membership) => self.add_member(membership, statement),
            Change::Enrol(enrolment) => self.enrol(enrolment, statement.created),
            Change::SetHost(host) => self.set_host(host),
            Change::SetOrigins(origins) => {
                check::origins(&origins.0)?;
                self.origins.clone_from(&origins.0);
                Ok(())
            }
            other => {
                let mut next = self.clone();
                next.replace(other, statement.seq)?;
                next.check()?;
                *self = next;
                Ok(())
            }
        }
    }

    /// The changes that may break something.
    fn replace(&mut self, change: &Change, seq: u64) -> Result<(), Error> {
        match change {
            Change::EndEnrolment(id) => self.end_enrolment(id),
            Change::RemoveGroup(name) => match self.groups.remove(name) {
                Some(_) => Ok(()),
                None => refused(format!("there is no group `{name}`")),
            },
            Change::RemoveHost(name) => match self.hosts.remove(name) {
                Some(_) => Ok(()),
                None => refused(format!("there is no host `{name}`")),
            },
            Change::RemoveKey(PersonKey { person, key, .. }) => {
                let keys = self.people.get_mut(person).map(|known| &mut known.keys);
                let Some(keys) = keys.filter(|keys| keys.iter().any(|own| own.key == *key)) else {
                    return refused(format!("`{person}` does not have the key {key:?}"));
                };
                keys.retain(|own| own.key != *key);
                Ok(())
            }
            Change::RemoveMember(MemberId { group, person }) => {
                let grouped = self.grouped_mut(group)?;
                match grouped.members.remove(person) {
                    Some(_) => Ok(()),
                    None => refused(format!("`{person}` is no member of `{group}`")),
                }
            }
            Change::SetGroup(group) => self.set_group(group, seq),
            Change::SetRule(new) => {
                self.rules.insert(new.namespace, new.clone());
                Ok(())
            }
            Change::AddKey(_)
            | Change::AddMember(_)
            | Change::Enrol(_)
            | Change::SetHost(_)
            | Change::SetOrigins(_) => rule(STATEMENT, "it only adds"),
        }
    }

    fn enrol(&mut self, Enrolment { id, keys }: &Enrolment, since: Timestamp) -> Result<(), Error> {
        let known = self.people.get(&id.person);
        if known.is_some_and(|person| person.enrolled) {
            return refused(format!("`{}` is enrolled; give them a further key", id.person));
        }
        let next = known.map_or(1, |person| person.enrolment.saturating_add(1));
        if id.number != next {
            return refused(format!("the next enrolment of `{}` is number {next}", id.person));
        }
        if self.people.values().filter(|p| p.enrolled).count() >= limits::ROSTER_MAX_PEOPLE {
            return rule(STATEMENT, "the roster has as many people as it takes");
        }
        if keys.0.is_empty() {
            return rule(STATEMENT, "an enrolment has at least one key");
        }
        for (at, key) in keys.0.iter().enumerate() {
            if key.person != id.person || keys.0.iter().skip(at + 1).any(|k| k.key == key.key) {
                return rule(STATEMENT, "a key of the enrolment is another's, or there twice");
            }
            self.check_free(key)?;
        }
        for key in &keys.0 {
            self.keys.insert(key.key.clone(), id.person.clone());
        }
        let keys = keys.0.clone();
        let person = Person { enrolment: next, since, enrolled: true, keys };
        self.people.insert(id.person.clone(), person);
        Ok(())
    }

    fn add_key(&mut self, key: &PersonKey) -> Result<(), Error> {
        self.check_free(key)?;
        let person = self.enrolled_mut(&key.person)?;
        if person.keys.iter().any(|own| own.key == key.key) {
            return refused(format!("`{}` has the key {:?} already", key.person, key.key));
        }
        if person.keys.len() >= limits::PERSON_MAX_KEYS {
            return refused(format!("`{}` has as many keys as one may have", key.person));
        }
        person.keys.push(key.clone());
        self.keys.insert(key.key.clone(), key.person.clone());
        Ok(())
    }

    /// A key names one human being: nobody gets another's, not even one that was taken away.
    fn check_free(&self, key: &PersonKey) -> Result<(), Error> {
        key.check()?;
        match self.keys.get(&key.key) {
            Some(owner) if *owner != key.person => {
                refused(format!("the key {:?} is or was `{owner}`'s", key.key))
            }
            _ => Ok(()),
        }
    }

    fn end_enrolment(&mut self, id: &EnrolmentId) -> Result<(), Error> {
        let person = self.enrolled_mut(&id.person)?;
        if person.enrolment != id.number {
            let now = person.enrolment;
            return refused(format!("the enrolment of `{}` is number {now} now", id.person));
        }
        person.enrolled = false;
        person.keys.clear();
        for grouped in self.groups.values_mut() {
            grouped.members.remove(&id.person);
            grouped.group.owners.0.retain(|owner| *owner != id.person);
        }
        Ok(())
    }

    fn add_member(
        &mut self,
        membership: &Membership,
        statement: &RosterStatement,
    ) -> Result<(), Error> {
        let Membership { group, person, expires } = membership;
        self.enrolled_mut(person)?;
        let grouped = self.grouped_mut(group)?;
        let now = statement.created;
        match expires {
            Some(expires) if *expires <= now => {
                return rule(STATEMENT, "the membership would have ended before it begins");
            }
            None if grouped.group.rights.is_some() => {
                return refused(format!("`{group}` gives rights: a membership in it must expire"));
            }
            _ => {}
        }
        let count = grouped.members.values().filter(|member| member.holds(now)).count();
        let held = grouped.members.get(person).filter(|member| member.holds(now));
        if held.is_none() && count >= limits::GROUP_MAX_MEMBERS {
            return refused(format!("`{group}` has as many members as a group takes"));
        }
        let from = held.map_or(now, |held| held.from);
        grouped.members.retain(|_, member| member.holds(now));
        let (approved, seq) = (now, statement.seq);
        let member = Member { from, approved, expires: *expires, seq };
        grouped.members.insert(person.clone(), member);
        Ok(())
    }

    fn set_group(&mut self, group: &Group, seq: u64) -> Result<(), Error> {
        group.check()?;
        for owner in &group.owners.0 {
            self.enrolled_mut(owner)?;
        }
        for slot in &group.rule.0 {
            if let Approver::Group(name) = &slot.from
                && *name != group.name
                && !self.groups.contains_key(name)
            {
                return refused(format!("the slot `{}` names no group: `{name}`", slot.slot));
            }
        }
        let held = self.groups.get(&group.name);
        if held.is_none() && self.groups.len() >= limits::ROSTER_MAX_GROUPS {
            return rule(STATEMENT, "the roster has as many groups as it takes");
        }
        let members = held.map(|held| held.members.clone()).unwrap_or_default();
        if group.rights.is_some() && members.values().any(|member| member.expires.is_none()) {
            return refused(format!("`{}` has members for good; it can get no rights", group.name));
        }
        self.groups.insert(group.name.clone(), Grouped { group: group.clone(), seq, members });
        Ok(())
    }

    fn set_host(&mut self, host: &Host) -> Result<(), Error> {
        host.check()?;
        let held = self.hosts.contains_key(&host.name);
        if !held && self.hosts.len() >= limits::ROSTER_MAX_HOSTS {
            return rule(STATEMENT, "the roster has as many hosts as it takes");
        }
        for grouped in self.groups.values() {
            self.check_reach(&grouped.group, Some(host))?;
        }
        self.hosts.insert(host.name.clone(), host.clone());
        Ok(())
    }

    fn grouped_mut(&mut self, group: &GroupName) -> Result<&mut Grouped, Error> {
        match self.groups.get_mut(group) {
            Some(grouped) => Ok(grouped),
            None => refused(format!("there is no group `{group}`")),
        }
    }

    fn enrolled_mut(&mut self, person: &PersonId) -> Result<&mut Person, Error> {
        match self.people.get_mut(person).filter(|known| known.enrolled) {
            Some(known) => Ok(known),
            None => refused(format!("`{person}` is not enrolled")),
        }
    }
}

/// The name of the founders' group.
fn founders() -> Result<GroupName, Error> {
    FOUNDERS.parse().map_err(|_| Error::Rule { what: "genesis", why: "its group has no name" })
}

fn rule<T>(what: &'static str, why: &'static str) -> Result<T, Error> {
    Err(Error::Rule { what, why })
}

fn refused<T>(why: String) -> Result<T, Error> {
    Err(Error::Refused { what: STATEMENT, why })
}

#[cfg(test)]
#[path = "tests/roster.rs"]
mod tests;
