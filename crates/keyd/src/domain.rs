//! Domain keys, and the backing keys that they wrap.
//!
//! ```text
//! domain root -> DK_i -> backing key, stored as an exported token only:
//! "WKT1" | dk id u32 BE | nonce 12 | ciphertext 32 | tag 16
//! ```
//! The token's associated data is the CBOR array of key ARN, owner, backing key id, spec, usage,
//! origin, creation time and SHA-256(descriptor): a token opens only beside the newest descriptor,
//! so a key's state and policy cannot be swapped under it. Unwrapped backing keys live in locked
//! memory and nowhere else.

use std::collections::HashMap;
use std::sync::Arc;

use writ_keyd_client::arena::{Arena, Slot};
use writ_keyd_client::descriptor::KeyDescriptor;
use writ_model::Env;
use writ_proof::cbor::{Encode, Writer};
use writ_proof::hash::sha256_of;
use zeroize::Zeroizing;

use crate::crypto::{Aead, NONCE_BYTES, TAG_BYTES, subkey, take};
use crate::locked::Locked;
use crate::root::Root;
use crate::{Error, limits};

/// The first bytes of an exported token; the digit is the format's version.
pub(crate) const TOKEN_MAGIC: &[u8; 4] = b"WKT1";
/// The length of a token.
pub(crate) const TOKEN_BYTES: usize = 8 + NONCE_BYTES + 32 + TAG_BYTES;

const LABEL_TOKEN: &str = "writ-dk-token-v1";
const LABEL_DESCRIPTOR: &str = "writ-dk-descriptor-v1";
const LABEL_CREDENTIAL: &str = "writ-dk-credential-v1";
const LABEL_RECORDING: &str = "writ-dk-recording-v1";

/// The id of a backing key.
pub(crate) type BackingKeyId = [u8; 16];

/// One domain key, as the keys that are derived from it.
pub(crate) struct DomainKey {
    tokens: Aead,
    /// Wraps credentials.
    pub(crate) credentials: Aead,
    /// Tags descriptors.
    pub(crate) descriptors: Slot,
    /// Wraps the keys of recordings.
    pub(crate) recordings: Aead,
}

/// The domain: which keys wrap, and which backing keys are unwrapped.
pub(crate) struct Domain {
    /// Names the domain in ciphertext blobs.
    pub(crate) id: [u8; 8],
    keys: HashMap<u32, DomainKey>,
    active: u32,
    arena: Arena,
    cache: Locked<Cache>,
}

#[derive(Default)]
struct Cache {
    /// By backing key: the digest of the descriptor that its token was opened under.
    entries: HashMap<BackingKeyId, Cached>,
    clock: u64,
}

struct Cached {
    descriptor: [u8; 32],
    slot: Arc<Slot>,
    used: u64,
}

impl Domain {
    /// The domain of an opened root file; its secrets move into `arena`.
    pub(crate) fn new(root: &Root, arena: Arena) -> Result<Domain, Error> {
        let mut keys = HashMap::new();
        let mut active = 0;
        for (id, raw) in &root.domain_keys {
            let mut tag = *subkey(raw.as_slice(), LABEL_DESCRIPTOR)?;
            let descriptors = arena.put(&mut tag);
            let descriptors = descriptors.ok_or(Error::Crypto { what: "a full key arena" })?;
            let key = DomainKey {
                tokens: Aead::new(&*subkey(raw.as_slice(), LABEL_TOKEN)?)?,
                credentials: Aead::new(&*subkey(raw.as_slice(), LABEL_CREDENTIAL)?)?,
                descriptors,
                recordings: Aead::new(&*subkey(raw.as_slice(), LABEL_RECORDING)?)?,
            };
            keys.insert(*id, key);
            active = active.max(*id);
        }
        let cache = Locked::default();
        Ok(Domain { id: root.domain, keys, active, arena, cache })
    }

    /// The domain key that seals now.
    pub(crate) fn active(&self) -> Option<(u32, &DomainKey)> {
        self.keys.get(&self.active).map(|key| (self.active, key))
    }

    /// The domain key with this id.
    pub(crate) fn key(&self, id: u32) -> Option<&DomainKey> {
        self.keys.get(&id)
    }

    /// Makes a new backing key; it lives in locked memory until the last user drops it.
    pub(crate) fn generate(&self, env: &dyn Env) -> Option<(BackingKeyId, Arc<Slot>)> {
        let mut raw = [0u8; 32];
        env.fill(&mut raw);
        let slot = self.put(&mut raw)?;
        Some((env.nonce().0, slot))
    }

    /// Wraps a backing key beside `key`, whose canonical bytes have the digest `descriptor`.
    pub(crate) fn wrap(
        &self,
        key: &KeyDescriptor,
        descriptor: &[u8; 32],
        id: &BackingKeyId,
        secret: &Arc<Slot>,
        env: &dyn Env,
    ) -> Option<Vec<u8>> {
        let (dk, domain_key) = self.active()?;
        let mut nonce = [0; NONCE_BYTES];
        env.fill(&mut nonce);
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend_from_slice(TOKEN_MAGIC);
        token.extend_from_slice(&dk.to_be_bytes());
        token.extend_from_slice(&nonce);
        let aad = token_aad(key, descriptor, id);
        domain_key.tokens.seal(nonce, &aad, secret.expose(), &mut token).ok()?;
        self.remember(*id, *descriptor, secret);
        Some(token)
    }

    /// Unwraps the token of backing key `id` beside `key`; `None` if it does not belong there.
    pub(crate) fn unwrap(
        &self,
        key: &KeyDescriptor,
        descriptor: &[u8; 32],
        id: &BackingKeyId,
        token: &[u8],
    ) -> Option<Arc<Slot>> {
        if let Some(slot) = self.cached(id, descriptor) {
            return Some(slot);
        }
        let mut secret = self.open(&token_aad(key, descriptor, id), token)?;
        let slot = self.put(&mut secret)?;
        self.remember(*id, *descriptor, &slot);
        Some(slot)
    }

    fn open(&self, aad: &[u8], token: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let mut input = token;
        if token.len() != TOKEN_BYTES || take::<4>(&mut input)? != *TOKEN_MAGIC {
            return None;
        }
        let dk = u32::from_be_bytes(take(&mut input)?);
        let nonce = take(&mut input)?;
        self.key(dk)?.tokens.open_key(nonce, aad, input)
    }

    /// How the memory of the secrets is guarded.
    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Moves a backing key into the arena; when the cache is full, its oldest makes room.
    fn put(&self, raw: &mut [u8; 32]) -> Option<Arc<Slot>> {
        let mut cache = self.cache.lock();
        if cache.entries.len() >= limits::BACKING_KEYS_CACHED {
            let oldest = cache.entries.iter().min_by_key(|(_, c)| c.used).map(|(id, _)| *id);
            oldest.map(|id| cache.entries.remove(&id));
        }
        drop(cache);
        self.arena.put(raw).map(Arc::new)
    }

    fn cached(&self, id: &BackingKeyId, descriptor: &[u8; 32]) -> Option<Arc<Slot>> {
        let mut cache = self.cache.lock();
        cache.clock += 1;
        let now = cache.clock;
        let entry = cache.entries.get_mut(id).filter(|e| &e.descriptor == descriptor)?;
        entry.used = now;
        Some(Arc::clone(&entry.slot))
    }

    fn remember(&self, id: BackingKeyId, descriptor: [u8; 32], slot: &Arc<Slot>) {
        let mut cache = self.cache.lock();
        cache.clock += 1;
        let entry = Cached { descriptor, slot: Arc::clone(slot), used: cache.clock };
        cache.entries.insert(id, entry);
    }

    /// Forgets the backing keys of a destroyed key.
    pub(crate) fn forget(&self, ids: &[BackingKeyId]) {
        let mut cache = self.cache.lock();
        ids.iter().for_each(|id| drop(cache.entries.remove(id)));
    }
}

fn token_aad(key: &KeyDescriptor, descriptor: &[u8; 32], id: &BackingKeyId) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(8);
    key.arn.encode(&mut writer);
    key.account.encode(&mut writer);
    id.encode(&mut writer);
    key.spec.encode(&mut writer);
    key.usage.encode(&mut writer);
    key.origin.encode(&mut writer);
    key.created.encode(&mut writer);
    descriptor.encode(&mut writer);
    writer.into_bytes()
}

/// `KeyMaterialId` in the KMS API: stable, and it says nothing.
pub(crate) fn material_id(id: &[u8; 16]) -> String {
    sha256_of(&[b"writ-key-material-v1\0", id]).to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use writ_keyd_client::descriptor::KeyState;
    use writ_model::{AccountId, Arn, SystemEnv, Timestamp};

    pub(crate) fn domain() -> Domain {
        let (bytes, _) = crate::root::create(&SystemEnv).unwrap();
        Domain::new(&Root::parse(&bytes).unwrap(), Arena::new(16).unwrap()).unwrap()
    }

    pub(crate) fn key() -> KeyDescriptor {
        let account = AccountId::from_number(111_122_223_333).unwrap();
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        KeyDescriptor {
            arn: Arn::build("kms", "us-east-1", Some(account), &format!("key/{id}")),
            account,
            region: "us-east-1".parse().unwrap(),
            key_id: id.parse().unwrap(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            usage: "ENCRYPT_DECRYPT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            created: Timestamp::from_secs(1),
            multi_region: 0,
            state: KeyState::Enabled,
            policy_digest: [1; 32],
            grants_root: [0; 32],
            rotation_days: None,
            deletion_date: None,
            material_expiry: None,
            backing_keys: vec![],
            managed_by: None,
            revision: 1,
            principals: Vec::new(),
        }
    }

    #[test]
    fn token_opens_only_beside_its_own_descriptor() {
        let domain = domain();
        let (id, slot) = domain.generate(&SystemEnv).unwrap();
        let (key, digest) = (key(), [9; 32]);
        let token = domain.wrap(&key, &digest, &id, &slot, &SystemEnv).unwrap();
        assert_eq!(token.len(), TOKEN_BYTES);
        domain.forget(&[id]);
        let opened = domain.unwrap(&key, &digest, &id, &token).unwrap();
        assert_eq!(opened.expose(), slot.expose());

        domain.forget(&[id]);
        assert!(domain.unwrap(&key, &[8; 32], &id, &token).is_none(), "another descriptor");
        assert!(domain.unwrap(&key, &digest, &[0; 16], &token).is_none(), "another backing key");
        let mut other = key.clone();
        other.account = AccountId::from_number(1).unwrap();
        assert!(domain.unwrap(&other, &digest, &id, &token).is_none(), "another owner");
        for bit in 0..token.len() * 8 {
            let mut wrong = token.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(domain.unwrap(&key, &digest, &id, &wrong).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn token_that_is_cached_under_an_old_descriptor_is_opened_again() {
        let domain = domain();
        let (id, slot) = domain.generate(&SystemEnv).unwrap();
        let key = key();
        domain.wrap(&key, &[1; 32], &id, &slot, &SystemEnv).unwrap();
        assert!(domain.unwrap(&key, &[2; 32], &id, b"").is_none());
    }
}
