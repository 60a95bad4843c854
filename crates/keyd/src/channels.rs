//! What keyd and a peer agree on when a channel opens.

use std::collections::HashMap;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use writ_keyd_client::protocol::{Handle, Role};
use writ_model::Env;
use zeroize::Zeroizing;

use crate::crypto::{Aead, NONCE_BYTES, hkdf};

const LABEL_SEAL: &str = "writ-channel-seal-v1";
const LABEL_PROOF: &str = "writ-channel-proof-v1";

/// The two keys of a channel.
pub(crate) struct ChannelKeys {
    seal: Zeroizing<[u8; 32]>,
    /// Under this key a holder proves that a request is its own.
    pub(crate) proof: Zeroizing<[u8; 32]>,
}

/// The keys of all channels that have agreed on some; a new hello replaces the old ones.
#[derive(Default)]
pub(crate) struct Channels(HashMap<&'static str, ChannelKeys>);

impl Channels {
    /// Agrees with the peer's ephemeral key; answers our own public key.
    pub(crate) fn agree(&mut self, role: Role, peer: &[u8; 32], env: &dyn Env) -> Option<[u8; 32]> {
        let mut seed = Zeroizing::new([0u8; 32]);
        env.fill(seed.as_mut_slice());
        let private = PrivateKey::from_private_key(&X25519, seed.as_slice()).ok()?;
        let ours = private.compute_public_key().ok()?;
        let ours: [u8; 32] = ours.as_ref().try_into().ok()?;
        let salt = [peer.as_slice(), &ours].concat();
        let derive = |secret: &[u8]| {
            let seal = hkdf(secret, &salt, LABEL_SEAL);
            Ok(ChannelKeys { seal, proof: hkdf(secret, &salt, LABEL_PROOF) })
        };
        let keys = agree(&private, UnparsedPublicKey::new(&X25519, peer), (), derive).ok()?;
        self.0.insert(role.name(), keys);
        Some(ours)
    }

    /// The keys of a peer that has said hello with a key.
    pub(crate) fn get(&self, role: Role) -> Option<&ChannelKeys> {
        self.0.get(role.name())
    }
}

impl ChannelKeys {
    /// Seals a result to the peer: `nonce 12 | ciphertext | tag 16`, bound to the handle.
    pub(crate) fn seal(&self, handle: &Handle, plain: &[u8], env: &dyn Env) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        env.fill(&mut nonce);
        let mut sealed = nonce.to_vec();
        Aead::new(&self.seal).ok()?.seal(nonce, &handle.0, plain, &mut sealed).ok()?;
        Some(sealed)
    }
}

/// The peer's side of the agreement, for tests.
#[cfg(test)]
pub(crate) fn peer_keys(
    private: &PrivateKey,
    ours: &[u8; 32],
    keyd: &[u8; 32],
) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let salt = [ours.as_slice(), keyd].concat();
    agree(private, UnparsedPublicKey::new(&X25519, keyd), (), |secret: &[u8]| {
        Ok((hkdf(secret, &salt, LABEL_SEAL), hkdf(secret, &salt, LABEL_PROOF)))
    })
    .unwrap()
}
