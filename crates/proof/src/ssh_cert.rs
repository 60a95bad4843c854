//! OpenSSH certificates over Ed25519 keys, by an Ed25519 authority (PROTOCOL.certkeys).
//!
//! A certificate is good if and only if `valid_after <= now < valid_before`, it is of the wanted kind,
//! the wanted authority signed it, and it names principals: the format reads none as "any", we never
//! do. A certificate is never an authority. Critical options that are not known are refused;
//! extensions that are not known are passed over, as the format demands.

mod options;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::Timestamp;

pub use options::{Cidr, CriticalOptions, Extension};

use crate::ed25519::{PublicKey, Signature, Signer};
use crate::error::Error;
use crate::limits;
use crate::ssh::{SshReader, put_string};
use crate::sshsig::SshPublicKey;

/// The name of the one algorithm that is issued.
pub const ALGORITHM: &str = "ssh-ed25519-cert-v01@openssh.com";

const WHAT: &str = "SSH certificate";
const PLAIN: &str = "ssh-ed25519";

/// Whom a certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertKind {
    /// A host.
    Host,
    /// Somebody who logs in.
    User,
}

impl CertKind {
    const fn number(self) -> u32 {
        match self {
            CertKind::User => 1,
            CertKind::Host => 2,
        }
    }
}

/// What an authority says in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertFields {
    /// Random bytes, new for each certificate.
    pub nonce: [u8; 32],
    /// The certified key.
    pub key: PublicKey,
    /// The serial number; never 0 (which a revocation list cannot name), never used again.
    pub serial: u64,
    /// Whom it names.
    pub kind: CertKind,
    /// What sshd writes into its log.
    pub key_id: String,
    /// The login names or host names that it is good for; never empty.
    pub principals: Vec<String>,
    /// The first second, since 1970, in which it is good.
    pub valid_after: u64,
    /// The first second in which it no longer is.
    pub valid_before: u64,
    /// Restrictions, which every reader must understand. A host's has none.
    pub critical: CriticalOptions,
    /// What a user's may do besides. A host's has none.
    pub extensions: BTreeSet<Extension>,
}

impl CertFields {
    /// The bytes that the authority `ca` signs. Refuses what must not be issued.
    pub fn to_be_signed(&self, ca: &PublicKey) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut bytes = Vec::new();
        put_string(&mut bytes, ALGORITHM.as_bytes());
        put_string(&mut bytes, &self.nonce);
        put_string(&mut bytes, &self.key.0);
        bytes.extend_from_slice(&self.serial.to_be_bytes());
        bytes.extend_from_slice(&self.kind.number().to_be_bytes());
        put_string(&mut bytes, self.key_id.as_bytes());
        let mut principals = Vec::new();
        self.principals.iter().for_each(|name| put_string(&mut principals, name.as_bytes()));
        put_string(&mut bytes, &principals);
        bytes.extend_from_slice(&self.valid_after.to_be_bytes());
        bytes.extend_from_slice(&self.valid_before.to_be_bytes());
        put_string(&mut bytes, &self.critical.to_bytes());
        put_string(&mut bytes, &Extension::all_to_bytes(&self.extensions));
        put_string(&mut bytes, b"");
        put_string(&mut bytes, &SshPublicKey::Ed25519(ca.0).to_blob());
        Ok(bytes)
    }

    /// Reads what is about to be signed, and for which authority: exactly the bytes that
    /// [`CertFields::to_be_signed`] writes, so that whoever signs knows every field.
    pub fn from_to_be_signed(bytes: &[u8]) -> Result<(CertFields, PublicKey), Error> {
        Error::limit("SSH certificate bytes", bytes.len(), limits::SSH_CERT_MAX_BYTES)?;
        let mut reader = SshReader::new(bytes);
        let (fields, ca) = read_signed(&mut reader)?;
        reader.finish()?;
        if fields.to_be_signed(&ca)? == bytes {
            Ok((fields, ca))
        } else {
            Err(Error::malformed(WHAT, "it says more than its fields, or says it in another form"))
        }
    }

    /// Signs with the authority's key.
    pub fn sign(&self, ca: &dyn Signer) -> Result<Certificate, Error> {
        let signed = self.to_be_signed(&ca.public_key())?;
        let signature = ca.sign(&signed)?;
        Certificate::assemble(&signed, &signature)
    }

    fn check(&self) -> Result<(), Error> {
        let rule = |why| Err(Error::Rule { what: WHAT, why });
        Error::limit("key id bytes", self.key_id.len(), limits::SSH_CERT_KEY_ID_MAX_BYTES)?;
        let count = self.principals.len();
        Error::limit("principals", count, limits::SSH_CERT_MAX_PRINCIPALS)?;
        if self.principals.is_empty() || self.principals.iter().any(String::is_empty) {
            return rule("it must name its principals: none would mean any");
        }
        if self.serial == 0 || self.key_id.is_empty() {
            return rule("it must have a serial number and a key id");
        }
        if self.valid_after >= self.valid_before {
            return rule("it is never valid");
        }
        let bare = self.critical == CriticalOptions::default() && self.extensions.is_empty();
        if self.kind == CertKind::Host && !bare {
            return rule("a host's has neither options nor extensions");
        }
        Ok(())
    }
}

/// A certificate whose signature holds under the key that it names. Whether that key is an authority
/// is for [`Certificate::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    fields: CertFields,
    ca: PublicKey,
    /// Everything before the signature, as it came.
    signed: Vec<u8>,
    signature: Signature,
}

impl Certificate {
    /// Joins what was signed with the authority's signature over it.
    pub fn assemble(to_be_signed: &[u8], signature: &Signature) -> Result<Certificate, Error> {
        let mut bytes = to_be_signed.to_vec();
        put_string(&mut bytes, &signature_blob(signature));
        Certificate::from_bytes(&bytes)
    }

    /// Reads the wire form, strictly, and checks the signature.
    pub fn from_bytes(bytes: &[u8]) -> Result<Certificate, Error> {
        Error::limit("SSH certificate bytes", bytes.len(), limits::SSH_CERT_MAX_BYTES)?;
        let mut reader = SshReader::new(bytes);
        let (fields, ca) = read_signed(&mut reader)?;
        fields.check()?;
        let length = bytes.len() - reader.rest().len();
        let signed = bytes.get(..length).unwrap_or_default().to_vec();
        let mut signature = SshReader::new(reader.string()?);
        reader.finish()?;
        if signature.text()? != PLAIN {
            return Err(Error::malformed(WHAT, "its signature is not by an Ed25519 key"));
        }
        let bad = || Error::BadSignature { by: SshPublicKey::Ed25519(ca.0).fingerprint() };
        let inner: Signature = signature.string()?.try_into().map_err(|_| bad())?;
        signature.finish()?;
        if ca.verifies(&signed, &inner) {
            Ok(Certificate { fields, ca, signed, signature: inner })
        } else {
            Err(bad())
        }
    }

    /// What it says, if `ca` signed it and it names a `kind` and is good at `now`.
    pub fn verify(
        &self,
        ca: &PublicKey,
        kind: CertKind,
        now: Timestamp,
    ) -> Result<&CertFields, Error> {
        let rule = |why| Err(Error::Rule { what: WHAT, why });
        if self.ca != *ca {
            return rule("another authority signed it");
        }
        if self.fields.kind != kind {
            return rule("it is of the other kind: user's and host's are not the same");
        }
        let now = now.millis() / 1000;
        if now < self.fields.valid_after {
            return rule("it is not valid yet");
        }
        if now >= self.fields.valid_before {
            return rule("it is no longer valid");
        }
        Ok(&self.fields)
    }

    /// What it says; nothing of it is worth anything before [`Certificate::verify`].
    pub fn unverified(&self) -> &CertFields {
        &self.fields
    }

    /// The key that signed it.
    pub fn ca(&self) -> &PublicKey {
        &self.ca
    }

    /// The wire form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.signed.clone();
        put_string(&mut bytes, &signature_blob(&self.signature));
        bytes
    }
}

impl fmt::Display for Certificate {
    /// The line of a `-cert.pub` file, without comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM} {}", STANDARD.encode(self.to_bytes()))
    }
}

impl FromStr for Certificate {
    type Err = Error;

    /// Reads the line of a `-cert.pub` file; a comment is ignored.
    fn from_str(line: &str) -> Result<Certificate, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        let mut words = line.split_ascii_whitespace();
        let (Some(ALGORITHM), Some(base64)) = (words.next(), words.next()) else {
            return Err(malformed("it is not its algorithm and base64"));
        };
        let bytes = STANDARD.decode(base64).map_err(|_| malformed("it is not base64"))?;
        Certificate::from_bytes(&bytes)
    }
}

fn signature_blob(signature: &Signature) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, PLAIN.as_bytes());
    put_string(&mut blob, signature);
    blob
}

/// Reads everything before the signature.
fn read_signed(reader: &mut SshReader<'_>) -> Result<(CertFields, PublicKey), Error> {
    let malformed = |why| Error::malformed(WHAT, why);
    let algorithm = reader.text()?;
    if algorithm != ALGORITHM {
        let value = algorithm.chars().take(64).collect();
        return Err(Error::Unsupported { what: "SSH certificate algorithm", value });
    }
    let nonce = reader.string()?.try_into().map_err(|_| malformed("its nonce is not 32 bytes"))?;
    let key = reader.string()?.try_into().map_err(|_| malformed("its key is not 32 bytes"))?;
    let serial = reader.long()?;
    let kind = match reader.number()? {
        1 => CertKind::User,
        2 => CertKind::Host,
        _ => return Err(malformed("it is neither a user's nor a host's")),
    };
    let key_id = reader.text()?.to_owned();
    let mut packed = SshReader::new(reader.string()?);
    let mut principals = Vec::new();
    while !packed.rest().is_empty() {
        Error::limit("principals", principals.len() + 1, limits::SSH_CERT_MAX_PRINCIPALS)?;
        principals.push(packed.text()?.to_owned());
    }
    let (valid_after, valid_before) = (reader.long()?, reader.long()?);
    let critical = CriticalOptions::from_bytes(reader.string()?)?;
    let extensions = Extension::all_from_bytes(reader.string()?)?;
    if !reader.string()?.is_empty() {
        return Err(malformed("its reserved field is not empty"));
    }
    let ca = authority(reader.string()?)?;
    let key = PublicKey(key);
    let fields = CertFields {
        nonce,
        key,
        serial,
        kind,
        key_id,
        principals,
        valid_after,
        valid_before,
        critical,
        extensions,
    };
    Ok((fields, ca))
}

/// The authority's key, which is never a certificate.
fn authority(blob: &[u8]) -> Result<PublicKey, Error> {
    let algorithm = SshReader::new(blob).text()?;
    if algorithm.contains("-cert-") {
        return Err(Error::Rule { what: WHAT, why: "a certificate is no authority" });
    }
    match SshPublicKey::from_blob(blob)? {
        SshPublicKey::Ed25519(key) => Ok(PublicKey(key)),
        other => {
            let value = other.algorithm().to_owned();
            Err(Error::Unsupported { what: "algorithm of an SSH authority", value })
        }
    }
}

#[cfg(test)]
#[path = "tests/ssh_cert.rs"]
mod tests;
