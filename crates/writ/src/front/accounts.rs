//! Accounts in mode `dev`, what keyd must be told at its start, and deletions that are due.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};
use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor, KeyState, peek};
use writ_keyd_client::protocol::{Answer, Command, CreateAccount, Credential, End, Reply};
use writ_model::{AccountId, Env as _, SystemEnv, Timestamp, Uuid};
use writ_service::call::KeydClient;
use writ_store::state::{AccessKey, Account, Alias};
use writ_store::{Blob, Body, Object, ObjectId, Snapshot, Store, Stored as _, Transaction};

use super::people;
use super::platform::{PRINCIPAL, Platform};

/// Creates the accounts that do not exist yet. Each gets a key of its root, whose secret goes into the
/// credentials file and nowhere else.
pub async fn create(
    accounts: &[AccountId],
    store: &Store,
    keyd: &KeydClient,
    platform: &Platform,
    credentials: Option<OwnedFd>,
) -> Result<()> {
    let mut file = credentials.map(File::from);
    for account in accounts {
        if *account == AccountId::PLATFORM {
            bail!("account {account} is the installation's own: start without it");
        }
        if store.snapshot().account(*account).is_some() {
            continue;
        }
        let file = file.as_mut().context("there is no file for the new account's credentials")?;
        let credential = ask(keyd, *account).await?;
        write_profile(file, *account, &credential)?;
        let transaction = transaction(*account, &credential, platform)?;
        store.commit(transaction).await.context("the new account cannot be stored")?;
        tracing::info!(%account, "account created");
    }
    Ok(())
}

async fn ask(keyd: &KeydClient, account: AccountId) -> Result<Credential> {
    match keyd.call(&Command::CreateAccount(CreateAccount { account })).await? {
        Answer::Carried(Reply::Credential(credential)) => Ok(*credential),
        Answer::Carried(_) => bail!("keyd gave something else than a credential"),
        Answer::Refused(refusal) => bail!(
            "keyd does not create account {account} ({refusal:?}). If it has signed requests before, the \
             database is older than keyd's head file: put back the right one, or start with another --account"
        ),
    }
}

fn transaction(
    account: AccountId,
    credential: &Credential,
    platform: &Platform,
) -> Result<Transaction> {
    let blob = |bytes: &Option<Vec<u8>>| -> Result<Blob> {
        Ok(Blob::from(bytes.clone().context("keyd gave an incomplete credential")?))
    };
    let request_id = Uuid::random(&SystemEnv);
    let parameters = [("accountId", account.to_string())];
    let event = (PRINCIPAL, "CreateAccount");
    let record = platform.record(account, event, &parameters, request_id, credential.position)?;
    let now = SystemEnv.now();
    let key = AccessKey {
        id: credential.access_key_id.clone(),
        user: None,
        active: true,
        created: now,
        wrapped: blob(&credential.wrapped)?,
        descriptor: blob(&credential.descriptor)?,
    };
    Ok(Transaction::new(PRINCIPAL, request_id, record)
        .create(Object::new(account, Account { id: account, created: now, alias: None }))
        .create(Object::new(account, key)))
}

/// Puts the account's profile into the file in place of an older one of the same name.
fn write_profile(file: &mut File, account: AccountId, credential: &Credential) -> Result<()> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    let header = format!("[{account}]");
    let mut keep = true;
    let mut kept: String = text
        .lines()
        .filter(|line| {
            if line.starts_with('[') {
                keep = *line != header;
            }
            keep
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let secret = std::str::from_utf8(credential.secret.expose())?;
    kept.push_str(&format!(
        "{header}\naws_access_key_id = {}\naws_secret_access_key = {secret}\n",
        credential.access_key_id
    ));
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(kept.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// Every sealed descriptor in the state.
pub fn descriptors(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let sealed = snapshot.objects().filter_map(|(object, _)| match &object.body {
        Body::AccessKey(key) => Some(key.descriptor.clone()),
        Body::Alias(alias) => Some(alias.descriptor.clone()),
        Body::Consent(consent) => Some(consent.descriptor.clone()),
        Body::Key(key) => Some(key.descriptor.clone()),
        Body::Lockbox(lockbox) => Some(lockbox.descriptor.clone()),
        // Nobody can assume the support role, so nothing of it is sealed but its switch.
        Body::Role(role) if role.descriptor.as_slice().is_empty() => None,
        Body::Role(role) => Some(role.descriptor.clone()),
        Body::Support(support) => Some(support.descriptor.clone()),
        Body::User(user) => Some(user.descriptor.clone()),
        _ => None,
    });
    sealed.map(|blob| blob.as_slice().to_vec()).collect()
}

/// Session revocations that a live credential may still meet.
pub fn ended(snapshot: &Snapshot) -> Vec<End> {
    let revoked = snapshot.objects().filter_map(|(object, _)| match &object.body {
        Body::Revocation(revocation) => {
            Some(End::Sessions((revocation.subject.to_string(), revocation.before)))
        }
        _ => None,
    });
    revoked.chain(people::ended(snapshot)).collect()
}

/// Has keyd destroy keys whose deletion date has come, and drops their tokens.
pub async fn destroy_due(keyd: &KeydClient, store: &Store, platform: &Platform) -> Result<()> {
    let now = SystemEnv.now();
    let due = store.snapshot().objects().any(|(object, _)| match &object.body {
        Body::Key(key) => is_due(key.descriptor.as_slice(), now),
        _ => false,
    });
    if !due {
        return Ok(());
    }
    let sealed = match keyd.call(&Command::Tick).await? {
        Answer::Carried(Reply::Sealed(sealed)) => sealed,
        Answer::Carried(_) => return Ok(()),
        Answer::Refused(refusal) => bail!("keyd refused the due deletions: {refusal:?}"),
    };
    for tombstone in sealed.descriptors {
        let Ok(Descriptor::Key(descriptor)) = peek(&tombstone) else { continue };
        let snapshot = store.snapshot();
        let Some(key) = snapshot.key(&descriptor.arn) else { continue };
        let mut destroyed = (*key.value).clone();
        destroyed.tokens = Vec::new();
        destroyed.descriptor = Blob::from(tombstone);
        let request_id = Uuid::random(&SystemEnv);
        let parameters = [("keyId", descriptor.arn.to_string())];
        let event = ("kms.amazonaws.com", "DeleteKey");
        let position = sealed.position;
        let record =
            platform.record(descriptor.account, event, &parameters, request_id, position)?;
        let transaction = Transaction::new(PRINCIPAL, request_id, record)
            .update(Object::new(descriptor.account, destroyed), key.revision);
        let transaction = without_aliases(transaction, &snapshot, &descriptor);
        store.commit(transaction).await.context("a destroyed key cannot be stored")?;
    }
    Ok(())
}

/// Deletes the aliases of a key that is destroyed, as AWS does ("Deleting AWS KMS keys"). keyd knows by
/// the key's tombstone that their names are free.
pub(super) fn without_aliases(
    transaction: Transaction,
    snapshot: &Snapshot,
    key: &KeyDescriptor,
) -> Transaction {
    let aliases = snapshot
        .list::<Alias>(key.account, None)
        .filter(|alias| alias.target == key.key_id && alias.region == key.region);
    aliases.fold(transaction, |transaction, alias| {
        let id = ObjectId::of::<Alias>(key.account, &alias.id());
        transaction.delete(id, alias.revision)
    })
}

fn is_due(sealed: &[u8], now: Timestamp) -> bool {
    match peek(sealed) {
        Ok(Descriptor::Key(descriptor)) => {
            descriptor.state == KeyState::PendingDeletion
                && descriptor.deletion_date.is_some_and(|date| date <= now)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use writ_model::{Arn, KeyId, Region, Revision};
    use writ_store::Change;

    use super::*;

    #[test]
    fn destroyed_keys_aliases_go_with_it() {
        let env = SystemEnv;
        let account: AccountId = "111122223333".parse().unwrap();
        let region: Region = "us-east-1".parse().unwrap();
        let (gone, other) = (KeyId::random(&env), KeyId::random(&env));
        let alias = |name: &str, target: &KeyId| Alias {
            arn: Arn::build("kms", region.as_str(), Some(account), name),
            region: region.clone(),
            name: name.to_owned(),
            target: target.clone(),
            descriptor: Blob::from(Vec::new()),
            created: env.now(),
            updated: env.now(),
        };
        let aliases = [alias("alias/a", &gone), alias("alias/b", &gone), alias("alias/c", &other)];
        let changes: Vec<Change> = aliases
            .iter()
            .zip(0..)
            .map(|(alias, ordinal)| Change {
                revision: Revision(1),
                ordinal,
                object: Object::new(account, alias.clone()).id(),
                body: Some(Body::from(alias.clone())),
                actor: "test".to_owned(),
                request_id: Uuid::random(&env),
                at: env.now(),
            })
            .collect();
        let snapshot = Snapshot::empty(Uuid::random(&env)).apply(&changes, Revision(1));
        let key = KeyDescriptor {
            arn: Arn::build("kms", region.as_str(), Some(account), &format!("key/{gone}")),
            account,
            region: region.clone(),
            key_id: gone,
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            usage: "ENCRYPT_DECRYPT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            created: env.now(),
            multi_region: 0,
            state: KeyState::Destroyed,
            policy_digest: [0; 32],
            grants_root: [0; 32],
            rotation_days: None,
            deletion_date: None,
            material_expiry: None,
            backing_keys: Vec::new(),
            managed_by: None,
            revision: 2,
            principals: Vec::new(),
        };
        let platform = Platform::new("site".parse().unwrap(), region);
        let record = platform.record(
            account,
            ("kms.amazonaws.com", "DeleteKey"),
            &[],
            Uuid::random(&env),
            None,
        );
        let begun = Transaction::new(PRINCIPAL, Uuid::random(&env), record.unwrap());
        let deleted = without_aliases(begun, &snapshot, &key).deletes;
        let names: Vec<&str> = deleted.iter().filter_map(|id| id.id.rsplit(':').next()).collect();
        assert_eq!(names, ["alias/a", "alias/b"]);
    }
}
