//! The channel to keyd, and the keys that both ends of it agreed on.
//!
//! Data keys come sealed under the channel's key, through front, which cannot open them. Proofs of
//! possession are made with the channel's proof key. Both are new with each channel.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AeadNonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::{hkdf, rand};
use tokio::sync::RwLock;
use writ_keyd_client::arena::{Arena, Slot};
use writ_keyd_client::client::{CallError, Client};
use writ_keyd_client::protocol::{Answer, Command, Handle, Hello, PROTOCOL, Reply};
use writ_model::{Nonce, Timestamp};
use writ_proof::fas::{Proof, ProvenRequest};
use zeroize::{Zeroize as _, Zeroizing};

use crate::S3Error;
use crate::format::DataKey;

const SEAL_LABEL: &[u8] = b"writ-channel-seal-v1";
const PROOF_LABEL: &[u8] = b"writ-channel-proof-v1";
const NONCE_BYTES: usize = 12;

/// The client of keyd.
pub type KeydClient = Client<Command, Answer>;

/// keyd as the gateway uses it. Cheap to clone.
#[derive(Clone)]
pub struct Keyd {
    client: KeydClient,
    arena: Arena,
    keys: Arc<RwLock<Option<ChannelKeys>>>,
}

struct ChannelKeys {
    seal: Slot,
    proof: Slot,
}

impl Keyd {
    /// Over `client`; data keys live in `arena`. Call [`Keyd::hello`] before anything else.
    pub fn new(client: KeydClient, arena: Arena) -> Keyd {
        Keyd { client, arena, keys: Arc::default() }
    }

    /// Agrees on the keys of a new channel: at start, and after each restart of keyd.
    pub async fn hello(&self) -> Result<(), S3Error> {
        let stopped = || S3Error::Stopped { what: "the key module" };
        let random = rand::SystemRandom::new();
        let private = EphemeralPrivateKey::generate(&X25519, &random).map_err(|_| stopped())?;
        let public = private.compute_public_key().map_err(|_| stopped())?;
        let ours = <[u8; 32]>::try_from(public.as_ref()).map_err(|_| stopped())?;
        let hello = Command::Hello(Hello { protocol: PROTOCOL, x25519: Some(ours) });
        let Ok(Answer::Carried(Reply::Hello(reply))) = self.client.call(&hello).await else {
            return Err(stopped());
        };
        let theirs = reply.x25519.filter(|_| reply.protocol == PROTOCOL).ok_or_else(stopped)?;
        let salt = [ours, theirs].concat();
        let peer = UnparsedPublicKey::new(&X25519, theirs);
        let keys = agree_ephemeral(private, peer, stopped(), |shared| {
            let seal = self.derive(shared, &salt, SEAL_LABEL).ok_or_else(stopped)?;
            let proof = self.derive(shared, &salt, PROOF_LABEL).ok_or_else(stopped)?;
            Ok(ChannelKeys { seal, proof })
        })?;
        *self.keys.write().await = Some(keys);
        Ok(())
    }

    /// Asks keyd.
    pub async fn call(&self, command: &Command) -> Result<Answer, CallError> {
        self.client.call(command).await
    }

    /// The client, for a channel that the supervisor hands over anew.
    pub fn client(&self) -> &KeydClient {
        &self.client
    }

    /// Proves `request` to keyd; none before [`Keyd::hello`].
    pub async fn prove(
        &self,
        request: &ProvenRequest<'_>,
        time: Timestamp,
        nonce: Nonce,
    ) -> Option<Proof> {
        let keys = self.keys.read().await;
        keys.as_ref().map(|keys| Proof::make(keys.proof.expose(), request, time, nonce))
    }

    /// Opens a data key that keyd sealed to this channel under `handle`.
    pub async fn open(&self, handle: Handle, sealed: &[u8]) -> Option<DataKey> {
        let keys = self.keys.read().await;
        let key = UnboundKey::new(&AES_256_GCM, keys.as_ref()?.seal.expose()).ok()?;
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = AeadNonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain =
            LessSafeKey::new(key).open_in_place(nonce, Aad::from(handle.0), &mut body).ok()?;
        let mut bytes = <[u8; 32]>::try_from(&*plain).ok()?;
        let key = DataKey::take(&self.arena, &mut bytes);
        bytes.zeroize();
        key
    }

    fn derive(&self, shared: &[u8], salt: &[u8], label: &[u8]) -> Option<Slot> {
        let mut key = Zeroizing::new([0u8; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(shared)
            .expand(&[label], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .ok()?;
        self.arena.put(&mut key)
    }
}
