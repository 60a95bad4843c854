//! Which key a `KeyId` means: an id, a key's ARN, an alias or an alias's ARN.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor, KeyState, peek};
use writ_keyd_client::protocol::UsedKey;
use writ_model::{Arn, KeyId, Revision};
use writ_service::call::Call;
use writ_store::state::Key;
use writ_store::{Body, Entry, Snapshot};

use crate::{Result, error};

/// What an operation takes as `KeyId`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// An id or ARN of a key, or an alias.
    Any,
    /// An id or ARN of a key.
    KeyOnly,
}

/// A key that a request names.
pub(crate) struct Target {
    /// The stored key.
    pub(crate) entry: Arc<Entry<Key>>,
    /// What is sealed of it. Read for display and for the first check; keyd verifies the seal.
    pub(crate) descriptor: KeyDescriptor,
    /// The alias by which the request names it, such as `alias/prod`.
    pub(crate) alias: Option<String>,
}

impl Target {
    fn new(entry: &Arc<Entry<Key>>, alias: Option<String>) -> Result<Target> {
        match peek(entry.descriptor.as_slice()) {
            Ok(Descriptor::Key(descriptor)) => {
                Ok(Target { entry: Arc::clone(entry), descriptor: *descriptor, alias })
            }
            _ => {
                tracing_unreadable(&entry.arn);
                Err(writ_aws::ApiError::internal(writ_aws::Service::Kms))
            }
        }
    }

    /// The key's ARN.
    pub(crate) fn arn(&self) -> &Arn {
        &self.entry.arn
    }

    /// The key as keyd wants it for a use.
    pub(crate) fn used(&self) -> UsedKey {
        UsedKey {
            descriptor: self.entry.descriptor.as_slice().to_vec(),
            tokens: self.tokens(),
            policy: self.entry.policy.clone(),
            tags: self.entry.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// The tokens of its backing keys.
    pub(crate) fn tokens(&self) -> Vec<Vec<u8>> {
        self.entry.tokens.iter().map(|token| token.as_slice().to_vec()).collect()
    }
}

/// Finds the key that `key_id` means. A key of another account that does not exist gives the same
/// error as one that may not be used: whoever asks learns nothing.
pub(crate) fn resolve(call: &Call, key_id: &str, accept: Accept) -> Result<Target> {
    if key_id.starts_with("arn:") {
        return by_arn(call, key_id, accept);
    }
    if key_id.starts_with("alias/") {
        if accept == Accept::KeyOnly {
            return Err(error("NotFoundException", format!("Invalid keyId {key_id}")));
        }
        let resource = key_id;
        let arn = Arn::build("kms", call.region.as_str(), Some(call.account()), resource);
        return by_alias(call, &arn);
    }
    let id: KeyId = key_id
        .parse()
        .map_err(|_| error("NotFoundException", format!("Invalid keyId {key_id}")))?;
    find(call, &key_arn(call, &id), None)
}

/// Finds the key of an operation that works within one account ("Cross-account use: No", AWS KMS
/// permissions): whatever its policy says, such a permission "has no effect" for another account. Its
/// ARN is refused before anything is looked up, so that the answer tells nothing.
pub(crate) fn own_target(call: &Call, key_id: &str) -> Result<Target> {
    let own = |arn: &Arn| arn.account() == Some(call.account());
    if key_id.parse::<Arn>().is_ok_and(|arn| arn.service() == "kms" && !own(&arn)) {
        return Err(not_yours(call));
    }
    let target = resolve(call, key_id, Accept::KeyOnly)?;
    if own(target.arn()) { Ok(target) } else { Err(not_yours(call)) }
}

/// The ARN of the caller's own key with this id, in the region of the call.
pub(crate) fn key_arn(call: &Call, id: &KeyId) -> Arn {
    Arn::build("kms", call.region.as_str(), Some(call.account()), &format!("key/{id}"))
}

fn by_arn(call: &Call, text: &str, accept: Accept) -> Result<Target> {
    let invalid = || error("InvalidArnException", format!("Invalid arn {text}"));
    let arn: Arn = text.parse().map_err(|_| invalid())?;
    if arn.service() != "kms" || arn.account().is_none() {
        return Err(invalid());
    }
    if arn.region() != call.region.as_str() {
        return Err(error("NotFoundException", format!("Invalid arn {}", arn.region())));
    }
    match arn.resource().split_once('/') {
        Some(("key", _)) => find(call, &arn, None),
        Some(("alias", _)) if accept == Accept::Any => by_alias(call, &arn),
        Some(("alias", _)) => Err(error("NotFoundException", format!("Invalid keyId {text}"))),
        _ => Err(invalid()),
    }
}

fn by_alias(call: &Call, arn: &Arn) -> Result<Target> {
    let Some(alias) = call.snapshot.alias(arn) else {
        return Err(match arn.account() == Some(call.account()) {
            true => error("NotFoundException", format!("Alias {arn} is not found.")),
            false => not_yours(call),
        });
    };
    let target = format!("key/{}", alias.target);
    let key = Arn::build("kms", arn.region(), arn.account(), &target);
    find(call, &key, Some(arn.resource().to_owned()))
}

fn find(call: &Call, arn: &Arn, alias: Option<String>) -> Result<Target> {
    let target = call.snapshot.key(arn).map(|entry| Target::new(entry, alias)).transpose()?;
    match target.filter(|target| target.descriptor.state != KeyState::Destroyed) {
        Some(target) => Ok(target),
        None if arn.account() == Some(call.account()) => {
            Err(error("NotFoundException", format!("Key '{arn}' does not exist")))
        }
        None => Err(not_yours(call)),
    }
}

/// True for the tombstone of a key: it stays for keyd, and for the API it is no key.
pub(crate) fn is_destroyed(key: &Key) -> bool {
    match peek(key.descriptor.as_slice()) {
        Ok(Descriptor::Key(descriptor)) => descriptor.state == KeyState::Destroyed,
        _ => false,
    }
}

/// AWS's answer about a key of another account, whether it exists or not.
pub(crate) fn not_yours(call: &Call) -> writ_aws::ApiError {
    let (user, action) = (&call.caller.arn, call.operation.name);
    writ_aws::ApiError::access_denied(
        writ_aws::Service::Kms,
        format!(
            "User: {user} is not authorized to perform: kms:{action} on this resource because the \
             resource does not exist in this Region, no resource-based policies allow access, or a \
             resource-based policy explicitly denies access"
        ),
    )
}

/// Which key a backing key belongs to, for Decrypt without `KeyId`. A backing key never moves to
/// another key, so what was found once stays true; a miss looks through what is new.
#[derive(Default)]
pub(crate) struct MaterialIndex {
    known: Mutex<(Revision, HashMap<[u8; 16], Arn>)>,
}

/// Where the backing key's id stands in a ciphertext blob: after magic and domain id.
const BLOB_BACKING_KEY: std::ops::Range<usize> = 12..28;

impl MaterialIndex {
    /// The key under which `blob` says that it was encrypted.
    pub(crate) fn key_of(&self, call: &Call, blob: &[u8]) -> Result<Target> {
        // An empty message: whoever sends foreign blobs learns nothing from the answer.
        let foreign = || error("InvalidCiphertextException", "");
        let id: [u8; 16] =
            blob.get(BLOB_BACKING_KEY).and_then(|id| id.try_into().ok()).ok_or_else(foreign)?;
        let arn = self.lookup(&call.snapshot, id).ok_or_else(foreign)?;
        find(call, &arn, None)
    }

    fn lookup(&self, snapshot: &Snapshot, id: [u8; 16]) -> Option<Arn> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arn) = known.1.get(&id) {
            return Some(arn.clone());
        }
        if known.0 == snapshot.revision() {
            return None;
        }
        for (object, _) in snapshot.objects() {
            let Body::Key(key) = &object.body else { continue };
            let Ok(Descriptor::Key(descriptor)) = peek(key.descriptor.as_slice()) else { continue };
            for backing in &descriptor.backing_keys {
                known.1.insert(*backing, key.arn.clone());
            }
        }
        known.0 = snapshot.revision();
        known.1.get(&id).cloned()
    }
}

fn tracing_unreadable(arn: &Arn) {
    tracing::error!(%arn, "a stored key descriptor cannot be read");
}
