//! The catalogue: what the newest revision of every sealed thing is, and what has ended.
//!
//! A front that puts an old descriptor back (a wider policy, an active access key, a live user) is
//! refused, because keyd remembers id -> (revision, digest). It lives in memory and is rebuilt from
//! what front loads at start; a rollback **across** a restart of keyd is therefore open until the
//! head of the catalogue is persisted and witnessed (a later step).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::descriptor::{AccessKeyDescriptor, Descriptor, KeyDescriptor, KeyState};
use writ_keyd_client::protocol::End;
use writ_model::{AccessKeyId, AccountId, Arn, KeyId, LockboxMode, PersonId, Said, Timestamp};
use writ_proof::access::Consent;
use writ_proof::customer::consent;
use writ_proof::hash::Hash;

use crate::limits;
use crate::seal::Opened;

/// Why a descriptor is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// keyd has a newer revision, or another text of the same one.
    Old,
    /// What never changes of a thing, such as its account, is another than before.
    Other,
    /// Another live user or role of the account has the name.
    Taken,
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
            Stale::Other => "the descriptor is of another owner than the newest revision",
            Stale::Taken => "another user or role has the name",
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
    /// `user` or `role`.
    pub(crate) noun: &'static str,
    /// Its unique id.
    pub(crate) unique_id: String,
    /// Its name now.
    pub(crate) name: String,
    /// False once deleted.
    pub(crate) live: bool,
}

#[derive(Clone)]
enum Fact {
    AccessKey(AccessKeyDescriptor),
    Alias(Option<KeyId>),
    /// What is decided from it is in the catalogue's indexes.
    Customer(AccountId),
    Key(Box<KeyFact>),
    Principal(Principal),
}

/// What is known of a key without its descriptor at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFact {
    /// Its state.
    pub(crate) state: KeyState,
    /// The whole descriptor of a key that waits for its deletion.
    pub(crate) pending: Option<KeyDescriptor>,
}

/// Account, `user` or `role`, and the name in lower case.
type Name = (AccountId, &'static str, String);

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
    /// Name of a live user or role, with its account -> unique id. Paths do not tell names apart, and
    /// case does not (IAM User Guide, "IAM identifiers").
    by_name: HashMap<Name, String>,
    by_backing_key: HashMap<[u8; 16], Arn>,
    /// A key's ARN -> the names of its live aliases.
    by_target: HashMap<String, BTreeSet<String>>,
    pending_deletion: HashSet<Arn>,
    /// Accounts whose lockbox is on.
    lockboxes: BTreeSet<AccountId>,
    /// Accounts whose support role is disabled.
    unsupported: BTreeSet<AccountId>,
    /// Digest of a request for access -> what customers have said of it.
    consents: HashMap<Hash, BTreeMap<AccountId, (Said, Option<Timestamp>)>>,
    /// Digests of signed requests whose grants have ended.
    ended_grants: HashSet<Hash>,
    /// Digests of entries of the catalogue of runbooks that were withdrawn.
    ended_entries: HashSet<Hash>,
    ended_keys: HashSet<AccessKeyId>,
    /// Person -> their enrolments up to this number have ended.
    ended_people: HashMap<PersonId, u64>,
    ended_principals: HashSet<String>,
    /// Unique id -> sessions issued before this have ended.
    ended_sessions: HashMap<String, Timestamp>,
    /// True once front has loaded all.
    pub(crate) loaded: bool,
    /// Accounts that have got their first credential.
    accounts: HashSet<AccountId>,
    /// Those of them that have signed a request, which is in the head file.
    signed: HashSet<AccountId>,
    /// Those of them that were created in this run, and that front has not shown since.
    unshown: HashSet<AccountId>,
}

impl Catalogue {
    /// Takes a descriptor as the newest of its id, unless it is older than what is known, is of another
    /// owner, or gives a user or role the name of another. Whoever checked before saw an earlier
    /// catalogue: here, under its lock, the check holds.
    pub(crate) fn admit(&mut self, opened: &Opened) -> Result<(), Stale> {
        let (id, revision) = (opened.descriptor.id(), opened.descriptor.revision());
        let fact = fact(&opened.descriptor);
        if let Some(known) = self.entries.get(&id) {
            if known.revision == revision && known.digest == opened.digest {
                return Ok(());
            }
            if revision <= known.revision {
                return Err(Stale::Old);
            }
            if known.fact.owner() != fact.owner() {
                return Err(Stale::Other);
            }
        } else if self.entries.len() >= limits::CATALOGUE_MAX {
            return Err(Stale::Full);
        }
        if let Fact::Principal(now) = &fact
            && now.live
            && self.by_name.get(&now.full_name()).is_some_and(|holder| *holder != now.unique_id)
        {
            return Err(Stale::Taken);
        }
        self.index(&opened.descriptor);
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

    /// The unique id of the live user or role (`noun`) that has this name, whatever its path.
    pub(crate) fn holder(
        &self,
        account: AccountId,
        noun: &'static str,
        name: &str,
    ) -> Option<&str> {
        let name = (account, noun, name.to_ascii_lowercase());
        self.by_name.get(&name).map(String::as_str)
    }

    /// The status of a long-term access key.
    fn access_key(&self, id: &AccessKeyId) -> Option<&AccessKeyDescriptor> {
        match &self.entries.get(&format!("access-key/{id}"))?.fact {
            Fact::AccessKey(key) => Some(key),
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

    /// The names of a key's live aliases, such as `alias/prod`.
    pub(crate) fn aliases(&self, key: &Arn) -> Vec<String> {
        self.by_target.get(key.as_str()).into_iter().flatten().cloned().collect()
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

    /// The accounts whose lockbox is on.
    pub(crate) fn lockboxes(&self) -> &BTreeSet<AccountId> {
        &self.lockboxes
    }

    /// The accounts whose support role is disabled.
    pub(crate) fn unsupported(&self) -> &BTreeSet<AccountId> {
        &self.unsupported
    }

    /// What a customer has said last of the request with this digest.
    pub(crate) fn said(&self, account: AccountId, request: &Hash) -> Option<Said> {
        Some(self.consents.get(request)?.get(&account)?.0)
    }

    /// What all customers have said last of the request with this digest, as evidence.
    pub(crate) fn consents(&self, request: &Hash) -> BTreeMap<AccountId, Consent> {
        let said = self.consents.get(request).into_iter().flatten();
        said.map(|(account, (said, not_after))| (*account, consent(*said, *not_after))).collect()
    }

    /// The newest revision of an id; 0 if there is none.
    pub(crate) fn revision(&self, id: &str) -> u64 {
        self.entries.get(id).map_or(0, |entry| entry.revision)
    }

    /// Remembers the account; true once for each, unless it was forgotten between.
    pub(crate) fn first_credential(&mut self, account: AccountId) -> bool {
        self.unshown.insert(account);
        self.accounts.insert(account)
    }

    /// True if the account is known to have signed a request.
    pub(crate) fn has_signed(&self, account: AccountId) -> bool {
        self.signed.contains(&account)
    }

    /// The account has signed a request, and the head file says so.
    pub(crate) fn signed(&mut self, account: AccountId) {
        self.accounts.insert(account);
        self.signed.insert(account);
    }

    /// Front holds a root's key of the account.
    pub(crate) fn shown(&mut self, account: AccountId) {
        self.unshown.remove(&account);
    }

    /// Front has shown all that it holds: what it could not store of a new account is lost, with a
    /// secret that nobody has used. The account can be created again.
    pub(crate) fn forget_unstored_accounts(&mut self) {
        for account in std::mem::take(&mut self.unshown) {
            if !self.signed.contains(&account) {
                self.accounts.remove(&account);
            }
        }
    }

    /// Ends something. True unless there is no room to remember it.
    pub(crate) fn end(&mut self, end: End) -> bool {
        let customers =
            self.ended_keys.len() + self.ended_principals.len() + self.ended_sessions.len()
                < limits::ENDED_MAX;
        let operators =
            self.ended_grants.len() + self.ended_entries.len() + self.ended_people.len()
                < limits::ENDED_ACCESS_MAX;
        let fits = match &end {
            End::AccessKey(id) => customers || self.ended_keys.contains(id),
            End::Entry(digest) => operators || self.ended_entries.contains(digest),
            End::Grant(digest) => operators || self.ended_grants.contains(digest),
            End::Person(id) => operators || self.ended_people.contains_key(&id.person),
            End::Principal(id) => customers || self.ended_principals.contains(id),
            End::Sessions((id, _)) => customers || self.ended_sessions.contains_key(id),
        };
        if !fits {
            return false;
        }
        match end {
            End::AccessKey(id) => {
                self.ended_keys.insert(id);
            }
            End::Entry(digest) => {
                self.ended_entries.insert(digest);
            }
            End::Grant(digest) => {
                self.ended_grants.insert(digest);
            }
            End::Person(id) => {
                let last = self.ended_people.entry(id.person).or_default();
                *last = id.number.max(*last);
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

    /// True if the grant of this signed request has ended.
    pub(crate) fn is_grant_ended(&self, request: &Hash) -> bool {
        self.ended_grants.contains(request)
    }

    /// True if this entry of the catalogue of runbooks was withdrawn.
    pub(crate) fn is_entry_ended(&self, entry: &Hash) -> bool {
        self.ended_entries.contains(entry)
    }

    /// True if this enrolment of a person has ended.
    pub(crate) fn is_ended(&self, person: &PersonId, number: u64) -> bool {
        self.ended_people.get(person).is_some_and(|last| number <= *last)
    }

    /// How many grants have ended that it remembers.
    pub(crate) fn ended_grants(&self) -> u64 {
        self.ended_grants.len() as u64
    }

    /// Ends what was sealed as new and never stored, so that its name can be used again. A key needs
    /// nothing: its id is never drawn twice, and its tokens are nowhere.
    pub(crate) fn end_unstored(&mut self, descriptor: &Descriptor) {
        let principal = match fact(descriptor) {
            Fact::Alias(Some(_)) => {
                self.point(descriptor, false);
                if let Some(entry) = self.entries.get_mut(&descriptor.id()) {
                    entry.fact = Fact::Alias(None);
                }
                return;
            }
            Fact::Principal(principal) if principal.live => principal,
            _ => return,
        };
        self.forget_names(&principal);
        self.ended_principals.insert(principal.unique_id);
    }

    /// Whether what signed is still good now: its key, its principal and its session.
    pub(crate) fn is_live(&self, caller: &Caller, now: Timestamp) -> bool {
        let issued = caller.session.as_ref().map(|s| s.issued);
        let role = caller.session.as_ref().and_then(|s| s.role.as_ref());
        let id = role.map_or(caller.unique_id.as_str(), |role| role.unique_id.as_str());
        let principal = match (caller.kind, role) {
            (CallerKind::Root, _) => true,
            (CallerKind::AssumedRole, Some(role)) => {
                self.role(id).is_some_and(|p| p.is(caller) && p.arn == role.arn)
            }
            (CallerKind::AssumedRole, None) => false,
            (CallerKind::User, _) => self.user(id).is_some_and(|p| p.is(caller)),
        };
        let key = match &caller.session {
            Some(session) => session.expires > now,
            None => self.access_key(&caller.access_key_id).is_some_and(|key| may_sign(key, caller)),
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
        if let Descriptor::Alias(alias) = descriptor {
            self.point(descriptor, !alias.deleted);
        }
        match descriptor {
            Descriptor::Consent(d) => {
                let said = self.consents.entry(d.request).or_default();
                said.insert(d.account, (d.said, d.not_after));
            }
            Descriptor::Lockbox(d) => {
                switch(&mut self.lockboxes, d.account, d.mode != LockboxMode::Off)
            }
            Descriptor::Support(d) => switch(&mut self.unsupported, d.account, !d.enabled),
            _ => {}
        }
        let Fact::Principal(now) = fact(descriptor) else { return };
        if let Some(before) = self.principal(&descriptor.id()).cloned() {
            self.forget_names(&before);
        }
        if now.live {
            self.by_name.insert(now.full_name(), now.unique_id.clone());
            self.by_arn.insert(now.arn.as_str().to_owned(), now.unique_id);
        }
    }

    /// The alias means its new target, or nothing, and no more what it meant before.
    fn point(&mut self, descriptor: &Descriptor, live: bool) {
        let Descriptor::Alias(alias) = descriptor else { return };
        let account = alias.arn.account();
        let key = |target: &KeyId| {
            Arn::build("kms", alias.arn.region(), account, &format!("key/{target}")).to_string()
        };
        let name = alias.arn.resource();
        if let Some(before) = self.alias(&alias.arn).map(key)
            && let Some(names) = self.by_target.get_mut(&before)
        {
            names.remove(name);
            if names.is_empty() {
                self.by_target.remove(&before);
            }
        }
        if live {
            self.by_target.entry(key(&alias.target)).or_default().insert(name.to_owned());
        }
    }

    /// The principal's ARN and name are free again, if they are still its own.
    fn forget_names(&mut self, principal: &Principal) {
        if self.by_arn.get(principal.arn.as_str()) == Some(&principal.unique_id) {
            self.by_arn.remove(principal.arn.as_str());
        }
        let name = principal.full_name();
        if self.by_name.get(&name) == Some(&principal.unique_id) {
            self.by_name.remove(&name);
        }
    }
}

impl Principal {
    fn full_name(&self) -> Name {
        (self.account, self.noun, self.name.to_ascii_lowercase())
    }

    /// True if it is live and of the account in which the caller acts.
    fn is(&self, caller: &Caller) -> bool {
        self.live && self.account == caller.account
    }
}

/// True if the long-term key may sign, and for this caller.
fn may_sign(key: &AccessKeyDescriptor, caller: &Caller) -> bool {
    let owner = match caller.kind {
        CallerKind::Root => key.user.is_none(),
        _ => key.user.as_ref() == Some(&caller.unique_id),
    };
    !key.deleted && key.active && key.account == caller.account && owner
}

impl Fact {
    /// What never changes of a thing: its account, and an access key's user. The ids of keys and
    /// aliases are ARNs, which say it.
    fn owner(&self) -> Option<(AccountId, Option<&str>)> {
        match self {
            Fact::AccessKey(key) => Some((key.account, key.user.as_deref())),
            Fact::Customer(account) => Some((*account, None)),
            Fact::Principal(principal) => Some((principal.account, None)),
            Fact::Alias(_) | Fact::Key(_) => None,
        }
    }
}

fn fact(descriptor: &Descriptor) -> Fact {
    match descriptor {
        Descriptor::AccessKey(d) => Fact::AccessKey(d.clone()),
        Descriptor::Alias(d) => Fact::Alias((!d.deleted).then(|| d.target.clone())),
        Descriptor::Key(d) => Fact::Key(Box::new(KeyFact {
            state: d.state,
            pending: (d.state == KeyState::PendingDeletion).then(|| (**d).clone()),
        })),
        Descriptor::Role(d) => Fact::Principal(Principal {
            arn: Arn::iam(d.account, &format!("role{}{}", d.path, d.name)),
            account: d.account,
            noun: "role",
            unique_id: d.unique_id.clone(),
            name: d.name.clone(),
            live: !d.deleted,
        }),
        Descriptor::User(d) => Fact::Principal(Principal {
            arn: Arn::iam(d.account, &format!("user{}{}", d.path, d.name)),
            account: d.account,
            noun: "user",
            unique_id: d.unique_id.clone(),
            name: d.name.clone(),
            live: !d.deleted,
        }),
        Descriptor::Consent(d) => Fact::Customer(d.account),
        Descriptor::Lockbox(d) => Fact::Customer(d.account),
        Descriptor::Support(d) => Fact::Customer(d.account),
    }
}

fn switch(accounts: &mut BTreeSet<AccountId>, account: AccountId, on: bool) {
    if on {
        accounts.insert(account);
    } else {
        accounts.remove(&account);
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
    fn descriptor_of_another_account_or_with_anothers_name_is_refused() {
        let with = |opened: Opened, change: &dyn Fn(&mut UserDescriptor)| {
            let Descriptor::User(mut user) = opened.descriptor else { panic!("no user") };
            change(&mut user);
            let descriptor = Descriptor::User(user);
            Opened { digest: digest(&descriptor), descriptor }
        };
        let mut catalogue = Catalogue::default();
        catalogue.admit(&user("a", 1, false)).unwrap();
        let moved = with(user("a", 2, false), &|u| u.account = AccountId::from_number(6).unwrap());
        assert_eq!(catalogue.admit(&moved), Err(Stale::Other));
        let other = |name: &str, path: &str, deleted| {
            with(user(name, 1, deleted), &|u| {
                u.unique_id = "AIDABBBBBBBBBBBBBBBBB".to_owned();
                u.path = path.to_owned();
            })
        };
        assert_eq!(catalogue.admit(&other("a", "/", false)), Err(Stale::Taken));
        assert_eq!(catalogue.admit(&other("A", "/x/", false)), Err(Stale::Taken), "path and case");
        let elsewhere =
            with(other("a", "/", false), &|u| u.account = AccountId::from_number(6).unwrap());
        catalogue.admit(&elsewhere).unwrap();
        let mut catalogue = Catalogue::default();
        catalogue.admit(&user("a", 1, false)).unwrap();
        catalogue.admit(&user("b", 2, false)).unwrap();
        catalogue.admit(&other("a", "/", false)).unwrap();
        catalogue.admit(&user("B", 3, false)).unwrap();
        assert_eq!(catalogue.admit(&user("a", 4, false)), Err(Stale::Taken), "renamed back");
        catalogue.admit(&user("b", 4, true)).unwrap();
        let account = AccountId::from_number(5).unwrap();
        assert_eq!(catalogue.holder(account, "user", "b"), None);
        assert_eq!(catalogue.holder(account, "user", "A"), Some("AIDABBBBBBBBBBBBBBBBB"));
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
