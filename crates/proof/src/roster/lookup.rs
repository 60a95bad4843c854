//! What others ask of a roster.

use std::fmt;

use writ_model::{PersonId, Timestamp};

use super::{
    Accounts, Approver, Group, GroupName, Host, HostName, Member, Mode, Person, PersonKey, Roster,
    Rule,
};
use crate::hash::Hash;
use crate::limits;
use crate::origin::SiteId;
use crate::sshsig::SshPublicKey;
use crate::statement::Namespace;

/// Something that too few people can do. It is said, and nothing is lowered for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understaffed {
    /// What needs people: a slot of a group's rule, a rule, or ownership.
    pub what: String,
    /// How many it needs.
    pub needs: u32,
    /// How many there are.
    pub has: usize,
}

impl fmt::Display for Understaffed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs {} people and has {}", self.what, self.needs, self.has)
    }
}

impl Roster {
    /// The person who has `key` now.
    pub fn person(&self, key: &SshPublicKey) -> Option<&PersonId> {
        self.held(key).map(|(person, _)| person)
    }

    /// The key as it was enrolled, with the person who has it now.
    pub fn held(&self, key: &SshPublicKey) -> Option<(&PersonId, &PersonKey)> {
        let (person, known) = self.people.get_key_value(self.keys.get(key)?)?;
        known.keys.iter().find(|own| own.key == *key).map(|own| (person, own))
    }

    /// Everybody who was ever enrolled.
    pub fn people(&self) -> impl Iterator<Item = (&PersonId, &Person)> {
        self.people.iter()
    }

    /// The keys of a person; none of one who is not enrolled.
    pub fn keys(&self, person: &PersonId) -> &[PersonKey] {
        self.people.get(person).map_or(&[], |known| known.keys.as_slice())
    }

    /// The number of the enrolment that a person has now; `None` for one who is not enrolled.
    pub fn enrolment(&self, person: &PersonId) -> Option<u64> {
        self.people.get(person).filter(|known| known.enrolled).map(|known| known.enrolment)
    }

    /// When the enrolment that a person has at `at` began; `None` for one who is not enrolled then.
    pub fn enrolled_since(&self, person: &PersonId, at: Timestamp) -> Option<Timestamp> {
        let known = self.people.get(person).filter(|known| known.enrolled)?;
        (known.since <= at).then_some(known.since)
    }

    /// The number that the next enrolment of a person has.
    pub fn next_enrolment(&self, person: &PersonId) -> u64 {
        self.people.get(person).map_or(1, |known| known.enrolment.saturating_add(1))
    }

    /// How `person` is a member of `group` at `at`: enrolled, and the membership begun and not expired.
    /// Whether the person may do anything at all is not the roster's to say.
    pub fn member(&self, group: &GroupName, person: &PersonId, at: Timestamp) -> Option<Member> {
        self.enrolment(person)?;
        let member = self.groups.get(group)?.members.get(person)?;
        member.holds(at).then_some(*member)
    }

    /// The groups of which a person is a member at `at`.
    pub fn groups_of(
        &self,
        person: &PersonId,
        at: Timestamp,
    ) -> impl Iterator<Item = (&Group, Member)> {
        self.groups.values().filter_map(move |grouped| {
            Some((&grouped.group, self.member(&grouped.group.name, person, at)?))
        })
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values().map(|grouped| &grouped.group)
    }

    /// A group.
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.groups.get(name).map(|grouped| &grouped.group)
    }

    /// The number of the statement that last set a group: which rule and which rights it is about.
    pub fn group_revision(&self, name: &GroupName) -> Option<u64> {
        self.groups.get(name).map(|grouped| grouped.seq)
    }

    /// The members of a group as stated, those included whose time has passed.
    pub fn members(&self, name: &GroupName) -> impl Iterator<Item = (&PersonId, Member)> {
        let members = self.groups.get(name).map(|grouped| &grouped.members);
        members.into_iter().flatten().map(|(person, member)| (person, *member))
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// A host.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// Whose data a host holds: anybody's, if the roster does not know it.
    pub fn accounts(&self, host: &HostName) -> &Accounts {
        self.hosts.get(host).map_or(&Accounts::All, |host| &host.accounts)
    }

    /// True if what the group's members may ask for can lead to customers' data.
    pub fn reaches_customers(&self, name: &GroupName) -> bool {
        self.group(name).is_some_and(|group| self.reaches(group, None))
    }

    /// The rule for a kind of statement.
    pub fn rule(&self, namespace: Namespace) -> Option<&Rule> {
        self.rules.get(&namespace)
    }

    /// The number of the last statement; genesis is 0.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The digest of the last signed statement.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// When the last statement was made, by its signers' word.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The installation.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// How it runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What has fewer people at `at` than it needs.
    pub fn understaffed(&self, at: Timestamp) -> Vec<Understaffed> {
        let members = |name: &GroupName| {
            self.members(name).filter(|(person, _)| self.member(name, person, at).is_some()).count()
        };
        let mut short = Vec::new();
        for rule in self.rules.values() {
            if let Some(name) = &rule.group {
                let what = format!("the rule for `{}` (group `{name}`)", rule.namespace);
                short.push(Understaffed { what, needs: rule.threshold, has: members(name) });
            }
        }
        for group in self.groups().filter(|group| group.rights.is_some()) {
            let what = format!("`{}`: ownership", group.name);
            let needs = u32::try_from(limits::GROUP_MIN_OWNERS).unwrap_or(u32::MAX);
            short.push(Understaffed { what, needs, has: group.owners.0.len() });
            for slot in &group.rule.0 {
                let what = format!("`{}`: the slot `{}`", group.name, slot.slot);
                let has = match &slot.from {
                    Approver::Group(name) => members(name),
                    Approver::Owner => group.owners.0.len(),
                    Approver::Customer | Approver::ManagerOfRequester => continue,
                };
                let needs = group.rule.0.iter().filter(|s| s.from == slot.from);
                short.push(Understaffed { what, needs: needs.map(|s| s.count).sum(), has });
            }
        }
        short.retain(|each| usize::try_from(each.needs).unwrap_or(usize::MAX) > each.has);
        short
    }
}
