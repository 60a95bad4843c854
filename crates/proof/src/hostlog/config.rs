//! What an agent reports, as watch signs it: a host does not decide by itself what watch is not told.

use super::{HOSTLOG_VERSION, signed_by};
use crate::cbor::{self, Version};
use crate::cbor_map;
use crate::ed25519::Signer;
use crate::error::Error;
use crate::hash::{Hash, sha256};
use crate::limits;
use crate::roster::HostName;

/// The configuration of one host's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedConfig {
    /// Version 1.
    pub v: Version<HOSTLOG_VERSION>,
    /// The host that it is for.
    pub host: HostName,
    /// Rises by one with each configuration of the host; an agent takes no older one.
    pub serial: u64,
    /// TOML, as `writ agent` reads it.
    pub text: String,
    /// The signature of the key that signs the host log.
    pub signature: [u8; 64],
}
cbor_map!(SignedConfig { 1: v, 2: host, 3: serial, 4: text, 5: signature });

impl SignedConfig {
    /// Signs a configuration.
    ///
    /// # Errors
    /// The text is longer than [`limits::HOST_CONFIG_MAX_BYTES`], or the key cannot be used.
    pub fn sign(
        host: HostName,
        serial: u64,
        text: String,
        key: &dyn Signer,
    ) -> Result<SignedConfig, Error> {
        Error::limit("configuration bytes", text.len(), limits::HOST_CONFIG_MAX_BYTES)?;
        let signature = key.sign(&message(&host, serial, &text))?;
        Ok(SignedConfig { v: Version, host, serial, text, signature })
    }

    /// True if `key` has signed it for `host`.
    pub fn is_signed(&self, host: &HostName, key: &[u8; 32]) -> bool {
        let message = message(&self.host, self.serial, &self.text);
        self.host == *host
            && self.text.len() <= limits::HOST_CONFIG_MAX_BYTES
            && signed_by(&[*key], &message, &self.signature)
    }

    /// By this frames and greetings name it.
    pub fn hash(&self) -> Hash {
        sha256(self.text.as_bytes())
    }
}

fn message(host: &HostName, serial: u64, text: &str) -> Vec<u8> {
    let mut message = b"writ agent configuration v1\0".to_vec();
    message.extend_from_slice(&cbor::to_vec(host));
    message.extend_from_slice(&cbor::to_vec(&serial));
    message.extend_from_slice(text.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ed25519::SoftKey;

    #[test]
    fn signature_holds_for_this_host_serial_and_text_alone() {
        let key = SoftKey::from_seed(&[7; 32]).unwrap();
        let (host, other): (HostName, HostName) =
            ("web-1".parse().unwrap(), "web-2".parse().unwrap());
        let signed =
            SignedConfig::sign(host.clone(), 2, "watch = \"w:1\"".to_owned(), &key).unwrap();
        let public = key.public_key().0;
        assert!(signed.is_signed(&host, &public));
        assert!(!signed.is_signed(&other, &public));
        assert!(!signed.is_signed(&host, &[1; 32]));
        for edited in [
            SignedConfig { host: other.clone(), ..signed.clone() },
            SignedConfig { serial: 3, ..signed.clone() },
            SignedConfig { text: "watch = \"w:2\"".to_owned(), ..signed.clone() },
        ] {
            assert!(!edited.is_signed(&edited.host.clone(), &public), "{edited:?}");
        }
        let long = "#".repeat(limits::HOST_CONFIG_MAX_BYTES + 1);
        assert!(SignedConfig::sign(host, 1, long, &key).is_err());
    }
}
