//! Who the listeners prove to be: an authority of this installation, `ca.pem`, and a fresh certificate
//! from it for each start of a listening process.
//!
//! The authority's key stays with the supervisor. A listener's key is made for one start, handed over
//! in memory, and never lies on a disk.

use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustix::fs::{MemfdFlags, memfd_create};
use writ_model::Timestamp;
use zeroize::Zeroizing;

use super::data::{DataDir, write_durably};

/// The authority's certificate, for whoever calls: `AWS_CA_BUNDLE`.
pub const FILE: &str = "ca.pem";
/// The supervisor's folder for the authority's key.
const FOLDER: &str = "tls";
/// The authority's key, in PEM.
const KEY_FILE: &str = "ca.key";

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the authority is valid: ten years.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How long a listener's certificate is valid: the longest that clients accept of public ones.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(397 * 24 * 3600);

/// The authority. It has no `Debug`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads the authority of `dir`, or makes one that is called after `site`.
    pub fn open(dir: &DataDir, site: &str, now: Timestamp) -> Result<Authority> {
        let path = dir.folder(FOLDER, None)?.join(KEY_FILE);
        let key = match fs::File::open(&path) {
            Ok(mut file) => {
                let mut pem = Zeroizing::new(String::new());
                file.read_to_string(&mut pem)?;
                KeyPair::from_pem(&pem).with_context(|| {
                    format!(
                        "`{0}` holds no key: restore it, or remove it and give clients the new `{FILE}`",
                        path.display()
                    )
                })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                let pem = Zeroizing::new(key.serialize_pem());
                write_durably(&path, pem.as_bytes(), 0o600)?;
                write_durably(&dir.join(FILE), certificate(site, &key, now)?.as_bytes(), 0o644)?;
                key
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        if !dir.join(FILE).try_exists()? {
            write_durably(&dir.join(FILE), certificate(site, &key, now)?.as_bytes(), 0o644)?;
        }
        Ok(Authority { issuer: Issuer::new(params(site, now), key) })
    }

    /// A new key and a certificate for it under `names` (addresses and DNS names), in PEM and in memory
    /// only.
    pub fn issue(&self, names: &[String], now: Timestamp) -> Result<OwnedFd> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "Writ listener");
        valid(&mut params, now, CERTIFICATE_LIFETIME);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let mut file = fs::File::from(memfd_create("writ-tls", MemfdFlags::CLOEXEC)?);
        file.write_all(Zeroizing::new(key.serialize_pem()).as_bytes())?;
        file.write_all(certificate.pem().as_bytes())?;
        file.rewind()?;
        Ok(file.into())
    }
}

/// The names of a listener on `address`: what is asked for, the address itself, and this machine's own.
pub fn names(address: IpAddr, asked: &[String]) -> Vec<String> {
    let mut names = asked.to_vec();
    if !address.is_unspecified() {
        names.push(address.to_string());
    }
    names.extend(["127.0.0.1", "::1", "localhost"].map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn certificate(site: &str, key: &KeyPair, now: Timestamp) -> Result<String> {
    Ok(params(site, now).self_signed(key)?.pem())
}

fn params(site: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Writ {site}"));
    valid(&mut params, now, AUTHORITY_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// From a day ago, for clients whose clocks are behind.
fn valid(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.secs());
    params.not_before = now - DAY;
    params.not_after = now + lifetime;
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{RootCertStore, client::WebPkiServerVerifier};

    use super::*;

    /// Whether a client that trusts `authority` takes the certificate in `issued` for `name`.
    fn accepts(authority: &[u8], issued: OwnedFd, name: &str, now: Timestamp) -> bool {
        let mut pem = Vec::new();
        fs::File::from(issued).read_to_end(&mut pem).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.secs()));
        let verifier: std::sync::Arc<dyn rustls::client::danger::ServerCertVerifier> =
            verifier.build().unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn certificate_is_good_for_its_names_under_its_own_authority_alone() {
        let temp = tempfile::tempdir().unwrap();
        let open = |name: &str| DataDir::open(&temp.path().join(name)).unwrap();
        let (ours, others) = (open("ours"), open("others"));
        let now = Timestamp::from_secs(1_800_000_000);
        let later = Timestamp::from_secs(1_800_000_000 + 398 * 24 * 3600);
        let authority = Authority::open(&ours, "site-1", now).unwrap();
        let other = Authority::open(&others, "site-1", now).unwrap();
        let pem = fs::read(ours.join(FILE)).unwrap();
        let names = names("192.0.2.7".parse().unwrap(), &["writ.example".to_owned()]);
        let issue = |authority: &Authority| authority.issue(&names, now).unwrap();
        for name in ["192.0.2.7", "127.0.0.1", "localhost", "writ.example"] {
            assert!(accepts(&pem, issue(&authority), name, now), "{name}");
        }
        assert!(!accepts(&pem, issue(&authority), "192.0.2.8", now));
        assert!(!accepts(&pem, issue(&authority), "writ.example", later));
        assert!(!accepts(&pem, issue(&other), "writ.example", now));

        // A restart keeps the authority that clients know.
        drop(ours);
        let again = Authority::open(&open("ours"), "site-1", later).unwrap();
        let issued = again.issue(&names, later).unwrap();
        assert!(accepts(&pem, issued, "writ.example", later));
    }
}
