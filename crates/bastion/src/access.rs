//! What somebody may do on a host now: the union of the grants that are live.

use std::collections::BTreeMap;
use std::sync::Arc;

use writ_keyd_client::operator::Evidence;
use writ_model::{AccountId, PersonId, Timestamp};
use writ_proof::access::{FileRule, Grant, SshScope};
use writ_proof::hash::Hash;
use writ_proof::roster::{HostName, Roster};

use crate::sftp::{Glob, Rights};

/// Who may come in, as of one moment of the state.
pub struct Access {
    /// The roster.
    pub roster: Arc<Roster>,
    /// The grants that have no end and whose window is not over, each judged anew under that roster.
    pub grants: Vec<Arc<Held>>,
    /// Why grants ended, by their digest: those that are still remembered.
    pub ended: BTreeMap<Hash, String>,
    /// The requesters of these grants who may not act now, and why.
    pub away: BTreeMap<PersonId, String>,
    /// The hosts that watch knows and does not see now.
    pub unwatched: BTreeMap<HostName, Unwatched>,
}

/// A host that nobody watches now: no session opens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwatched {
    /// Why.
    pub why: String,
    /// For so long that sessions that run there end, too.
    pub over: bool,
}

/// A grant with everything that a session on it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The grant.
    pub grant: Grant,
    /// What it gives.
    pub scope: SshScope,
    /// What people signed, for keyd.
    pub evidence: Evidence,
    /// The customers to whose data it can lead.
    pub accounts: Vec<AccountId>,
    /// What customers see of its person.
    pub pseudonym: String,
}

/// Who has logged in, to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The person.
    pub person: PersonId,
    /// The login role on the host.
    pub login: String,
    /// The host.
    pub host: HostName,
}

/// What something in a session needs of the grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// This command.
    Command(String),
    /// These rights on files.
    Files(Vec<FileRule>),
    /// To be there at all.
    Login,
    /// A shell, a terminal, or any command.
    Shell,
}

impl Place {
    /// Reads `LOGIN+HOST`.
    pub fn parse(user: &str, person: PersonId) -> Option<Place> {
        let (login, host) = user.split_once('+')?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
        if login.is_empty() || !login.bytes().all(plain) {
            return None;
        }
        Some(Place { person, login: login.to_owned(), host: host.parse().ok()? })
    }

    /// True if the grant is for this person, login role and host.
    pub fn is_of(&self, held: &Held) -> bool {
        held.grant.person == self.person
            && held.scope.login == self.login
            && held.scope.hosts.0.contains(&self.host)
    }
}

impl Access {
    /// Why nothing new may begin on this host, whatever the grants are.
    ///
    /// # Errors
    /// watch knows the host and does not see it now.
    pub fn watched(&self, host: &HostName) -> Result<(), String> {
        match self.unwatched.get(host) {
            None => Ok(()),
            Some(Unwatched { why, .. }) => Err(format!(
                "the host `{host}` is not watched now ({why}): nothing opens there before its agent is heard"
            )),
        }
    }

    /// The grants for this place that hold at `now`, the one that ends last first. None of a person who may
    /// not act, and none on a host that has not been watched for too long.
    pub fn live(&self, place: &Place, now: Timestamp) -> Vec<Arc<Held>> {
        let alone = self.unwatched.get(&place.host).is_some_and(|host| host.over);
        if alone || self.away.contains_key(&place.person) {
            return Vec::new();
        }
        live(&self.grants, place, now)
    }
}

/// Those of `grants` that are for this place and hold at `now`, the one that ends last first.
fn live(grants: &[Arc<Held>], place: &Place, now: Timestamp) -> Vec<Arc<Held>> {
    let holds = |held: &&Arc<Held>| place.is_of(held) && held.grant.holds(now);
    let mut live: Vec<Arc<Held>> = grants.iter().filter(holds).cloned().collect();
    live.sort_by_key(|held| std::cmp::Reverse(held.grant.not_after));
    live
}

/// The grant that gives what is needed; with several that do so together, the first of them.
pub fn covering<'a>(live: &'a [Arc<Held>], need: &Need) -> Option<&'a Arc<Held>> {
    let gives = |held: &&Arc<Held>| match need {
        Need::Login => true,
        Need::Shell => held.scope.interactive,
        Need::Command(command) => held.scope.interactive || held.scope.commands.0.contains(command),
        Need::Files(rules) => rules.iter().any(|rule| covers(held, rule)),
    };
    let first = live.iter().find(gives)?;
    let whole = match need {
        Need::Files(rules) => rules.iter().all(|rule| live.iter().any(|held| covers(held, rule))),
        _ => true,
    };
    whole.then_some(first)
}

fn covers(held: &Held, rule: &FileRule) -> bool {
    held.scope.files.0.iter().any(|own| own.covers(rule))
}

/// Everything that the grants give on files.
pub fn files(live: &[Arc<Held>]) -> Vec<FileRule> {
    live.iter().flat_map(|held| held.scope.files.0.iter().cloned()).collect()
}

/// The same as the watch over SFTP wants it; `None` if there are more paths than it takes.
pub fn rights(rules: &[FileRule]) -> Option<Rights> {
    let mut rights = Rights::default();
    for rule in rules {
        for right in &rule.rights.0 {
            let globs = globs(&rule.path)?;
            if !rights.add(*right, globs) {
                return None;
            }
        }
    }
    Some(rights)
}

/// A path of a grant is meant as it stands; one with a character of patterns gives nothing.
fn globs(path: &str) -> Option<Vec<Glob>> {
    if path.contains(['*', '?']) {
        return Some(Vec::new());
    }
    let pattern = match path.strip_suffix('/') {
        Some(folder) => format!("{folder}/**"),
        None => path.to_owned(),
    };
    Some(vec![pattern.parse().ok()?])
}

#[cfg(test)]
#[path = "tests/access.rs"]
mod tests;
