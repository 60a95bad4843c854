//! SSH public keys and SSHSIG signatures (OpenSSH, PROTOCOL.sshsig), as `ssh-keygen -Y` makes and
//! checks them.
//!
//! Verified are `ssh-ed25519`, `ecdsa-sha2-nistp256`, the hardware forms of both (`sk-…`), and the form
//! in which a browser signs with such a key (`webauthn-sk-…`). A signature is worth something in its own
//! namespace only. SHA-512 is the one message hash.

mod key;
mod webauthn;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use key::SshPublicKey;
pub use webauthn::WebAuthn;

use crate::ed25519::Signer;
use crate::error::Error;
use crate::hash::sha256;
use crate::limits;
use crate::ssh::{SshReader, put_string};

const WHAT: &str = "SSHSIG signature";
const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &str = "sha512";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// A signature that nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSig {
    key: SshPublicKey,
    namespace: String,
    signature: Vec<u8>,
}

/// What a security key says of a signature (PROTOCOL.u2f).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkFlags {
    /// The authenticator's flag byte.
    pub flags: u8,
    /// Its signature counter.
    pub counter: u32,
}

impl SkFlags {
    /// True if somebody touched the key.
    pub const fn user_present(self) -> bool {
        self.flags & 1 != 0
    }

    /// True if that person was verified by PIN or biometrics.
    pub const fn user_verified(self) -> bool {
        self.flags & 4 != 0
    }

    /// True if the key may leave its authenticator, or has: BE or BS (WebAuthn level 3, section 6.1).
    pub const fn backed_up(self) -> bool {
        self.flags & 0x18 != 0
    }
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSsh {
    /// Its key.
    pub key: SshPublicKey,
    /// What the hardware key says; absent for a software key.
    pub hardware: Option<SkFlags>,
    /// What a browser added; absent for a signature of `ssh-keygen`.
    pub webauthn: Option<WebAuthn>,
}

impl SshSig {
    /// Signs `message` in `namespace` with an Ed25519 key.
    pub fn sign(message: &[u8], namespace: &str, signer: &dyn Signer) -> Result<SshSig, Error> {
        let signed = signer.sign(&signed_blob(message, namespace))?;
        let mut signature = Vec::new();
        put_string(&mut signature, b"ssh-ed25519");
        put_string(&mut signature, &signed);
        let key = SshPublicKey::Ed25519(signer.public_key().0);
        Ok(SshSig { key, namespace: namespace.to_owned(), signature })
    }

    /// The key that claims to have signed.
    pub fn key(&self) -> &SshPublicKey {
        &self.key
    }

    /// The namespace that it claims.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Checks the signature over `message` in `namespace`. Whether the key may speak, and whether
    /// presence or verification of its user are needed, is the caller's to decide.
    pub fn verify(&self, message: &[u8], namespace: &str) -> Result<VerifiedSsh, Error> {
        if self.namespace != namespace || namespace.is_empty() {
            return Err(Error::malformed(WHAT, "it is of another namespace"));
        }
        let blob = signed_blob(message, namespace);
        let (hardware, webauthn) =
            check_signature(&self.key, &blob, &self.signature, Browser::Allowed)?;
        Ok(VerifiedSsh { key: self.key.clone(), hardware, webauthn })
    }

    /// The binary form, which the armour holds in base64.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        put_string(&mut bytes, &self.key.to_blob());
        put_string(&mut bytes, self.namespace.as_bytes());
        put_string(&mut bytes, b"");
        put_string(&mut bytes, HASH.as_bytes());
        put_string(&mut bytes, &self.signature);
        bytes
    }

    /// Reads the binary form, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<SshSig, Error> {
        Error::limit("SSHSIG bytes", bytes.len(), limits::SSHSIG_MAX_BYTES)?;
        let mut reader = SshReader::new(bytes);
        reader.literal(MAGIC)?;
        if reader.number()? != VERSION {
            return Err(Error::malformed(WHAT, "it is not of version 1"));
        }
        let key = SshPublicKey::from_blob(reader.string()?)?;
        let namespace = reader.text()?.to_owned();
        // The reserved field is read and ignored by OpenSSH; nothing of ours ever fills it.
        if !reader.string()?.is_empty() {
            return Err(Error::malformed(WHAT, "its reserved field is not empty"));
        }
        let hash = reader.text()?;
        if hash != HASH {
            let value = hash.chars().take(64).collect();
            return Err(Error::Unsupported { what: "message hash", value });
        }
        let signature = reader.string()?.to_vec();
        reader.finish()?;
        Ok(SshSig { key, namespace, signature })
    }

    /// The armoured text that `ssh-keygen -Y` reads and writes.
    pub fn to_armor(&self) -> String {
        let base64 = STANDARD.encode(self.to_bytes());
        let mut armor = format!("{BEGIN}\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at_checked(70).unwrap_or((rest, ""));
            armor.push_str(line);
            armor.push('\n');
            rest = after;
        }
        armor.push_str(END);
        armor.push('\n');
        armor
    }

    /// Reads the armoured text.
    pub fn from_armor(text: &str) -> Result<SshSig, Error> {
        Error::limit("SSHSIG bytes", text.len(), 2 * limits::SSHSIG_MAX_BYTES)?;
        let armor = || Error::malformed(WHAT, "its armour is damaged");
        let body = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let base64: String =
            body.ok_or_else(armor)?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        SshSig::from_bytes(&STANDARD.decode(base64).map_err(|_| armor())?)
    }
}

/// Whether a browser's form of a signature counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Browser {
    /// `webauthn-sk-…` is taken for a key in hardware.
    Allowed,
    /// It is not.
    Refused,
}

/// Checks a signature blob (RFC 4253 section 6.6; PROTOCOL.u2f for keys in hardware) of `key` over
/// `message`: what the token says, and what the browser added.
pub(crate) fn check_signature(
    key: &SshPublicKey,
    message: &[u8],
    signature: &[u8],
    browser: Browser,
) -> Result<(Option<SkFlags>, Option<WebAuthn>), Error> {
    let bad = || Error::BadSignature { by: key.fingerprint() };
    let mut reader = SshReader::new(signature);
    let algorithm = reader.text().map_err(|_| bad())?;
    let by_browser = browser == Browser::Allowed
        && algorithm == webauthn::ALGORITHM
        && matches!(key, SshPublicKey::SkEcdsa { .. });
    if !by_browser && algorithm != key.algorithm() {
        return Err(Error::Unsupported {
            what: "signature algorithm",
            value: algorithm.chars().take(64).collect(),
        });
    }
    let inner = reader.string().map_err(|_| bad())?;
    let hardware = match key.application() {
        Some(_) => Some(SkFlags {
            flags: reader.byte().map_err(|_| bad())?,
            counter: reader.number().map_err(|_| bad())?,
        }),
        None => None,
    };
    let webauthn = match by_browser {
        true => Some(WebAuthn::read(&mut reader).map_err(|_| bad())?),
        false => None,
    };
    reader.finish().map_err(|_| bad())?;
    let holds = match (key.application(), hardware) {
        (Some(application), Some(flags)) => {
            if let Some(webauthn) = &webauthn {
                webauthn.check(message, flags)?;
            }
            key.verifies(&by_token(application, flags, webauthn.as_ref(), message), inner)
        }
        _ => key.verifies(message, inner),
    };
    if holds { Ok((hardware, webauthn)) } else { Err(bad()) }
}

/// What a token signs for `blob` (PROTOCOL.u2f, "SSH U2F signatures").
fn by_token(
    application: &str,
    flags: SkFlags,
    webauthn: Option<&WebAuthn>,
    blob: &[u8],
) -> Vec<u8> {
    let mut message = sha256(application.as_bytes()).0.to_vec();
    message.push(flags.flags);
    message.extend_from_slice(&flags.counter.to_be_bytes());
    match webauthn {
        Some(webauthn) => {
            message.extend_from_slice(&webauthn.extensions);
            message.extend_from_slice(&sha256(&webauthn.client_data).0);
        }
        None => message.extend_from_slice(&sha256(blob).0),
    }
    message
}

/// What is signed: the namespace and SHA-512 of the message. A browser's authenticator gets exactly
/// these bytes as its challenge.
pub fn signed_blob(message: &[u8], namespace: &str) -> Vec<u8> {
    let mut blob = MAGIC.to_vec();
    put_string(&mut blob, namespace.as_bytes());
    put_string(&mut blob, b"");
    put_string(&mut blob, HASH.as_bytes());
    put_string(&mut blob, digest::digest(&digest::SHA512, message).as_ref());
    blob
}

#[cfg(test)]
#[path = "tests/sshsig.rs"]
mod tests;
