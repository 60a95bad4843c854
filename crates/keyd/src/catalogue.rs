//! The catalogue: what the newest revision of every sealed thing is, and what has ended.
//!
//! A front that puts an old descriptor back (a wider policy, an active access key, a live user) is
//! refused, because keyd remembers id -> (revision, digest). It lives in memory and is rebuilt from
//! what front loads at start; a rollback **across** a restart of keyd is therefore open until the
//! head of the catalogue is persisted and witnessed (a later step).

use std::collections::{HashMap, HashSet};

use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor, KeyState};
use writ_keyd_client::protocol::End;
use writ_model::{AccessKeyId, AccountId, Arn, KeyId, Timestamp};

use crate::limits;
use crate::seal::Opened;

/// Why a descriptor is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// keyd has a newer revision, or another text of the same one.
    Old,
    /// keyd has never seen it.
    Unknown,
    /// No room for more.
    Full,
}

impl Stale {
    /// The reason in a refusal.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Stale::Old => "the descriptor is not the newest revision of its kind",
            Stale::Unknown => "the descriptor is not in the catalogue; load it first",
            Stale::Full => "the catalogue is full",
        }
    }
}

/// A user or role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Its ARN now.
    pub(crate) arn: Arn,
    /// Its account.
    pub(crate) account: AccountId,
    /// Its name now.
    pub(crate) name: String,
    /// False once deleted.
    pub(crate) live: bool,
}

/// The status of a long-term access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyStatus {
    /// `Active`, not `Inactive`.
    pub(crate) active: bool,
    /// False once deleted.
    pub(crate) live: bool,
}

#[derive(Clone)]
enum Fact {
    AccessKey(KeyStatus),
    Alias(Option<KeyId>),
    Key(Box<KeyFact>),
    Principal(Principal),
}

/// What is known of a key without its descriptor at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFact {
    /// Its state.
    pub(crate) state: KeyState,
    /// SHA-256 of its policy's text.
    pub(crate) policy_digest: [u8; 32],
    /// The whole descriptor of a key that waits for its deletion.
    pub(crate) pending: Option<KeyDescriptor>,
}

struct Entry {
    revision: u64,
    digest: [u8; 32],
    fact: Fact,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Catalogue {
    entries: HashMap<String, Entry>,
    /// ARN of a live user or role -> unique id.
    by_arn: HashMap<String, String>,
    by_backing_key: HashMap<[u8; 16], Arn>,
    pending_deletion: HashSet<Arn>,
    ended_keys: HashSet<AccessKeyId>,
    ended_principals: HashSet<String>,
    /// Unique id -> sessions issued before this have ended.
    ended_sessions: HashMap<String, Timestamp>,
    /// True once front has loaded all.
    pub(crate) loaded: bool,
    /// Accounts that have got their first credential.
    accounts: HashSet<AccountId>,
}

impl Catalogue {
    /// Takes a descriptor as the newest of its id, unless it is older than what is known.
    pub(crate) fn admit(&mut self, opened: &Opened) -> Result<(), Stale> {
        let (id, revision) = (opened.descriptor.id(), opened.descriptor.revision());
        if let Some(known) = self.entries.get(&id) {
            if known.revision == revision && known.digest == opened.digest {
                return Ok(());
            }
            if revision <= known.revision {
                return Err(Stale::Old);
            }
        } else if self.entries.len() >= limits::CATALOGUE_MAX {
            return Err(Stale::Full);
        }
        self.index(&opened.descriptor);
        let fact = fact(&opened.descriptor);
        self.entries.insert(id, Entry { revision, digest: opened.digest, fact });
        Ok(())
    }

    /// Checks that `opened` is exactly the newest revision.
    pub(crate) fn current(&self, opened: &Opened) -> Result<(), Stale> {
        match self.entries.get(&opened.descriptor.id()) {
            Some(known) if known.digest == opened.digest => Ok(()),
            Some(_) => Err(Stale::Old),
            None => Err(Stale::Unknown),
        }
    }

    /// True if anything is known under this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// How many things are known.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The user or role with this unique id.
    pub(crate) fn user(&self, unique_id: &str) -> Option<&Principal> {
        self.principal(&format!("user/{unique_id}"))
    }

    /// The role with this unique id.
    pub(crate) fn role(&self, unique_id: &str) -> Option<&Principal> {
        self.principal(&format!("role/{unique_id}"))
    }

    /// The unique id of the live user or role with this ARN.
    pub(crate) fn unique_id(&self, arn: &Arn) -> Option<&str> {
        self.by_arn.get(arn.as_str()).map(String::as_str)
    }

    /// The status of a long-term access key.
    pub(crate) fn access_key(&self, id: &AccessKeyId) -> Option<&KeyStatus> {
        match &self.entries.get(&format!("access-key/{id}"))?.fact {
            Fact::AccessKey(status) => Some(status),
            _ => None,
        }
    }

    /// Which key a live alias means. The aliases of a destroyed key are gone with it, and their names
    /// are free.
    pub(crate) fn alias(&self, arn: &Arn) -> Option<&KeyId> {
        let Fact::Alias(Some(target)) = &self.entries.get(&format!("alias/{arn}"))?.fact else {
            return None;
        };
        let key = Arn::build("kms", arn.region(), arn.account(), &format!("key/{target}"));
        let gone = self.key(&key).is_some_and(|key| key.state == KeyState::Destroyed);
        (!gone).then_some(target)
    }

    /// What is known of a key.
    pub(crate) fn key(&self, arn: &Arn) -> Option<&KeyFact> {
        match &self.entries.get(&format!("key/{arn}"))?.fact {
            Fact::Key(fact) => Some(fact),
            _ => None,
        }
    }

    /// The key that a backing key belongs to.
    pub(crate) fn key_of(&self, backing_key: &[u8; 16]) -> Option<&Arn> {
        self.by_backing_key.get(backing_key)
    }

    /// Keys whose deletion is due, at most `max`.
    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<KeyDescriptor> {
        let due = |key: &&KeyDescriptor| key.deletion_date.is_some_and(|date| date <= now);
        self.pending_deletion
            .iter()
            .filter_map(|arn| self.key(arn)?.pending.as_ref())
            .filter(due)
            .take(max)
            .cloned()
            .collect()
    }

    /// The newest revision of an id; 0 if there is none.
    pub(crate) fn revision(&self, id: &str) -> u64 {
        self.entries.get(id).map_or(0, |entry| entry.revision)
    }

    /// Remembers an account of an earlier run.
    pub(crate) fn remember_account(&mut self, account: AccountId) {
        self.accounts.insert(account);
    }

    /// True once for each account.
    pub(crate) fn first_credential(&mut self, account: AccountId) -> bool {
        self.accounts.insert(account)
    }

    /// Ends something. True unless there is no room to remember it.
    pub(crate) fn end(&mut self, end: End) -> bool {
        let size = self.ended_keys.len() + self.ended_principals.len() + self.ended_sessions.len();
        if size >= limits::ENDED_MAX {
            return false;
        }
        match end {
            End::AccessKey(id) => {
                self.ended_keys.insert(id);
            }
            End::Principal(id) => {
                self.ended_principals.insert(id);
            }
            End::Sessions((id, before)) => {
                let known = self.ended_sessions.entry(id).or_insert(before);
                *known = before.max(*known);
            }
        }
        true
    }

    /// Ends what was sealed as new and never stored, so that its name can be used again. A key needs
    /// nothing: its id is never drawn twice, and its tokens are nowhere.
    pub(crate) fn end_unstored(&mut self, descriptor: &Descriptor) {
        let (id, arn) = match fact(descriptor) {
            Fact::Alias(Some(_)) => {
                if let Some(entry) = self.entries.get_mut(&descriptor.id()) {
                    entry.fact = Fact::Alias(None);
                }
                return;
            }
            Fact::Principal(principal) if principal.live => match descriptor {
                Descriptor::Role(d) => (d.unique_id.clone(), principal.arn),
                Descriptor::User(d) => (d.unique_id.clone(), principal.arn),
                _ => return,
            },
            _ => return,
        };
        if self.unique_id(&arn) == Some(&id) {
            self.by_arn.remove(arn.as_str());
        }
        self.ended_principals.insert(id);
    }

    /// Whether what signed is still good now: its key, its principal and its session.
    pub(crate) fn is_live(&self, caller: &Caller, now: Timestamp) -> bool {
        let issued = caller.session.as_ref().map(|s| s.issued);
        let role = caller.session.as_ref().and_then(|s| s.role.as_ref());
        let id = role.map_or(caller.unique_id.as_str(), |role| role.unique_id.as_str());
        let principal = match (caller.kind, role) {
            (CallerKind::Root, _) => true,
            (CallerKind::AssumedRole, Some(role)) => {
                self.role(id).is_some_and(|p| p.live && p.arn == role.arn)
            }
            (CallerKind::AssumedRole, None) => false,
            (CallerKind::User, _) => self.user(id).is_some_and(|p| p.live),
        };
        let key = match &caller.session {
            Some(session) => session.expires > now,
            None => self.access_key(&caller.access_key_id).is_some_and(|k| k.live && k.active),
        };
        let revoked = match (issued, self.ended_sessions.get(id)) {
            (Some(issued), Some(before)) => issued < *before,
            _ => false,
        };
        let ended = self.ended_keys.contains(&caller.access_key_id)
            || self.ended_principals.contains(id)
            || revoked;
        principal && key && !ended
    }

    fn principal(&self, id: &str) -> Option<&Principal> {
        match &self.entries.get(id)?.fact {
            Fact::Principal(principal) => Some(principal),
            _ => None,
        }
    }

    fn index(&mut self, descriptor: &Descriptor) {
        if let Descriptor::AccessKey(key) = descriptor
            && key.user.is_none()
        {
            self.accounts.insert(key.account);
        }
        if let Descriptor::Key(key) = descriptor {
            for id in &key.backing_keys {
                self.by_backing_key.insert(*id, key.arn.clone());
            }
            if key.state == KeyState::PendingDeletion {
                self.pending_deletion.insert(key.arn.clone());
            } else {
                self.pending_deletion.remove(&key.arn);
            }
        }
        let Fact::Principal(now) = fact(descriptor) else { return };
        let (id, unique_id) = match descriptor {
            Descriptor::User(d) => (descriptor.id(), d.unique_id.clone()),
            Descriptor::Role(d) => (descriptor.id(), d.unique_id.clone()),
            _ => return,
        };
        let before = self.principal(&id).map(|p| p.arn.as_str().to_owned());
        if let Some(before) = before
            && self.by_arn.get(&before) == Some(&unique_id)
        {
            self.by_arn.remove(&before);
        }
        if now.live {
            self.by_arn.insert(now.arn.as_str().to_owned(), unique_id);
        }
    }
}

fn fact(descriptor: &Descriptor) -> Fact {
    match descriptor {
        Descriptor::AccessKey(d) => {
            Fact::AccessKey(KeyStatus { active: d.active, live: !d.deleted })
        }
        Descriptor::Alias(d) => Fact::Alias((!d.deleted).then(|| d.target.clone())),
        Descriptor::Key(d) => Fact::Key(Box::new(KeyFact {
            state: d.state,
            policy_digest: d.policy_digest,
            pending: (d.state == KeyState::PendingDeletion).then(|| (**d).clone()),
        })),
        Descriptor::Role(d) => Fact::Principal(Principal {
            arn: Arn::iam(d.account, &format!("role{}{}", d.path, d.name)),
            account: d.account,
            name: d.name.clone(),
            live: !d.deleted,
        }),
        Descriptor::User(d) => Fact::Principal(Principal {
            arn: Arn::iam(d.account, &format!("user{}{}", d.path, d.name)),
            account: d.account,
            name: d.name.clone(),
            live: !d.deleted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::digest;
    use writ_keyd_client::descriptor::UserDescriptor;

    fn user(name: &str, revision: u64, deleted: bool) -> Opened {
        let descriptor = Descriptor::User(UserDescriptor {
            account: AccountId::from_number(5).unwrap(),
            unique_id: "AIDAAAAAAAAAAAAAAAAAA".to_owned(),
            name: name.to_owned(),
            path: "/".to_owned(),
            revision,
            deleted,
        });
        Opened { digest: digest(&descriptor), descriptor }
    }

    #[test]
    fn catalogue_refuses_what_is_not_the_newest() {
        let mut catalogue = Catalogue::default();
        assert_eq!(catalogue.current(&user("a", 1, false)), Err(Stale::Unknown));
        catalogue.admit(&user("a", 1, false)).unwrap();
        catalogue.admit(&user("a", 1, false)).unwrap();
        assert_eq!(catalogue.admit(&user("b", 1, false)), Err(Stale::Old), "same revision, other");
        catalogue.admit(&user("b", 3, false)).unwrap();
        assert_eq!(catalogue.admit(&user("a", 2, false)), Err(Stale::Old));
        assert_eq!(catalogue.current(&user("a", 1, false)), Err(Stale::Old));
        assert_eq!(catalogue.current(&user("b", 3, false)), Ok(()));
    }

    #[test]
    fn catalogue_follows_a_user_through_renaming_and_deletion() {
        let arn = |name| Arn::iam(AccountId::from_number(5).unwrap(), &format!("user/{name}"));
        let mut catalogue = Catalogue::default();
        catalogue.admit(&user("a", 1, false)).unwrap();
        assert!(catalogue.unique_id(&arn("a")).is_some());
        catalogue.admit(&user("b", 2, false)).unwrap();
        assert!(catalogue.unique_id(&arn("a")).is_none());
        assert!(catalogue.unique_id(&arn("b")).is_some());
        catalogue.admit(&user("b", 3, true)).unwrap();
        assert!(catalogue.unique_id(&arn("b")).is_none());
        assert!(!catalogue.user("AIDAAAAAAAAAAAAAAAAAA").unwrap().live);
    }
}
