//! The side of a managed host, without I/O: certificates of an authority, and nothing else.
//!
//! It is apart from the gate's side on purpose: the gate takes keys alone, and a certificate there is
//! refused like a key that nobody knows.

use writ_proof::ssh::{SshReader, put_string};
use writ_proof::ssh_auth::{self, SessionId};
use writ_proof::ssh_cert::{ALGORITHM, Certificate};
use writ_proof::sshsig::SshPublicKey;

use super::server::failure;
use crate::error::Error;
use crate::limits;
use crate::wire::{CONNECTION, Message, PUBLICKEY, USERAUTH, name, number};

/// Says whether whoever holds a certificate may log in under a name: authority, kind, time, principals,
/// address. The certificate's own signature holds already; the login's is looked at afterwards.
pub type Judge = dyn Fn(&str, &Certificate) -> bool + Send + Sync;

/// A login with a certificate that the judge took, by the holder of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    user: String,
    certificate: Certificate,
}

impl Certified {
    /// The login name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// What a message of the client came to.
#[derive(Debug, PartialEq, Eq)]
pub enum HostStep {
    /// It is in: [`HostAuth::accept`] is to be sent.
    Certified(Box<Certified>),
    /// This is to be sent.
    Send(Vec<u8>),
    /// The message's type is unknown here.
    Unimplemented,
}

/// The state of one client's authentication.
pub struct HostAuth<'j> {
    session_id: SessionId,
    max_attempts: u32,
    judge: &'j Judge,
    service: bool,
    requests: u32,
    failures: u32,
}

impl<'j> HostAuth<'j> {
    /// For the session with this id.
    pub fn new(session_id: SessionId, max_attempts: u32, judge: &'j Judge) -> HostAuth<'j> {
        HostAuth { session_id, max_attempts, judge, service: false, requests: 0, failures: 0 }
    }

    /// Takes a message.
    pub fn receive(&mut self, payload: &[u8]) -> Result<HostStep, Error> {
        self.requests += 1;
        if self.requests > limits::AUTH_MAX_REQUESTS {
            return Err(Error::Authentication("too many requests".to_owned()));
        }
        let mut reader = SshReader::new(payload);
        match reader.byte()? {
            number::SERVICE_REQUEST if name(&mut reader)? == USERAUTH => {
                reader.finish()?;
                self.service = true;
                Ok(HostStep::Send(Message::new(number::SERVICE_ACCEPT).string(USERAUTH).done()))
            }
            number::USERAUTH_REQUEST if self.service => self.request(payload, reader),
            5..=6 | 50..=127 => Err(Error::Protocol("a message of authentication is out of order")),
            _ => Ok(HostStep::Unimplemented),
        }
    }

    /// Lets in whom a signature proved.
    pub fn accept(&self, _: &Certified) -> Vec<u8> {
        vec![number::USERAUTH_SUCCESS]
    }

    fn request(&mut self, payload: &[u8], mut reader: SshReader<'_>) -> Result<HostStep, Error> {
        let user = reader.text()?;
        Error::limit("login name bytes", user.len(), writ_proof::limits::SSH_USER_MAX_BYTES)?;
        if reader.text()? != CONNECTION {
            return Err(Error::Protocol("another service than ssh-connection is asked for"));
        }
        if name(&mut reader)? != PUBLICKEY {
            return self.refuse();
        }
        let signed = reader.boolean()?;
        let (algorithm, blob) = (name(&mut reader)?, reader.string()?);
        let before = payload.len() - reader.rest().len();
        let signature = if signed { Some(reader.string()?) } else { None };
        reader.finish()?;
        let certificate = match algorithm == ALGORITHM {
            true => Certificate::from_bytes(blob).ok().filter(|shown| (self.judge)(user, shown)),
            false => None,
        };
        let Some(certificate) = certificate else { return self.refuse() };
        let Some(signature) = signature else {
            let message = Message::new(number::USERAUTH_PK_OK).string(algorithm).string(blob);
            return Ok(HostStep::Send(message.done()));
        };
        let mut bytes = Vec::with_capacity(before + 36);
        put_string(&mut bytes, &self.session_id);
        bytes.extend_from_slice(payload.get(..before).unwrap_or_default());
        let key = SshPublicKey::Ed25519(certificate.unverified().key.0);
        match ssh_auth::verify_signature(&key, &bytes, signature) {
            Ok(_) => {
                let certified = Certified { user: user.to_owned(), certificate };
                Ok(HostStep::Certified(Box::new(certified)))
            }
            Err(_) => self.refuse(),
        }
    }

    fn refuse(&mut self) -> Result<HostStep, Error> {
        self.failures += 1;
        if self.failures >= self.max_attempts {
            return Err(Error::Authentication("too many attempts".to_owned()));
        }
        Ok(HostStep::Send(failure()))
    }
}
