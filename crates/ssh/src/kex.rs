//! Key agreement: `mlkem768x25519-sha256` (draft-ietf-sshm-mlkem-hybrid-kex) and `curve25519-sha256`
//! (RFC 8731), the exchange hash and the keys that follow from it (RFC 4253 sections 7.2 and 8).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use writ_proof::ssh::put_string;
use writ_proof::ssh_auth::SessionId;
use zeroize::Zeroizing;

use crate::cipher::Cipher;
use crate::error::Error;
use crate::wire::put_mpint;

const X25519_BYTES: usize = 32;
const ML_KEM_KEY_BYTES: usize = 1184;
const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;
const FAILED: Error = Error::Crypto("key agreement failed");

/// A method of key agreement. Each hashes with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kex {
    /// `curve25519-sha256`
    Curve25519,
    /// `curve25519-sha256@libssh.org`: the same under its older name.
    Curve25519Libssh,
    /// `mlkem768x25519-sha256`
    MlKem768X25519,
}

impl Kex {
    /// All, in our order.
    pub const ALL: [Kex; 3] = [Kex::MlKem768X25519, Kex::Curve25519, Kex::Curve25519Libssh];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Kex::Curve25519 => "curve25519-sha256",
            Kex::Curve25519Libssh => "curve25519-sha256@libssh.org",
            Kex::MlKem768X25519 => "mlkem768x25519-sha256",
        }
    }
}

/// The shared secret, as the hash takes it: an `mpint`, or a string for the hybrid. No `Debug`; wiped.
pub(crate) struct Shared(Zeroizing<Vec<u8>>);

/// The client's half of an agreement, until the server's comes.
pub(crate) struct ClientHalf {
    curve: PrivateKey,
    kem: Option<DecapsulationKey>,
    public: Vec<u8>,
}

impl ClientHalf {
    pub(crate) fn new(kex: Kex) -> Result<ClientHalf, Error> {
        let curve = PrivateKey::generate(&X25519).map_err(|_| FAILED)?;
        let mut public = Vec::new();
        let kem = match kex {
            Kex::MlKem768X25519 => {
                let key = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| FAILED)?;
                let encapsulation = key.encapsulation_key().map_err(|_| FAILED)?;
                let bytes = encapsulation.key_bytes().map_err(|_| FAILED)?;
                public.extend_from_slice(bytes.as_ref());
                Some(key)
            }
            Kex::Curve25519 | Kex::Curve25519Libssh => None,
        };
        public.extend_from_slice(curve.compute_public_key().map_err(|_| FAILED)?.as_ref());
        Ok(ClientHalf { curve, kem, public })
    }

    /// What the server gets: Q_C, or C_INIT.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The secret, from what the server sent.
    pub(crate) fn agree(&self, reply: &[u8]) -> Result<Shared, Error> {
        let Some(kem) = &self.kem else { return curve(&self.curve, reply) };
        let (ciphertext, point) = reply.split_at_checked(ML_KEM_CIPHERTEXT_BYTES).ok_or(FAILED)?;
        let quantum = kem.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| FAILED)?;
        hybrid(quantum.as_ref(), &self.curve, point)
    }
}

/// The server's half: what the client gets (Q_S, or S_REPLY), and the secret.
pub(crate) fn serve(kex: Kex, init: &[u8]) -> Result<(Vec<u8>, Shared), Error> {
    let key = PrivateKey::generate(&X25519).map_err(|_| FAILED)?;
    let point = key.compute_public_key().map_err(|_| FAILED)?;
    if kex != Kex::MlKem768X25519 {
        return Ok((point.as_ref().to_vec(), curve(&key, init)?));
    }
    let (kem, theirs) = init.split_at_checked(ML_KEM_KEY_BYTES).ok_or(FAILED)?;
    if theirs.len() != X25519_BYTES {
        return Err(FAILED);
    }
    let kem = EncapsulationKey::new(&ML_KEM_768, kem).map_err(|_| FAILED)?;
    let (ciphertext, quantum) = kem.encapsulate().map_err(|_| FAILED)?;
    let shared = hybrid(quantum.as_ref(), &key, theirs)?;
    Ok(([ciphertext.as_ref(), point.as_ref()].concat(), shared))
}

/// X25519's secret; a point of small order is refused (RFC 8731 section 3).
fn x25519(key: &PrivateKey, theirs: &[u8]) -> Result<Zeroizing<[u8; X25519_BYTES]>, Error> {
    if theirs.len() != X25519_BYTES {
        return Err(FAILED);
    }
    let peer = UnparsedPublicKey::new(&X25519, theirs);
    agreement::agree(key, peer, FAILED, |secret| {
        let secret: [u8; X25519_BYTES] = secret.try_into().map_err(|_| FAILED)?;
        if secret == [0; X25519_BYTES] { Err(FAILED) } else { Ok(Zeroizing::new(secret)) }
    })
}

fn curve(key: &PrivateKey, theirs: &[u8]) -> Result<Shared, Error> {
    let secret = x25519(key, theirs)?;
    // Its final size at once: a buffer that grows would leave copies.
    let mut encoded = Zeroizing::new(Vec::with_capacity(40));
    put_mpint(&mut encoded, secret.as_ref());
    Ok(Shared(encoded))
}

/// K = SHA-256(K_PQ | K_CL), as a string (draft-ietf-sshm-mlkem-hybrid-kex section 2.4).
fn hybrid(quantum: &[u8], key: &PrivateKey, theirs: &[u8]) -> Result<Shared, Error> {
    let secret = x25519(key, theirs)?;
    let mut hash = Context::new(&SHA256);
    hash.update(quantum);
    hash.update(secret.as_ref());
    let mut encoded = Zeroizing::new(Vec::with_capacity(40));
    put_string(&mut encoded, hash.finish().as_ref());
    Ok(Shared(encoded))
}

/// What both sides said before they agreed.
#[derive(Clone, Copy)]
pub(crate) struct Transcript<'a> {
    pub(crate) client_version: &'a [u8],
    pub(crate) server_version: &'a [u8],
    pub(crate) client_kexinit: &'a [u8],
    pub(crate) server_kexinit: &'a [u8],
    pub(crate) host_key: &'a [u8],
    pub(crate) init: &'a [u8],
    pub(crate) reply: &'a [u8],
}

impl Transcript<'_> {
    /// The exchange hash H, which the host's key signs.
    pub(crate) fn hash(&self, shared: &Shared) -> [u8; 32] {
        let mut bytes = Zeroizing::new(Vec::with_capacity(
            shared.0.len() + self.parts().iter().map(|part| part.len() + 4).sum::<usize>(),
        ));
        for part in self.parts() {
            put_string(&mut bytes, part);
        }
        bytes.extend_from_slice(&shared.0);
        writ_proof::hash::sha256(&bytes).0
    }

    fn parts(&self) -> [&[u8]; 7] {
        [
            self.client_version,
            self.server_version,
            self.client_kexinit,
            self.server_kexinit,
            self.host_key,
            self.init,
            self.reply,
        ]
    }
}

/// Which of the six keys (RFC 4253 section 7.2) belong to a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ClientToServer,
    ServerToClient,
}

/// Keys of one direction. No `Debug`; wiped.
pub(crate) struct Keys {
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) iv: Zeroizing<Vec<u8>>,
}

/// Derives the keys of one direction.
pub(crate) fn derive(
    shared: &Shared,
    hash: &[u8; 32],
    session: &SessionId,
    cipher: Cipher,
    direction: Direction,
) -> Keys {
    let (iv, key) = match direction {
        Direction::ClientToServer => (b'A', b'C'),
        Direction::ServerToClient => (b'B', b'D'),
    };
    Keys {
        key: expand(shared, hash, session, key, cipher.key_bytes()),
        iv: expand(shared, hash, session, iv, 12),
    }
}

/// HASH(K | H | X | session id), and what follows it where that is too short.
fn expand(
    shared: &Shared,
    hash: &[u8; 32],
    session: &SessionId,
    letter: u8,
    bytes: usize,
) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(bytes.next_multiple_of(32)));
    while key.len() < bytes {
        let mut context = Context::new(&SHA256);
        context.update(&shared.0);
        context.update(hash);
        if key.is_empty() {
            context.update(&[letter]);
            context.update(session);
        } else {
            context.update(&key);
        }
        key.extend_from_slice(context.finish().as_ref());
    }
    key.truncate(bytes);
    key
}

#[cfg(test)]
#[path = "tests/kex.rs"]
mod tests;
