//! The state in memory: one immutable value for each published revision.
//!
//! A request takes one [`Snapshot`] when it arrives and decides from that alone. Applying a change
//! copies only the path to it, so a swap costs microseconds whatever the size. What decisions need
//! beside the objects (indexes, compiled policies) is derived when a change is applied, never at
//! request time.

use std::ops::{Bound, Deref};
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use writ_model::{AccessKeyId, AccountId, Arn, Revision, StoreEpoch, UniqueId};

use crate::derived::Derive;
use crate::state::{
    AccessApproval, AccessGrant, AccessKey, AccessRequest, Account, Alias, Body, Consent,
    Enrolment, Group, HrFeed, Key, Kind, Lockbox, ManagedPolicy, Person, Revocation, Role,
    RosterEntry, Run, Runbook, Stored, Support, Ticket, User, folded,
};
use crate::{Change, Object, ObjectId, StoreError};

/// All state at one published revision, with the endings that are in force already.
#[derive(Clone)]
pub struct Snapshot {
    epoch: StoreEpoch,
    revision: Revision,
    accounts: HashTrieMapSync<AccountId, Arc<AccountState>>,
    access_keys: HashTrieMapSync<AccessKeyId, AccountId>,
    objects: usize,
}

impl Snapshot {
    /// An empty state in the life `epoch` of a store.
    pub fn empty(epoch: StoreEpoch) -> Snapshot {
        Snapshot {
            epoch,
            revision: Revision(0),
            accounts: HashTrieMapSync::new_sync(),
            access_keys: HashTrieMapSync::new_sync(),
            objects: 0,
        }
    }

    /// The state that consists of `objects`, each with the revision that wrote it.
    pub fn build(
        epoch: StoreEpoch,
        revision: Revision,
        objects: impl IntoIterator<Item = (Object, Revision)>,
    ) -> Snapshot {
        let mut snapshot = Snapshot::empty(epoch);
        for (object, written) in objects {
            snapshot.put(object.account, &object.body, written);
        }
        snapshot.revision = revision;
        snapshot
    }

    /// This state after `changes`, at `revision`. A change that is already in force, or older than
    /// what is, has no effect.
    #[must_use]
    pub fn apply(&self, changes: &[Change], revision: Revision) -> Snapshot {
        let mut next = self.clone();
        for change in changes {
            match &change.body {
                Some(body) => next.put(change.object.account, body, change.revision),
                None => next.remove(&change.object, change.revision),
            }
        }
        next.revision = revision;
        next
    }

    /// The life of the store that it comes from.
    pub fn epoch(&self) -> StoreEpoch {
        self.epoch
    }

    /// The published revision. Endings of later revisions may be in force already.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many objects there are.
    pub fn object_count(&self) -> usize {
        self.objects
    }

    /// The accounts that have objects, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.accounts.keys().copied()
    }

    /// Everything of one account.
    pub fn state(&self, account: AccountId) -> Option<&Arc<AccountState>> {
        self.accounts.get(&account)
    }

    /// The object of type `T` with this id; names of users, roles, groups and policies in any case.
    pub fn get<T: Held>(&self, account: AccountId, id: &str) -> Option<&Arc<Entry<T>>> {
        self.state(account)?.get(id)
    }

    /// The account itself.
    pub fn account(&self, id: AccountId) -> Option<&Arc<Entry<Account>>> {
        self.get(id, &id.to_string())
    }

    /// The user of this name, in any case.
    pub fn user(&self, account: AccountId, name: &str) -> Option<&Arc<Entry<User>>> {
        self.get(account, name)
    }

    /// The user with this unique id.
    pub fn user_by_unique_id(
        &self,
        account: AccountId,
        id: &UniqueId,
    ) -> Option<&Arc<Entry<User>>> {
        self.state(account)?.by_unique_id(id)
    }

    /// The role of this name, in any case.
    pub fn role(&self, account: AccountId, name: &str) -> Option<&Arc<Entry<Role>>> {
        self.get(account, name)
    }

    /// The role with this unique id.
    pub fn role_by_unique_id(
        &self,
        account: AccountId,
        id: &UniqueId,
    ) -> Option<&Arc<Entry<Role>>> {
        self.state(account)?.by_unique_id(id)
    }

    /// The group of this name, in any case.
    pub fn group(&self, account: AccountId, name: &str) -> Option<&Arc<Entry<Group>>> {
        self.get(account, name)
    }

    /// The customer's managed policy with this ARN.
    pub fn managed_policy(&self, arn: &Arn) -> Option<&Arc<Entry<ManagedPolicy>>> {
        let name = arn.resource().rsplit('/').next()?;
        self.get::<ManagedPolicy>(arn.account()?, name).filter(|policy| policy.arn == *arn)
    }

    /// The KMS key with this ARN.
    pub fn key(&self, arn: &Arn) -> Option<&Arc<Entry<Key>>> {
        self.get(arn.account()?, arn.as_str())
    }

    /// The KMS alias with this ARN.
    pub fn alias(&self, arn: &Arn) -> Option<&Arc<Entry<Alias>>> {
        self.get(arn.account()?, arn.as_str())
    }

    /// The long-term access key with this id, and its account.
    pub fn access_key(&self, id: &AccessKeyId) -> Option<(AccountId, &Arc<Entry<AccessKey>>)> {
        let account = *self.access_keys.get(id)?;
        self.get(account, id.as_str()).map(|entry| (account, entry))
    }

    /// The person with this id.
    pub fn person(&self, id: &str) -> Option<&Arc<Entry<Person>>> {
        self.get(AccountId::PLATFORM, id)
    }

    /// What the HR feed last delivered; none before its first delivery.
    pub fn hr_feed(&self) -> Option<&Arc<Entry<HrFeed>>> {
        self.list(AccountId::PLATFORM, None).next()
    }

    /// The end of the sessions of `subject`, if they were ever revoked.
    pub fn revocation(&self, account: AccountId, subject: &str) -> Option<&Arc<Entry<Revocation>>> {
        self.get(account, subject)
    }

    /// The objects of type `T` after the id `after`, in order of their ids.
    pub fn list<'a, T: Held>(
        &'a self,
        account: AccountId,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Entry<T>>> + use<'a, T> {
        self.state(account).map(|state| state.list(after)).into_iter().flatten()
    }

    /// The objects of type `T` of an account before the id `before`, the last id first.
    pub fn list_back<'a, T: Held>(
        &'a self,
        account: AccountId,
        before: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Entry<T>>> + use<'a, T> {
        self.state(account).map(|state| state.list_back(before)).into_iter().flatten()
    }

    /// Every object with the revision that wrote it, account by account.
    pub fn objects(&self) -> impl Iterator<Item = (Object, Revision)> + '_ {
        self.accounts.iter().flat_map(|(account, state)| state.objects(*account))
    }

    fn put(&mut self, account: AccountId, body: &Body, revision: Revision) {
        if !self.accounts.contains_key(&account) {
            self.accounts.insert_mut(account, Arc::new(AccountState::default()));
        }
        let Some(state) = self.accounts.get_mut(&account).map(Arc::make_mut) else { return };
        let outcome = state.put(body, revision);
        if outcome == Put::Older {
            return;
        }
        self.objects += usize::from(outcome == Put::New);
        if let Body::AccessKey(key) = body {
            self.access_keys.insert_mut(key.id.clone(), account);
        }
    }

    fn remove(&mut self, object: &ObjectId, revision: Revision) {
        let Some(state) = self.accounts.get_mut(&object.account).map(Arc::make_mut) else { return };
        if !state.remove(object, revision) {
            return;
        }
        self.objects -= 1;
        if object.kind == Kind::AccessKey
            && let Ok(id) = object.id.parse::<AccessKeyId>()
        {
            self.access_keys.remove_mut(&id);
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({}, revision {}, {} objects)", self.epoch, self.revision, self.objects)
    }
}

/// An object in a snapshot: its content, the revision that wrote it, and what follows from it.
#[derive(Debug)]
pub struct Entry<T: Stored + Derive> {
    /// The commit that wrote it: what [`Expect::At`](crate::Expect::At) asks for.
    pub revision: Revision,
    /// The content.
    pub value: Arc<T>,
    /// Compiled policies, for the types that have some; `()` for the others.
    pub derived: T::Derived,
}

impl<T: Stored + Derive> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The objects of one type in one account, in order of their ids.
pub type Table<T> = RedBlackTreeMapSync<String, Arc<Entry<T>>>;

/// A type that snapshots hold; implemented here for each stored type and for nothing else.
pub trait Held: Stored + Derive + Send + Sync + 'static {
    #[doc(hidden)]
    fn table(state: &AccountState) -> &Table<Self>;
}

#[derive(PartialEq)]
enum Put {
    New,
    Older,
    Replaced,
}

macro_rules! tables {
    ($($field:ident: $type:ident,)*) => {
        /// Everything of one account.
        #[derive(Clone)]
        pub struct AccountState {
            $($field: Table<$type>,)*
            /// Unique ids of users, roles, groups and policies, to kind and id.
            unique_ids: HashTrieMapSync<UniqueId, (Kind, String)>,
        }

        impl Default for AccountState {
            fn default() -> AccountState {
                AccountState {
                    $($field: Table::new_sync(),)*
                    unique_ids: HashTrieMapSync::new_sync(),
                }
            }
        }

        $(impl Held for $type {
            fn table(state: &AccountState) -> &Table<$type> {
                &state.$field
            }
        })*

        impl AccountState {
            /// Every object with the revision that wrote it.
            fn objects(&self, account: AccountId) -> Vec<(Object, Revision)> {
                let mut all = Vec::new();
                $(all.extend(self.$field.values().map(|entry| {
                    (Object { account, body: Body::$type(entry.value.clone()) }, entry.revision)
                }));)*
                all
            }

            fn put(&mut self, body: &Body, revision: Revision) -> Put {
                if let Some(unique) = unique_id(body) {
                    let known = self.written(body.kind(), &body.id());
                    if known.is_none_or(|at| at <= revision) {
                        self.forget_unique_id(body.kind(), &body.id());
                        self.unique_ids.insert_mut(unique.clone(), (body.kind(), body.id()));
                    }
                }
                match body {
                    $(Body::$type(value) => put(&mut self.$field, value, revision),)*
                }
            }

            fn remove(&mut self, object: &ObjectId, revision: Revision) -> bool {
                if self.written(object.kind, &object.id).is_none_or(|at| at > revision) {
                    return false;
                }
                self.forget_unique_id(object.kind, &object.id);
                match object.kind {
                    $(Kind::$type => self.$field.remove_mut(&object.id),)*
                }
            }

            fn written(&self, kind: Kind, id: &str) -> Option<Revision> {
                match kind {
                    $(Kind::$type => self.$field.get(id).map(|entry| entry.revision),)*
                }
            }
        }
    };
}

tables! {
    access_approvals: AccessApproval,
    access_grants: AccessGrant,
    access_keys: AccessKey,
    access_requests: AccessRequest,
    account: Account,
    aliases: Alias,
    consents: Consent,
    enrolments: Enrolment,
    groups: Group,
    hr_feeds: HrFeed,
    keys: Key,
    lockboxes: Lockbox,
    persons: Person,
    policies: ManagedPolicy,
    revocations: Revocation,
    roles: Role,
    roster: RosterEntry,
    runbooks: Runbook,
    runs: Run,
    support: Support,
    tickets: Ticket,
    users: User,
}

impl AccountState {
    /// The object of type `T` with this id; names in any case.
    pub fn get<T: Held>(&self, id: &str) -> Option<&Arc<Entry<T>>> {
        let table = T::table(self);
        match T::KIND {
            Kind::Group | Kind::ManagedPolicy | Kind::Role | Kind::User => table.get(&folded(id)),
            _ => table.get(id),
        }
    }

    /// The objects of type `T` after the id `after`, in order of their ids.
    pub fn list<'a, T: Held>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Entry<T>>> + use<'a, T> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.to_owned()));
        T::table(self).range((start, Bound::Unbounded)).map(|(_, entry)| entry)
    }

    /// The objects of type `T` before the id `before`, the last id first.
    pub fn list_back<'a, T: Held>(
        &'a self,
        before: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Entry<T>>> + use<'a, T> {
        let end = before.map_or(Bound::Unbounded, |id| Bound::Excluded(id.to_owned()));
        T::table(self).range((Bound::Unbounded, end)).rev().map(|(_, entry)| entry)
    }

    /// How many objects of type `T` there are.
    pub fn count<T: Held>(&self) -> usize {
        T::table(self).size()
    }

    /// The object of type `T` with this unique id.
    pub fn by_unique_id<T: Held>(&self, id: &UniqueId) -> Option<&Arc<Entry<T>>> {
        let (kind, name) = self.unique_ids.get(id)?;
        if *kind == T::KIND { T::table(self).get(name) } else { None }
    }

    /// The access keys of a user (name in any case), or of the account's root.
    pub fn access_keys_of(
        &self,
        user: Option<&str>,
    ) -> impl Iterator<Item = &Arc<Entry<AccessKey>>> + '_ {
        let user = user.map(folded);
        self.access_keys.values().filter(move |key| key.user == user)
    }

    /// The users in a group (name in any case), in order of their names.
    pub fn members_of(&self, group: &str) -> impl Iterator<Item = &Arc<Entry<User>>> + '_ {
        let group = folded(group);
        self.users.values().filter(move |user| user.groups.contains(&group))
    }

    fn forget_unique_id(&mut self, kind: Kind, id: &str) {
        let unique = match kind {
            Kind::Group => self.groups.get(id).map(|e| e.unique_id.clone()),
            Kind::ManagedPolicy => self.policies.get(id).map(|e| e.unique_id.clone()),
            Kind::Role => self.roles.get(id).map(|e| e.unique_id.clone()),
            Kind::User => self.users.get(id).map(|e| e.unique_id.clone()),
            _ => None,
        };
        // A rename is a removal and a put in one commit, in either order: only the entry that
        // still names the removed object goes.
        if let Some(unique) = unique
            && self.unique_ids.get(&unique).is_some_and(|(_, known)| known == id)
        {
            self.unique_ids.remove_mut(&unique);
        }
    }
}

fn put<T: Held>(table: &mut Table<T>, value: &Arc<T>, revision: Revision) -> Put {
    let id = value.id();
    let known = table.get(&id).map(|entry| entry.revision);
    if known.is_some_and(|at| at > revision) {
        return Put::Older;
    }
    let entry = Entry { revision, value: Arc::clone(value), derived: value.derive() };
    table.insert_mut(id, Arc::new(entry));
    if known.is_some() { Put::Replaced } else { Put::New }
}

fn unique_id(body: &Body) -> Option<&UniqueId> {
    match body {
        Body::Group(group) => Some(&group.unique_id),
        Body::ManagedPolicy(policy) => Some(&policy.unique_id),
        Body::Role(role) => Some(&role.unique_id),
        Body::User(user) => Some(&user.unique_id),
        _ => None,
    }
}

/// Checks that `changes` of one batch are in order and all of later revisions than `after`.
pub(crate) fn check_order(after: Revision, changes: &[Change]) -> Result<(), StoreError> {
    let mut last = (after, u32::MAX);
    for change in changes {
        let place = (change.revision, change.ordinal);
        if place <= last {
            return Err(StoreError::corrupt(format!(
                "change {} of revision {} comes after {:?}",
                change.ordinal, change.revision, last
            )));
        }
        last = place;
    }
    Ok(())
}
