//! Who the agent is: its key, its certificate of watch's authority, and its folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use writ_proof::cbor;
use writ_proof::ed25519::SoftKey;
use writ_proof::hostlog::SignedConfig;
use writ_proof::roster::HostName;

use crate::config::SIGNED_FILE;
use crate::disk::{self, DirLock};
use crate::error::AgentError;
use crate::limits::LOCK_WAIT;
use crate::readable::Readable;

/// The Ed25519 seed, 32 bytes.
pub(crate) const SEED_FILE: &str = "key.seed";
/// What changes while the agent runs; beside the spool, the only place where it may write.
pub(crate) const KEPT_FOLDER: &str = "kept";
/// The certificate of this host, in [`KEPT_FOLDER`].
pub(crate) const CERTIFICATE_FILE: &str = "agent.pem";
/// The Ed25519 key, 32 bytes, by which watch signs configurations.
pub(crate) const WATCH_KEY_FILE: &str = "watch.key";
/// The authority of watch.
pub(crate) const AUTHORITY_FILE: &str = "watch-ca.pem";
/// The host's name; the last file that an enrolment writes.
pub(crate) const HOST_FILE: &str = "host";
/// The number of the newest epoch, in decimal, in [`KEPT_FOLDER`].
const EPOCH_FILE: &str = "epoch";

/// What stands before an Ed25519 seed in PKCS #8 (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The folder of an enrolled agent, held by this process.
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) host: HostName,
    /// Signs what explains missing frames.
    pub(crate) key: SoftKey,
    /// Signs configurations.
    watch: [u8; 32],
    _lock: DirLock,
}

impl Home {
    /// Opens the folder of an enrolled agent.
    pub(crate) fn open(dir: &Path) -> Result<Home, AgentError> {
        let host = host(dir)?;
        let lock = lock(dir)?;
        let key = SoftKey::from_seed(&seed(dir)?)?;
        let watch = watch_key(dir)?;
        Ok(Home { dir: dir.to_owned(), host, key, watch, _lock: lock })
    }

    /// Where what changes is kept.
    pub(crate) fn kept(&self) -> PathBuf {
        self.dir.join(KEPT_FOLDER)
    }

    /// Keeps what the host is to report from the next start on, if watch has signed it and it is newer.
    pub(crate) fn configure(&self, signed: &SignedConfig, running: u64) -> Result<(), AgentError> {
        let kept = self.kept().join(SIGNED_FILE);
        let wrong = |why: String| AgentError::Config { path: kept.clone(), why };
        if !signed.is_signed(&self.host, &self.watch) {
            return Err(AgentError::Refused("its configuration is not signed".to_owned()));
        }
        if signed.serial == running {
            return Ok(());
        }
        if signed.serial < running {
            return Err(AgentError::Refused("its configuration is an older one".to_owned()));
        }
        // What this version does not understand must not keep it from starting.
        Readable::load(&self.dir)?.admit(&signed.text).map_err(wrong)?;
        disk::replace(&kept, &cbor::to_vec(signed), 0o600)?;
        tracing::info!(serial = signed.serial, "a new configuration counts from the next start on");
        Ok(())
    }

    /// Begins the next epoch, above `floor`: its number is on the disk before it is used.
    pub(crate) fn next_epoch(&self, floor: u64) -> Result<u64, AgentError> {
        let path = self.kept().join(EPOCH_FILE);
        let last = disk::read_if_there(&path)?.unwrap_or_default();
        let last: u64 =
            String::from_utf8(last).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0);
        let next = last.max(floor).saturating_add(1);
        disk::replace(&path, format!("{next}\n").as_bytes(), 0o600)?;
        Ok(next)
    }

    /// The agent's end of a connection.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, AgentError> {
        let (certificate, key) = self.certificate()?;
        crate::tls::client_config(self.authority()?, certificate, key)
    }

    fn certificate(&self) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), AgentError> {
        Ok((pem(&self.kept().join(CERTIFICATE_FILE))?, private_key(&seed(&self.dir)?)))
    }

    /// Keeps the next certificate, if it is one for this host's key; the next connection shows it.
    pub(crate) fn renew(&self, text: &str) -> Result<(), AgentError> {
        let next = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| AgentError::Tls(error.to_string()))?;
        crate::tls::client_config(self.authority()?, next, private_key(&seed(&self.dir)?))?;
        disk::replace(&self.kept().join(CERTIFICATE_FILE), text.as_bytes(), 0o644)?;
        tracing::info!("watch has sent the next certificate");
        Ok(())
    }

    /// watch's authority.
    fn authority(&self) -> Result<CertificateDer<'static>, AgentError> {
        pem(&self.dir.join(AUTHORITY_FILE))
    }
}

/// Takes the folder. [`crate::status`] takes it for a moment too, to see whether an agent runs.
fn lock(dir: &Path) -> Result<DirLock, AgentError> {
    Ok(DirLock::wait(dir, LOCK_WAIT)?)
}

/// The host's name.
pub(crate) fn host(dir: &Path) -> Result<HostName, AgentError> {
    let path = dir.join(HOST_FILE);
    let foreign = |why: &str| AgentError::Foreign { path: path.clone(), why: why.to_owned() };
    let name = disk::read_if_there(&path)?.ok_or_else(|| foreign("it is missing"))?;
    let name = String::from_utf8(name).map_err(|_| foreign("it is no name"))?;
    name.trim_end().parse().map_err(|_| foreign("it is no name"))
}

/// The key by which watch signs configurations.
pub(crate) fn watch_key(dir: &Path) -> Result<[u8; 32], AgentError> {
    bytes(&dir.join(WATCH_KEY_FILE))
}

fn seed(dir: &Path) -> Result<[u8; 32], AgentError> {
    bytes(&dir.join(SEED_FILE))
}

fn bytes(path: &Path) -> Result<[u8; 32], AgentError> {
    let foreign = |why: &str| AgentError::Foreign { path: path.to_owned(), why: why.to_owned() };
    let bytes = disk::read_if_there(path)?.ok_or_else(|| foreign("it is missing"))?;
    bytes.try_into().map_err(|_| foreign("it is not 32 bytes"))
}

fn pem(path: &Path) -> Result<CertificateDer<'static>, AgentError> {
    let bytes = std::fs::read(path).map_err(AgentError::io("read", path))?;
    CertificateDer::from_pem_slice(&bytes).map_err(|error| AgentError::Tls(error.to_string()))
}

fn private_key(seed: &[u8; 32]) -> PrivateKeyDer<'static> {
    let mut der = PKCS8_PREFIX.to_vec();
    der.extend_from_slice(seed);
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))
}
