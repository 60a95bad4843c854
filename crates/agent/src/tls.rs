//! TLS 1.3 to watch. Once enrolled, an agent trusts watch's own authority alone; before that, the authority
//! whose key its token names.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use writ_link::tls::{Pinned, provider};
use writ_proof::Hash;

use crate::error::AgentError;

/// The agent's end, with its certificate.
pub(crate) fn client_config(
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, AgentError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(refused)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(refused)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// A host's end before it has a certificate: watch must show an authority with the key `pin`.
pub(crate) fn enrolling_config(pin: Hash) -> Result<Arc<ClientConfig>, AgentError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::authority(pin)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

fn refused(error: impl std::fmt::Display) -> AgentError {
    AgentError::Tls(error.to_string())
}
