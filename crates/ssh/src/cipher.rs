//! Packets on the wire (RFC 4253 section 6): plain ones before the first keys, then AES-GCM
//! (RFC 5647, with OpenSSH's negotiation) or ChaCha20-Poly1305 (OpenSSH's PROTOCOL.chacha20poly1305).
//!
//! A packet's plaintext leaves [`Opener::open`] only after its tag held. The length field is used
//! before that, as it must be; it decides nothing but how many bytes are waited for, within the limit.

use aws_lc_rs::aead::chacha20_poly1305_openssh as chacha;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::{Bytes, BytesMut};
use writ_model::Env;

use crate::error::Error;
use crate::limits;

const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
const PADDING_MIN_BYTES: usize = 4;

/// A cipher that authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// `aes128-gcm@openssh.com`
    Aes128Gcm,
    /// `aes256-gcm@openssh.com`
    Aes256Gcm,
    /// `chacha20-poly1305@openssh.com`; only with strict key exchange (CVE-2023-48795).
    ChaCha20Poly1305,
}

impl Cipher {
    /// All, in our order, which counts towards hosts: the fastest first where processors know AES.
    pub const ALL: [Cipher; 3] = [Cipher::Aes256Gcm, Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Cipher::Aes128Gcm => "aes128-gcm@openssh.com",
            Cipher::Aes256Gcm => "aes256-gcm@openssh.com",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305@openssh.com",
        }
    }

    /// The length of its key in bytes.
    pub(crate) const fn key_bytes(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes256Gcm => 32,
            Cipher::ChaCha20Poly1305 => chacha::KEY_LEN,
        }
    }
}

/// The invocation counter of RFC 5647 section 7.1: four fixed bytes, eight that count.
struct Invocation {
    fixed: [u8; 4],
    counter: u64,
}

impl Invocation {
    fn new(iv: &[u8]) -> Result<Invocation, Error> {
        const SHORT: Error = Error::Crypto("a key has the wrong length");
        let (fixed, rest) = iv.split_first_chunk().ok_or(SHORT)?;
        let counter = rest.first_chunk().ok_or(SHORT)?;
        Ok(Invocation { fixed: *fixed, counter: u64::from_be_bytes(*counter) })
    }

    fn next(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        let bytes = self.fixed.into_iter().chain(self.counter.to_be_bytes());
        nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        // RFC 5647: it wraps; the number of packets under one key is limited far below 2^64.
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }
}

fn gcm(cipher: Cipher, key: &[u8]) -> Result<LessSafeKey, Error> {
    let algorithm = if cipher == Cipher::Aes128Gcm { &AES_128_GCM } else { &AES_256_GCM };
    let key = UnboundKey::new(algorithm, key);
    key.map(LessSafeKey::new).map_err(|_| Error::Crypto("a key has the wrong length"))
}

/// What was sent or received under the present keys.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Used {
    fn count(&mut self, bytes: usize) -> Result<(), Error> {
        self.packets += 1;
        self.bytes += bytes as u64;
        match self.packets > limits::KEY_MAX_PACKETS {
            true => Err(Error::Protocol("too many packets under one key")),
            false => Ok(()),
        }
    }
}

/// The key of one direction; `C` is what ChaCha20-Poly1305 needs for it.
enum Key<C> {
    ChaCha(C),
    Gcm(LessSafeKey, Invocation),
    Plain,
}

impl<C> Key<C> {
    /// The block that a packet fills, and how many bytes of its length field count for that.
    fn block(&self) -> (usize, usize) {
        match self {
            Key::Plain => (8, LENGTH_BYTES),
            Key::ChaCha(_) => (8, 0),
            Key::Gcm(..) => (16, 0),
        }
    }
}

/// What ChaCha20-Poly1305 needs for one direction.
pub(crate) trait ChaCha {
    fn new(key: &[u8; chacha::KEY_LEN]) -> Self;
}

impl ChaCha for chacha::SealingKey {
    fn new(key: &[u8; chacha::KEY_LEN]) -> Self {
        chacha::SealingKey::new(key)
    }
}

impl ChaCha for chacha::OpeningKey {
    fn new(key: &[u8; chacha::KEY_LEN]) -> Self {
        chacha::OpeningKey::new(key)
    }
}

/// Packets of one direction.
pub(crate) struct Half<C> {
    key: Key<C>,
    sequence: u32,
    used: Used,
}

/// Makes packets of one direction.
pub(crate) type Sealer = Half<chacha::SealingKey>;

/// Reads packets of one direction.
pub(crate) type Opener = Half<chacha::OpeningKey>;

impl<C: ChaCha> Half<C> {
    /// Without keys.
    pub(crate) fn plain() -> Half<C> {
        Half { key: Key::Plain, sequence: 0, used: Used::default() }
    }

    /// Takes new keys. With strict key exchange the sequence starts anew.
    pub(crate) fn rekey(
        &mut self,
        cipher: Cipher,
        key: &[u8],
        iv: &[u8],
        strict: bool,
    ) -> Result<(), Error> {
        self.key = match cipher {
            Cipher::ChaCha20Poly1305 => Key::ChaCha(C::new(exact(key)?)),
            _ => Key::Gcm(gcm(cipher, key)?, Invocation::new(iv)?),
        };
        self.used = Used::default();
        if strict {
            self.sequence = 0;
        }
        Ok(())
    }

    pub(crate) fn used(&self) -> Used {
        self.used
    }
}

impl Sealer {
    /// Appends `payload` as a packet to `out`.
    pub(crate) fn seal(
        &mut self,
        payload: &[u8],
        env: &dyn Env,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let (block, counted) = self.key.block();
        let unpadded = counted + 1 + payload.len();
        let mut padding = block - unpadded % block;
        if padding < PADDING_MIN_BYTES {
            padding += block;
        }
        let length = 1 + payload.len() + padding;
        Error::limit("packet bytes", length, limits::PACKET_MAX_BYTES)?;
        let wide = u32::try_from(length).map_err(|_| Error::Protocol("a packet is too long"))?;
        let narrow = u8::try_from(padding).map_err(|_| Error::Protocol("too much padding"))?;
        let mut pad = [0; 32];
        let pad = pad.get_mut(..padding).unwrap_or_default();
        env.fill(pad);
        out.reserve(LENGTH_BYTES + length + TAG_BYTES);
        let start = out.len();
        out.extend_from_slice(&wide.to_be_bytes());
        out.extend_from_slice(&[narrow]);
        out.extend_from_slice(payload);
        out.extend_from_slice(pad);
        let packet = out.get_mut(start..).unwrap_or_default();
        let tag = self.key.encrypt(self.sequence, packet)?;
        if let Some(tag) = tag {
            out.extend_from_slice(&tag);
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.used.count(LENGTH_BYTES + length)
    }
}

impl Key<chacha::SealingKey> {
    fn encrypt(&mut self, sequence: u32, packet: &mut [u8]) -> Result<Option<[u8; 16]>, Error> {
        const FAILED: Error = Error::Crypto("a packet could not be encrypted");
        match self {
            Key::Plain => Ok(None),
            Key::ChaCha(key) => {
                let mut tag = [0; TAG_BYTES];
                key.seal_in_place(sequence, packet, &mut tag);
                Ok(Some(tag))
            }
            Key::Gcm(key, invocation) => {
                let (length, body) = packet.split_at_mut_checked(LENGTH_BYTES).ok_or(FAILED)?;
                let aad = Aad::from(&*length);
                let tag = key.seal_in_place_separate_tag(invocation.next(), aad, body);
                tag.map_err(|_| FAILED)?.as_ref().try_into().map(Some).map_err(|_| FAILED)
            }
        }
    }
}

impl Opener {
    /// The sequence number of the packet that comes next.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Takes one packet from the start of `input` and gives its payload; `None` if more bytes are
    /// needed. After an error nothing more may be read.
    pub(crate) fn open(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        let Some(field) = input.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = self.length(*field)?;
        let tag_bytes = if matches!(self.key, Key::Plain) { 0 } else { TAG_BYTES };
        let total = LENGTH_BYTES + length + tag_bytes;
        if input.len() < total {
            input.reserve(total - input.len());
            return Ok(None);
        }
        let mut packet = input.split_to(total);
        self.key.decrypt(self.sequence, &mut packet)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.used.count(LENGTH_BYTES + length)?;
        let padding = packet.get(LENGTH_BYTES).map_or(0, |byte| usize::from(*byte));
        // Room for the padding's own length field, and for at least one byte of payload.
        if padding < PADDING_MIN_BYTES || padding + 2 > length {
            return Err(Error::Protocol("a packet's padding has a wrong length"));
        }
        Ok(Some(packet.freeze().slice(LENGTH_BYTES + 1..LENGTH_BYTES + length - padding)))
    }

    /// The packet's length, from its field, checked against what a packet may be.
    fn length(&self, field: [u8; LENGTH_BYTES]) -> Result<usize, Error> {
        let field = match &self.key {
            Key::ChaCha(key) => key.decrypt_packet_length(self.sequence, field),
            _ => field,
        };
        let length = usize::try_from(u32::from_be_bytes(field)).unwrap_or(usize::MAX);
        Error::limit("packet bytes", length, limits::PACKET_MAX_BYTES)?;
        let (block, counted) = self.key.block();
        if length < 8 || (counted + length) % block != 0 {
            return Err(Error::Protocol("a packet has a wrong length"));
        }
        Ok(length)
    }
}

impl Key<chacha::OpeningKey> {
    /// Checks the tag at the packet's end and decrypts what is before it, in place.
    fn decrypt(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Error> {
        const FORGED: Error = Error::Crypto("a packet is damaged or forged");
        match self {
            Key::Plain => Ok(()),
            Key::ChaCha(key) => {
                let (packet, tag) = packet.split_last_chunk_mut::<TAG_BYTES>().ok_or(FORGED)?;
                key.open_in_place(sequence, packet, tag).map(|_| ()).map_err(|_| FORGED)
            }
            Key::Gcm(key, invocation) => {
                let (length, body) = packet.split_at_mut_checked(LENGTH_BYTES).ok_or(FORGED)?;
                let opened = key.open_in_place(invocation.next(), Aad::from(&*length), body);
                opened.map(|_| ()).map_err(|_| FORGED)
            }
        }
    }
}

fn exact(key: &[u8]) -> Result<&[u8; chacha::KEY_LEN], Error> {
    key.try_into().map_err(|_| Error::Crypto("a key has the wrong length"))
}

#[cfg(test)]
#[path = "tests/cipher.rs"]
mod tests;
