//! The client's side, without I/O: one key, one attempt.

use writ_proof::ssh::{SshReader, put_string};
use writ_proof::ssh_auth::SessionId;

use crate::Answer;
use crate::error::Error;
use crate::wire::{CONNECTION, Message, PUBLICKEY, USERAUTH, name_list, number, printable};

/// Banners that a server may send.
const BANNERS_MAX: usize = 16;

/// The key with which we log in to a host.
pub trait UserKey: Send + Sync {
    /// The algorithm's name: `ssh-ed25519`, or `ssh-ed25519-cert-v01@openssh.com` for a certificate.
    fn algorithm(&self) -> &str;

    /// The public key's or the certificate's blob.
    fn blob(&self) -> &[u8];

    /// The signature blob over `message`: algorithm and signature (RFC 4253 section 6.6).
    fn sign<'a>(&'a self, message: &'a [u8]) -> Answer<'a, Result<Vec<u8>, Error>>;
}

/// What a message of the server came to.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// The server wants its user to read this; what does not print is replaced.
    Banner(String),
    /// This is to be signed: answer with [`ClientAuth::request`].
    Sign(Vec<u8>),
    /// We are in.
    Success,
    /// The message's type is unknown here.
    Unimplemented,
}

/// The state of our authentication.
pub struct ClientAuth {
    request: Vec<u8>,
    session_id: SessionId,
    asked: bool,
    banners: usize,
}

impl ClientAuth {
    /// For the session with this id; [`ClientAuth::start`] is sent first.
    pub fn new(session_id: SessionId, user: &str, key: &dyn UserKey) -> ClientAuth {
        let request = Message::new(number::USERAUTH_REQUEST)
            .string(user)
            .string(CONNECTION)
            .string(PUBLICKEY)
            .boolean(true)
            .string(key.algorithm())
            .string(key.blob())
            .done();
        ClientAuth { request, session_id, asked: false, banners: 0 }
    }

    /// Asks for the service.
    pub fn start(&self) -> Vec<u8> {
        Message::new(number::SERVICE_REQUEST).string(USERAUTH).done()
    }

    /// The request, with its signature blob.
    pub fn request(&self, signature: &[u8]) -> Vec<u8> {
        Message::default().raw(&self.request).string(signature).done()
    }

    /// Takes a message.
    pub fn receive(&mut self, payload: &[u8]) -> Result<ClientStep, Error> {
        let mut reader = SshReader::new(payload);
        match reader.byte()? {
            number::SERVICE_ACCEPT if !self.asked => {
                self.asked = true;
                let mut bytes = Vec::new();
                put_string(&mut bytes, &self.session_id);
                bytes.extend_from_slice(&self.request);
                Ok(ClientStep::Sign(bytes))
            }
            number::USERAUTH_BANNER => {
                self.banners += 1;
                Error::limit("banners", self.banners, BANNERS_MAX)?;
                Ok(ClientStep::Banner(printable(reader.string()?)))
            }
            number::USERAUTH_SUCCESS if self.asked && payload.len() == 1 => Ok(ClientStep::Success),
            number::USERAUTH_FAILURE if self.asked => {
                let methods = name_list(&mut reader)?.join(",");
                let methods: String = methods.chars().take(256).collect();
                Err(Error::Authentication(format!(
                    "the host refuses the key; it takes `{methods}`"
                )))
            }
            5..=6 | 50..=127 => Err(Error::Protocol("a message of authentication is out of order")),
            _ => Ok(ClientStep::Unimplemented),
        }
    }
}
