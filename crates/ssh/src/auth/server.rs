//! The server's side, without I/O.
//!
//! INVARIANT: a [`Proof`] is made in one place, after the signature held, and only a proof can be
//! accepted. A key that was merely offered is answered, and nothing of it is kept (the class of
//! CVE-2024-45337: a client offers one key and proves another).

use writ_proof::ssh::{SshReader, put_string};
use writ_proof::ssh_auth::{self, SessionId, VerifiedUserAuth};
use writ_proof::sshsig::{SkFlags, SshPublicKey};

use crate::error::Error;
use crate::limits;
use crate::wire::{CONNECTION, Message, PUBLICKEY, USERAUTH, name, number, text};

/// A client's proof that its key's holder asked for this login in this session, for whoever wants to
/// check it again (`writ_proof::ssh_auth::verify`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    signed: Vec<u8>,
    signature: Vec<u8>,
    verified: VerifiedUserAuth,
}

impl Proof {
    /// The bytes that the client signed (RFC 4252 section 7).
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed
    }

    /// The signature blob over them.
    pub fn signature_blob(&self) -> &[u8] {
        &self.signature
    }

    /// The session.
    pub fn session_id(&self) -> SessionId {
        self.verified.request().session_id
    }

    /// The login name.
    pub fn user(&self) -> &str {
        &self.verified.request().user
    }

    /// The key whose holder signed.
    pub fn key(&self) -> &SshPublicKey {
        &self.verified.request().key
    }

    /// What the key's token says of touch and PIN; absent for a software key.
    pub fn hardware(&self) -> Option<SkFlags> {
        self.verified.hardware()
    }
}

/// What a message of the client came to.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerStep {
    /// The client asks whether it may try this key: answer with [`ServerAuth::offer`].
    Offered {
        /// The login name.
        user: String,
        /// The key, of which nothing is proven.
        key: SshPublicKey,
    },
    /// A signature holds: answer with [`ServerAuth::accept`] or [`ServerAuth::refuse`].
    Proven(Box<Proof>),
    /// This is to be sent.
    Send(Vec<u8>),
    /// The message's type is unknown here.
    Unimplemented,
}

/// The state of one client's authentication.
pub struct ServerAuth {
    session_id: SessionId,
    max_attempts: u32,
    service: bool,
    user: Option<String>,
    requests: u32,
    failures: u32,
}

impl ServerAuth {
    /// For the session with this id.
    pub fn new(session_id: SessionId, max_attempts: u32) -> ServerAuth {
        let (service, user, requests, failures) = (false, None, 0, 0);
        ServerAuth { session_id, max_attempts, service, user, requests, failures }
    }

    /// Takes a message.
    pub fn receive(&mut self, payload: &[u8]) -> Result<ServerStep, Error> {
        self.requests += 1;
        if self.requests > limits::AUTH_MAX_REQUESTS {
            return Err(Error::Authentication("too many requests".to_owned()));
        }
        let mut reader = SshReader::new(payload);
        match reader.byte()? {
            number::SERVICE_REQUEST => {
                let service = name(&mut reader)?;
                reader.finish()?;
                if service != USERAUTH {
                    return Err(Error::Protocol("another service than ssh-userauth is asked for"));
                }
                self.service = true;
                let accept = Message::new(number::SERVICE_ACCEPT).string(USERAUTH).done();
                Ok(ServerStep::Send(accept))
            }
            number::USERAUTH_REQUEST if self.service => self.request(payload),
            number::SERVICE_ACCEPT | 50..=79 => {
                Err(Error::Protocol("a message of authentication is out of order"))
            }
            80..=127 => Err(Error::Protocol("a message came before authentication")),
            _ => Ok(ServerStep::Unimplemented),
        }
    }

    /// The answer to an offered key: that it may be tried, or not. It binds nothing.
    pub fn offer(&mut self, key: &SshPublicKey, welcome: bool) -> Result<Vec<u8>, Error> {
        if !welcome {
            return self.refuse();
        }
        let message = Message::new(number::USERAUTH_PK_OK);
        Ok(message.string(key.algorithm()).string(key.to_blob()).done())
    }

    /// Refuses; an error if no attempt is left.
    pub fn refuse(&mut self) -> Result<Vec<u8>, Error> {
        self.failures += 1;
        if self.failures >= self.max_attempts {
            return Err(Error::Authentication("too many attempts".to_owned()));
        }
        Ok(failure())
    }

    /// Accepts what was proven.
    pub fn accept(&self, _: &Proof) -> Vec<u8> {
        vec![number::USERAUTH_SUCCESS]
    }

    /// A text that the client shows to its user (RFC 4252 section 5.4).
    pub fn banner(&self, words: &str) -> Vec<u8> {
        Message::new(number::USERAUTH_BANNER).string(text(words)).string("").done()
    }

    fn request(&mut self, payload: &[u8]) -> Result<ServerStep, Error> {
        let mut reader = SshReader::new(payload);
        reader.byte()?;
        let user = reader.text()?;
        Error::limit("login name bytes", user.len(), writ_proof::limits::SSH_USER_MAX_BYTES)?;
        if *self.user.get_or_insert_with(|| user.to_owned()) != user {
            return Err(Error::Protocol("the login name changed"));
        }
        if reader.text()? != CONNECTION {
            return Err(Error::Protocol("another service than ssh-connection is asked for"));
        }
        match name(&mut reader)? {
            PUBLICKEY => self.publickey(payload, reader),
            // The client's question for the methods (RFC 4252 section 5.2): free, once.
            "none" if self.requests <= 2 => Ok(ServerStep::Send(failure())),
            _ => self.refuse().map(ServerStep::Send),
        }
    }

    fn publickey(
        &mut self,
        payload: &[u8],
        mut reader: SshReader<'_>,
    ) -> Result<ServerStep, Error> {
        let signed = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Error::Protocol("a boolean is neither 0 nor 1")),
        };
        let (algorithm, blob) = (name(&mut reader)?, reader.string()?);
        let before = payload.len() - reader.rest().len();
        let signature = match signed {
            true => Some(reader.string()?),
            false => None,
        };
        reader.finish()?;
        // Other algorithms, certificates among them: refused like a key that nobody knows.
        let key = SshPublicKey::from_blob(blob).ok().filter(|key| key.algorithm() == algorithm);
        let (Some(key), Some(user)) = (key, self.user.clone()) else {
            return self.refuse().map(ServerStep::Send);
        };
        let Some(signature) = signature else { return Ok(ServerStep::Offered { user, key }) };
        let mut bytes = Vec::with_capacity(before + 36);
        put_string(&mut bytes, &self.session_id);
        bytes.extend_from_slice(payload.get(..before).unwrap_or_default());
        match ssh_auth::verify(&bytes, signature) {
            Ok(verified) => {
                let signature = signature.to_vec();
                Ok(ServerStep::Proven(Box::new(Proof { signed: bytes, signature, verified })))
            }
            Err(_) => self.refuse().map(ServerStep::Send),
        }
    }
}

pub(super) fn failure() -> Vec<u8> {
    Message::new(number::USERAUTH_FAILURE).list(&[PUBLICKEY]).boolean(false).done()
}

#[cfg(test)]
#[path = "../tests/auth.rs"]
mod tests;
