//! SSH public keys.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::cbor::{CborError, Decode, Encode, Reader, Writer};
use crate::ed25519::PublicKey;
use crate::error::Error;
use crate::hash::sha256;
use crate::ssh::{SshReader, put_string};

const ED25519: &str = "ssh-ed25519";
const SK_ED25519: &str = "sk-ssh-ed25519@openssh.com";
const ECDSA: &str = "ecdsa-sha2-nistp256";
const SK_ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
const CURVE: &str = "nistp256";
const APPLICATION_MAX_CHARS: usize = 256;

/// An SSH public key; `Display` and `FromStr` are its line without comment, `ssh-ed25519 AAAA…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SshPublicKey {
    /// `ecdsa-sha2-nistp256`, by its uncompressed point.
    Ecdsa([u8; 65]),
    /// `ssh-ed25519`.
    Ed25519([u8; 32]),
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: a key in hardware.
    SkEcdsa {
        /// The uncompressed point.
        point: [u8; 65],
        /// What the key was made for: `ssh:writ`, or a site's rpId.
        application: String,
    },
    /// `sk-ssh-ed25519@openssh.com`: a key in hardware.
    SkEd25519 {
        /// The key.
        key: [u8; 32],
        /// What the key was made for.
        application: String,
    },
}

impl SshPublicKey {
    /// The algorithm's name.
    pub fn algorithm(&self) -> &'static str {
        match self {
            SshPublicKey::Ecdsa(_) => ECDSA,
            SshPublicKey::Ed25519(_) => ED25519,
            SshPublicKey::SkEcdsa { .. } => SK_ECDSA,
            SshPublicKey::SkEd25519 { .. } => SK_ED25519,
        }
    }

    /// What a hardware key was made for; absent for a software key.
    pub fn application(&self) -> Option<&str> {
        match self {
            SshPublicKey::Ecdsa(_) | SshPublicKey::Ed25519(_) => None,
            SshPublicKey::SkEcdsa { application, .. }
            | SshPublicKey::SkEd25519 { application, .. } => Some(application),
        }
    }

    /// True for a key in hardware.
    pub fn is_hardware(&self) -> bool {
        self.application().is_some()
    }

    /// `SHA256:` and the unpadded base64 of the blob's SHA-256, as OpenSSH prints it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&self.to_blob()).0))
    }

    /// The key's wire form.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put_string(&mut blob, self.algorithm().as_bytes());
        match self {
            SshPublicKey::Ed25519(key) | SshPublicKey::SkEd25519 { key, .. } => {
                put_string(&mut blob, key);
            }
            SshPublicKey::Ecdsa(point) | SshPublicKey::SkEcdsa { point, .. } => {
                put_string(&mut blob, CURVE.as_bytes());
                put_string(&mut blob, point);
            }
        }
        if let Some(application) = self.application() {
            put_string(&mut blob, application.as_bytes());
        }
        blob
    }

    /// Reads the wire form, strictly.
    pub fn from_blob(blob: &[u8]) -> Result<SshPublicKey, Error> {
        let mut reader = SshReader::new(blob);
        let algorithm = reader.text()?;
        let key = match algorithm {
            ED25519 => SshPublicKey::Ed25519(fixed(reader.string()?)?),
            ECDSA => SshPublicKey::Ecdsa(point(&mut reader)?),
            SK_ED25519 => SshPublicKey::SkEd25519 {
                key: fixed(reader.string()?)?,
                application: application(&mut reader)?,
            },
            SK_ECDSA => SshPublicKey::SkEcdsa {
                point: point(&mut reader)?,
                application: application(&mut reader)?,
            },
            other => {
                let value = other.chars().take(64).collect();
                return Err(Error::Unsupported { what: "SSH key algorithm", value });
            }
        };
        reader.finish()?;
        Ok(key)
    }

    /// True if `signature`, the inner string of a signature blob, is this key's over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            SshPublicKey::Ed25519(key) | SshPublicKey::SkEd25519 { key, .. } => {
                PublicKey(*key).verifies(message, signature)
            }
            SshPublicKey::Ecdsa(point) | SshPublicKey::SkEcdsa { point, .. } => {
                let mut reader = SshReader::new(signature);
                let (Ok(r), Ok(s)) = (reader.mpint32(), reader.mpint32()) else { return false };
                let fixed = [r, s].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                reader.finish().is_ok() && key.verify(message, &fixed).is_ok()
            }
        }
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), STANDARD.encode(self.to_blob()))
    }
}

impl fmt::Debug for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl FromStr for SshPublicKey {
    type Err = Error;

    /// Reads the line of a `.pub` file; a comment is ignored.
    fn from_str(line: &str) -> Result<SshPublicKey, Error> {
        let malformed = |why| Error::malformed("SSH public key", why);
        let mut words = line.split_ascii_whitespace();
        let (Some(algorithm), Some(blob)) = (words.next(), words.next()) else {
            return Err(malformed("it is not an algorithm and base64"));
        };
        let blob = STANDARD.decode(blob).map_err(|_| malformed("it is not base64"))?;
        let key = SshPublicKey::from_blob(&blob)?;
        if key.algorithm() == algorithm {
            Ok(key)
        } else {
            Err(malformed("its algorithm is another than the line says"))
        }
    }
}

impl Encode for SshPublicKey {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.to_blob());
    }
}

impl Decode for SshPublicKey {
    fn decode(reader: &mut Reader<'_>) -> Result<SshPublicKey, CborError> {
        let blob = reader.bytes()?;
        SshPublicKey::from_blob(blob).map_err(|_| reader.invalid("an SSH public key"))
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::malformed("SSH public key", "its key has another length"))
}

fn point(reader: &mut SshReader<'_>) -> Result<[u8; 65], Error> {
    let curve = reader.text()?;
    let point: [u8; 65] = fixed(reader.string()?)?;
    if curve == CURVE && point.first() == Some(&4) {
        Ok(point)
    } else {
        Err(Error::malformed("SSH public key", "it is no uncompressed point of nistp256"))
    }
}

fn application(reader: &mut SshReader<'_>) -> Result<String, Error> {
    let application = reader.text()?;
    Error::limit("application characters", application.len(), APPLICATION_MAX_CHARS)?;
    Ok(application.to_owned())
}
