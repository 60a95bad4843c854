//! The client: a connection to a host, until we are authenticated there.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use writ_model::Env;
use writ_proof::ed25519::{Signer, SoftKey};
use writ_proof::ssh::put_string;
use writ_proof::sshsig::SshPublicKey;

use crate::Answer;
use crate::auth::{ClientAuth, ClientStep, UserKey};
use crate::config::Config;
use crate::connection::{IncomingEvents, Session};
use crate::driver::Driver;
use crate::error::Error;
use crate::login::Wire;
use crate::transport::{Arrived, Transport};

/// Who knows the host.
pub trait HostVerifier: Send + Sync {
    /// Algorithms of host keys and certificates that are taken, in our order.
    fn algorithms(&self) -> Vec<String>;

    /// Judges the key or certificate that the host shows; the answer is the key that it must have
    /// signed with: the one in the certificate, if it is one.
    fn verify(&self, blob: &[u8]) -> Result<SshPublicKey, Error>;
}

/// A host that is known by its key.
pub struct KnownKey(pub SshPublicKey);

impl HostVerifier for KnownKey {
    fn algorithms(&self) -> Vec<String> {
        vec![self.0.algorithm().to_owned()]
    }

    fn verify(&self, blob: &[u8]) -> Result<SshPublicKey, Error> {
        if blob == self.0.to_blob() {
            Ok(self.0.clone())
        } else {
            Err(Error::HostKey("it is another than the known one".to_owned()))
        }
    }
}

/// An Ed25519 key of ours in this process's memory, alone or with its certificate.
pub struct SoftUserKey {
    key: SoftKey,
    algorithm: String,
    blob: Vec<u8>,
}

impl SoftUserKey {
    /// The key alone.
    pub fn new(key: SoftKey) -> SoftUserKey {
        let public = SshPublicKey::Ed25519(key.public_key().0);
        SoftUserKey { key, algorithm: public.algorithm().to_owned(), blob: public.to_blob() }
    }

    /// The key with its certificate.
    pub fn certified(key: SoftKey, certificate: Vec<u8>) -> SoftUserKey {
        let algorithm = "ssh-ed25519-cert-v01@openssh.com".to_owned();
        SoftUserKey { key, algorithm, blob: certificate }
    }
}

impl UserKey for SoftUserKey {
    fn algorithm(&self) -> &str {
        &self.algorithm
    }

    fn blob(&self) -> &[u8] {
        &self.blob
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Answer<'a, Result<Vec<u8>, Error>> {
        let signature = self.key.sign(message).map_err(|_| Error::Signing).map(|signature| {
            let mut blob = Vec::new();
            put_string(&mut blob, b"ssh-ed25519");
            put_string(&mut blob, &signature);
            blob
        });
        Box::pin(async move { signature })
    }
}

/// A connection to a host that has let us in.
pub struct Connected<S> {
    /// The connection.
    pub session: Session,
    /// Its events.
    pub incoming: IncomingEvents,
    /// What carries it: nothing happens until it runs.
    pub driver: Driver<S>,
    /// What the host wants its users to read.
    pub banners: Vec<String>,
}

/// Connects over the stream, checks the host, and logs in as `user`.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    config: &Config,
    host: &dyn HostVerifier,
    user: &str,
    key: &dyn UserKey,
    env: Arc<dyn Env>,
) -> Result<Connected<S>, Error> {
    let transport = Transport::client(config.algorithms.clone(), host.algorithms(), env)?;
    let mut wire = Wire { stream, transport };
    let limit = config.login_grace;
    let late = Error::Timeout { what: "login", limit };
    let work = login(&mut wire, host, user, key);
    match tokio::time::timeout(limit, work).await.unwrap_or(Err(late)) {
        Ok(banners) => {
            let session_id = wire.transport.session_id().ok_or(Error::Closed)?;
            let (driver, session) = Driver::new(wire, session_id, config, None);
            let incoming = driver.incoming();
            Ok(Connected { session, incoming, driver, banners })
        }
        Err(error) => {
            wire.part(&error).await;
            Err(error)
        }
    }
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    host: &dyn HostVerifier,
    user: &str,
    key: &dyn UserKey,
) -> Result<Vec<String>, Error> {
    let session_id = loop {
        match wire.next().await? {
            Arrived::HostKey(blob) => wire.transport.host_key(host.verify(&blob)?)?,
            Arrived::Established => {
                break wire.transport.session_id().ok_or(Error::Protocol("there are no keys"))?;
            }
            Arrived::Message(_) | Arrived::Sign(_) => {
                return Err(Error::Protocol("another message came before the first keys"));
            }
        }
    };
    let mut auth = ClientAuth::new(session_id, user, key);
    let mut banners = Vec::new();
    wire.send(&auth.start()).await?;
    loop {
        let Arrived::Message(message) = wire.next().await? else { continue };
        match auth.receive(&message)? {
            ClientStep::Banner(text) => banners.push(text),
            ClientStep::Sign(bytes) => {
                let signature = key.sign(&bytes).await?;
                wire.send(&auth.request(&signature)).await?;
            }
            ClientStep::Success => return Ok(banners),
            ClientStep::Unimplemented => wire.transport.unimplemented()?,
        }
    }
}
