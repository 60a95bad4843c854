//! watch's own certificate authority, for agents and for the listener that they connect to. keyd and the
//! supervisor have no part in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use writ_model::Timestamp;
use writ_proof::Hash;
use writ_proof::hash::sha256;
use writ_proof::roster::HostName;

use crate::disk;
use crate::error::WatchError;
use crate::limits::CERTIFICATE_LIFETIME;

/// The authority's key in PEM, in watch's folder.
const KEY_FILE: &str = "agents-ca.key";

/// Its certificate in PEM.
const CERTIFICATE_FILE: &str = "agents-ca.pem";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 section 4).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The authority. It has no `Debug`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    certificate: CertificateDer<'static>,
    pin: Hash,
}

/// An agent's public key, as a certificate takes it.
struct AgentKey<'a>(&'a [u8; 32]);

impl PublicKeyData for AgentKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl Authority {
    /// Reads the authority of watch's folder, or makes one that is called after `site`.
    pub(crate) fn open(folder: &Path, site: &str, now: Timestamp) -> Result<Authority, WatchError> {
        let path = folder.join(KEY_FILE);
        let key = match disk::read_if_there(&path)? {
            Some(pem) => {
                let pem = String::from_utf8(pem).map_err(refused)?;
                KeyPair::from_pem(&pem).map_err(refused)?
            }
            None => {
                let key = KeyPair::generate().map_err(refused)?;
                disk::replace(&path, key.serialize_pem().as_bytes(), 0o600)?;
                key
            }
        };
        let file = folder.join(CERTIFICATE_FILE);
        let pem = match disk::read_if_there(&file)? {
            Some(pem) => String::from_utf8(pem).map_err(refused)?,
            None => {
                let pem = params(site, now).self_signed(&key).map_err(refused)?.pem();
                disk::replace(&file, pem.as_bytes(), 0o644)?;
                pem
            }
        };
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(refused)?;
        let pin = sha256(spki(&certificate)?.as_slice());
        Ok(Authority { issuer: Issuer::new(params(site, now), key), pem, certificate, pin })
    }

    /// The authority's certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the authority's SubjectPublicKeyInfo: a token carries it.
    pub(crate) fn pin(&self) -> Hash {
        self.pin
    }

    /// The certificate of `host` with its Ed25519 key: in PEM, and SHA-256 of its DER.
    pub(crate) fn issue(
        &self,
        host: &HostName,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<(String, Hash), WatchError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, host.as_str());
        valid(&mut params, now, super::certificate_lifetime());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&AgentKey(key), &self.issuer).map_err(refused)?;
        Ok((certificate.pem(), sha256(certificate.der())))
    }

    /// The listener's end: a fresh key with a certificate of this authority. A peer without a certificate
    /// gets through the handshake, to enrol; one with a certificate of another authority does not.
    pub(crate) fn server_config(&self, now: Timestamp) -> Result<Arc<ServerConfig>, WatchError> {
        let key = KeyPair::generate().map_err(refused)?;
        let name = "watch.writ.internal".to_owned();
        let mut params = CertificateParams::new(vec![name]).map_err(refused)?;
        params.distinguished_name.push(DnType::CommonName, "Writ watch");
        valid(&mut params, now, CERTIFICATE_LIFETIME);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(refused)?;
        let provider = writ_link::tls::provider();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(refused)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(refused)?;
        // A resumed session would skip the verifier.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

/// The Ed25519 key of a certificate; `None` if it is of another kind.
pub(crate) fn agent_key(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let spki = spki(certificate).ok()?;
    spki.strip_prefix(&ED25519_SPKI)?.try_into().ok()
}

fn spki(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, WatchError> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(refused)?;
    Ok(parsed.subject_public_key_info().as_ref().to_vec())
}

fn params(site: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Writ watch {site}"));
    valid(&mut params, now, CERTIFICATE_LIFETIME * 10);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// From a day ago, for hosts whose clocks are behind.
fn valid(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.secs());
    params.not_before = now - DAY;
    params.not_after = now + lifetime;
}

fn refused(error: impl std::fmt::Display) -> WatchError {
    WatchError::Tls(error.to_string())
}
