//! TLS 1.3 between trail and watch: each end knows the other's key, so no authority is asked.
//!
//! A pin is SHA-256 of the SubjectPublicKeyInfo of the peer's certificate; genesis names both. Nothing
//! else of a certificate is looked at: names and dates prove nothing here that the key does not.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};
use writ_link::tls::{Pinned, provider};
use writ_proof::Hash;

use crate::error::WatchError;

/// The file of a TLS key in PEM, in the folder of trail and of watch.
pub const KEY_FILE: &str = "tls.key";

/// The file of its certificate in PEM.
pub const CERTIFICATE_FILE: &str = "tls.crt";

/// One end's key and certificate. It has no `Debug`.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads `tls.key` and `tls.crt` in `folder`.
    pub fn load(folder: &Path) -> Result<Identity, WatchError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(WatchError::io("read", &path))
        };
        Identity::from_pem(&read(CERTIFICATE_FILE)?, &read(KEY_FILE)?)
    }

    /// Reads both from PEM.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, WatchError> {
        let certificate = CertificateDer::from_pem_slice(certificate)
            .map_err(|e| WatchError::Tls(format!("the certificate: {e}")))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|e| WatchError::Tls(format!("the key: {e}")))?;
        Ok(Identity { certificate, key })
    }
}

/// watch's end. Only the holder of the key that `trail` pins gets through the handshake.
pub fn server_config(identity: Identity, trail: Hash) -> Result<Arc<ServerConfig>, WatchError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| WatchError::Tls(e.to_string()))?
        .with_client_cert_verifier(Arc::new(Pinned::key(trail)))
        .with_single_cert(vec![identity.certificate], identity.key)
        .map_err(|e| WatchError::Tls(e.to_string()))?;
    // A resumed session would skip the verifier.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// trail's end. It speaks only to the holder of the key that `watch` pins.
pub fn client_config(identity: Identity, watch: Hash) -> Result<Arc<ClientConfig>, WatchError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| WatchError::Tls(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::key(watch)))
        .with_client_auth_cert(vec![identity.certificate], identity.key)
        .map_err(|e| WatchError::Tls(e.to_string()))?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}
