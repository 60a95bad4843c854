//! The first start: every key is made where it will be used, and genesis names the public halves.
//!
//! keyd's keys are made by keyd's own code in a process of its own and never pass through the
//! supervisor. watch's and trail's keys and, in mode `dev`, the software founders' are made here.

mod first;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use writ_keyd_client::channel::Channel;
use writ_model::{Env, Nonce};
use writ_proof::cbor;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::{Hash, sha256};
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::roster::{
    ChannelPins, FOUNDERS as FOUNDERS_GROUP, Genesis, KeydKeys, Mode, PersonKey, Rule,
};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed};
use zeroize::Zeroizing;

use super::children::{Start, start};
use super::config::Config;
use super::data::{DataDir, open_private, write_durably};

/// The signed genesis statement.
pub const FILE: &str = "genesis";
/// keyd's sealed root, in keyd's folder.
pub const ROOT_FILE: &str = "root";
/// keyd's head file, in keyd's folder.
pub const HEAD_FILE: &str = "head";
/// watch's Ed25519 seed, in watch's folder.
pub const WATCH_SEED_FILE: &str = "signing.seed";
/// The folder of what trail shares with others: its TLS identity towards watch, and the supervisor's
/// spool. The ledger itself has a folder of its own.
pub const LINK_FOLDER: &str = "trail-link";
/// A TLS key, in the folder of trail's link and of watch.
pub const TLS_KEY_FILE: &str = "tls.key";
/// Its self-signed certificate.
pub const TLS_CERT_FILE: &str = "tls.crt";
/// How many software founders mode `dev` makes.
const FOUNDERS: usize = 3;

/// The genesis of an opened data directory.
pub struct Opened {
    /// The statement.
    pub genesis: Genesis,
    /// The signed bytes: leaf 0 of the operator log.
    pub signed: Vec<u8>,
    /// Their SHA-256: what a provider hands to a customer out of band.
    pub digest: Hash,
}

/// Reads the genesis of `dir`, or makes one with all keys when nothing of an installation is there yet.
///
/// # Errors
/// Without a genesis where an installation has been: new keys would be the end of what it holds. The
/// refusal says what to put back.
pub fn open(dir: &DataDir, config: &Config, env: &dyn Env) -> Result<Opened> {
    let path = dir.join(FILE);
    if !there(&path)? {
        first::check(dir)?;
        first::set_aside(dir, env)?;
        make(dir, config, env).context("the first start could not make its keys")?;
    }
    let mut signed = Vec::new();
    File::open(&path)
        .and_then(|mut file| file.read_to_end(&mut signed))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let statement = Signed::from_bytes(&signed)
        .with_context(|| format!("`{}` is damaged: {}", path.display(), first::way_back(dir)))?;
    let genesis = Genesis::verify(&statement, None).with_context(|| {
        format!("`{}` does not verify: {}", path.display(), first::way_back(dir))
    })?;
    first::check_whole(dir)?;
    Ok(Opened { genesis, digest: statement.digest(), signed })
}

/// True if there is something at `path`. What cannot be looked at is not absent: that is an error.
fn there(path: &Path) -> Result<bool> {
    path.try_exists().with_context(|| format!("cannot look at `{}`", path.display()))
}

fn make(dir: &DataDir, config: &Config, env: &dyn Env) -> Result<()> {
    let keyd = keyd_keys(dir)?;
    let watch_seed = seed(env);
    let watch_folder = dir.folder("watch", None)?;
    write_durably(&watch_folder.join(WATCH_SEED_FILE), &*watch_seed, 0o600)?;
    let watch = SoftKey::from_seed(&watch_seed)?.public_key();
    let channel = ChannelPins {
        trail: tls_identity(&dir.folder(LINK_FOLDER, None)?, "trail")?,
        watch: tls_identity(&watch_folder, "watch")?,
    };
    let site = format!("site-{}", short(env.nonce()));
    let own = VerifierKey::new(&format!("{site}/watch"), KeyKind::Cosignature, watch)?;
    let mut witnesses = vec![own.to_string()];
    witnesses.extend(config.witness.iter().map(|witness| witness.key.clone()));
    let founders = founders(dir, env)?;
    let rules = vec![
        // Whoever is enrolled later changes the roster only once the founders let them.
        Rule {
            namespace: Namespace::Roster,
            threshold: 2,
            hardware: false,
            group: Some(FOUNDERS_GROUP.parse()?),
        },
        Rule { namespace: Namespace::Approval, threshold: 2, hardware: false, group: None },
    ];
    let genesis = Genesis {
        v: Default::default(),
        site: site.parse()?,
        created: env.now(),
        mode: Mode::Dev,
        founders: founders
            .iter()
            .enumerate()
            .map(|(n, key)| {
                Ok(PersonKey {
                    person: format!("founder-{}", n + 1).parse()?,
                    key: SshPublicKey::Ed25519(key.public_key().0),
                    passkey: None,
                })
            })
            .collect::<Result<_>>()?,
        rules,
        keyd,
        watch,
        witnesses,
        channel,
    };
    let mut signed = Signed::new(&genesis)?;
    for founder in &founders {
        signed.sign(founder)?;
    }
    write_durably(&dir.join(FILE), &signed.to_bytes(), 0o644)
}

/// Has keyd's own code make the root file; only public keys come back.
fn keyd_keys(dir: &DataDir) -> Result<KeydKeys> {
    let folder = dir.folder("keyd", None)?;
    let root = folder.join(ROOT_FILE);
    if there(&root)? {
        // INVARIANT: what an unfinished start left has been set aside. A root is never written over.
        bail!("`{}` is there already", root.display());
    }
    let (ours, theirs) = Channel::pair()?;
    let fds = vec![
        ("root".to_owned(), open_private(&root)?.into()),
        ("control".to_owned(), theirs.into()),
    ];
    let config = b"{}".to_vec();
    let mut child = start(Start { role: "keyd-init", uid: None, fds, config, folder: None })?;
    let packet = ours.recv()?;
    let status = child.wait()?;
    let Some(packet) = packet.filter(|_| status.success()) else {
        bail!("keyd could not make its keys ({status}); see its message above");
    };
    open_private(&folder.join(HEAD_FILE))?.sync_all()?;
    File::open(&folder)?.sync_all()?;
    cbor::from_slice(&packet.bytes).context("keyd gave no public keys")
}

fn founders(dir: &DataDir, env: &dyn Env) -> Result<Vec<SoftKey>> {
    let folder = dir.folder("founders", None)?;
    (1..=FOUNDERS)
        .map(|n| {
            let seed = seed(env);
            write_durably(&folder.join(format!("founder-{n}.seed")), &*seed, 0o600)?;
            Ok(SoftKey::from_seed(&seed)?)
        })
        .collect()
}

/// A TLS key with a certificate of its own; the other end pins the key, so no authority is needed.
fn tls_identity(folder: &Path, name: &str) -> Result<Hash> {
    use rcgen::PublicKeyData as _;

    let key = rcgen::KeyPair::generate()?;
    let certificate =
        rcgen::CertificateParams::new(vec![format!("{name}.writ.internal")])?.self_signed(&key)?;
    write_durably(&folder.join(TLS_KEY_FILE), key.serialize_pem().as_bytes(), 0o600)?;
    write_durably(&folder.join(TLS_CERT_FILE), certificate.pem().as_bytes(), 0o644)?;
    Ok(sha256(&key.subject_public_key_info()))
}

fn seed(env: &dyn Env) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    env.fill(&mut *seed);
    seed
}

fn short(nonce: Nonce) -> String {
    nonce.to_string().chars().take(16).collect()
}
