//! keyd's catalogue: given to it at its start, and brought back in step with the store.
//!
//! keyd takes what it seals as the newest at once, before the store has it. A crash of this process in
//! between, or a commit that fails, leaves keyd ahead, and keyd then refuses the old state of the thing.
//! The answer to a load gives the newest state back; it is stored here, with a record of the platform.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use writ_keyd_client::client::CallError;
use writ_keyd_client::descriptor::{
    AccessKeyDescriptor, AliasDescriptor, ConsentDescriptor, Descriptor, KeyDescriptor, KeyState,
    LockboxDescriptor, RoleDescriptor, SupportDescriptor, UserDescriptor, peek,
};
use writ_keyd_client::protocol::{
    Answer, Command, Hello, KeydStatus, Load, PROTOCOL, Reply, RosterStatus, Sealed,
};
use writ_model::{AccountId, Revision, SystemEnv, Uuid};
use writ_service::call::KeydClient;
use writ_service::pipeline::Pipeline;
use writ_store::state::{AccessKey, Consent, Lockbox, Support, User, folded};
use writ_store::{Blob, Object, ObjectId, Snapshot, Store, Transaction};

use super::access;
use super::accounts;
use super::customer::{LOCKBOX, SUPPORT};
use super::platform::{PRINCIPAL, Platform};
use super::roster;
use super::runs;

/// How long a start waits for keyd.
const PEERS_WAIT: Duration = Duration::from_secs(30);
/// How long it waits before it asks again.
const PEERS_PAUSE: Duration = Duration::from_millis(50);
/// Descriptors that one `Load` carries at most, and their bytes together: far below what a packet holds.
const LOAD_BATCH: usize = 256;
const LOAD_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Endings that one `Load` carries.
const ENDED_BATCH: usize = 8_192;
/// Loads in a row that may each give something back.
const ROUNDS_MAX: usize = 128;

/// Loads keyd while no mutation runs: one that is sealed and not yet stored would look lost.
pub async fn reload(pipeline: &Pipeline, platform: &Platform) -> Result<()> {
    let _held = pipeline.hold_mutations().await;
    pipeline.store.settled().await.context("the store waits for the ledger")?;
    load(&pipeline.keyd, &pipeline.store, platform).await
}

/// Gives keyd everything that was sealed, and stores what it has newer, until both are in step. Waits
/// for keyd, which may be starting too.
pub async fn load(keyd: &KeydClient, store: &Store, platform: &Platform) -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        let Some(newer) = load_patiently(keyd, &store.snapshot()).await? else { return Ok(()) };
        adopt(newer, store, platform).await?;
    }
    bail!("keyd gives the same things back again and again")
}

async fn load_patiently(keyd: &KeydClient, snapshot: &Snapshot) -> Result<Option<Sealed>> {
    let attempts = PEERS_WAIT.as_millis() / PEERS_PAUSE.as_millis();
    for _ in 0..attempts {
        match load_once(keyd, snapshot).await {
            Err(error) if error.is::<CallError>() => tokio::time::sleep(PEERS_PAUSE).await,
            other => return other,
        }
    }
    bail!("keyd does not greet: see its log")
}

/// keyd refuses uses until the last batch.
async fn load_once(keyd: &KeydClient, snapshot: &Snapshot) -> Result<Option<Sealed>> {
    ask(keyd, Command::Hello(Hello { protocol: PROTOCOL, x25519: None })).await?;
    let epoch = snapshot.epoch();
    let part = |descriptors, ended, last| {
        Command::Load(Load { descriptors, ended, last, epoch, roster: Vec::new() })
    };
    for roster in batches(roster::stored(snapshot)) {
        let (descriptors, ended, last) = (Vec::new(), Vec::new(), false);
        ask(keyd, Command::Load(Load { descriptors, ended, last, epoch, roster })).await?;
    }
    let grants = access::ended(snapshot);
    let entries = runs::ended(snapshot);
    for ended in [accounts::ended(snapshot), grants, entries].concat().chunks(ENDED_BATCH) {
        ask(keyd, part(Vec::new(), ended.to_vec(), false)).await?;
    }
    let mut batches = batches(accounts::descriptors(snapshot));
    let last = batches.pop().unwrap_or_default();
    for descriptors in batches {
        ask(keyd, part(descriptors, Vec::new(), false)).await?;
    }
    let newer = match ask(keyd, part(last, Vec::new(), true)).await? {
        Reply::Sealed(newer) => Some(newer),
        _ => None,
    };
    if let Reply::Status(KeydStatus { roster: RosterStatus { fault: Some(why), .. }, .. }) =
        ask(keyd, Command::Status).await?
    {
        tracing::error!(why, "keyd has no roster: what operators do is refused");
    }
    Ok(newer)
}

fn batches(descriptors: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut batches: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = 0;
    for descriptor in descriptors {
        bytes += descriptor.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < LOAD_BATCH && bytes <= LOAD_BATCH_BYTES => {
                batch.push(descriptor);
            }
            _ => {
                bytes = descriptor.len();
                batches.push(vec![descriptor]);
            }
        }
    }
    batches
}

/// Stores what keyd gave back, each thing in a commit of its own with its record.
async fn adopt(newer: Sealed, store: &Store, platform: &Platform) -> Result<()> {
    let (mut tokens, mut policies) = (newer.tokens.into_iter(), newer.policies.into_iter());
    for sealed in newer.descriptors {
        let descriptor = peek(&sealed).context("keyd gave back what is no descriptor")?;
        let (id, snapshot) = (descriptor.id(), store.snapshot());
        let edit = Edit { snapshot: &snapshot, sealed: Blob::from(sealed), platform, name: &id };
        let transaction = match &descriptor {
            Descriptor::AccessKey(new) => edit.access_key(new),
            Descriptor::Alias(new) => edit.alias(new),
            Descriptor::Key(new) => {
                let count =
                    if new.state == KeyState::Destroyed { 0 } else { new.backing_keys.len() };
                let tokens = tokens.by_ref().take(count).map(Blob::from).collect();
                let policy = if count == 0 { None } else { policies.next() };
                edit.key(new, tokens, policy)
            }
            Descriptor::Role(new) => edit.role(new),
            Descriptor::User(new) => edit.user(new),
            Descriptor::Consent(new) => edit.consent(new),
            Descriptor::Lockbox(new) => edit.lockbox(new),
            Descriptor::Support(new) => edit.support(new),
        };
        let transaction = transaction.with_context(|| format!("`{id}` cannot be adopted"))?;
        store.commit(transaction).await.with_context(|| format!("`{id}` cannot be stored"))?;
        tracing::warn!(id, "stored a change that was sealed and whose commit had failed");
    }
    Ok(())
}

/// One thing whose stored state is behind.
struct Edit<'a> {
    snapshot: &'a Snapshot,
    sealed: Blob,
    platform: &'a Platform,
    name: &'a str,
}

impl Edit<'_> {
    fn begin(&self, account: AccountId, revision: u64) -> Result<Transaction> {
        let request_id = Uuid::random(&SystemEnv);
        let parameters =
            [("sealed", self.name.to_owned()), ("sealedRevision", revision.to_string())];
        let event = (PRINCIPAL, "AdoptSealedChange");
        let record = self.platform.record(account, event, &parameters, request_id, None)?;
        Ok(Transaction::new(PRINCIPAL, request_id, record))
    }

    fn access_key(self, new: &AccessKeyDescriptor) -> Result<Transaction> {
        let (account, old) = self.snapshot.access_key(&new.id).context("the store has none")?;
        let begun = self.begin(account, new.revision)?;
        if new.deleted {
            let id = ObjectId::of::<AccessKey>(account, new.id.as_str());
            return Ok(begun.delete(id, old.revision).ending());
        }
        let (active, descriptor) = (new.active, self.sealed);
        let key = AccessKey { active, descriptor, ..AccessKey::clone(&old.value) };
        let begun = begun.update(Object::new(account, key), old.revision);
        Ok(if active { begun } else { begun.ending() })
    }

    fn alias(self, new: &AliasDescriptor) -> Result<Transaction> {
        let old = self.snapshot.alias(&new.arn).context("the store has none")?;
        let begun = self.begin(new.account, new.revision)?;
        let mut alias = (*old.value).clone();
        let object = |alias| Object::new(new.account, alias);
        if new.deleted {
            return Ok(begun.delete(object(alias).id(), old.revision));
        }
        (alias.target, alias.descriptor) = (new.target.clone(), self.sealed);
        Ok(begun.update(object(alias), old.revision))
    }

    fn consent(self, new: &ConsentDescriptor) -> Result<Transaction> {
        let digest = new.request.to_string();
        let old = self.snapshot.list::<Consent>(new.account, None);
        let old = old.into_iter().find(|consent| consent.digest == digest);
        let old = old.context("the store has none")?;
        let consent = Consent {
            said: new.said,
            not_after: new.not_after,
            updated: new.time,
            by: new.principal.clone(),
            descriptor: self.sealed.clone(),
            ..Consent::clone(&old.value)
        };
        let begun = self.begin(new.account, new.revision)?;
        Ok(begun.update(Object::new(new.account, consent), old.revision).ending())
    }

    fn lockbox(self, new: &LockboxDescriptor) -> Result<Transaction> {
        let old =
            self.snapshot.get::<Lockbox>(new.account, LOCKBOX).context("the store has none")?;
        let lockbox = Lockbox {
            mode: new.mode,
            descriptor: self.sealed.clone(),
            ..Lockbox::clone(&old.value)
        };
        let begun = self.begin(new.account, new.revision)?;
        Ok(begun.update(Object::new(new.account, lockbox), old.revision).ending())
    }

    fn support(self, new: &SupportDescriptor) -> Result<Transaction> {
        let old =
            self.snapshot.get::<Support>(new.account, SUPPORT).context("the store has none")?;
        let support = Support {
            enabled: new.enabled,
            descriptor: self.sealed.clone(),
            ..Support::clone(&old.value)
        };
        let begun = self.begin(new.account, new.revision)?;
        Ok(begun.update(Object::new(new.account, support), old.revision).ending())
    }

    fn key(
        self,
        new: &KeyDescriptor,
        tokens: Vec<Blob>,
        policy: Option<String>,
    ) -> Result<Transaction> {
        let old = self.snapshot.key(&new.arn).context("the store has none")?;
        let mut key = (*old.value).clone();
        if let Some(policy) = policy.filter(|policy| *policy != key.policy) {
            key.principals = new.principals.iter().cloned().collect();
            key.policy = policy;
        }
        let begun = self.begin(new.account, new.revision)?;
        (key.tokens, key.descriptor) = (tokens, self.sealed);
        let begun = begun.update(Object::new(new.account, key), old.revision);
        Ok(match new.state {
            KeyState::Destroyed => accounts::without_aliases(begun, self.snapshot, new),
            _ => begun,
        })
    }

    fn role(self, new: &RoleDescriptor) -> Result<Transaction> {
        let unique_id = new.unique_id.parse()?;
        let old = self.snapshot.role_by_unique_id(new.account, &unique_id);
        let old = old.context("the store has none")?;
        let begun = self.begin(new.account, new.revision)?;
        let mut role = (*old.value).clone();
        let object = |role| Object::new(new.account, role);
        if new.deleted {
            return Ok(begun.delete(object(role).id(), old.revision).ending());
        }
        ensure!(role.name == new.name && role.path == new.path, "a role has no other name");
        if role.trust_policy != new.trust_policy {
            role.principals = new.principals.iter().cloned().collect();
            role.trust_policy.clone_from(&new.trust_policy);
        }
        role.max_session_secs = u32::try_from(new.max_session_secs)?;
        role.descriptor = self.sealed;
        Ok(begun.update(object(role), old.revision))
    }

    fn user(self, new: &UserDescriptor) -> Result<Transaction> {
        let account = new.account;
        let unique_id = new.unique_id.parse()?;
        let old = self.snapshot.user_by_unique_id(account, &unique_id);
        let old = old.context("the store has none")?;
        let begun = self.begin(account, new.revision)?;
        let id = ObjectId::of::<User>(account, &old.name);
        if new.deleted {
            return Ok(begun.delete(id, old.revision).ending());
        }
        let (name, path) = (new.name.clone(), new.path.clone());
        let user = User { name, path, descriptor: self.sealed.clone(), ..User::clone(&old.value) };
        if folded(&new.name) == id.id {
            return Ok(begun.update(Object::new(account, user), old.revision));
        }
        let begun = begun.delete(id, old.revision).create(Object::new(account, user));
        Ok(renamed(begun, self.snapshot, account, &old.name, &new.name))
    }
}

/// The access keys name their user.
fn renamed(
    begun: Transaction,
    snapshot: &Snapshot,
    account: AccountId,
    old: &str,
    new: &str,
) -> Transaction {
    let keys = snapshot.state(account).map(|state| state.access_keys_of(Some(old)));
    keys.into_iter().flatten().fold(begun, |begun, key| {
        let revision: Revision = key.revision;
        let moved = AccessKey { user: Some(folded(new)), ..AccessKey::clone(&key.value) };
        begun.update(Object::new(account, moved), revision)
    })
}

/// One command, carried out.
pub async fn ask(keyd: &KeydClient, command: Command) -> Result<Reply> {
    match keyd.call(&command).await? {
        Answer::Carried(reply) => Ok(reply),
        Answer::Refused(refusal) => bail!("keyd refused: {refusal:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_that_together_pass_a_packet_go_in_several() {
        let sizes = |lengths: &[usize]| -> Vec<usize> {
            batches(lengths.iter().map(|n| vec![0; *n]).collect()).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&[]), [0usize; 0]);
        assert_eq!(sizes(&[1; LOAD_BATCH + 1]), [LOAD_BATCH, 1]);
        assert_eq!(sizes(&[LOAD_BATCH_BYTES / 2; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[LOAD_BATCH_BYTES + 1, 1]), [1, 1], "one too large goes alone");
    }
}
