//! People's keys.

use writ_model::PersonId;

use super::{Roster, refused};
use crate::cbor_map;
use crate::error::Error;
use crate::limits;
use crate::sshsig::SshPublicKey;

/// What a security key that `ssh-keygen` made must have been made for.
pub const SSH_APPLICATION: &str = "ssh:writ";

/// One key of one person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonKey {
    /// Whose it is.
    pub person: PersonId,
    /// The key.
    pub key: SshPublicKey,
    /// For a passkey of a browser: what signing in with it needs.
    pub passkey: Option<Passkey>,
}
cbor_map!(PersonKey { 1: person, 2: key, 3: opt passkey });

/// A credential of a browser's authenticator (WebAuthn).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passkey {
    /// By which the authenticator knows it.
    pub credential_id: Vec<u8>,
    /// The site that it was made for; the application of its key.
    pub rp_id: String,
}
cbor_map!(Passkey { 1: credential_id, 2: rp_id });

/// What holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A browser's authenticator.
    Passkey,
    /// A token, through `ssh-keygen`.
    SecurityKey,
    /// A file.
    Software,
}

impl KeyKind {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyKind::Passkey => "passkey",
            KeyKind::SecurityKey => "security key",
            KeyKind::Software => "software key",
        }
    }
}

impl Roster {
    /// Fails if the key cannot be given to the person it names: it is not of a form that is taken, or it
    /// is or was somebody's.
    pub fn check_new_key(&self, key: &PersonKey) -> Result<(), Error> {
        self.check_free(key)?;
        match self.held(&key.key) {
            Some((person, _)) => refused(format!("`{person}` has the key {:?} already", key.key)),
            None => Ok(()),
        }
    }
}

impl PersonKey {
    /// What holds the key, as far as its form says. Nothing attests it.
    pub fn kind(&self) -> KeyKind {
        match (&self.passkey, self.key.is_hardware()) {
            (Some(_), _) => KeyKind::Passkey,
            (None, true) => KeyKind::SecurityKey,
            (None, false) => KeyKind::Software,
        }
    }

    /// Fails unless key and passkey fit each other.
    pub(super) fn check(&self) -> Result<(), Error> {
        let bad = |why: String| refused(format!("the key {}: {why}", self.key.fingerprint()));
        match (&self.passkey, &self.key) {
            (Some(passkey), SshPublicKey::SkEcdsa { application, .. }) => {
                let length = passkey.credential_id.len();
                if length == 0 || length > limits::CREDENTIAL_ID_MAX_BYTES {
                    return bad("its credential id is empty or too long".to_owned());
                }
                if *application != passkey.rp_id {
                    return bad("its application is not its rpId".to_owned());
                }
                if application.is_empty() || application.contains(':') {
                    return bad(format!("`{application}` is no rpId of a site"));
                }
                Ok(())
            }
            (Some(_), _) => bad("a passkey is an sk-ecdsa-sha2-nistp256 key".to_owned()),
            (None, key) => match key.application() {
                None | Some(SSH_APPLICATION) => Ok(()),
                Some(other) => bad(format!(
                    "it was made for `{other}`; make it with `-O application={SSH_APPLICATION}`"
                )),
            },
        }
    }
}
