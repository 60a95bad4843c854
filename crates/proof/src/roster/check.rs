//! What holds of every roster.

use std::collections::BTreeSet;

use writ_model::PersonId;

use super::{Approver, Group, Host, Roster, Rule, STATEMENT, refused, rule};
use crate::error::Error;
use crate::limits;
use crate::statement::Namespace;

impl Roster {
    /// INVARIANT: the roster can be changed by the people in it, and no group is looser than it may be.
    pub(super) fn check(&self) -> Result<(), Error> {
        for wanted in self.rules.values() {
            let threshold = usize::try_from(wanted.threshold).unwrap_or(usize::MAX);
            let people = self.lasting(wanted)?.len();
            if threshold == 0 || threshold > people {
                return refused(format!(
                    "the rule for `{}` would need {threshold} people, and {people} could sign for good",
                    wanted.namespace
                ));
            }
        }
        if !self.rules.contains_key(&Namespace::Roster) {
            return rule("roster", "it has no rule for its own changes");
        }
        for grouped in self.groups.values() {
            self.check_reach(&grouped.group, None)?;
            self.check_names(&grouped.group)?;
        }
        Ok(())
    }

    /// Those who can sign under `wanted` and do not stop by themselves.
    fn lasting(&self, wanted: &Rule) -> Result<BTreeSet<&PersonId>, Error> {
        let group = match &wanted.group {
            None => None,
            Some(name) => match self.groups.get(name) {
                Some(grouped) => Some(grouped),
                None => return refused(format!("a rule names no group: `{name}`")),
            },
        };
        let people = self.people.iter().filter(|(person, known)| {
            let member = group.is_none_or(|grouped| {
                grouped.members.get(*person).is_some_and(|member| member.expires.is_none())
            });
            let keys = &known.keys;
            member && keys.iter().any(|own| !wanted.hardware || own.key.is_hardware())
        });
        Ok(people.map(|(person, _)| person).collect())
    }

    /// Fails if a slot or the rule of admission names what it must not.
    fn check_names(&self, group: &Group) -> Result<(), Error> {
        for slot in &group.rule.0 {
            let Approver::Group(name) = &slot.from else { continue };
            match self.groups.get(name) {
                None => return refused(format!("`{}` is approved by `{name}`", group.name)),
                Some(approver) if approver.group.admits.is_some() => {
                    return refused(format!(
                        "`{name}` admits people by what the HR feed says, so it cannot approve for \
                         `{}`",
                        group.name
                    ));
                }
                Some(_) => {}
            }
        }
        let approves = self.rules.values().any(|rule| rule.group.as_ref() == Some(&group.name));
        if group.admits.is_some() && approves {
            return refused(format!(
                "`{}` admits people by what the HR feed says, so no rule may name it",
                group.name
            ));
        }
        Ok(())
    }

    /// Fails if a group that can reach customers' data has too few approvers, or takes its members from
    /// the HR feed. `new` is a host that comes to those there are.
    pub(super) fn check_reach(&self, group: &Group, new: Option<&Host>) -> Result<(), Error> {
        if !self.reaches(group, new) {
            return Ok(());
        }
        if group.admits.is_some() {
            return refused(format!(
                "`{}` can reach customers' data, so nobody is admitted to it by the HR feed alone",
                group.name
            ));
        }
        if group.approvers() < limits::CUSTOMER_DATA_MIN_APPROVERS {
            return refused(format!(
                "`{}` can reach customers' data: its rule needs at least two approvers beside the \
                 requester's manager and the customer",
                group.name
            ));
        }
        Ok(())
    }

    pub(super) fn reaches(&self, group: &Group, new: Option<&Host>) -> bool {
        let Some(rights) = &group.rights else { return false };
        let hosts = self.hosts.values().filter(|host| new.is_none_or(|n| n.name != host.name));
        let mut held = hosts.chain(new).filter(|host| host.accounts.any());
        rights.kinds.0.iter().any(|kind| kind.crosses_hosts())
            || held.any(|host| rights.hosts.0.iter().any(|pattern| pattern.matches(&host.name)))
    }
}

/// Fails unless each is `https://HOST[:PORT]`, once.
pub(super) fn origins(origins: &[String]) -> Result<(), Error> {
    let unique: BTreeSet<_> = origins.iter().collect();
    let fits = |origin: &String| {
        let host = origin.strip_prefix("https://").unwrap_or_default();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:".contains(&b);
        origin.len() <= limits::ORIGIN_MAX_BYTES && !host.is_empty() && host.bytes().all(plain)
    };
    if unique.len() == origins.len() && origins.iter().all(fits) {
        Ok(())
    } else {
        rule(STATEMENT, "an origin is not https://HOST or https://HOST:PORT, or is there twice")
    }
}
