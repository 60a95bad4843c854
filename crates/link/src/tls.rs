//! TLS 1.3 to a peer whose key is pinned: no public authority is asked.
//!
//! A pin is SHA-256 of the SubjectPublicKeyInfo of a certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use writ_proof::Hash;
use writ_proof::hash::sha256;

use crate::Error;

/// Where cryptography comes from.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The name of watch, in its certificates and in handshakes to it.
///
/// # Errors
/// Never; the name is one.
pub fn watch_name() -> Result<ServerName<'static>, Error> {
    ServerName::try_from("watch.writ.internal").map_err(|error| Error::Tls(error.to_string()))
}

/// Verifies a peer by a key that was known beforehand.
#[derive(Debug)]
pub struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Pin {
    Key(Hash),
    Authority(Hash),
}

impl Pinned {
    /// The peer's own key has this hash. Nothing else of its certificate is looked at: names and dates
    /// prove nothing here that the key does not.
    pub fn key(spki: Hash) -> Pinned {
        Pinned { pin: Pin::Key(spki), provider: provider() }
    }

    /// The peer shows an authority whose key has this hash, and a certificate of it with the right name and
    /// dates. For servers; no client is taken by it.
    pub fn authority(spki: Hash) -> Pinned {
        Pinned { pin: Pin::Authority(spki), provider: provider() }
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

fn has_key(certificate: &CertificateDer<'_>, spki: &Hash) -> bool {
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|parsed| sha256(parsed.subject_public_key_info().as_ref()) == *spki)
}

fn wrong() -> rustls::Error {
    CertificateError::ApplicationVerificationFailure.into()
}

/// TLS 1.2 is not offered, so a signature of it is nobody's.
fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pin = match &self.pin {
            Pin::Key(pin) if has_key(end_entity, pin) => {
                return Ok(ServerCertVerified::assertion());
            }
            Pin::Key(_) => return Err(wrong()),
            Pin::Authority(pin) => pin,
        };
        let authority = intermediates.iter().find(|shown| has_key(shown, pin)).ok_or_else(wrong)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
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
        match &self.pin {
            Pin::Key(pin) if has_key(end_entity, pin) => Ok(ClientCertVerified::assertion()),
            _ => Err(wrong()),
        }
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
