//! Signed notes and their keys (C2SP signed-note, tlog-cosignature).
//!
//! A note is text, a blank line, and signature lines `— <name> <base64(key id ‖ signature)>`. Two kinds
//! of key are known: Ed25519 (01) and Ed25519 timestamped cosignatures (04). Signatures of other keys
//! are carried and ignored; a bad signature by a known key makes the whole note bad.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::Timestamp;

use crate::ed25519::{PublicKey, Signer};
use crate::error::Error;
use crate::hash::sha256_of;
use crate::limits;

const WHAT: &str = "signed note";
const DASH: &str = "\u{2014} ";

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The note's text: a log's own key.
    Ed25519,
    /// The time and the note's text: a witness's key (tlog-cosignature).
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            KeyKind::Ed25519 => 1,
            KeyKind::Cosignature => 4,
        }
    }
}

/// The first four bytes of SHA-256(name ‖ newline ‖ kind ‖ public key).
pub type KeyHash = [u8; 4];

/// A verifier key: its text is `<name>+<8 hex digits>+<base64(kind ‖ public key)>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: PublicKey,
}

impl VerifierKey {
    /// The key `name`, if that is a key name: not empty, no white space, no `+`.
    pub fn new(name: &str, kind: KeyKind, key: PublicKey) -> Result<VerifierKey, Error> {
        if is_key_name(name) {
            Ok(VerifierKey { name: name.to_owned(), kind, key })
        } else {
            Err(Error::malformed("key name", "it is empty or holds white space or `+`"))
        }
    }

    /// Its name; a log's key is named as the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The id under which its signatures stand.
    pub fn id(&self) -> KeyHash {
        let hash = sha256_of(&[self.name.as_bytes(), b"\n", &[self.kind.byte()], &self.key.0]).0;
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = vec![self.kind.byte()];
        blob.extend_from_slice(&self.key.0);
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(blob))
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<VerifierKey, Error> {
        let malformed = |why| Error::malformed("verifier key", why);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it does not have the form name+id+key"));
        };
        let blob = STANDARD.decode(blob).map_err(|_| malformed("the key is not base64"))?;
        let (kind, key) = match blob.split_first() {
            Some((1, key)) => (KeyKind::Ed25519, key),
            Some((4, key)) => (KeyKind::Cosignature, key),
            Some((kind, _)) => {
                return Err(Error::Unsupported {
                    what: "verifier key type",
                    value: format!("{kind:02x}"),
                });
            }
            None => return Err(malformed("the key is empty")),
        };
        let key = key.try_into().map_err(|_| malformed("the key is not 32 bytes"))?;
        let verifier = VerifierKey::new(name, kind, PublicKey(key))?;
        if hex::encode(verifier.id()) == id {
            Ok(verifier)
        } else {
            Err(malformed("the key id is that of another key"))
        }
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: KeyHash,
    /// The signature; for a cosignature the time (u64, big-endian seconds) and 64 bytes.
    pub blob: Vec<u8>,
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = self.id.to_vec();
        blob.extend_from_slice(&self.blob);
        writeln!(f, "{DASH}{} {}", self.name, STANDARD.encode(blob))
    }
}

impl FromStr for NoteSignature {
    type Err = Error;

    /// Reads one signature line, with or without its newline.
    fn from_str(line: &str) -> Result<NoteSignature, Error> {
        let malformed = |why| Error::malformed("signature line", why);
        let line = line.strip_suffix('\n').unwrap_or(line);
        let rest = line.strip_prefix(DASH).ok_or_else(|| malformed("it does not begin with —"))?;
        let (name, blob) = rest.split_once(' ').ok_or_else(|| malformed("it has no signature"))?;
        if !is_key_name(name) {
            return Err(malformed("the key name is none"));
        }
        let blob = STANDARD.decode(blob).map_err(|_| malformed("it is not base64"))?;
        match blob.split_first_chunk::<4>() {
            Some((id, rest)) if !rest.is_empty() => {
                Ok(NoteSignature { name: name.to_owned(), id: *id, blob: rest.to_vec() })
            }
            _ => Err(malformed("the signature is too short")),
        }
    }
}

/// A note with its signatures, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// Its key.
    pub key: VerifierKey,
    /// When a cosignature was made, in whole seconds.
    pub time: Option<Timestamp>,
}

impl Note {
    /// A note without signatures. The text ends with a newline and holds no other control character.
    pub fn new(text: &str) -> Result<Note, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        if !text.ends_with('\n') {
            return Err(malformed("the text does not end with a newline"));
        }
        if text.chars().any(|c| c < ' ' && c != '\n') {
            return Err(malformed("the text holds a control character"));
        }
        Error::limit("note bytes", text.len(), limits::NOTE_MAX_BYTES)?;
        Ok(Note { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Reads a note with at least one signature.
    pub fn from_bytes(bytes: &[u8]) -> Result<Note, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        Error::limit("note bytes", bytes.len(), limits::NOTE_MAX_BYTES)?;
        let whole = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let at = whole.rfind("\n\n").ok_or_else(|| malformed("it has no signatures"))?;
        let (text, lines) = whole.split_at_checked(at + 1).unwrap_or_default();
        let mut note = Note::new(text)?;
        let lines = lines.strip_prefix('\n').unwrap_or_default();
        let lines = lines.strip_suffix('\n').ok_or_else(|| malformed("the last line is cut"))?;
        for line in lines.split('\n') {
            note.signatures.push(line.parse()?);
        }
        let count = note.signatures.len();
        Error::limit("note signatures", count, limits::NOTE_MAX_SIGNATURES)?;
        Ok(note)
    }

    /// The note's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut whole = format!("{}\n", self.text);
        self.signatures.iter().for_each(|signature| whole.push_str(&signature.to_string()));
        whole.into_bytes()
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line; one of the same key is replaced.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.retain(|s| s.name != signature.name || s.id != signature.id);
        self.signatures.push(signature);
    }

    /// A log's signature over this note (type 01).
    pub fn sign(&self, name: &str, signer: &dyn Signer) -> Result<NoteSignature, Error> {
        let key = VerifierKey::new(name, KeyKind::Ed25519, signer.public_key())?;
        let signature = signer.sign(self.text.as_bytes())?;
        Ok(NoteSignature { name: name.to_owned(), id: key.id(), blob: signature.to_vec() })
    }

    /// A witness's cosignature over this note, which must be a checkpoint (type 04).
    pub fn cosign(
        &self,
        name: &str,
        signer: &dyn Signer,
        time: Timestamp,
    ) -> Result<NoteSignature, Error> {
        let key = VerifierKey::new(name, KeyKind::Cosignature, signer.public_key())?;
        let signature = signer.sign(&cosigned_message(&self.text, time.secs()))?;
        let mut blob = time.secs().to_be_bytes().to_vec();
        blob.extend_from_slice(&signature);
        Ok(NoteSignature { name: name.to_owned(), id: key.id(), blob })
    }

    /// The signatures by `keys`, all of which must hold; each key counts once. Lines of other keys
    /// are ignored, also when they carry a known name.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<VerifiedSignature>, Error> {
        let mut verified: Vec<VerifiedSignature> = Vec::new();
        for line in &self.signatures {
            let known = keys.iter().find(|key| key.name == line.name && key.id() == line.id);
            let Some(key) = known else { continue };
            let time = self.check(line, key)?;
            if !verified.iter().any(|v| v.key == *key) {
                verified.push(VerifiedSignature { key: key.clone(), time });
            }
        }
        Ok(verified)
    }

    /// The signature by `key`, which must be there and hold.
    pub fn verify_one(&self, key: &VerifierKey) -> Result<VerifiedSignature, Error> {
        let verified = self.verify(std::slice::from_ref(key))?;
        verified.into_iter().next().ok_or_else(|| Error::Unsigned { wanted: key.name.clone() })
    }

    fn check(&self, line: &NoteSignature, key: &VerifierKey) -> Result<Option<Timestamp>, Error> {
        let bad = || Error::BadSignature { by: key.name.clone() };
        match key.kind {
            KeyKind::Ed25519 if key.key.verifies(self.text.as_bytes(), &line.blob) => Ok(None),
            KeyKind::Ed25519 => Err(bad()),
            KeyKind::Cosignature => {
                let (secs, signature) = line.blob.split_first_chunk::<8>().ok_or_else(bad)?;
                let secs = u64::from_be_bytes(*secs);
                if key.key.verifies(&cosigned_message(&self.text, secs), signature) {
                    Ok(Some(Timestamp::from_secs(secs)))
                } else {
                    Err(bad())
                }
            }
        }
    }
}

fn cosigned_message(text: &str, secs: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {secs}\n{text}").into_bytes()
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c < ' ' || c == '+')
}

#[cfg(test)]
#[path = "tests/note.rs"]
mod tests;
