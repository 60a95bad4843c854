//! sshd's own key, by which a host proves who it is to front: OpenSSH's private key file (PROTOCOL.key).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::ssh::SshReader;
use zeroize::Zeroizing;

use crate::error::AgentError;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// A key file is smaller.
const FILE_MAX_BYTES: u64 = 16 * 1024;

/// Reads an `ssh-ed25519` key without passphrase, such as `/etc/ssh/ssh_host_ed25519_key`.
///
/// # Errors
/// The file cannot be read, or holds a key of another kind.
pub fn host_key(path: &Path) -> Result<SoftKey, AgentError> {
    let foreign = |why: &str| AgentError::Foreign { path: path.to_owned(), why: why.to_owned() };
    let length = std::fs::metadata(path).map_err(AgentError::io("read", path))?.len();
    if length > FILE_MAX_BYTES {
        return Err(foreign("it is no key file of OpenSSH"));
    }
    let text = std::fs::read_to_string(path).map_err(AgentError::io("read", path))?;
    let text = Zeroizing::new(text);
    let inner = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let inner = inner.ok_or_else(|| foreign("it is no private key file of OpenSSH"))?;
    let inner = Zeroizing::new(inner.split_whitespace().collect::<String>());
    let bytes = STANDARD.decode(inner.as_bytes());
    let bytes = Zeroizing::new(bytes.map_err(|_| foreign("its base64 is damaged"))?);
    parse(&bytes).ok_or_else(|| {
        foreign("it holds no ssh-ed25519 key without passphrase, as sshd's own keys are")
    })
}

fn parse(bytes: &[u8]) -> Option<SoftKey> {
    let mut outer = SshReader::new(bytes.strip_prefix(MAGIC)?);
    let (cipher, kdf) = (outer.text().ok()?, outer.text().ok()?);
    let options = outer.string().ok()?;
    if (cipher, kdf) != ("none", "none") || !options.is_empty() || outer.number().ok()? != 1 {
        return None;
    }
    outer.string().ok()?;
    let mut inner = SshReader::new(outer.string().ok()?);
    if inner.number().ok()? != inner.number().ok()? || inner.text().ok()? != "ssh-ed25519" {
        return None;
    }
    let public: [u8; 32] = inner.string().ok()?.try_into().ok()?;
    let seed: [u8; 32] = inner.string().ok()?.get(..32)?.try_into().ok()?;
    let seed = Zeroizing::new(seed);
    let key = SoftKey::from_seed(&seed).ok()?;
    (key.public_key().0 == public).then_some(key)
}
