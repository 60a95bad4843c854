//! TLS 1.3 between trail and watch: each end knows the other's key, so no authority is asked.
//!
//! A pin is SHA-256 of the SubjectPublicKeyInfo of the peer's certificate; genesis names both. Nothing
//! else of a certificate is looked at: names and dates prove nothing here that the key does not.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig,
    SignatureScheme,
};
use writ_proof::Hash;
use writ_proof::hash::sha256;

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

/// Where cryptography comes from; the listeners of `service` take the same.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// watch's end. Only the holder of the key that `trail` pins gets through the handshake.
pub fn server_config(identity: Identity, trail: Hash) -> Result<Arc<ServerConfig>, WatchError> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| WatchError::Tls(e.to_string()))?
        .with_client_cert_verifier(Arc::new(Pinned { spki: trail, provider }))
        .with_single_cert(vec![identity.certificate], identity.key)
        .map_err(|e| WatchError::Tls(e.to_string()))?;
    // A resumed session would skip the verifier.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// trail's end. It speaks only to the holder of the key that `watch` pins.
pub fn client_config(identity: Identity, watch: Hash) -> Result<Arc<ClientConfig>, WatchError> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| WatchError::Tls(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { spki: watch, provider }))
        .with_client_auth_cert(vec![identity.certificate], identity.key)
        .map_err(|e| WatchError::Tls(e.to_string()))?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// The name that the handshake carries; nobody looks at it.
pub fn server_name() -> Result<ServerName<'static>, WatchError> {
    ServerName::try_from("watch.writ.internal").map_err(|e| WatchError::Tls(e.to_string()))
}

#[derive(Debug)]
struct Pinned {
    spki: Hash,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        if sha256(parsed.subject_public_key_info().as_ref()) == self.spki {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 is not offered, so a signature of it is nobody's.
fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
