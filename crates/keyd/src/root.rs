//! The root file: the one secret that a start of keyd needs.
//!
//! ```text
//! "WRKR" | version u32 BE | length u32 BE | body (CBOR) | SHA-256 of all before it, 32
//! ```
//! In mode `dev` it lies in the data directory as it is: whoever reads the disk has the keys, and
//! `writ status` says so. The body holds the domain root secret, the domain keys sealed under it,
//! and the seeds of keyd's five signing keys.

use writ_model::Env;
use writ_proof::cbor;
use writ_proof::cbor_map;
use writ_proof::ed25519::{Signer, SoftKey};
use writ_proof::hash::sha256;
use writ_proof::roster::KeydKeys;
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{Aead, NONCE_BYTES, subkey};
use crate::{Error, limits};

const MAGIC: &[u8; 4] = b"WRKR";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 12;
const DIGEST_BYTES: usize = 32;
const MODE_DEV: &str = "dev";
const LABEL_DOMAIN_KEY: &str = "writ-root-domain-key-v1";

/// The signing keys that keyd uses. The seeds of the others stay in the root file.
pub(crate) struct SigningKeys {
    /// For checkpoints.
    pub(crate) checkpoint: SoftKey,
    /// For the heads of the use-record chain, and for how far recordings are.
    pub(crate) use_records: SoftKey,
    /// The authority of SSH certificates.
    pub(crate) ssh_ca: SoftKey,
    /// For lists of revoked certificates.
    pub(crate) krl: SoftKey,
    /// For orders of runbooks.
    pub(crate) run_orders: SoftKey,
}

/// What a root file holds, opened.
pub(crate) struct Root {
    /// `dev`.
    pub(crate) mode: String,
    /// Names the domain.
    pub(crate) domain: [u8; 8],
    /// The domain keys with their ids, oldest first; the last one is active.
    pub(crate) domain_keys: Vec<(u32, Zeroizing<[u8; 32]>)>,
    /// The signing keys.
    pub(crate) signing: SigningKeys,
}

struct Body {
    mode: String,
    domain: [u8; 8],
    secret: [u8; 32],
    domain_keys: Vec<SealedDomainKey>,
    seeds: Seeds,
}
cbor_map!(Body { 1: mode, 2: domain, 3: secret, 4: domain_keys, 5: seeds });

impl Drop for Body {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

struct SealedDomainKey {
    id: u32,
    nonce: [u8; NONCE_BYTES],
    sealed: Vec<u8>,
}
cbor_map!(SealedDomainKey { 1: id, 2: nonce, 3: sealed });

struct Seeds {
    checkpoint: [u8; 32],
    use_records: [u8; 32],
    ssh_ca: [u8; 32],
    run_orders: [u8; 32],
    krl: [u8; 32],
}
cbor_map!(Seeds { 1: checkpoint, 2: use_records, 3: ssh_ca, 4: run_orders, 5: krl });

impl Drop for Seeds {
    fn drop(&mut self) {
        self.checkpoint.zeroize();
        self.use_records.zeroize();
        self.ssh_ca.zeroize();
        self.run_orders.zeroize();
        self.krl.zeroize();
    }
}

fn signing_key(seed: &[u8; 32]) -> Result<SoftKey, Error> {
    SoftKey::from_seed(seed).map_err(|_| Error::Crypto { what: "an Ed25519 seed" })
}

/// Makes the root of a new domain in mode `dev`: the file's bytes, to be written durably and
/// readable by keyd alone, and the public keys for genesis.
///
/// # Errors
/// Only if the cryptographic library refuses fresh keys.
pub fn create(env: &dyn Env) -> Result<(Zeroizing<Vec<u8>>, KeydKeys), Error> {
    let random = || {
        let mut bytes = [0u8; 32];
        env.fill(&mut bytes);
        bytes
    };
    let mut domain = [0u8; 8];
    env.fill(&mut domain);
    let secret = random();
    let first = seal_domain_key(&secret, domain, 1, &Zeroizing::new(random()), env)?;
    let seeds = Seeds {
        checkpoint: random(),
        use_records: random(),
        ssh_ca: random(),
        run_orders: random(),
        krl: random(),
    };
    let public = |seed| Ok::<_, Error>(signing_key(seed)?.public_key());
    let keys = KeydKeys {
        checkpoint: public(&seeds.checkpoint)?,
        use_records: public(&seeds.use_records)?,
        ssh_ca: public(&seeds.ssh_ca)?,
        run_orders: public(&seeds.run_orders)?,
        krl: public(&seeds.krl)?,
    };
    let body = Body { mode: MODE_DEV.to_owned(), domain, secret, domain_keys: vec![first], seeds };
    let bytes = encode(&body);
    Root::parse(&bytes)?;
    Ok((bytes, keys))
}

fn encode(body: &Body) -> Zeroizing<Vec<u8>> {
    let encoded = Zeroizing::new(cbor::to_vec(body));
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + encoded.len() + DIGEST_BYTES));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&encoded);
    let digest = sha256(&bytes).0;
    bytes.extend_from_slice(&digest);
    bytes
}

fn seal_domain_key(
    secret: &[u8; 32],
    domain: [u8; 8],
    id: u32,
    key: &Zeroizing<[u8; 32]>,
    env: &dyn Env,
) -> Result<SealedDomainKey, Error> {
    let mut nonce = [0; NONCE_BYTES];
    env.fill(&mut nonce);
    let mut sealed = Vec::new();
    let wrapping = Aead::new(&*subkey(secret, LABEL_DOMAIN_KEY)?)?;
    wrapping.seal(nonce, &domain_key_aad(domain, id), key.as_slice(), &mut sealed)?;
    Ok(SealedDomainKey { id, nonce, sealed })
}

fn domain_key_aad(domain: [u8; 8], id: u32) -> Vec<u8> {
    [domain.as_slice(), &id.to_be_bytes()].concat()
}

impl Root {
    /// Reads a root file.
    ///
    /// # Errors
    /// It is foreign, newer, damaged, or for another mode; each with what to do.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Root, Error> {
        let body = body(bytes)?;
        if body.mode != MODE_DEV {
            return Err(Error::RootMode { mode: body.mode.clone() });
        }
        let wrapping = Aead::new(&*subkey(&body.secret, LABEL_DOMAIN_KEY)?)?;
        let open = |key: &SealedDomainKey| {
            let aad = domain_key_aad(body.domain, key.id);
            let raw = wrapping.open_key(key.nonce, &aad, &key.sealed).ok_or(Error::RootDamaged)?;
            Ok((key.id, raw))
        };
        let domain_keys: Vec<_> = body.domain_keys.iter().map(open).collect::<Result<_, _>>()?;
        if domain_keys.is_empty() {
            return Err(Error::RootDamaged);
        }
        Ok(Root {
            mode: body.mode.clone(),
            domain: body.domain,
            domain_keys,
            signing: SigningKeys {
                checkpoint: signing_key(&body.seeds.checkpoint)?,
                use_records: signing_key(&body.seeds.use_records)?,
                ssh_ca: signing_key(&body.seeds.ssh_ca)?,
                krl: signing_key(&body.seeds.krl)?,
                run_orders: signing_key(&body.seeds.run_orders)?,
            },
        })
    }
}

fn body(bytes: &[u8]) -> Result<Body, Error> {
    if bytes.get(..4) != Some(MAGIC) {
        return Err(Error::RootForeign);
    }
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|w| w.try_into().ok()).map(u32::from_be_bytes);
    let found = word(4).ok_or(Error::RootDamaged)?;
    if found != VERSION {
        return Err(Error::RootNewer { found, known: VERSION });
    }
    let length = usize::try_from(word(8).ok_or(Error::RootDamaged)?).unwrap_or(usize::MAX);
    let whole = length.checked_add(HEADER_BYTES + DIGEST_BYTES) == Some(bytes.len());
    if !whole || bytes.len() > limits::ROOT_FILE_MAX_BYTES {
        return Err(Error::RootDamaged);
    }
    let (content, digest) = bytes.split_at(HEADER_BYTES + length);
    if sha256(content).0 != digest {
        return Err(Error::RootDamaged);
    }
    cbor::from_slice(content.get(HEADER_BYTES..).unwrap_or_default())
        .map_err(|_| Error::RootDamaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_model::SystemEnv;

    #[test]
    fn root_file_round_trips() {
        let (bytes, keys) = create(&SystemEnv).unwrap();
        let root = Root::parse(&bytes).unwrap();
        assert_eq!(root.signing.checkpoint.public_key(), keys.checkpoint);
        assert_eq!(root.signing.use_records.public_key(), keys.use_records);
        assert_eq!(root.signing.ssh_ca.public_key(), keys.ssh_ca);
        assert_eq!(root.mode, "dev");
        assert_eq!(root.domain_keys.len(), 1);
    }

    #[test]
    fn root_file_of_other_kinds_is_refused_with_what_to_do() {
        let (bytes, _) = create(&SystemEnv).unwrap();
        let refused = |bytes: &[u8]| Root::parse(bytes).err().unwrap().to_string();
        assert!(refused(b"").starts_with("this is not a key module root file"));
        assert!(refused(b"-----BEGIN").starts_with("this is not"));
        let mut newer = bytes.to_vec();
        newer[7] = 2;
        assert!(refused(&newer).ends_with("this build reads 1; use a newer writ"));
        for at in [8, 20, bytes.len() - 1] {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(refused(&damaged).starts_with("the root file is damaged"), "{at}");
        }
        assert!(refused(&bytes[..bytes.len() - 1]).starts_with("the root file is damaged"));
    }
}
