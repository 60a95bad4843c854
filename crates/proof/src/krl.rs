//! OpenSSH key revocation lists (PROTOCOL.krl).
//!
//! Written and read are certificates by serial number and key id, whole keys and SHA-256 fingerprints.
//! A list with anything else (SHA-1 fingerprints, a signature section, extensions) is refused: what
//! is not understood could revoke more than we see. Lists are signed beside the file, since OpenSSH
//! from 9.4 on refuses a signature within.

mod serials;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serials::Serials;

use crate::ed25519::PublicKey;
use crate::error::Error;
use crate::hash::{Hash, sha256};
use crate::limits;
use crate::ssh::{SshReader, put_string};
use crate::ssh_cert::Certificate;
use crate::sshsig::SshPublicKey;

const WHAT: &str = "key revocation list";
const MAGIC: &[u8; 8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
const CERTIFICATES: u8 = 1;
const KEYS: u8 = 2;
const SHA256: u8 = 5;
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_IDS: u8 = 0x23;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Krl {
    version: u64,
    date: u64,
    comment: String,
    /// By the authority that signed them; `None` is any.
    certificates: BTreeMap<Option<PublicKey>, Revoked>,
    /// Keys' blobs.
    keys: BTreeSet<Vec<u8>>,
    fingerprints: BTreeSet<Hash>,
}

/// Certificates of one authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Revoked {
    serials: Serials,
    key_ids: BTreeSet<String>,
}

impl Krl {
    /// A list that revokes nothing. `version` grows with each list that is published; `date` is in
    /// seconds since 1970.
    pub fn new(version: u64, date: u64, comment: &str) -> Result<Krl, Error> {
        Error::limit("comment bytes", comment.len(), limits::KRL_COMMENT_MAX_BYTES)?;
        Ok(Krl {
            version,
            date,
            comment: comment.to_owned(),
            certificates: BTreeMap::new(),
            keys: BTreeSet::new(),
            fingerprints: BTreeSet::new(),
        })
    }

    /// Revokes certificates by serial number, of one authority or of any. 0 cannot be revoked.
    pub fn revoke_serials(
        &mut self,
        ca: Option<&PublicKey>,
        serials: RangeInclusive<u64>,
    ) -> Result<(), Error> {
        if *serials.start() == 0 || serials.is_empty() {
            let why = "a range of serial numbers begins with 1 or later and is not empty";
            return Err(Error::Rule { what: WHAT, why });
        }
        let of_ca = &mut self.certificates.entry(ca.copied()).or_default().serials;
        of_ca.insert(*serials.start(), *serials.end());
        Error::limit("ranges of serial numbers", of_ca.ranges(), limits::KRL_MAX_RANGES)
    }

    /// Revokes certificates by key id, of one authority or of any.
    pub fn revoke_key_id(&mut self, ca: Option<&PublicKey>, key_id: &str) -> Result<(), Error> {
        Error::limit("key id bytes", key_id.len(), limits::SSH_CERT_KEY_ID_MAX_BYTES)?;
        if key_id.is_empty() {
            return Err(Error::Rule { what: WHAT, why: "a key id is not empty" });
        }
        self.certificates.entry(ca.copied()).or_default().key_ids.insert(key_id.to_owned());
        Ok(())
    }

    /// Revokes a key, and with it every certificate over it.
    pub fn revoke_key(&mut self, key: &SshPublicKey) {
        self.keys.insert(key.to_blob());
    }

    /// Revokes a key by its SHA-256 fingerprint.
    pub fn revoke_fingerprint(&mut self, key: &SshPublicKey) {
        self.fingerprints.insert(sha256(&key.to_blob()));
    }

    /// The version, by which a reader knows an older list.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was made, in seconds since 1970.
    pub fn date(&self) -> u64 {
        self.date
    }

    /// The comment.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// True if the certificate, its key or its authority's key is revoked.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        let fields = certificate.unverified();
        self.revokes_serial(certificate.ca(), fields.serial)
            || self.of(certificate.ca()).any(|revoked| revoked.key_ids.contains(&fields.key_id))
            || self.revokes_key(&SshPublicKey::Ed25519(fields.key.0))
            || self.revokes_key(&SshPublicKey::Ed25519(certificate.ca().0))
    }

    /// True if certificates of `ca` with this serial number are revoked.
    pub fn revokes_serial(&self, ca: &PublicKey, serial: u64) -> bool {
        self.of(ca).any(|revoked| revoked.serials.contains(serial))
    }

    /// True if the key is revoked.
    pub fn revokes_key(&self, key: &SshPublicKey) -> bool {
        let blob = key.to_blob();
        self.keys.contains(&blob) || self.fingerprints.contains(&sha256(&blob))
    }

    /// The file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.date.to_be_bytes());
        bytes.extend_from_slice(&0u64.to_be_bytes());
        put_string(&mut bytes, b"");
        put_string(&mut bytes, self.comment.as_bytes());
        for (ca, revoked) in &self.certificates {
            let mut body = Vec::new();
            let ca = ca.map(|key| SshPublicKey::Ed25519(key.0).to_blob()).unwrap_or_default();
            put_string(&mut body, &ca);
            put_string(&mut body, b"");
            revoked.serials.write(&mut body);
            put_section(&mut body, KEY_IDS, revoked.key_ids.iter().map(String::as_bytes));
            bytes.push(CERTIFICATES);
            put_string(&mut bytes, &body);
        }
        put_section(&mut bytes, KEYS, self.keys.iter().map(Vec::as_slice));
        let fingerprints = self.fingerprints.iter().map(|hash| hash.0.as_slice());
        put_section(&mut bytes, SHA256, fingerprints);
        Error::limit("KRL bytes", bytes.len(), limits::KRL_MAX_BYTES)?;
        Ok(bytes)
    }

    /// Reads the file, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<Krl, Error> {
        Error::limit("KRL bytes", bytes.len(), limits::KRL_MAX_BYTES)?;
        let mut reader = SshReader::new(bytes);
        reader.literal(MAGIC)?;
        if reader.number()? != FORMAT {
            return Err(Error::malformed(WHAT, "it is not of format 1"));
        }
        let (version, date, flags) = (reader.long()?, reader.long()?, reader.long()?);
        let reserved = reader.string()?;
        if flags != 0 || !reserved.is_empty() {
            return Err(Error::malformed(WHAT, "its flags or its reserved field are set"));
        }
        let mut krl = Krl::new(version, date, reader.text()?)?;
        while !reader.rest().is_empty() {
            let (kind, body) = (reader.byte()?, reader.string()?);
            match kind {
                CERTIFICATES => krl.read_certificates(body)?,
                KEYS => each(body, |blob| {
                    krl.keys.insert(blob.to_vec());
                    Ok(())
                })?,
                SHA256 => each(body, |hash| {
                    let short = Error::malformed(WHAT, "a fingerprint is not 32 bytes");
                    krl.fingerprints.insert(Hash::from_slice(hash).ok_or(short)?);
                    Ok(())
                })?,
                other => return Err(unknown("section", other)),
            }
        }
        Ok(krl)
    }

    fn read_certificates(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut reader = SshReader::new(body);
        let ca = match reader.string()? {
            b"" => None,
            blob => match SshPublicKey::from_blob(blob)? {
                SshPublicKey::Ed25519(key) => Some(PublicKey(key)),
                other => {
                    let value = other.algorithm().to_owned();
                    return Err(Error::Unsupported {
                        what: "algorithm of an SSH authority",
                        value,
                    });
                }
            },
        };
        if !reader.string()?.is_empty() {
            return Err(Error::malformed(WHAT, "its reserved field is not empty"));
        }
        self.certificates.entry(ca).or_default();
        while !reader.rest().is_empty() {
            let (kind, body) = (reader.byte()?, reader.string()?);
            let mut inner = SshReader::new(body);
            match kind {
                SERIAL_LIST => {
                    while !inner.rest().is_empty() {
                        let serial = inner.long()?;
                        self.revoke_serials(ca.as_ref(), serial..=serial)?;
                    }
                }
                SERIAL_RANGE => {
                    self.revoke_serials(ca.as_ref(), inner.long()?..=inner.long()?)?;
                    inner.finish()?;
                }
                SERIAL_BITMAP => {
                    let (offset, bits) = (inner.long()?, inner.string()?);
                    inner.finish()?;
                    serials::read_bitmap(offset, bits, |serial| {
                        self.revoke_serials(ca.as_ref(), serial..=serial)
                    })?;
                }
                KEY_IDS => each(body, |key_id| {
                    let text = std::str::from_utf8(key_id);
                    let text = text.map_err(|_| Error::malformed(WHAT, "a key id is not UTF-8"))?;
                    self.revoke_key_id(ca.as_ref(), text)
                })?,
                other => return Err(unknown("subsection", other)),
            }
        }
        Ok(())
    }

    fn of<'a>(&'a self, ca: &PublicKey) -> impl Iterator<Item = &'a Revoked> {
        [None, Some(*ca)].into_iter().filter_map(|ca| self.certificates.get(&ca))
    }
}

fn unknown(what: &'static str, kind: u8) -> Error {
    let what = if what == "section" { "section of a KRL" } else { "subsection of a KRL" };
    Error::Unsupported { what, value: kind.to_string() }
}

fn each(body: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut reader = SshReader::new(body);
    while !reader.rest().is_empty() {
        each(reader.string()?)?;
    }
    Ok(())
}

/// A section of strings; none at all if there are none.
fn put_section<'a>(bytes: &mut Vec<u8>, kind: u8, strings: impl Iterator<Item = &'a [u8]>) {
    let mut body = Vec::new();
    strings.for_each(|string| put_string(&mut body, string));
    if !body.is_empty() {
        bytes.push(kind);
        put_string(bytes, &body);
    }
}

#[cfg(test)]
#[path = "tests/krl.rs"]
mod tests;
