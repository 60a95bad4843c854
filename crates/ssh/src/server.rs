//! The server: a connection that came in, until its client is authenticated.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use writ_model::Env;
use writ_proof::ed25519::{Signer, SoftKey};
use writ_proof::ssh_auth::SessionId;
use writ_proof::sshsig::SshPublicKey;

use crate::auth::{Proof, ServerAuth, ServerStep};
use crate::config::Config;
use crate::connection::{IncomingEvents, Session};
use crate::driver::Driver;
use crate::error::Error;
use crate::login::Wire;
use crate::transport::{Arrived, Transport};
use crate::{Answer, limits};

/// The host key, wherever it is. It is Ed25519.
pub trait HostKey: Send + Sync {
    /// The public key.
    fn public_key(&self) -> [u8; 32];

    /// Signs an exchange hash.
    fn sign<'a>(&'a self, hash: &'a [u8; 32]) -> Answer<'a, Result<[u8; 64], Error>>;
}

/// A host key in this process's memory.
pub struct SoftHostKey(pub SoftKey);

impl HostKey for SoftHostKey {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().0
    }

    fn sign<'a>(&'a self, hash: &'a [u8; 32]) -> Answer<'a, Result<[u8; 64], Error>> {
        let signature = self.0.sign(hash).map_err(|_| Error::Signing);
        Box::pin(async move { signature })
    }
}

/// What becomes of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The client is in.
    Accept,
    /// The connection ends, and the client shows this text to its user.
    Disconnect(String),
    /// The client may try another key; it shows this text to its user.
    Refuse(Option<String>),
}

/// Who decides on logins.
pub trait Authenticator: Send {
    /// True if the client may try this key. Nothing is proven yet, and nothing may be kept of it; a
    /// good answer tells no strangers apart.
    fn offered(&self, user: &str, key: &SshPublicKey) -> bool;

    /// Decides on what was proven.
    fn proven<'a>(&'a mut self, proof: &'a Proof) -> Answer<'a, Decision>;
}

/// A connection whose client is authenticated.
pub struct Accepted<S> {
    /// Who it is, as it was proven.
    pub proof: Proof,
    /// The connection.
    pub session: Session,
    /// Its events.
    pub incoming: IncomingEvents,
    /// What carries it: nothing happens until it runs.
    pub driver: Driver<S>,
}

/// Serves the stream until its client is authenticated. Whatever ends it is told to the client.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    config: &Config,
    host_key: Arc<dyn HostKey>,
    authenticator: &mut dyn Authenticator,
    env: Arc<dyn Env>,
) -> Result<Accepted<S>, Error> {
    let algorithms = config.algorithms.clone();
    let transport = Transport::server(algorithms, host_key.public_key(), env)?;
    let mut wire = Wire { stream, transport };
    let work = login(&mut wire, config, &*host_key, authenticator);
    let limit = config.login_grace;
    let late = Error::Timeout { what: "login", limit };
    match tokio::time::timeout(limit, work).await.unwrap_or(Err(late)) {
        Ok(proof) => {
            let (driver, session) = Driver::new(wire, proof.session_id(), config, Some(host_key));
            let incoming = driver.incoming();
            Ok(Accepted { proof, session, incoming, driver })
        }
        Err(error) => {
            wire.part(&error).await;
            Err(error)
        }
    }
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    config: &Config,
    host_key: &dyn HostKey,
    authenticator: &mut dyn Authenticator,
) -> Result<Proof, Error> {
    let session_id = established(wire, host_key).await?;
    let mut auth = ServerAuth::new(session_id, config.auth_max_attempts);
    loop {
        let message = match wire.next().await? {
            Arrived::Message(message) => message,
            // Each would cost us an agreement and a signature; nobody honest asks so early.
            Arrived::Sign(_) | Arrived::Established | Arrived::HostKey(_) => {
                return Err(Error::Protocol("new keys were asked for before authentication"));
            }
        };
        match auth.receive(&message)? {
            ServerStep::Send(reply) => wire.send(&reply).await?,
            ServerStep::Unimplemented => wire.transport.unimplemented()?,
            ServerStep::Offered { user, key } => {
                let welcome = authenticator.offered(&user, &key);
                wire.send(&auth.offer(&key, welcome)?).await?;
            }
            ServerStep::Proven(proof) => match authenticator.proven(&proof).await {
                Decision::Accept => {
                    wire.send(&auth.accept(&proof)).await?;
                    return Ok(*proof);
                }
                Decision::Disconnect(text) => return Err(Error::Authentication(text)),
                Decision::Refuse(text) => {
                    if let Some(text) = text {
                        wire.transport.send(&auth.banner(&text))?;
                    }
                    wire.send(&auth.refuse()?).await?;
                }
            },
        }
    }
}

/// Waits for the first keys.
pub(crate) async fn established<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    host_key: &dyn HostKey,
) -> Result<SessionId, Error> {
    loop {
        match wire.next().await? {
            Arrived::Sign(hash) => sign(&mut wire.transport, host_key, &hash).await?,
            Arrived::Established => {
                return wire.transport.session_id().ok_or(Error::Protocol("there are no keys"));
            }
            Arrived::HostKey(_) | Arrived::Message(_) => {
                return Err(Error::Protocol("another message came before the first keys"));
            }
        }
    }
}

/// Gets the host key's signature.
pub(crate) async fn sign(
    transport: &mut Transport,
    host_key: &dyn HostKey,
    hash: &[u8; 32],
) -> Result<(), Error> {
    let limit = limits::KEX_DEADLINE;
    let late = Error::Timeout { what: "the host key's signature", limit };
    let signature = tokio::time::timeout(limit, host_key.sign(hash)).await.map_err(|_| late)??;
    transport.signed(&signature)
}
