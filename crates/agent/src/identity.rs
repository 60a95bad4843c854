//! Who the agent is: its key, its certificate of watch's authority, and its folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use writ_proof::ed25519::SoftKey;
use writ_proof::roster::HostName;

use crate::disk::{self, DirLock};
use crate::error::AgentError;

/// The Ed25519 seed, 32 bytes.
pub(crate) const SEED_FILE: &str = "key.seed";
/// The certificate of this host.
pub(crate) const CERTIFICATE_FILE: &str = "agent.pem";
/// The authority of watch.
pub(crate) const AUTHORITY_FILE: &str = "watch-ca.pem";
/// The host's name; the last file that an enrolment writes.
pub(crate) const HOST_FILE: &str = "host";
/// The number of the newest epoch, in decimal.
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
    _lock: DirLock,
}

impl Home {
    /// Opens the folder of an enrolled agent.
    pub(crate) fn open(dir: &Path) -> Result<Home, AgentError> {
        let path = dir.join(HOST_FILE);
        let foreign = |why: &str| AgentError::Foreign { path: path.clone(), why: why.to_owned() };
        let name = disk::read_if_there(&path)?.ok_or_else(|| foreign("it is missing"))?;
        let name = String::from_utf8(name).map_err(|_| foreign("it is no name"))?;
        let host = name.trim_end().parse().map_err(|_| foreign("it is no name"))?;
        let lock = DirLock::take(dir)?;
        let key = SoftKey::from_seed(&seed(dir)?)?;
        Ok(Home { dir: dir.to_owned(), host, key, _lock: lock })
    }

    /// Begins the next epoch, above `floor`: its number is on the disk before it is used.
    pub(crate) fn next_epoch(&self, floor: u64) -> Result<u64, AgentError> {
        let path = self.dir.join(EPOCH_FILE);
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
        Ok((pem(&self.dir.join(CERTIFICATE_FILE))?, private_key(&seed(&self.dir)?)))
    }

    /// Keeps the next certificate, if it is one for this host's key; the next connection shows it.
    pub(crate) fn renew(&self, text: &str) -> Result<(), AgentError> {
        let next = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| AgentError::Tls(error.to_string()))?;
        crate::tls::client_config(self.authority()?, next, private_key(&seed(&self.dir)?))?;
        disk::replace(&self.dir.join(CERTIFICATE_FILE), text.as_bytes(), 0o644)?;
        tracing::info!("watch has sent the next certificate");
        Ok(())
    }

    /// watch's authority.
    fn authority(&self) -> Result<CertificateDer<'static>, AgentError> {
        pem(&self.dir.join(AUTHORITY_FILE))
    }
}

fn seed(dir: &Path) -> Result<[u8; 32], AgentError> {
    let path = dir.join(SEED_FILE);
    let foreign = |why: &str| AgentError::Foreign { path: path.clone(), why: why.to_owned() };
    let seed = disk::read_if_there(&path)?.ok_or_else(|| foreign("it is missing"))?;
    seed.try_into().map_err(|_| foreign("it is not 32 bytes"))
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
